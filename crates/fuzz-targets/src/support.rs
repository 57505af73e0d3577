//! What several targets share: a running service and its connections, and tokens.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use api::application::{Application, Role};
use api::clock::SystemClock;
use api::settings::Settings;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ports::Clock;
use domain::time::Timestamp;
use ring::hmac;
use tokens::{Algorithm, Rules};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Signs tokens and ids, and is the token of administration.
pub(crate) const SECRET: &str = "a secret of the fuzz targets: 32 bytes";
/// Of tokens.
pub(crate) const ISSUER: &str = "https://issuer.example";
/// Of tokens.
pub(crate) const AUDIENCE: &str = "tickets";
/// What [`FixedClock`] says.
pub(crate) const NOW_SECONDS: u32 = 1_767_225_600;
/// Until then an answer has come, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where everything runs that waits.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Always the same instant: a token that is found today is good tomorrow.
pub(crate) struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::MIN.plus_seconds(NOW_SECONDS)
    }
}

/// What tokens must satisfy.
pub(crate) fn rules(algorithms: &[Algorithm]) -> Rules {
    Rules {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithms: algorithms.to_vec(),
        leeway_seconds: 30,
        user_claim: "sub".to_owned(),
        roles_claim: "roles".to_owned(),
        priority_claim: Some("class".to_owned()),
    }
}

/// Claims of user 1, who may do everything.
pub(crate) fn claims() -> String {
    format!(
        r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","exp":9999999999,"sub":"1","roles":["agent","operator"]}}"#
    )
}

/// The first two parts of a token.
pub(crate) fn message(header: &str, claims: &str) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{claims}")
}

/// A token, signed by [`SECRET`].
pub(crate) fn signed(header: &str, claims: &str) -> String {
    let message = message(header, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

/// Starts the service with everything in memory, and these settings beside.
pub(crate) fn service(settings: &[(&str, &str)]) -> SocketAddr {
    let common = [
        ("APP__SERVER__PORT", "0"),
        // So that the headers of proxies are read.
        ("APP__SERVER__TRUSTED_PROXIES", "127.0.0.0/8"),
        ("APP__LIMITS__WRONG_IDS_PER_ADDRESS", "1000000/s"),
        ("APP__LOG__LEVEL", "error"),
        ("APP__TICKETS__ID_SECRETS", SECRET),
    ];
    let variables: HashMap<_, _> = common
        .iter()
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let settings = Settings::load(&config, variables).unwrap();
    RUNTIME.block_on(async {
        let building = Application::build(settings, Role::All, Arc::new(SystemClock));
        let application = building.await.unwrap();
        let address = application.address();
        tokio::spawn(application.run_until_stopped(CancellationToken::new()));
        address
    })
}

/// A connection, and what has come over it.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// A new connection.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// The service may refuse before it has read everything.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _refused = self.stream.write_all(bytes);
    }

    /// The next answer's head; `None` if the service has closed the connection.
    pub(crate) fn head(&mut self) -> Option<Head> {
        loop {
            match Head::parse(&self.received) {
                Some((head, length)) => {
                    self.received.drain(..length);
                    return Some(head);
                }
                None if !self.receive() => {
                    assert!(self.received.is_empty(), "half an answer");
                    return None;
                }
                None => {}
            }
        }
    }

    /// So many bytes of a body; fewer if the service has closed the connection.
    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length && self.receive() {}
        self.received
            .drain(..length.min(self.received.len()))
            .collect()
    }

    /// The chunks of a body (RFC 9112, section 7.1).
    pub(crate) fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let (start, length) = loop {
                match httparse::parse_chunk_size(&self.received).unwrap() {
                    httparse::Status::Complete(found) => break found,
                    httparse::Status::Partial => assert!(self.receive(), "half a body"),
                }
            };
            self.take(start);
            let length = usize::try_from(length).unwrap();
            body.extend(self.take(length));
            self.take(2);
            if length == 0 {
                return body;
            }
        }
    }

    /// Whether something may have come: not if the service has closed the connection.
    fn receive(&mut self) -> bool {
        let mut some = [0; 16_384];
        let length = match self.stream.read(&mut some) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            // By the timer of libFuzzer.
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Err(error) => panic!("no answer: {error}"),
        };
        self.received.extend_from_slice(&some[..length]);
        length > 0
    }

    /// Says no more, and reads until the service closes the connection.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let _closed = self.stream.shutdown(Shutdown::Write);
        while self.receive() {}
        self.received
    }
}

/// The head of an answer.
pub(crate) struct Head {
    /// The status.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The head at the front of these bytes, once it is there, and how many bytes it has.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(bytes).unwrap() else {
            return None;
        };
        let headers = head.headers.iter().map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        });
        let status = head.code.unwrap();
        assert_ne!(status, 500, "{}", String::from_utf8_lossy(bytes));
        let headers = headers.collect();
        Some((Self { status, headers }, length))
    }

    /// The value of a header, by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(has, _)| has == name)
            .map(|(_, value)| &**value)
    }
}
