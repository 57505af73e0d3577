//! What pages of other sites may ask, which names the service answers to, and when it insists on
//! HTTPS. All of it is decided before a route is looked at, and told in headers of every answer.
//!
//! actix-cors would answer a browser's question outside of [`crate::watch`], which has to see every
//! request (ADR 19), and a problem would come without its headers.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    AUTHORIZATION, CONTENT_SECURITY_POLICY, HOST, HeaderValue, LOCATION, ORIGIN,
    STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::uri::Authority;
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpResponse};
use futures_util::future::Either;

use crate::health::is_health;
use crate::live_tickets::LiveTickets;
use crate::problem::{ApiError, NO_PAGE};

/// What a page of an allowed site may send.
const ALLOWED_HEADERS: &str =
    "authorization, content-type, idempotency-key, last-event-id, traceparent, x-request-id";
/// What it may read, beside what every page may.
const EXPOSED_HEADERS: &str = "location, retry-after, ratelimit, ratelimit-policy, traceparent, www-authenticate, \
     x-request-id";
/// For how many seconds a browser need not ask again what it may.
const MAX_AGE: &str = "600";
/// A year, as browsers want it.
const HSTS: &str = "max-age=31536000";

/// What the settings say of it.
#[derive(Debug, Clone, Default)]
pub struct WebPolicy {
    /// `cors.allowed_origins`: sites whose pages may ask.
    pub allowed_origins: Vec<String>,
    /// `server.allowed_hosts`: the names of this service; `None` if any may be.
    pub allowed_hosts: Option<Vec<String>>,
    /// If HTTPS is required, where clients of plain HTTP are led: 0 is the port that it got.
    pub required_https: Option<u16>,
}

/// The policy at one of the service's ports.
pub(crate) struct Rules {
    policy: Arc<WebPolicy>,
    /// Where a client of plain HTTP is led.
    leads_to: Option<u16>,
    is_https: bool,
}

impl Rules {
    /// Of plain HTTP; HTTPS got the port `https`.
    pub(crate) fn of_http(policy: &Arc<WebPolicy>, https: Option<u16>) -> Self {
        let leads_to = match policy.required_https {
            Some(0) => https,
            port => port,
        };
        Self {
            policy: Arc::clone(policy),
            leads_to,
            is_https: false,
        }
    }

    pub(crate) fn of_https(policy: &Arc<WebPolicy>) -> Self {
        Self {
            policy: Arc::clone(policy),
            leads_to: None,
            is_https: true,
        }
    }

    /// The answer to a request that no route is to see.
    fn refusal(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        // As routes see it: decoded.
        let path = request.match_info().unprocessed();
        // Probes ask by addresses and names that are nobody else's business.
        if is_health(path) {
            return None;
        }
        if !self.answers_to(request) {
            return Some(HttpResponse::from_error(ApiError::HostNotAllowed));
        }
        let host = host(request);
        if let Some(port) = self.leads_to {
            return Some(leads(request, host, port));
        }
        let mut origins = request.headers().get_all(ORIGIN);
        let origin = origins.next()?;
        // No browser sends two, and who reads on may take another one of them.
        if origins.next().is_some() {
            return Some(HttpResponse::from_error(ApiError::OriginNotAllowed));
        }
        // Browsers keep from a page what it may not read, and send it what they open for it.
        let is_kept_from_it = request.method().is_safe() && path != "/ws";
        let may_ask = is_kept_from_it || self.allows(origin) || self.is_own(origin, host);
        (!may_ask).then(|| HttpResponse::from_error(ApiError::OriginNotAllowed))
    }

    /// A page may be made to ask this machine by a name of its own site that leads here (DNS
    /// rebinding). Nobody else can own an address, nor `localhost`.
    fn answers_to(&self, request: &ServiceRequest) -> bool {
        let Some(names) = &self.policy.allowed_hosts else {
            return true;
        };
        let is_ours = |asked: &[u8]| {
            let Ok(authority) = Authority::try_from(asked) else {
                return false;
            };
            let host = authority.host();
            let has_port = authority.as_str().len() > host.len();
            if authority.as_str().contains('@') || has_port && authority.port_u16().is_none() {
                return false;
            }
            let host = host.trim_end_matches('.');
            let address = host.trim_start_matches('[').trim_end_matches(']');
            address.parse::<IpAddr>().is_ok()
                || host.eq_ignore_ascii_case("localhost")
                || names.iter().any(|name| host.eq_ignore_ascii_case(name))
        };
        // HTTP/2 may have both, or none.
        let authority = request.uri().authority().map(Authority::as_str);
        let fields = request.headers().get_all(HOST).map(HeaderValue::as_bytes);
        let mut asked = authority
            .map(str::as_bytes)
            .into_iter()
            .chain(fields)
            .peekable();
        asked.peek().is_some() && asked.all(is_ours)
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let origins = &self.policy.allowed_origins;
        origins.iter().any(|allowed| origin == allowed.as_str())
    }

    /// Whether the page is one of this service. What comes as plain HTTP may have been HTTPS
    /// before a proxy; it is never the other way round.
    fn is_own(&self, origin: &HeaderValue, host: Option<&str>) -> bool {
        let origin = origin.to_str().ok();
        let site = origin.and_then(|origin| origin.split_once("://"));
        let Some(((scheme, site), host)) = site.zip(host) else {
            return false;
        };
        let port = match scheme {
            "https" => ":443",
            "http" if !self.is_https => ":80",
            _ => return false,
        };
        // Browsers leave it out of both.
        let host = host.strip_suffix(port).unwrap_or(host);
        site.eq_ignore_ascii_case(host)
    }
}

/// Whom the client takes the service for: a name or an address, perhaps with a port.
fn host(request: &ServiceRequest) -> Option<&str> {
    let authority = request.uri().authority().map(Authority::as_str);
    authority.or_else(|| request.headers().get(HOST)?.to_str().ok())
}

/// A `GET` or `HEAD` to the same over HTTPS. What was sent already as plain text is not led on silently, and a
/// WebSocket's handshake cannot be.
fn leads(request: &ServiceRequest, host: Option<&str>, port: u16) -> HttpResponse {
    let is_harmless = matches!(*request.method(), Method::GET | Method::HEAD)
        && !request.headers().contains_key(AUTHORIZATION)
        && LiveTickets::given(request.query_string()).is_none()
        && request.match_info().unprocessed() != "/ws";
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    let path = request.uri().path_and_query();
    // `*` is none.
    let path = path.filter(|path| path.path().starts_with('/'));
    let (true, Some(host), Some(path)) = (is_harmless, host, path) else {
        return HttpResponse::from_error(ApiError::HttpsRequired);
    };
    let host = host.host();
    let location = match port {
        443 => format!("https://{host}{path}"),
        _ => format!("https://{host}:{port}{path}"),
    };
    HttpResponse::build(StatusCode::PERMANENT_REDIRECT)
        .insert_header((LOCATION, location))
        .finish()
}

/// The innermost middleware: refuses what no route is to see.
pub(crate) fn admit<S, B>(
    rules: &Rules,
    request: ServiceRequest,
    inner: &S,
) -> impl Future<Output = Result<ServiceResponse<EitherBody<B>>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let answer = match rules.refusal(&request) {
        // Its error goes with it, from which `watch` writes the problem.
        Some(refusal) => Either::Left(ServiceResponse::new(request.into_parts().0, refusal)),
        None => Either::Right(inner.call(request)),
    };
    async move {
        Ok(match answer {
            Either::Left(refused) => refused.map_into_right_body(),
            Either::Right(answer) => answer.await?.map_into_left_body(),
        })
    }
}

/// The outermost one: tells browsers what they may do with an answer.
pub(crate) fn tell<S, B>(
    rules: &Rc<Rules>,
    request: ServiceRequest,
    inner: &S,
) -> impl Future<Output = Result<ServiceResponse<B>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    let rules = Rc::clone(rules);
    let origin = request.headers().get(ORIGIN);
    let origin = origin.filter(|origin| rules.allows(origin)).cloned();
    let is_preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let answer = inner.call(request);
    async move {
        let mut response = answer.await?;
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // A page has one of its own.
        if !headers.contains_key(CONTENT_SECURITY_POLICY) {
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NO_PAGE));
        }
        if rules.is_https && rules.policy.required_https.is_some() {
            headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
        }
        if !rules.policy.allowed_origins.is_empty() {
            headers.append(VARY, HeaderValue::from_name(ORIGIN));
        }
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            if is_preflight {
                if let Some(methods) = headers.get(ALLOW).cloned() {
                    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
                }
                headers.insert(
                    ACCESS_CONTROL_ALLOW_HEADERS,
                    HeaderValue::from_static(ALLOWED_HEADERS),
                );
                headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
            } else {
                headers.insert(
                    ACCESS_CONTROL_EXPOSE_HEADERS,
                    HeaderValue::from_static(EXPOSED_HEADERS),
                );
            }
        }
        Ok(response)
    }
}
