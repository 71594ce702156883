//! Addresses in text: users and passwords in them, their queries, and the names of people in the paths of files.

use super::{Redacted, Rewrite, take_over};

/// Replaces credentials and queries of URLs, and user names in paths of files.
pub(super) fn redact_urls(redacted: &mut Redacted<'_>) {
    let mut rewrite = Rewrite::new(&redacted.text);
    let text = rewrite.text.as_bytes();
    let mut at = 0;
    // Where the address ends that the text is in, found once for all that may begin in it.
    let mut url_end = 0;
    while let Some(found) = memchr::memchr2(b'/', b'\\', &text[at..]) {
        at += found;
        if text[at..].starts_with(b"//") && text[..at].ends_with(b":") {
            let start = at + 2;
            if start >= url_end {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>|".contains(byte);
                url_end = start + text[start..].iter().position(ends).unwrap_or(text.len() - start);
            }
            at = url(&mut rewrite, start, url_end);
        } else if let Some((start, end)) = home(text, at) {
            if start >= rewrite.copied {
                rewrite.replace(start, end, "[user]");
            }
            at = end;
        } else {
            at += 1;
        }
    }
    let found = rewrite.finish();
    take_over(redacted, found);
}

/// One address whose authority begins at `start` and which ends at `end`; gives where to go on.
fn url(rewrite: &mut Rewrite<'_>, start: usize, end: usize) -> usize {
    let text = rewrite.text.as_bytes();
    let authority_end =
        memchr::memchr3(b'/', b'?', b'#', &text[start..end]).map_or(end, |length| start + length);
    if let Some(at) = memchr::memrchr(b'@', &text[start..authority_end]) {
        rewrite.replace(start, start + at, "[auth]");
    }
    let is_file = authority_end == start;
    if is_file && let Some((name, name_end)) = home(text, start) {
        rewrite.replace(name, name_end, "[user]");
        return name_end;
    }
    // Up to its query an address has a path; the sign of another address in it ends this one.
    let path = text[authority_end..end].iter().take_while(|byte| !b"?#:".contains(byte)).count();
    let query = authority_end + path;
    if query == end || text[query] == b':' {
        return query.max(start);
    }
    // In a stack, line and column follow: ":10:5)".
    let behind = |byte: &u8| byte.is_ascii_digit() || b":),.;]}".contains(byte);
    let rest = &text[query + 1..end];
    if rest.strip_prefix(b"[query]").is_some_and(|rest| rest.iter().all(behind)) {
        return end;
    }
    let tail = rest.iter().rev().take_while(|byte| behind(byte)).count();
    let position = rest[rest.len() - tail..].iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(tail);
    let query_end = end - tail + position;
    if query_end > query + 1 {
        rewrite.replace(query + 1, query_end, "[query]");
    }
    end
}

/// Folders in which every user has one of their own.
const HOMES: [&[u8]; 7] = [
    b"/home/",
    b"/Users/",
    b"/Documents and Settings/",
    b"\\Users\\",
    b"\\home\\",
    b"\\\\Users\\\\",
    b"\\Documents and Settings\\",
];
/// Names under them that nobody has.
const NOBODY: [&[u8]; 6] = [b"public", b"shared", b"default", b"all users", b"user", b"runner"];

/// The user's name in a path of a file that begins at `at`; "/home/..." behind a host is an address's own path.
fn home(text: &[u8], at: usize) -> Option<(usize, usize)> {
    // The first letters of the folders.
    if !text.get(at + 1).is_some_and(|byte| matches!(byte | 0x20, b'h' | b'u' | b'd') || *byte == b'\\') {
        return None;
    }
    let folder = HOMES.into_iter().find(|folder| {
        text.get(at..at + folder.len()).is_some_and(|start| start.eq_ignore_ascii_case(folder))
    })?;
    let before = &text[..at];
    let drive = matches!(before, [.., letter, b':'] if letter.is_ascii_alphabetic());
    let begins =
        before.last().is_none_or(|&byte| !(byte.is_ascii_alphanumeric() || b"-_.:/\\%".contains(&byte)))
            || before.ends_with(b"://");
    if !(drive || begins) || folder[0] == b'/' && before.is_empty() && !is_deep(&text[at..]) {
        return None;
    }
    let start = at + folder.len();
    let ends = |byte: &u8| b"/\\\"'`<>|:?*\n\r\t()[],;".contains(byte) || folder[0] == b'/' && *byte == b' ';
    let end = start + text[start..].iter().position(ends).unwrap_or(text.len() - start);
    let name = text[start..end].to_ascii_lowercase();
    (!name.is_empty() && !NOBODY.contains(&name.as_slice())).then_some((start, end))
}

/// A page's own address may be "/home/garden/chairs"; a file's path goes deeper, and ends in a file that is no page.
fn is_deep(path: &[u8]) -> bool {
    let path = path.split(|&byte| byte == b' ' || byte == b'\n').next().unwrap_or_default();
    let file = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let ending = file.rsplit(|&byte| byte == b'.').next().filter(|ending| ending.len() < file.len());
    let page = |ending: &[u8]| [&b"html"[..], b"htm", b"php", b"asp", b"aspx", b"jsp"].contains(&ending);
    path.iter().filter(|&&byte| byte == b'/').count() >= 3 && ending.is_some_and(|ending| !page(ending))
}
