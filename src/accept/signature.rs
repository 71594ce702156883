//! Events that a back end sends, signed with a key that it shares with the collector.
//!
//! Header `consentry-signature: t=SECONDS,v1=HEX`: HMAC-SHA256 over `SECONDS`, a dot and the body as it was before any
//! Content-Encoding. A time within five minutes of ours, and each signature once.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hmac::{Hmac, Mac};
use http::HeaderMap;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::config::Fault;

/// The header.
pub const SIGNATURE_HEADER: &str = "consentry-signature";
/// How far a signature's time may be from ours, in seconds, before or behind.
pub const WINDOW_S: i64 = 300;
/// Signatures that are remembered for one time of validity, which is twice the window.
const SEEN_MAX: usize = 200_000;
/// Fewest and most bytes of a key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 32..=256;
/// Keys of one site: the one in use, and those that came before it or come after it.
const KEYS_MAX: usize = 4;

/// Why a request is not taken for one of the site's back ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureFault {
    /// There is none.
    Missing,
    /// It cannot be read, or no key of the site made it for this body.
    Invalid,
    /// Its time is too far from ours.
    Expired,
    /// It was seen before.
    Replayed,
    /// More are being remembered than there is room for.
    Crowded,
}

/// The keys that a site's back ends sign with. Wiped when it is done with; never printed.
#[derive(Clone)]
pub struct ServerKeys(Vec<Zeroizing<Vec<u8>>>);

impl std::fmt::Debug for ServerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl ServerKeys {
    /// Reads a file of one key a line. The fault says what to change and repeats nothing of a key.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let named = |what: String, remedy: &str| {
            Fault::new("server_key_file", format!("{} {what}", path.display()), remedy)
        };
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| {
            named(format!("cannot be read: {error}"), "name a file that the collector's user may read")
        })?);
        let keys: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| Zeroizing::new(line.as_bytes().to_vec()))
            .collect();
        if !(1..=KEYS_MAX).contains(&keys.len()) || keys.iter().any(|key| !KEY_BYTES.contains(&key.len())) {
            let (least, most) = (KEY_BYTES.start(), KEY_BYTES.end());
            let what = format!("does not hold 1 to {KEYS_MAX} keys of {least} to {most} bytes, one a line");
            return Err(named(what, "make one with: openssl rand -hex 32"));
        }
        Ok(Self(keys))
    }

    fn made(&self, mac: &[u8; 32], t: &str, body: &[u8]) -> bool {
        self.0.iter().any(|key| {
            // A key of any length makes a MAC.
            let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
            hmac.update(t.as_bytes());
            hmac.update(b".");
            hmac.update(body);
            // In constant time.
            hmac.verify_slice(mac).is_ok()
        })
    }
}

/// Checks a request's signature against the keys of a site. `now_ms`: the collector's clock.
pub(super) fn verify(
    headers: &HeaderMap,
    body: &[u8],
    keys: &ServerKeys,
    seen: &Seen,
    now_ms: i64,
) -> Result<(), SignatureFault> {
    let mut values = headers.get_all(SIGNATURE_HEADER).into_iter();
    let value = values.next().ok_or(SignatureFault::Missing)?;
    if values.next().is_some() {
        return Err(SignatureFault::Invalid);
    }
    let (t, mac) = value.to_str().ok().and_then(parse).ok_or(SignatureFault::Invalid)?;
    let t_s: i64 = t.parse().map_err(|_| SignatureFault::Invalid)?;
    if (now_ms / 1000).abs_diff(t_s) > WINDOW_S.unsigned_abs() {
        return Err(SignatureFault::Expired);
    }
    if !keys.made(&mac, t, body) {
        return Err(SignatureFault::Invalid);
    }
    // Only what a key made is remembered: strangers cannot fill the room.
    seen.first_time(&mac, now_ms)
}

/// `t=1763848800,v1=0123...`, in this order and nothing else.
fn parse(text: &str) -> Option<(&str, [u8; 32])> {
    let (t, hex) = text.strip_prefix("t=")?.split_once(",v1=")?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(t) || t.len() > 12 || hex.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut mac = [0; 32];
    for (byte, pair) in mac.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some((t, mac))
}

/// Signatures that were seen, in two generations: a signature is forgotten when it could not be valid any more.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen(Arc<Mutex<Generations>>);

#[derive(Debug, Default)]
struct Generations {
    since_ms: i64,
    now: HashSet<u128>,
    before: HashSet<u128>,
}

impl Seen {
    fn first_time(&self, mac: &[u8; 32], now_ms: i64) -> Result<(), SignatureFault> {
        let mut short = [0; 16];
        short.copy_from_slice(&mac[..16]);
        let short = u128::from_le_bytes(short);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now_ms.abs_diff(seen.since_ms) >= 2 * 1000 * WINDOW_S.unsigned_abs() {
            seen.before = std::mem::take(&mut seen.now);
            seen.since_ms = now_ms;
        }
        if seen.before.contains(&short) || seen.now.contains(&short) {
            return Err(SignatureFault::Replayed);
        }
        if seen.now.len() >= SEEN_MAX {
            return Err(SignatureFault::Crowded);
        }
        seen.now.insert(short);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_763_848_800_000;
    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn signed(key: &str, t: i64, body: &[u8]) -> HeaderMap {
        let mut hmac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        hmac.update(format!("{t}.").as_bytes());
        hmac.update(body);
        let hex: String = hmac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, format!("t={t},v1={hex}").parse().unwrap());
        headers
    }

    fn keys(lines: &str) -> Result<ServerKeys, Fault> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines).unwrap();
        ServerKeys::read(file.path())
    }

    #[test]
    fn a_signature_counts_once_in_its_time_for_its_body_and_its_key() {
        let (keys, seen) = (keys(&format!("{KEY}\n{}\n", KEY.repeat(2))).unwrap(), Seen::default());
        let now_s = NOW_MS / 1000;
        let check = |headers: &HeaderMap, body: &[u8]| verify(headers, body, &keys, &seen, NOW_MS);
        assert_eq!(check(&signed(KEY, now_s, b"{}"), b"{}"), Ok(()));
        assert_eq!(check(&signed(KEY, now_s, b"{}"), b"{}"), Err(SignatureFault::Replayed));
        assert_eq!(check(&signed(&KEY.repeat(2), now_s, b"{}"), b"{}"), Ok(()), "the second key");
        assert_eq!(check(&signed(KEY, now_s, b"{}"), b"{ }"), Err(SignatureFault::Invalid));
        assert_eq!(
            check(&signed("another key of thirty-two bytes!", now_s, b"{}"), b"{}"),
            Err(SignatureFault::Invalid)
        );
        for (apart_s, told) in [
            (300, Ok(())),
            (-300, Ok(())),
            (301, Err(SignatureFault::Expired)),
            (-301, Err(SignatureFault::Expired)),
        ] {
            assert_eq!(check(&signed(KEY, now_s + apart_s, b"x"), b"x"), told, "{apart_s}");
        }
        assert_eq!(check(&HeaderMap::new(), b""), Err(SignatureFault::Missing));
        for junk in [
            "",
            "t=1",
            "v1=00,t=1",
            "t=-1,v1=00",
            &format!("t={now_s},v1={}", "zz".repeat(32)),
            &format!("t={now_s},v1={}", "00".repeat(33)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(SIGNATURE_HEADER, junk.parse().unwrap());
            assert_eq!(check(&headers, b""), Err(SignatureFault::Invalid), "{junk}");
        }
        let mut twice = signed(KEY, now_s, b"y");
        twice.append(SIGNATURE_HEADER, "t=1,v1=00".parse().unwrap());
        assert_eq!(check(&twice, b"y"), Err(SignatureFault::Invalid));
    }

    #[test]
    fn it_is_remembered_as_long_as_it_could_be_valid_and_no_longer() {
        let (keys, seen) = (keys(KEY).unwrap(), Seen::default());
        let now_s = NOW_MS / 1000;
        // Signed ahead: valid for ten minutes from here.
        let early = signed(KEY, now_s + 300, b"a");
        assert_eq!(verify(&early, b"a", &keys, &seen, NOW_MS), Ok(()));
        for later_s in [1, 299, 599, 600] {
            let told = verify(&early, b"a", &keys, &seen, NOW_MS + later_s * 1000);
            assert_eq!(told, Err(SignatureFault::Replayed), "{later_s}");
        }
        assert_eq!(verify(&early, b"a", &keys, &seen, NOW_MS + 601_000), Err(SignatureFault::Expired));
        for generation in 1..4 {
            let at_ms = NOW_MS + generation * 601_000;
            verify(&signed(KEY, at_ms / 1000, b"b"), b"b", &keys, &seen, at_ms).unwrap();
        }
        let kept = seen.0.lock().unwrap();
        assert_eq!(kept.now.len() + kept.before.len(), 2);
    }

    #[test]
    fn a_file_without_a_good_key_is_refused_without_it() {
        let short = keys("hunter2hunter2").unwrap_err();
        let short = short.to_string();
        assert!(short.contains("server_key_file") && short.contains("openssl") && !short.contains("hunter2"));
        assert!(keys("").is_err());
        assert!(keys(&format!("{KEY}\n").repeat(5)).is_err());
    }
}
