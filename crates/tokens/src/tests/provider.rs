//! An identity provider: a server on TCP that answers every request with the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use url::Url;

/// What it answers.
#[derive(Clone)]
pub(crate) enum Answer {
    /// `200` with this body.
    Body(Vec<u8>),
    /// These bytes, whatever they are.
    Raw(Vec<u8>),
    /// Nothing: the connection ends.
    Nothing,
    /// Nothing: the connection stays.
    Silence,
    /// The body, each time that the semaphore has a permit.
    Held(Vec<u8>, Arc<Semaphore>),
}

pub(crate) struct Provider {
    pub(crate) url: Url,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<AtomicUsize>,
}

impl Provider {
    pub(crate) async fn start(answer: Answer) -> Self {
        Self::at("127.0.0.1:0", answer).await
    }

    pub(crate) async fn at(address: &str, answer: Answer) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let provider = Self {
            url: url.parse().unwrap(),
            answer: Arc::new(Mutex::new(answer)),
            requests: Arc::default(),
        };
        let (answer, requests) = (provider.answer.clone(), provider.requests.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, answer.clone(), requests.clone()));
            }
        });
        provider
    }

    /// Answers with this from now on.
    pub(crate) fn answers(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Waits until it was asked `more` times again.
    pub(crate) async fn is_asked(&self, more: usize) {
        let enough = self.requests() + more;
        until(async || self.requests() >= enough).await;
    }
}

async fn serve(mut connection: TcpStream, answer: Arc<Mutex<Answer>>, requests: Arc<AtomicUsize>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    assert!(head.starts_with(b"GET /jwks HTTP/1.1\r\n"));
    requests.fetch_add(1, Ordering::SeqCst);
    let answer = answer.lock().clone();
    let bytes = match answer {
        Answer::Body(body) => response(&body),
        Answer::Raw(bytes) => bytes,
        Answer::Nothing => return,
        Answer::Silence => std::future::pending().await,
        Answer::Held(body, permits) => {
            permits.acquire().await.unwrap().forget();
            response(&body)
        }
    };
    // The client may have had enough.
    let _sent = connection.write_all(&bytes).await;
}

fn response(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Waits until it is so.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    use tokio::time::{Duration, sleep, timeout};
    let so = async {
        while !is_so().await {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(20), so)
        .await
        .expect("it became so");
}
