//! The subject: a person who kept a random token, on a site that offers it, so that the rows can be found again.
//!
//! Unlike the keys of a day this key lives long: it has to give the same hash for as long as rows are kept. It is 32
//! random bytes in a file of its own (0600). Whoever loses it can find no subject's rows any more, and neither can
//! anybody else; several collectors in front of one store share the file by `subject_key_file`.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zeroize::Zeroizing;

/// Bytes of the key.
const KEY_BYTES: usize = 32;
/// Domain of the sites' keys (BLAKE3 `derive_key`); changing it makes every subject unfindable.
const SITE_KEY_CONTEXT: &str = "consentry 2026-11-25 subject key of a site v1";
/// Keeps a subject's hash apart from every other hash of ours.
const DOMAIN: u8 = 4;

/// Fewest characters of a token.
pub const TOKEN_BYTES_MIN: usize = 16;
/// Most characters of a token.
pub const TOKEN_BYTES_MAX: usize = 256;
/// Fewest different characters of a token.
const TOKEN_DISTINCT_MIN: usize = 8;

/// A subject's token. Never printed, never stored, wiped when it is done with.
pub struct Token(Zeroizing<String>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Token {
    /// Takes a token that may have been drawn at random: 16 to 256 of letters, digits, `-` and `_`, eight of them
    /// different, and not digits alone. So a number of a customer, a telephone or an address of mail becomes nobody's
    /// lasting identifier by being sent in its place.
    pub fn parse(text: &str) -> Option<Self> {
        is_random(text).then(|| Self(Zeroizing::new(text.to_owned())))
    }
}

fn is_random(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len()) || !text.bytes().all(plain) {
        return false;
    }
    let distinct = text.bytes().fold(0_u128, |seen, byte| seen | 1 << byte);
    distinct.count_ones() as usize >= TOKEN_DISTINCT_MIN
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// The key of each site that keeps subjects.
#[derive(Default)]
pub struct SubjectKeys {
    keys: HashMap<String, Zeroizing<[u8; KEY_BYTES]>>,
}

impl std::fmt::Debug for SubjectKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl SubjectKeys {
    /// Derives the keys of `sites`, those that keep subjects, from the file, which is made where there is none. With
    /// no such site no file is made.
    pub fn open(path: &Path, sites: &[String]) -> io::Result<Self> {
        if sites.is_empty() {
            return Ok(Self::default());
        }
        let own = match read(path)? {
            Some(key) => key,
            None => make(path)?,
        };
        let key_of = |site: &String| {
            let mut material = Zeroizing::new(Vec::with_capacity(KEY_BYTES + site.len()));
            material.extend_from_slice(&own[..]);
            material.extend_from_slice(site.as_bytes());
            (site.clone(), Zeroizing::new(blake3::derive_key(SITE_KEY_CONTEXT, &material)))
        };
        Ok(Self { keys: sites.iter().map(key_of).collect() })
    }

    /// The column `subject` of whoever holds the token; `None` on a site that keeps no subjects.
    pub fn subject(&self, site: &str, token: &Token) -> Option<u128> {
        self.keys.get(site).map(|key| hash(key, &token.0))
    }

    /// The same for an event's `subject` as sent; 0 where it may not be a random token, or the site keeps none.
    pub(super) fn of_event(&self, site: &str, sent: &str) -> u128 {
        match self.keys.get(site) {
            Some(key) if is_random(sent) => hash(key, sent),
            _ => 0,
        }
    }
}

fn hash(key: &[u8; KEY_BYTES], token: &str) -> u128 {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&[DOMAIN]);
    hasher.update(&(token.len() as u32).to_le_bytes());
    hasher.update(token.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    // 0 stands for no subject.
    u128::from_le_bytes(short).max(1)
}

fn read(path: &Path) -> io::Result<Option<Zeroizing<[u8; KEY_BYTES]>>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let whole = file.metadata()?.len() == KEY_BYTES as u64;
    if !whole || file.read_exact(&mut key[..]).is_err() || key.iter().all(|&byte| byte == 0) {
        // Never replaced: with another key nobody's rows could be found any more.
        let reason =
            "the subject key must be a file of 32 random bytes; bring it back from where it was copied to";
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(Some(key))
}

fn make(path: &Path) -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut key[..]).map_err(|error| io::Error::other(error.to_string()))?;
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&key[..])?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?
        .sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_cannot_be_random_is_no_token() {
        for text in [
            "",
            "1",
            "jane@example.com-000000",
            "+34600123456789012",
            "1234567890123456789",
            "aaaaaaaaaaaaaaaa1",
            "0123456789abcde",
            &"0123456789abcdef".repeat(17),
            "0123456789abcdef é",
        ] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
        for text in [TOKEN, "0123456789abcdef", "Zm9vYmFyYmF6cXV4", &"0123456789abcdef".repeat(16)] {
            assert!(Token::parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_subject_is_the_same_after_a_restart_and_another_on_each_site() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("subject.key");
        let sites = ["shop".to_owned(), "blog".to_owned()];
        let token = Token::parse(TOKEN).unwrap();
        let first = SubjectKeys::open(&path, &sites).unwrap();
        let again = SubjectKeys::open(&path, &sites).unwrap();
        assert_eq!(first.subject("shop", &token), again.subject("shop", &token));
        assert_ne!(first.subject("shop", &token), first.subject("blog", &token));
        assert_eq!(first.subject("other", &token), None);
        assert_eq!(first.of_event("shop", TOKEN), first.subject("shop", &token).unwrap());
        assert_eq!((first.of_event("shop", "1"), first.of_event("other", TOKEN)), (0, 0));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn without_a_site_there_is_no_key_and_a_damaged_one_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("subject.key");
        SubjectKeys::open(&path, &[]).unwrap();
        assert!(!path.exists());
        fs::write(&path, [7; 31]).unwrap();
        assert!(SubjectKeys::open(&path, &["shop".to_owned()]).is_err());
        assert_eq!(fs::read(&path).unwrap(), [7; 31]);
    }
}
