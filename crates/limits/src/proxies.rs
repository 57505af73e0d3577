//! Which address a request comes from, if proxies are in between.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// Proxies of which this deployment believes whom they speak for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text that is no list of networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "has {0:?}, which is no network; write networks such as 10.0.0.0/8 or fd00::/8, or addresses, with commas between them"
)]
pub struct TrustedProxiesError(String);

impl FromStr for TrustedProxies {
    type Err = TrustedProxiesError;

    /// Networks or addresses with commas between them, or nothing.
    fn from_str(text: &str) -> Result<Self, TrustedProxiesError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let networks = text.split(',').map(|one| {
            let one = one.trim();
            let network = one
                .parse()
                .or_else(|_| one.parse::<IpAddr>().map(IpNet::from));
            match network {
                // Addresses are compared in IPv4, so this one would match none.
                Ok(network) if network.addr() == network.addr().to_canonical() => Ok(network),
                _ => Err(TrustedProxiesError(one.to_owned())),
            }
        });
        networks.collect::<Result<_, _>>().map(Self)
    }
}

/// What proxies say of a request, each field in the sequence of its lines.
#[derive(Debug)]
pub struct Forwarding<F, X> {
    /// `Forwarded` (RFC 7239).
    pub forwarded: F,
    /// `X-Forwarded-For`.
    pub x_forwarded_for: X,
}

impl TrustedProxies {
    /// Whether every address of IPv4 or of IPv6 is one of them.
    #[must_use]
    pub fn are_everybody(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client that `peer`, the other end of the connection, speaks for.
    ///
    /// Each proxy writes behind what it was given, so the walk begins at the end and goes on as
    /// long as a trusted proxy speaks. What it cannot read ends it: the proxy that says that
    /// counts as the client. The same holds if both fields are there and differ, because a proxy
    /// that writes one of them may pass on the other as a client made it up.
    pub fn client_of<'h, F, X>(&self, peer: IpAddr, said: Forwarding<F, X>) -> IpAddr
    where
        F: DoubleEndedIterator<Item = &'h [u8]>,
        X: DoubleEndedIterator<Item = &'h [u8]>,
    {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return peer;
        }
        let mut forwarded = backwards(said.forwarded).map(forwarded_for).peekable();
        let mut x_forwarded_for = backwards(said.x_forwarded_for).map(node).peekable();
        match (forwarded.peek(), x_forwarded_for.peek()) {
            (Some(_), Some(_)) => {
                let client = self.walk(peer, forwarded);
                let same = client == self.walk(peer, x_forwarded_for);
                if same { client } else { peer }
            }
            (Some(_), None) => self.walk(peer, forwarded),
            (None, _) => self.walk(peer, x_forwarded_for),
        }
    }

    fn walk(&self, peer: IpAddr, mut nodes: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        while self.contains(client)
            && let Some(Some(node)) = nodes.next()
        {
            client = node;
        }
        client
    }
}

/// The elements of a list that may go over several lines, the last one first. An element that
/// cannot be read is empty.
///
/// From its end, a quote that a client left open cannot swallow what a proxy wrote behind it.
fn backwards<'h>(
    lines: impl DoubleEndedIterator<Item = &'h [u8]>,
) -> impl Iterator<Item = &'h str> {
    lines.rev().flat_map(|line| {
        let mut is_quoted = false;
        let line = str::from_utf8(line).unwrap_or_default();
        line.rsplit(move |sign| {
            is_quoted ^= sign == '"';
            sign == ',' && !is_quoted
        })
    })
}

/// The address in an element of `Forwarded`, such as `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut addresses = element.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_for = name.trim().eq_ignore_ascii_case("for");
        is_for.then(|| value.trim())
    });
    let value = addresses.next()?;
    if addresses.next().is_some() {
        return None;
    }
    let unquoted = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    node(unquoted.unwrap_or(value))
}

/// An address with or without a port. Names such as `unknown` and `_hidden` are none.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address = bracketed.unwrap_or(text).parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: &str = "10.0.0.0/8, fd00::/8, 192.0.2.1";

    /// The client that `10.0.0.1` speaks for.
    fn client(forwarded: &[&str], x_forwarded_for: &[&str]) -> String {
        client_of("10.0.0.1", forwarded, x_forwarded_for)
    }

    fn client_of(peer: &str, forwarded: &[&str], x_forwarded_for: &[&str]) -> String {
        let proxies: TrustedProxies = PROXIES.parse().unwrap();
        let said = Forwarding {
            forwarded: forwarded.iter().map(|line| line.as_bytes()),
            x_forwarded_for: x_forwarded_for.iter().map(|line| line.as_bytes()),
        };
        proxies.client_of(peer.parse().unwrap(), said).to_string()
    }

    #[test]
    fn only_a_trusted_peer_is_believed() {
        let said = ["203.0.113.9"];
        assert_eq!(client_of("198.51.100.1", &[], &said), "198.51.100.1");
        assert_eq!(client_of("10.9.9.9", &[], &said), said[0]);
        assert_eq!(client_of("::ffff:10.9.9.9", &[], &said), said[0]);
        assert_eq!(client_of("fd12::1", &[], &said), said[0]);
        assert_eq!(client_of("192.0.2.1", &[], &said), said[0]);
        assert_eq!(client_of("192.0.2.2", &[], &said), "192.0.2.2");
        assert_eq!(client_of("::ffff:192.0.2.2", &[], &[]), "192.0.2.2");
        let nobody = TrustedProxies::default();
        assert!(!nobody.contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn the_walk_begins_at_the_end_and_ends_at_the_first_that_is_not_trusted() {
        for (lines, found) in [
            (&["1.1.1.1, 203.0.113.9"][..], "203.0.113.9"),
            (&["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            (
                &["1.1.1.1", "203.0.113.9,10.0.0.2", "10.0.0.3"],
                "203.0.113.9",
            ),
            (&["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(client(&[], lines), found, "{lines:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk() {
        for (line, found) in [
            ("203.0.113.9, unknown", "10.0.0.1"),
            ("203.0.113.9, nonsense, 10.0.0.2", "10.0.0.2"),
            ("203.0.113.9,", "10.0.0.1"),
            ("203.0.113.9, 256.0.0.1", "10.0.0.1"),
            ("203.0.113.9 10.0.0.2", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(client(&[], &[line]), found, "{line}");
        }
        let said = Forwarding {
            forwarded: std::iter::empty(),
            x_forwarded_for: [&b"203.0.113.9"[..], b"\xff"].into_iter(),
        };
        let proxies: TrustedProxies = PROXIES.parse().unwrap();
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(proxies.client_of(peer, said), peer);
    }

    #[test]
    fn addresses_may_have_ports_brackets_and_quotes() {
        for (node, found) in [
            ("203.0.113.9:4711", "203.0.113.9"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("[::ffff:1.2.3.4]:4711", "1.2.3.4"),
        ] {
            assert_eq!(client(&[], &[node]), found, "{node}");
            let quoted = format!("proto=https;For=\"{node}\";by=10.0.0.1");
            assert_eq!(client(&[&quoted], &[]), found, "{quoted}");
        }
        for (element, found) in [
            ("for=203.0.113.9", "203.0.113.9"),
            ("for = 203.0.113.9 ; host=\"a,b\"", "203.0.113.9"),
            ("for=1.1.1.1, for=203.0.113.9", "203.0.113.9"),
            ("for=1.1.1.1;for=203.0.113.9", "10.0.0.1"),
            ("for=_hidden", "10.0.0.1"),
            ("for=unknown", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
            // A quote that a client left open.
            ("for=\"1.1.1.1, for=203.0.113.9", "203.0.113.9"),
        ] {
            assert_eq!(client(&[element], &[]), found, "{element}");
        }
    }

    #[test]
    fn two_fields_that_differ_are_not_believed() {
        let real = "203.0.113.9";
        assert_eq!(client(&["for=203.0.113.9"], &[real]), real);
        assert_eq!(client(&["for=1.1.1.1"], &[real]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_named() {
        for (list, named) in [
            ("10.0.0.0/33", "10.0.0.0/33"),
            ("10.0.0.0/8,,fd00::/8", ""),
            ("10.0.0.0/8, proxy.internal", "proxy.internal"),
            ("::ffff:10.0.0.0/104", "::ffff:10.0.0.0/104"),
        ] {
            let error = list.parse::<TrustedProxies>().unwrap_err();
            assert_eq!(error, TrustedProxiesError(named.to_owned()));
        }
        assert_eq!("".parse(), Ok(TrustedProxies::default()));
    }
}
