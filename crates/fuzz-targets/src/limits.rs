//! Rates, networks of proxies, and whose address a request has: no client can make another one up.
//!
//! The first line is a rate, the second a list of networks, the third the peer; lines of
//! `Forwarded` (with `=`) and of `X-Forwarded-For` follow.

use std::net::IpAddr;

use limits::{Forwarding, Network, Rate, TrustedProxies};

/// A client, as a trusted proxy writes it behind whatever the client has sent.
const CLIENT: [(&str, &str); 4] = [
    ("203.0.113.9", "for=203.0.113.9"),
    ("203.0.113.9:4711", "proto=https;For=\"203.0.113.9:4711\""),
    ("2001:db8::9", "for=\"[2001:db8::9]\""),
    (
        "[2001:db8::9]:4711",
        "for=\"[2001:db8::9]:4711\";by=10.0.0.1",
    ),
];

fn text(line: Option<&[u8]>) -> &str {
    line.and_then(|line| str::from_utf8(line).ok())
        .unwrap_or_default()
}

/// Tries the input.
pub fn run(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    if let Ok(rate) = text(lines.next()).parse::<Rate>() {
        assert_eq!(rate.to_string().parse(), Ok(rate));
        assert!(rate.count().get() <= 1_000_000 && !rate.period().is_zero());
    }
    let Ok(proxies) = text(lines.next()).parse::<TrustedProxies>() else {
        return;
    };
    let Ok(peer) = text(lines.next()).parse::<IpAddr>() else {
        return;
    };
    let (forwarded, x_forwarded_for): (Vec<&[u8]>, Vec<_>) =
        lines.partition(|line| line.contains(&b'='));
    let client_of = |forwarded: &[&[u8]], x_forwarded_for: &[&[u8]]| {
        proxies.client_of(
            peer,
            Forwarding {
                forwarded: forwarded.iter().copied(),
                x_forwarded_for: x_forwarded_for.iter().copied(),
            },
        )
    };
    let found = client_of(&forwarded, &x_forwarded_for);
    assert_eq!(found, found.to_canonical());
    let _shown = Network::from(found).to_string();
    if !proxies.contains(peer) {
        return assert_eq!(found, peer.to_canonical());
    }
    for (node, element) in CLIENT {
        let address: IpAddr = if node.contains("203") {
            "203.0.113.9"
        } else {
            "2001:db8::9"
        }
        .parse()
        .unwrap();
        if proxies.contains(address) {
            continue;
        }
        for (lines, written, is_forwarded) in
            [(&forwarded, element, true), (&x_forwarded_for, node, false)]
        {
            let mut lines = lines.clone();
            // A proxy adds to the last line, or a line.
            let last = lines.pop().unwrap_or_default();
            let added = [last, b", ", written.as_bytes()].concat();
            let in_last: Vec<_> = lines.iter().copied().chain([&*added]).collect();
            lines.extend([last, written.as_bytes()]);
            for said in [in_last, lines] {
                let found = if is_forwarded {
                    client_of(&said, &[])
                } else {
                    client_of(&[], &said)
                };
                // A line that is not text speaks for nobody.
                let is_text = said.last().is_some_and(|line| str::from_utf8(line).is_ok());
                assert_eq!(
                    found,
                    if is_text {
                        address
                    } else {
                        peer.to_canonical()
                    }
                );
            }
        }
    }
}
