//! The one table of routes: what of a path is served, who may, and what is said of it. `Allow` and
//! the OpenAPI document follow from it.

use std::collections::BTreeMap;
use std::rc::Rc;

use actix_web::http::Method;
use actix_web::http::header::ALLOW;
use actix_web::{FromRequest, Handler, HttpResponse, Responder, guard, web};

use crate::access::{Access, Needs};
use crate::openapi::{Described, Operation};
use crate::problem::ApiError;
use crate::request_counts::RequestCounts;
use crate::state::Answer;

/// A route, and what it needs.
#[derive(Debug, Clone)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// With `{id}` for ids.
    pub path: &'static str,
    /// What it needs of its caller.
    pub needs: Needs,
}

/// The parameters of a handler, of which the first says who may.
pub(super) trait Guarded {
    /// What the first one needs.
    const NEEDS: Needs;
}

macro_rules! guarded {
    ($($other:ident)*) => {
        impl<A: Access, $($other),*> Guarded for (A, $($other,)*) {
            const NEEDS: Needs = A::NEEDS;
        }
    };
}
guarded!();
guarded!(B);
guarded!(B C);
guarded!(B C D);
guarded!(B C D E);

/// What answers one method of a path.
pub(super) struct Endpoint {
    path: &'static str,
    methods: &'static [Method],
    needs: Needs,
    handler: actix_web::Route,
    describe: fn() -> Operation,
}

impl Endpoint {
    /// One for each method.
    pub(super) fn routes(self) -> impl Iterator<Item = Route> {
        self.methods.iter().map(move |method| Route {
            method: method.as_str(),
            path: self.path,
            needs: self.needs,
        })
    }

    /// For the document.
    pub(super) fn described(self) -> Described {
        Described {
            path: self.path,
            methods: self.methods,
            needs: self.needs,
            operation: (self.describe)(),
        }
    }
}

fn endpoint<F, Args>(
    methods: &'static [Method],
    path: &'static str,
    handler: F,
    describe: fn() -> Operation,
) -> Endpoint
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    Args: FromRequest + Guarded + 'static,
{
    Endpoint {
        path,
        methods,
        needs: Args::NEEDS,
        handler: web::to(handler),
        describe,
    }
}

macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident: $methods:expr;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name<F, Args>(
            path: &'static str,
            handler: F,
            describe: fn() -> Operation,
        ) -> Endpoint
        where
            F: Handler<Args>,
            F::Output: Responder + 'static,
            Args: FromRequest + Guarded + 'static,
        {
            endpoint($methods, path, handler, describe)
        }
    )*};
}

endpoints! {
    get: &[Method::GET, Method::HEAD];
    /// An answer without end, which nobody asks the head of.
    stream: &[Method::GET];
    post: &[Method::POST];
    patch: &[Method::PATCH];
    delete: &[Method::DELETE];
}

/// Serves the endpoints; `OPTIONS` of their paths is answered with `Allow`, and other methods 405.
pub(super) fn serve(
    services: &mut web::ServiceConfig,
    endpoints: Vec<Endpoint>,
    counts: &RequestCounts,
) {
    let mut paths: BTreeMap<&str, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        paths.entry(endpoint.path).or_default().push(endpoint);
    }
    for (path, endpoints) in paths {
        let methods = endpoints.iter().flat_map(|endpoint| endpoint.methods);
        let allows: Vec<_> = methods.map(Method::as_str).collect();
        let allows: Rc<str> = allows.join(", ").into();
        let others = move |method: Method| {
            let allows = Rc::clone(&allows);
            async move {
                if method == Method::OPTIONS {
                    let mut answer = HttpResponse::NoContent();
                    return Ok(answer.insert_header((ALLOW, &*allows)).finish());
                }
                Answer::Err(ApiError::MethodNotAllowed { allows })
            }
        };
        let mut resource = web::resource(path)
            .app_data(counts.of(path))
            .default_service(web::to(others));
        for endpoint in endpoints {
            let asked =
                guard::fn_guard(move |request| endpoint.methods.contains(&request.head().method));
            resource = resource.route(endpoint.handler.guard(asked));
        }
        services.service(resource);
    }
}
