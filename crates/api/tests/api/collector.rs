//! A collector of traces: takes OTLP over HTTP, and keeps what it got.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::helpers::DEADLINE;

/// Listens until the test ends.
pub(crate) struct Collector {
    pub(crate) url: String,
    /// Of requests, as they came.
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A span that it got.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for the first of a trace.
    pub(crate) parent: String,
    pub(crate) kind: otlp::span::SpanKind,
    /// Where links lead to.
    pub(crate) links: Vec<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// `service.instance.id`.
    pub(crate) process: String,
    pub(crate) began: u64,
    pub(crate) ended: u64,
}

impl Collector {
    /// Answers each request with `status`; never, if it is 0.
    pub(crate) async fn start(status: u16) -> Self {
        Self::answering(status, "").await
    }

    /// Says that another one takes the traces.
    pub(crate) async fn leading_to(other: &Self) -> Self {
        let location = format!("Location: {}/v1/traces\r\n", other.url);
        Self::answering(307, &location).await
    }

    async fn answering(status: u16, header: &str) -> Self {
        let answer = format!("HTTP/1.1 {status} X\r\n{header}Content-Length: 0\r\n\r\n");
        let answer = (status != 0).then_some(answer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bodies = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&bodies);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, answer.clone(), Arc::clone(&kept)));
            }
        });
        Self { url, bodies }
    }

    /// Nothing listens where it should be.
    pub(crate) fn absent() -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            url: format!("http://{}", socket.local_addr().unwrap()),
            bodies: Arc::default(),
        }
    }

    /// What a process needs to send its traces here, and to sample this part of its requests.
    pub(crate) fn settings<'a>(&'a self, ratio: &'a str) -> [(&'a str, &'a str); 2] {
        [
            ("APP__TRACING__OTLP_ENDPOINT", &self.url),
            ("APP__TRACING__SAMPLE_RATIO", ratio),
        ]
    }

    /// All bytes that it got.
    pub(crate) async fn bytes(&self) -> Vec<u8> {
        self.bodies.lock().await.concat()
    }

    pub(crate) async fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().await;
        let requests = bodies
            .iter()
            .map(|body| ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
        let of_processes = requests.flat_map(|request| request.resource_spans);
        let spans = of_processes.flat_map(|of_process| {
            let resource = attributes(of_process.resource.unwrap().attributes);
            assert_eq!(resource["service.name"], "tickets");
            let process = resource["service.instance.id"].clone();
            let spans = of_process.scope_spans.into_iter();
            let spans = spans.flat_map(|scope| scope.spans);
            spans.map(move |span| Span::new(span, &process))
        });
        spans.collect()
    }

    /// The spans of a trace, once `done` likes them.
    pub(crate) async fn trace_when(
        &self,
        trace: &str,
        done: impl Fn(&[Span]) -> bool,
    ) -> Vec<Span> {
        let started = Instant::now();
        loop {
            let mut spans = self.spans().await;
            spans.retain(|span| span.trace == trace);
            if done(&spans) {
                return spans;
            }
            assert!(started.elapsed() < DEADLINE, "{spans:#?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Span {
    fn new(span: otlp::Span, process: &str) -> Self {
        let kind = span.kind();
        let links = span.links.into_iter();
        Self {
            kind,
            name: span.name,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            links: links.map(|link| hex(&link.span_id)).collect(),
            attributes: attributes(span.attributes),
            process: process.to_owned(),
            began: span.start_time_unix_nano,
            ended: span.end_time_unix_nano,
        }
    }
}

/// The spans of an order whose verdict was delivered: their names.
pub(crate) const WAY: [&str; 6] = [
    "POST /tickets",
    "publish",
    "wait",
    "decide",
    "announce",
    "deliver",
];

/// Whether there are spans with each of these names. Processes send theirs when they like.
pub(crate) fn has(names: &[&str]) -> impl Fn(&[Span]) -> bool {
    move |spans| {
        let mut names = names.iter();
        names.all(|name| spans.iter().any(|span| span.name == *name))
    }
}

/// The only span of that name.
#[track_caller]
pub(crate) fn the<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let named: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let [span] = named.as_slice() else {
        panic!("not one {name}: {spans:#?}");
    };
    span
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => panic!("{other:?}"),
    };
    let attributes = attributes.into_iter();
    attributes
        .map(|attribute| (attribute.key, text(attribute.value)))
        .collect()
}

async fn serve(client: TcpStream, answer: Option<String>, kept: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut client = BufReader::new(client);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if client.read_line(&mut line).await.unwrap_or_default() == 0 {
                return;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.starts_with("post ") {
                assert_eq!(line, "post /v1/traces http/1.1");
            }
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if client.read_exact(&mut body).await.is_err() {
            return;
        }
        kept.lock().await.push(body);
        let Some(answer) = &answer else {
            return std::future::pending().await;
        };
        if client.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
