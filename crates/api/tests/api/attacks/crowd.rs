//! Many clients that only sit there, beside one who orders. Service and clients are two processes:
//! each has its own limit of open files.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::helpers::DEADLINE;
use crate::program::Serving;
use crate::raw::{Connection, raw_order};

const CROWD: usize = 10_000;
const LAST: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

/// Asked once, and keeps its connection.
fn sits(address: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.write_all(HEALTH).unwrap();
    client
}

fn is_served(client: &mut TcpStream) -> bool {
    let mut begin = [0; 12];
    client.read_exact(&mut begin).is_ok() && begin == *b"HTTP/1.1 200"
}

#[test]
fn somebody_orders_beside_ten_thousand_idle_connections() {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let needed = u64::try_from(CROWD + 1_000).unwrap();
    assert!(
        files >= needed,
        "raise `ulimit -Hn` to {needed} for this test: it is {files}"
    );
    let mut serving = Serving::start(&[("APP__SERVER__KEEP_ALIVE_SECONDS", "3600")]);
    let mut buyer = Connection::open(&serving.address);
    let mut crowd = Vec::with_capacity(CROWD);
    for _ in 0..CROWD / 100 {
        crowd.extend((0..100).map(|_| sits(&serving.address)));
        // Connected before and while they come.
        buyer.send(&raw_order());
        let (head, _) = buyer.receive();
        assert!(head.starts_with("HTTP/1.1 202"), "{head}");
    }
    assert!(crowd.iter_mut().all(is_served));
    // And who comes when all of them are there.
    for _ in 0..100 {
        let mut late = Connection::open(&serving.address);
        late.send(&raw_order());
        let (head, _) = late.receive();
        assert!(head.starts_with("HTTP/1.1 202"), "{head}");
    }
    // Nobody was closed to make room.
    for client in &mut crowd {
        client.write_all(LAST).unwrap();
    }
    for client in &mut crowd {
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("HTTP/1.1 200"), "{rest}");
    }
    drop(crowd);
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
}
