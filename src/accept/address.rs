//! Whom a request came from: the socket's other end, or what a trusted proxy says.

use std::net::{AddrParseError, IpAddr};
use std::str::FromStr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The client's address. Never printed, never stored; behind `deidentify` it is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// The address itself, for the visitor hash.
    pub fn expose(self) -> IpAddr {
        self.0
    }
}

impl FromStr for ClientAddress {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.parse::<IpAddr>().map(|address| Self(address.to_canonical()))
    }
}

impl std::fmt::Debug for ClientAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The proxies that are believed, and the header they write.
#[derive(Debug)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    header: Option<HeaderName>,
}

impl Proxies {
    /// `header` is read only where the peer lies in `trusted`.
    pub fn new(trusted: &[IpNet], header: Option<&str>) -> Self {
        Self { trusted: trusted.to_vec(), header: header.and_then(|name| name.parse().ok()) }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The header is read from the right: each hop appends whom it saw, so the first address that is not one of
    /// our own proxies is the last one that nobody outside could have written.
    pub(super) fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let mut client = peer.to_canonical();
        let Some(header) = self.header.as_ref().filter(|_| self.trusts(client)) else {
            return ClientAddress(client);
        };
        let values: Vec<&[u8]> =
            headers.get_all(header).into_iter().map(http::HeaderValue::as_bytes).collect();
        let hops = values.iter().rev().flat_map(|value| value.rsplit(|&byte| byte == b','));
        for hop in hops {
            // What cannot be read was not written by a proxy of ours: stop at the last hop that was.
            let Some(address) = parse_hop(hop) else { break };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        ClientAddress(client)
    }
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443`.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<std::net::SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies = Proxies::new(&trusted, Some("x-forwarded-for"));
        proxies.client_of(peer.parse().unwrap(), &headers).expose().to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_an_address() {
        assert_eq!(client(&[], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client(&["10.0.0.0/8"], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
    }

    #[test]
    fn a_trusted_proxy_is_read_from_the_right() {
        let ours = ["10.0.0.0/8"];
        assert_eq!(client(&ours, "10.0.0.1", &["1.1.1.1, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(&ours, "10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.9.9.9"]), "198.51.100.7");
        assert_eq!(client(&ours, "10.0.0.1", &["1.1.1.1", "198.51.100.7:5000"]), "198.51.100.7");
        assert_eq!(client(&ours, "::ffff:10.0.0.1", &["[2001:db8::5]:443"]), "2001:db8::5");
    }

    #[test]
    fn garbage_in_the_header_ends_the_walk() {
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["198.51.100.7, <script>"]), "10.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &[]), "10.0.0.1");
    }
}
