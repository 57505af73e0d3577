//! A running service, and a client that reads its answers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::application::{Application, Role};
use api::clock::SystemClock;
use api::settings::Settings;
use domain::ports::Clock;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
pub(crate) use crate::contract::send;
use crate::transport::Transport;

pub(crate) use port_contracts::DEADLINE;

pub(crate) const USER: &str = "1";
pub(crate) const SHOW: &str = "230920";

pub(crate) struct TestService {
    /// Where clients of plain HTTP reach it, perhaps by a way over TLS.
    pub(crate) url: String,
    /// Where it serves HTTPS itself, if it does.
    #[allow(dead_code, reason = "one of the programs that have this file uses it")]
    pub(crate) https: Option<SocketAddr>,
    /// Where its metrics are read, if a test asks for them.
    #[allow(dead_code, reason = "some of the programs that have this file use it")]
    pub(crate) metrics: Option<SocketAddr>,
    client: Client,
    pub(crate) stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
    _backend: Backend,
    _transport: Transport,
}

impl TestService {
    /// Accepts and decides, with the demo user and show.
    pub(crate) async fn start() -> Self {
        Self::with(Role::All, &[]).await
    }

    /// Accepts and never decides.
    pub(crate) async fn undecided() -> Self {
        Self::with(Role::Api, &[]).await
    }

    pub(crate) async fn with(role: Role, variables: &[(&str, &str)]) -> Self {
        Self::on(&Backend::start().await, role, variables).await
    }

    /// One process side of several on the same backend, ready.
    pub(crate) async fn on(backend: &Backend, role: Role, variables: &[(&str, &str)]) -> Self {
        let service = Self::by_clock(Arc::new(SystemClock), backend, role, variables).await;
        service.wait_until_ready(role).await;
        service
    }

    /// With its schema and the demo show, which a busy database may get later than
    /// the service starts.
    async fn wait_until_ready(&self, role: Role) {
        let show = format!("/shows/{SHOW}");
        let paths: &[&str] = match role {
            Role::Worker => &["/health/ready"],
            Role::All | Role::Api => &["/health/ready", &show],
        };
        for path in paths {
            self.found(path).await;
        }
    }

    /// The answer with status 200, once there is one.
    pub(crate) async fn found(&self, path: &str) -> Answer {
        let started = Instant::now();
        loop {
            let answer = self.get(path).await;
            if answer.status == 200 {
                return answer;
            }
            assert!(started.elapsed() < DEADLINE, "{path}: {:?}", answer.body);
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// As [`Self::on`], with a time of its own, and not waited for.
    pub(crate) async fn by_clock(
        clock: Arc<dyn Clock>,
        backend: &Backend,
        role: Role,
        variables: &[(&str, &str)],
    ) -> Self {
        let transport = Transport::new();
        let settings = settings(backend, &transport, variables);
        let application = Application::build(settings, role, clock).await.unwrap();
        let stop = CancellationToken::new();
        Self {
            url: format!("http://{}", transport.way_to(&application)),
            https: application.https_address(),
            metrics: application.metrics_address(),
            client: client(variables),
            running: tokio::spawn(application.run_until_stopped(stop.clone())),
            stop,
            _backend: backend.clone(),
            _transport: transport,
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::PATCH, path).json(&body)).await
    }

    /// The demo user's order for `quantity` seats of the demo show.
    pub(crate) async fn order(&self, body: Value) -> Answer {
        self.post("/tickets", body).await
    }

    pub(crate) async fn keyed(&self, key: &str, body: Value) -> Answer {
        let request = self.request(Method::POST, "/tickets").json(&body);
        Answer::to(request.header("Idempotency-Key", key)).await
    }

    pub(crate) async fn create_show(&self, show: Value) {
        let created = self.post("/shows", show).await;
        assert_eq!(created.status, 201, "{:?}", created.body);
    }

    pub(crate) async fn create_user(&self, id: &str) {
        let user = json!({"id": id, "name": format!("user {id}")});
        let created = self.post("/users", user).await;
        assert_eq!(created.status, 201, "{:?}", created.body);
    }

    /// Where administration is not open to everybody.
    pub(crate) async fn create_user_by(&self, token: &str, id: &str) {
        let user = json!({"id": id, "name": format!("user {id}")});
        let request = self.request(Method::POST, "/users").bearer_auth(token);
        let created = Answer::to(request.json(&user)).await;
        assert_eq!(created.status, 201, "{:?}", created.body);
    }

    /// Places an order that is taken, and returns its id.
    pub(crate) async fn placed(&self, body: Value) -> String {
        let answer = self.order(body).await;
        assert_eq!(answer.status, 202, "{:?}", answer.body);
        answer.text("ticket_id")
    }

    /// The ticket, once `done` likes its status.
    pub(crate) async fn ticket_when(&self, id: &str, done: impl Fn(&str) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let answer = self.get(&format!("/tickets/{id}")).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            if done(&answer.text("status")) {
                return answer.body;
            }
            assert!(started.elapsed() < DEADLINE, "still {:?}", answer.body);
        }
    }

    pub(crate) async fn decided(&self, id: &str) -> Value {
        self.ticket_when(id, |status| status != "processing").await
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.running.await.unwrap()
    }
}

/// Has the backend's token, unless the test has one of its own.
fn client(variables: &[(&str, &str)]) -> Client {
    let own = variables
        .iter()
        .any(|(name, _)| *name == "APP__ADMIN__TOKEN");
    let token = Backend::token().filter(|_| !own);
    let bearer = token.map(|token| format!("Bearer {token}").parse().unwrap());
    let headers = bearer.map(|bearer| (AUTHORIZATION, bearer));
    let client = Client::builder().default_headers(headers.into_iter().collect());
    client.build().unwrap()
}

fn settings(backend: &Backend, transport: &Transport, variables: &[(&str, &str)]) -> Settings {
    let mut all: HashMap<String, String> = HashMap::from([
        ("APP__SERVER__PORT".to_owned(), "0".to_owned()),
        ("APP__LOG__LEVEL".to_owned(), "warn".to_owned()),
        // Hundreds run beside each other, and each would have a thread more.
        ("APP__METRICS__PORT".to_owned(), String::new()),
        // What requests that are written byte by byte call it.
        ("APP__SERVER__ALLOWED_HOSTS".to_owned(), "x".to_owned()),
    ]);
    all.extend(patient().map(|(name, value)| (name.to_owned(), value.to_owned())));
    all.extend(backend.variables());
    all.extend(transport.variables());
    all.extend(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    Settings::load(&config_dir(), all).unwrap()
}

/// Settings under which a busy machine changes no answer. A test that is about one of
/// these sets it itself.
pub(crate) fn patient() -> [(&'static str, &'static str); 4] {
    [
        ("APP__SERVER__SHUTDOWN_DEADLINE_SECONDS", "600"),
        ("APP__QUEUE__PUBLISH_TIMEOUT_MS", "60000"),
        ("APP__STORE__READ_TIMEOUT_MS", "60000"),
        ("APP__LIVE__STALLED_AFTER_MS", "600000"),
    ]
}

pub(crate) fn config_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let response = send(request).await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        Self {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }

    pub(crate) fn text(&self, field: &str) -> String {
        let value = &self.body[field];
        let text = value.as_str();
        text.unwrap_or_else(|| panic!("no text {field} in {:?}", self.body))
            .to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// Checks everything that problems have in common.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        let body = &self.body;
        assert_eq!(
            (self.status, &body["code"]),
            (status, &json!(code)),
            "{body}"
        );
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("urn:tickets:problem:{code}"));
        assert!(!self.text("detail").is_empty() && !self.text("title").is_empty());
        assert!(!self.text("request_id").is_empty());
        let again = self.headers.contains_key("retry-after");
        assert_eq!(matches!(status, 429 | 503), again);
    }

    /// A 422 with exactly these fields at fault, as JSON pointers.
    #[track_caller]
    pub(crate) fn assert_invalid_fields(&self, pointers: &[&str]) {
        self.assert_problem(422, "invalid_fields");
        let errors = self.body["errors"].as_array().unwrap();
        let found: Vec<_> = errors
            .iter()
            .map(|e| e["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(found, pointers, "{}", self.body);
        assert!(
            errors
                .iter()
                .all(|e| e["detail"].as_str().is_some_and(|d| !d.is_empty()))
        );
    }

    /// A 400 that names this parameter.
    #[track_caller]
    pub(crate) fn assert_invalid_parameter(&self, parameter: &str) {
        self.assert_problem(400, "invalid_parameter");
        assert_eq!(
            self.body["errors"][0]["parameter"], parameter,
            "{}",
            self.body
        );
    }
}
