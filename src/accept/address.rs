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

/// The other end of a connection, as the socket or the PROXY header before it says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Net(IpAddr),
    /// A program of this machine that came through a Unix socket; whoever may open that is one of our proxies.
    Local,
}

impl Peer {
    /// The address; this machine's for a program of this machine.
    pub fn address(self) -> ClientAddress {
        match self {
            Self::Net(address) => ClientAddress(address.to_canonical()),
            Self::Local => ClientAddress(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        }
    }
}

impl std::fmt::Debug for Peer {
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

/// One step of the walk from the socket to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop<'a> {
    /// One of our proxies: what stands left of it is believed.
    Trusted(ClientAddress),
    /// Not one of our proxies: this is the client.
    Client(ClientAddress),
    /// No address: the walk ends at the hop before.
    Unreadable(&'a [u8]),
    /// Left of the client: anybody may have written it.
    Ignored(&'a [u8]),
}

impl Proxies {
    /// `header` is read only where the peer lies in `trusted`.
    pub fn new(trusted: &[IpNet], header: Option<&str>) -> Self {
        Self { trusted: trusted.to_vec(), header: header.and_then(|name| name.parse().ok()) }
    }

    /// Whether the peer is one of our proxies.
    pub fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Net(address) => self.is_ours(address.to_canonical()),
            Peer::Local => true,
        }
    }

    /// The header that is read.
    pub fn header(&self) -> Option<&HeaderName> {
        self.header.as_ref()
    }

    fn is_ours(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Whom a request came from. The header is read from the right: each hop appends whom it saw, so the first address that
    /// is not one of our own proxies is the last one that nobody outside could have written.
    pub fn client_of(&self, peer: Peer, headers: &HeaderMap) -> ClientAddress {
        let mut client = peer.address();
        self.walk(peer, headers, |hop| {
            match hop {
                Hop::Trusted(address) | Hop::Client(address) => client = address,
                Hop::Unreadable(_) | Hop::Ignored(_) => {}
            }
            matches!(hop, Hop::Trusted(_))
        });
        client
    }

    /// Shows each hop of the header to `seen`, from the right, until it gives false. Nothing where the header is not read.
    pub fn walk<'a>(&self, peer: Peer, headers: &'a HeaderMap, mut seen: impl FnMut(Hop<'a>) -> bool) {
        let Some(header) = self.header.as_ref().filter(|_| self.trusts(peer)) else { return };
        let mut values = headers.get_all(header).into_iter();
        let mut decided = false;
        while let Some(value) = values.next_back() {
            for hop in value.as_bytes().rsplit(|&byte| byte == b',') {
                let step = match parse_hop(hop) {
                    _ if decided => Hop::Ignored(hop.trim_ascii()),
                    Some(address) if self.is_ours(address) => Hop::Trusted(ClientAddress(address)),
                    Some(address) => Hop::Client(ClientAddress(address)),
                    // What cannot be read was not written by a proxy of ours: stop at the last hop that was.
                    None => Hop::Unreadable(hop.trim_ascii()),
                };
                decided |= !matches!(step, Hop::Trusted(_));
                if !seen(step) {
                    return;
                }
            }
        }
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
        proxies.client_of(Peer::Net(peer.parse().unwrap()), &headers).expose().to_string()
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
    fn a_program_behind_a_unix_socket_is_a_proxy_of_ours() {
        let mut headers = HeaderMap::new();
        let proxies = Proxies::new(&[], Some("x-forwarded-for"));
        assert_eq!(proxies.client_of(Peer::Local, &headers).expose().to_string(), "127.0.0.1");
        headers.append("x-forwarded-for", "1.1.1.1, 198.51.100.7".parse().unwrap());
        assert_eq!(proxies.client_of(Peer::Local, &headers).expose().to_string(), "198.51.100.7");
    }

    #[test]
    fn each_hop_is_shown_with_what_it_is() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "evil, 198.51.100.7, 10.9.9.9".parse().unwrap());
        let proxies = Proxies::new(&["10.0.0.0/8".parse().unwrap()], Some("x-forwarded-for"));
        let mut hops = Vec::new();
        proxies.walk(Peer::Net("10.0.0.1".parse().unwrap()), &headers, |hop| {
            hops.push(hop);
            true
        });
        let address = |text: &str| text.parse::<ClientAddress>().unwrap();
        assert_eq!(
            hops,
            [Hop::Trusted(address("10.9.9.9")), Hop::Client(address("198.51.100.7")), Hop::Ignored(b"evil")]
        );
    }

    #[test]
    fn garbage_in_the_header_ends_the_walk() {
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["198.51.100.7, <script>"]), "10.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &[]), "10.0.0.1");
    }
}
