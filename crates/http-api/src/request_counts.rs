//! How many requests were answered, how, and how long that took: by route, method and status.
//!
//! A request finds the counters of its route beside the route's handler, and theirs by position:
//! no name is looked up. A client makes up no names, so their number is bounded.

use std::collections::BTreeMap;
use std::iter::zip;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::{Method, StatusCode};
use parking_lot::Mutex;
use runtime::{Count, Sharded, Timed, Timing};

/// Of what no route answers.
const NO_ROUTE: &str = "none";
/// Of what is none of the others.
const OTHER: &str = "other";
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", OTHER];
/// Sorted. Any other one counts as 0.
const STATUSES: [u16; 29] = [
    101, 200, 201, 202, 204, 206, 304, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 413,
    415, 421, 422, 426, 429, 431, 500, 501, 503, 505,
];

/// The answers to all requests.
pub struct RequestCounts {
    /// By path; a thread that begins to serve looks its own up.
    routes: Mutex<BTreeMap<&'static str, Arc<RouteCounts>>>,
    of_no_route: Arc<RouteCounts>,
    orders: OrderCounts,
}

/// The answers to the requests of one path.
#[derive(Debug)]
pub(crate) struct RouteCounts {
    path: &'static str,
    /// By [`METHODS`].
    methods: [OnceLock<MethodCounts>; METHODS.len()],
}

#[derive(Debug)]
struct MethodCounts {
    /// By [`STATUSES`], and the others.
    statuses: Sharded<[AtomicU64; STATUSES.len() + 1]>,
    seconds: Timing,
}

/// The answers to orders.
#[derive(Default)]
struct OrderCounts {
    accepted: Count,
    replayed: Count,
    /// By the problem's code. A thread seldom meets another one at its lock.
    refused: Sharded<Mutex<BTreeMap<&'static str, u64>>>,
}

/// The answers to the requests of a path and a method.
pub struct Answered {
    /// The path of the route, with `{id}` for ids; `none` for what no route answers.
    pub route: &'static str,
    /// The method; `other` for those that no route has.
    pub method: &'static str,
    /// How many, by status; 0 stands for a status that this service does not give.
    pub statuses: Vec<(u16, u64)>,
    /// From the request's head to the answer's.
    pub seconds: Timed,
}

impl RequestCounts {
    /// No request so far.
    pub(crate) fn new() -> Self {
        Self {
            routes: Mutex::default(),
            of_no_route: Arc::new(RouteCounts::new(NO_ROUTE)),
            orders: OrderCounts::default(),
        }
    }

    /// Those of a path, for its resource.
    pub(crate) fn of(&self, path: &'static str) -> Arc<RouteCounts> {
        let mut routes = self.routes.lock();
        let route = routes
            .entry(path)
            .or_insert_with(|| Arc::new(RouteCounts::new(path)));
        Arc::clone(route)
    }

    /// Those of what no route answers.
    pub(crate) fn of_no_route(&self) -> Arc<RouteCounts> {
        Arc::clone(&self.of_no_route)
    }

    /// No order was refused for one of these so far: the first that is, is an increase.
    pub(crate) fn know_codes(&self, codes: impl IntoIterator<Item = &'static str>) {
        let mut refused = self.orders.refused.own().lock();
        for code in codes {
            refused.entry(code).or_default();
        }
    }

    /// Takes note of an answer; `code` is its problem's.
    pub(crate) fn note(
        &self,
        request: &HttpRequest,
        status: StatusCode,
        code: Option<&'static str>,
        took: Duration,
    ) {
        let method = request.method();
        match request.app_data::<Arc<RouteCounts>>() {
            Some(route) => route.note(method, status, took),
            // It was refused before routes are looked for, or there is none.
            None => self.of_no_route.note(method, status, took),
        }
        if is_order(request) {
            self.orders.note(status, code);
        }
    }

    /// The answers so far; paths and methods that nobody asked for are left out.
    #[must_use]
    pub fn answered(&self) -> Vec<Answered> {
        let routes = self.routes.lock();
        let routes = routes.values().chain([&self.of_no_route]);
        routes.flat_map(|route| route.answered()).collect()
    }

    /// How many orders were `accepted` or `replayed`, and how many were refused, by the code of
    /// the problem.
    #[must_use]
    pub fn orders(&self) -> BTreeMap<&'static str, u64> {
        let OrderCounts {
            accepted,
            replayed,
            refused,
        } = &self.orders;
        let mut results = BTreeMap::from([
            ("accepted", accepted.total()),
            ("replayed", replayed.total()),
        ]);
        for refused in refused.iter() {
            for (code, count) in &*refused.lock() {
                *results.entry(code).or_default() += count;
            }
        }
        results
    }
}

/// The path of its route, with `{id}` for ids; `none` for what no route answers.
pub(crate) fn route(request: &HttpRequest) -> &'static str {
    route_of(request).unwrap_or(NO_ROUTE)
}

/// The same, if one answers.
pub(crate) fn route_of(request: &HttpRequest) -> Option<&'static str> {
    let counts = request.app_data::<Arc<RouteCounts>>();
    counts.map(|counts| counts.path)
}

/// The method, if it is one that routes have.
pub(crate) fn method_of(request: &HttpRequest) -> Option<&'static str> {
    let mut named = METHODS.into_iter().filter(|name| *name != OTHER);
    named.find(|name| *name == request.method().as_str())
}

/// As it is told by the path that routes are found by, so that an order which is refused before
/// that is one, too.
fn is_order(request: &HttpRequest) -> bool {
    request.method() == Method::POST && request.match_info().as_str() == "/tickets"
}

impl RouteCounts {
    fn new(path: &'static str) -> Self {
        Self {
            path,
            methods: Default::default(),
        }
    }

    fn note(&self, method: &Method, status: StatusCode, took: Duration) {
        let place = METHODS.iter().position(|name| *name == method.as_str());
        let counts = self.of_method(place.unwrap_or(METHODS.len() - 1));
        counts.count(status);
        counts.seconds.note(took);
    }

    /// Of what has no method that could be read, and no beginning to measure from.
    pub(crate) fn note_unread(&self, status: StatusCode) {
        self.of_method(METHODS.len() - 1).count(status);
    }

    fn of_method(&self, place: usize) -> &MethodCounts {
        self.methods[place].get_or_init(|| MethodCounts {
            statuses: Sharded::default(),
            seconds: Timing::of_calls(),
        })
    }

    fn answered(&self) -> impl Iterator<Item = Answered> {
        let methods = zip(METHODS, &self.methods);
        methods.filter_map(|(method, counts)| {
            let counts = counts.get()?;
            let total = |place: usize| {
                let shards = counts.statuses.iter();
                shards
                    .map(|shard| shard[place].load(Ordering::Relaxed))
                    .sum()
            };
            let statuses = STATUSES.into_iter().chain([0]).enumerate();
            let statuses = statuses.map(|(place, status)| (status, total(place)));
            Some(Answered {
                route: self.path,
                method,
                statuses: statuses.filter(|(_, count)| *count > 0).collect(),
                seconds: counts.seconds.read(),
            })
        })
    }
}

impl MethodCounts {
    fn count(&self, status: StatusCode) {
        let place = STATUSES.binary_search(&status.as_u16());
        let place = place.unwrap_or(STATUSES.len());
        self.statuses.own()[place].fetch_add(1, Ordering::Relaxed);
    }
}

impl OrderCounts {
    fn note(&self, status: StatusCode, code: Option<&'static str>) {
        match code {
            Some(code) => *self.refused.own().lock().entry(code).or_default() += 1,
            None if status == StatusCode::ACCEPTED => self.accepted.add_one(),
            None => self.replayed.add_one(),
        }
    }
}
