//! Real clients of both kinds of live connections. Whatever they hear is
//! checked against the schema that client authors have.

use std::pin::Pin;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use api::application::Role;
use domain::ids::UserId;
use domain::receipt::{IdempotencyKey, ProcessId, Receipts, TicketId};
use eventsource_stream::{Event, Eventsource};
use futures_util::{SinkExt, Stream, StreamExt};
use jsonschema::Validator;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::contract::{self, Seen};
use crate::helpers::{DEADLINE, SHOW, TestService, USER, config_dir, send};

/// Waits for a condition.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// A definition of `docs/notifications.schema.json` that allows nothing undocumented.
fn definition(name: &str) -> Validator {
    fn close(schema: &mut Value) {
        if schema.get("type") == Some(&json!("object")) {
            schema["additionalProperties"] = json!(false);
        }
        match schema {
            Value::Object(fields) => fields.values_mut().for_each(close),
            Value::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }
    let path = config_dir().join("../docs/notifications.schema.json");
    let text = std::fs::read_to_string(path).unwrap();
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    close(&mut schema["$defs"]);
    let whole = json!({"$ref": format!("#/$defs/{name}"), "$defs": schema["$defs"]});
    jsonschema::validator_for(&whole).unwrap()
}

#[track_caller]
pub(crate) fn assert_documented(validator: &Validator, value: &Value) {
    let faults: Vec<_> = validator
        .iter_errors(value)
        .map(|e| e.to_string())
        .collect();
    assert!(
        faults.is_empty(),
        "{value} is not as documented: {faults:?}"
    );
}

pub(crate) static SERVER_MESSAGE: LazyLock<Validator> =
    LazyLock::new(|| definition("server_message"));
pub(crate) static CLIENT_MESSAGE: LazyLock<Validator> =
    LazyLock::new(|| definition("client_message"));
static TICKET: LazyLock<Validator> = LazyLock::new(|| definition("ticket"));
static WAITING_LINE: LazyLock<Validator> = LazyLock::new(|| definition("waiting_line"));
static PROBLEM: LazyLock<Validator> = LazyLock::new(|| definition("problem"));
static CLOSING: LazyLock<Validator> = LazyLock::new(|| definition("closing"));

/// A WebSocket.
pub(crate) struct WsClient {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl WsClient {
    pub(crate) async fn connect(service: &TestService) -> Self {
        Self::with_buffer(service, None).await
    }

    /// With a receive buffer of so many bytes in the system.
    pub(crate) async fn with_buffer(service: &TestService, bytes: Option<u32>) -> Self {
        Self::at(service, "/ws", bytes).await
    }

    /// With a ticket in the query.
    pub(crate) async fn by_ticket(service: &TestService, ticket: &str) -> Self {
        Self::at(service, &format!("/ws?ticket={ticket}"), None).await
    }

    async fn at(service: &TestService, path: &str, bytes: Option<u32>) -> Self {
        let address = service.url.trim_start_matches("http://");
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = bytes {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let stream = socket.connect(address.parse().unwrap()).await.unwrap();
        let url = format!("ws://{address}{path}");
        let (socket, answer) = within("handshake", client_async(url, stream))
            .await
            .unwrap();
        let seen = Seen {
            status: answer.status().as_u16(),
            headers: answer.headers(),
            body: None,
        };
        contract::check("GET", "/ws", seen);
        Self { socket }
    }

    /// Says what a client may say.
    pub(crate) async fn say(&mut self, message: Value) {
        assert_documented(&CLIENT_MESSAGE, &message);
        self.say_anything(&message.to_string()).await;
    }

    pub(crate) async fn say_anything(&mut self, text: &str) {
        let sent = self.socket.send(Message::text(text));
        within("sending", sent).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, tickets: &[&str], shows: &[&str]) {
        self.say(json!({"type": "subscribe", "tickets": tickets, "shows": shows}))
            .await;
    }

    /// The next message, whatever it is.
    pub(crate) async fn hear_anything(&mut self) -> Option<Message> {
        within("a message", self.socket.next())
            .await
            .map(Result::unwrap)
    }

    /// The next message of the service.
    pub(crate) async fn hear(&mut self) -> Value {
        within("a message of the service", self.hear_text()).await
    }

    async fn hear_text(&mut self) -> Value {
        loop {
            match self.hear_anything().await {
                Some(Message::Text(text)) => {
                    let message = serde_json::from_str(&text).unwrap();
                    assert_documented(&SERVER_MESSAGE, &message);
                    return message;
                }
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("{other:?} instead of a message"),
            }
        }
    }

    /// The next message of that type; those about the waiting line are skipped.
    pub(crate) async fn hear_a(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hear().await;
            if message["type"] == kind {
                return message;
            }
            assert_eq!(message["type"], "waiting_line", "{message}");
        }
    }

    /// The next state of a ticket, without the envelope.
    pub(crate) async fn ticket(&mut self) -> Value {
        self.hear_a("ticket").await["ticket"].take()
    }

    /// The next state of a show, without the envelope.
    pub(crate) async fn show(&mut self) -> Value {
        self.hear_a("show").await["show"].take()
    }

    /// The next error: its code, and the whole.
    pub(crate) async fn error(&mut self) -> (String, Value) {
        let error = self.hear_a("error").await;
        (error["code"].as_str().unwrap().to_owned(), error)
    }

    /// Until a show's counters satisfy `done`.
    pub(crate) async fn show_when(&mut self, mut done: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let show = self.show().await;
            if done(&show) {
                return show;
            }
        }
    }

    /// Nothing was said before everything that was asked for is answered.
    pub(crate) async fn assert_silent(&mut self) {
        self.say_anything("?").await;
        assert_eq!(self.error().await.0, "invalid_message");
    }

    /// What comes last: why the connection is closed, and the code of the close frame.
    pub(crate) async fn closing(&mut self) -> (String, CloseCode) {
        within("the end", self.hear_closing()).await
    }

    async fn hear_closing(&mut self) -> (String, CloseCode) {
        let mut why = None;
        loop {
            match self.hear_anything().await {
                Some(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    assert_documented(&SERVER_MESSAGE, &message);
                    assert_eq!(why, None, "{message} after the last message");
                    if message["type"] == "closing" {
                        why = Some(message["code"].as_str().unwrap().to_owned());
                    }
                }
                Some(Message::Close(Some(frame))) => return (why.unwrap(), frame.code),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("{other:?} instead of the end"),
            }
        }
    }
}

/// An event stream of a ticket.
pub(crate) struct SseClient {
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
}

impl SseClient {
    /// As a browser connects, that has heard `last` if it has heard anything.
    pub(crate) async fn request(service: &TestService, id: &str, last: Option<&str>) -> Response {
        let mut request = service.request(Method::GET, &format!("/tickets/{id}/events"));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        within("an answer", send(request)).await.unwrap()
    }

    pub(crate) async fn connect(service: &TestService, id: &str, last: Option<&str>) -> Self {
        Self::of(Self::request(service, id, last).await)
    }

    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        let header = |name| response.headers()[name].to_str().unwrap();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-accel-buffering"), "no");
        let events = response.bytes_stream().eventsource();
        Self {
            events: Box::pin(events.map(Result::unwrap)),
        }
    }

    /// The next event, `None` at the end.
    pub(crate) async fn hear(&mut self) -> Option<(Event, Value)> {
        let event = within("an event", self.events.next()).await?;
        let data = serde_json::from_str(&event.data).unwrap();
        let documented = match event.event.as_str() {
            "ticket" => &TICKET,
            "waiting_line" => &WAITING_LINE,
            "problem" => &PROBLEM,
            "closing" => &CLOSING,
            other => panic!("{other} is not documented"),
        };
        assert_documented(documented, &data);
        Some((event, data))
    }

    /// The next of that name; those about the waiting line are skipped.
    pub(crate) async fn hear_a(&mut self, name: &str) -> (Event, Value) {
        loop {
            let (event, data) = self.hear().await.unwrap();
            if event.event == name {
                return (event, data);
            }
            assert_eq!(event.event, "waiting_line", "{data}");
        }
    }

    /// The next state: its status and its id.
    pub(crate) async fn status(&mut self) -> (String, String) {
        let (event, ticket) = self.hear_a("ticket").await;
        assert_eq!(event.id, ticket["ticket_version"].to_string());
        (ticket["status"].as_str().unwrap().to_owned(), event.id)
    }

    pub(crate) async fn assert_end(&mut self) {
        let next = self.hear().await;
        assert!(next.is_none(), "{next:?} instead of the end");
    }
}

const SECRET: &str = "a secret of these tests";

/// Settings under which [`receipt`] holds.
pub(crate) const WITH_RECEIPTS: [(&str, &str); 1] = [("APP__TICKETS__ID_SECRETS", SECRET)];

/// The id that the demo user's order with `key` has, before it is placed: as
/// long as nobody places it, it is processing.
pub(crate) fn receipt(key: &str) -> String {
    names(key)[0].to_string()
}

/// Every name of that order: as it is called now, and as it was called before.
pub(crate) fn names(key: &str) -> Vec<TicketId> {
    let receipts = Receipts::new([SECRET], ProcessId::new(0)).unwrap();
    let key = IdempotencyKey::new(key.as_bytes()).unwrap();
    receipts.keyed(&UserId::new(USER).unwrap(), &key)
}

/// An order of the demo user for the demo show.
pub(crate) fn order() -> Value {
    json!({"show_id": SHOW, "user_id": 1})
}

/// With a show `held`, of which a ticket is reserved first.
pub(crate) async fn with_holds() -> TestService {
    let service = TestService::with(Role::All, &WITH_RECEIPTS).await;
    service
        .create_show(json!({"id": "held", "title": "Held", "capacity": 1_000_000,
            "max_per_user": 1_000_000, "hold_seconds": 600}))
        .await;
    service
}

/// An order for that show.
pub(crate) fn hold() -> Value {
    json!({"show_id": "held", "user_id": 1})
}

/// Confirms or cancels.
pub(crate) async fn change(service: &TestService, id: &str, what: &str) {
    let path = format!("/tickets/{id}/{what}");
    let changed = service.post(&path, json!({})).await;
    assert_eq!(changed.status, 200, "{:?}", changed.body);
}

/// Asks again until `done`.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !done().await {
        assert!(
            started.elapsed() < DEADLINE,
            "{what}: not within {DEADLINE:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Asks for long answers and reads none, until nothing goes through any more: for so
/// long that the service would have read on even on a busy machine. Returns whether
/// the connection was cut off before that.
pub(crate) async fn clog(client: &mut WsClient) -> bool {
    let fields = (0..32).map(|number| (format!("{number:0180}"), json!(0)));
    let nonsense = Value::Object(fields.collect()).to_string();
    for _ in 0..10_000 {
        let sending = client.socket.send(Message::text(nonsense.clone()));
        match timeout(Duration::from_secs(3), sending).await {
            Err(_) => return false,
            Ok(Err(_)) => return true,
            Ok(Ok(())) => {}
        }
    }
    panic!("the service reads on although nobody reads its answers");
}
