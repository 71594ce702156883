//! The PROXY protocol, version 2: what a proxy says before the first byte of its client.
//!
//! Read only from a trusted proxy, and then asked for: a connection of it without the header is closed. Layout: 12 bytes of
//! signature, version and command, family and protocol, the length of the rest (big endian), the rest.
//! Source: HAProxy's "The PROXY protocol Versions 1 & 2", section 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes before the part whose length the header says.
pub const FIXED_BYTES: usize = 16;
/// The longest rest that is read, in bytes: addresses, and what a proxy may add (section 2.2 asks for 536 - 16 at least).
pub const REST_BYTES_MAX: usize = 4096;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Why a header was not taken. Nothing of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// It is another protocol, or version 1.
    #[error("no PROXY header of version 2: set the proxy to send-proxy-v2, or switch proxy_protocol off")]
    NotV2,
    /// A command that is neither LOCAL nor PROXY.
    #[error("an unknown command in the PROXY header")]
    Command,
    /// Longer than is read.
    #[error("a PROXY header above {REST_BYTES_MAX} bytes")]
    TooLong,
    /// Shorter than its family needs.
    #[error("a PROXY header that is shorter than its addresses")]
    TooShort,
    /// Datagrams, or a family that has no address of the internet.
    #[error("a PROXY header for something else than TCP over IPv4 or IPv6")]
    Family,
}

/// The fixed part, read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    local: bool,
    family: u8,
    /// Bytes that follow.
    pub rest_bytes: usize,
}

/// Reads the first 16 bytes.
pub fn fixed(bytes: &[u8; FIXED_BYTES]) -> Result<Fixed, ProxyError> {
    if bytes[..12] != SIGNATURE || bytes[12] >> 4 != 2 {
        return Err(ProxyError::NotV2);
    }
    let local = match bytes[12] & 0x0f {
        0 => true,
        1 => false,
        _ => return Err(ProxyError::Command),
    };
    let rest_bytes = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if rest_bytes > REST_BYTES_MAX {
        return Err(ProxyError::TooLong);
    }
    Ok(Fixed { local, family: bytes[13], rest_bytes })
}

impl Fixed {
    /// Reads what follows. `None`: the proxy speaks for itself (a health check), so the socket's own address counts. What
    /// comes behind the addresses is skipped.
    pub fn client(self, rest: &[u8]) -> Result<Option<IpAddr>, ProxyError> {
        if self.local {
            return Ok(None);
        }
        match self.family {
            // TCP over IPv4: source, destination, ports.
            0x11 => {
                let address = rest.first_chunk::<12>().ok_or(ProxyError::TooShort)?;
                let octets: [u8; 4] = [address[0], address[1], address[2], address[3]];
                Ok(Some(IpAddr::V4(Ipv4Addr::from(octets))))
            }
            // TCP over IPv6.
            0x21 => {
                let address = rest.first_chunk::<36>().ok_or(ProxyError::TooShort)?;
                let mut octets = [0; 16];
                octets.copy_from_slice(&address[..16]);
                Ok(Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()))
            }
            // Unspecified, datagrams and Unix sockets have no client that could be told.
            _ => Err(ProxyError::Family),
        }
    }
}

/// Reads a whole header from the front of `bytes`: the client, and how many bytes it took. For fuzzing and for replay.
pub fn whole(bytes: &[u8]) -> Result<(Option<IpAddr>, usize), ProxyError> {
    let head = fixed(bytes.first_chunk::<FIXED_BYTES>().ok_or(ProxyError::TooShort)?)?;
    let end = FIXED_BYTES + head.rest_bytes;
    let rest = bytes.get(FIXED_BYTES..end).ok_or(ProxyError::TooShort)?;
    Ok((head.client(rest)?, end))
}

#[cfg(test)]
#[path = "proxy/tests.rs"]
mod tests;
