//! `/openapi.json`, and `/docs` that shows it: Swagger UI, from [`crate::page`].

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, EntityTag, Header, IfNoneMatch,
};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::access::Anybody;
use crate::openapi::{Operation, schemas};
use crate::page::{self, File};
use crate::problem::{ApiError, Code};
use crate::state::Answer;

/// The OpenAPI document, once for all threads.
#[derive(Clone, Copy)]
pub(super) struct Document(pub(super) &'static str);

/// What the page may load: its own files, and pictures that stand in its style sheet.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// `GET /openapi.json`.
pub(crate) async fn document(_: Anybody, request: HttpRequest) -> Answer {
    let document = request
        .app_data::<Document>()
        .ok_or(ApiError::RouteNotFound)?;
    Ok(cached(
        &request,
        "application/json",
        document.0.as_bytes(),
        |_| {},
    ))
}

/// `GET /docs`.
pub(crate) async fn page(_: Anybody, request: HttpRequest) -> Answer {
    Ok(shown(&request, &page::INDEX))
}

/// `GET /docs/{file}`.
pub(crate) async fn file(_: Anybody, request: HttpRequest, name: web::Path<String>) -> Answer {
    let found = page::FILES.iter().find(|file| file.name == *name);
    Ok(shown(&request, found.ok_or(ApiError::RouteNotFound)?))
}

fn shown(request: &HttpRequest, file: &File) -> HttpResponse {
    cached(request, file.media_type, file.bytes, |answer| {
        answer.insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY));
        if file.is_compressed {
            answer.insert_header((CONTENT_ENCODING, "gzip"));
        }
    })
}

/// What is the same until another release: clients ask whether it is, and get it only if not.
fn cached(
    request: &HttpRequest,
    media_type: &str,
    bytes: &'static [u8],
    more: impl FnOnce(&mut actix_web::HttpResponseBuilder),
) -> HttpResponse {
    let hash = blake3::hash(bytes).to_hex();
    let tag = EntityTag::new_strong(hash[..16].to_owned());
    let is_known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(&tag)),
        _ => false,
    };
    let mut answer = match is_known {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    answer.insert_header((ETAG, tag));
    answer.insert_header((CACHE_CONTROL, "no-cache"));
    if is_known {
        return answer.finish();
    }
    more(&mut answer);
    answer.content_type(media_type).body(bytes)
}

pub(super) fn document_described() -> Operation {
    let document = json!({"openapi": "3.1.0"});
    kept(Operation::new("readDocument", "This document"))
        .json(200, "The document.", schemas::object, document)
        .with(&["ETag"])
}

pub(super) fn page_described() -> Operation {
    kept(Operation::new(
        "openPage",
        "The page that shows this document",
    ))
    .bare(200, "The page.")
    .or("text/html", "<!doctype html>")
    .with(&["ETag"])
}

pub(super) fn file_described() -> Operation {
    let names: Vec<_> = page::FILES.iter().map(|file| file.name).collect();
    kept(Operation::new("readPageFile", "A file of the page"))
        .path("file", json!({"type": "string", "enum": names}))
        .bare(200, "The file.")
        .or("text/css", "")
        .or("text/javascript", "")
        .or("text/plain", "")
        .with(&["ETag", "Content-Encoding"])
        .problems([Code::RouteNotFound])
}

fn kept(operation: Operation) -> Operation {
    operation
        .header(
            "If-None-Match",
            "The `ETag` of what the client has.",
            json!({"type": "string"}),
        )
        .bare(304, "It is what the client has.")
        .with(&["ETag"])
}
