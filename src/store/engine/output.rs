//! Reads what the engine prints, so that its pipe never fills up, and keeps the last few errors for diagnosis.
//!
//! An error that a query caused may quote the query's values, and those are visitors' data; it is also somebody's typo
//! rather than a reason why the engine ended. So lines that belong to a query are dropped, and once the engine takes
//! queries only the component and the error's number are kept of any line. While the engine starts there is no query
//! yet, and the message itself is kept, cut before any quoted query.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

const LINES_MAX: usize = 8;
const LINE_CHARS_MAX: usize = 300;
/// A longer line is cut here while it is read.
const LINE_BYTES_MAX: usize = 4096;
/// The head of a log line: time, thread and query id come before the level.
const HEAD_BYTES_MAX: usize = 256;

/// The last errors of one run of the engine.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: Mutex<VecDeque<String>>,
    takes_queries: AtomicBool,
}

impl Tail {
    /// From now on a line may quote a visitor's data.
    pub(super) fn takes_queries(&self) {
        self.takes_queries.store(true, Ordering::Release);
    }

    /// The last error.
    pub(super) fn last(&self) -> Option<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).back().cloned()
    }

    /// All errors that were kept, oldest first.
    pub(super) fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Reads to the end, which comes when the engine has ended.
    pub(super) fn read(&self, mut from: impl Read) {
        let mut buffer = [0; 8192];
        let mut line = Vec::new();
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            for piece in buffer[..count].split_inclusive(|byte| *byte == b'\n') {
                let room = LINE_BYTES_MAX - line.len();
                line.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.ends_with(b"\n") {
                    self.take(&line);
                    line.clear();
                }
            }
        }
        self.take(&line);
    }

    fn take(&self, line: &[u8]) {
        let Some(text) = keep(&String::from_utf8_lossy(line), self.takes_queries.load(Ordering::Acquire))
        else {
            return;
        };
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.back() == Some(&text) {
            return;
        }
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(text);
    }
}

/// What may be kept of a line; `None` if it is not an error.
fn keep(line: &str, takes_queries: bool) -> Option<String> {
    let line = line.trim();
    let head = &line[..line.floor_char_boundary(HEAD_BYTES_MAX.min(line.len()))];
    let level =
        ["<Error> ", "<Fatal> "].into_iter().filter_map(|level| head.find(level).map(|at| (at, level))).min();
    let Some((at, level)) = level else {
        // Not a line of the log: the last words of a start that failed, or any piece of an earlier message.
        let is_exception =
            line.starts_with("Code: ") || line.starts_with("Poco::") || line.starts_with(super::child::WORD);
        return (is_exception && !takes_queries).then(|| shorten(line));
    };
    let text = &line[at + level.len()..];
    if !head[..at].contains("{}") {
        return None;
    }
    if !takes_queries {
        return Some(shorten(text));
    }
    let component: String = text.chars().take_while(|c| c.is_ascii_alphanumeric()).take(40).collect();
    // Handlers of HTTP and of the native protocol repeat the errors of queries.
    if component.ends_with("Handler") || component == "executeQuery" {
        return None;
    }
    let number: String = match text.split_once("Code: ") {
        Some((_, rest)) => rest.chars().take_while(char::is_ascii_digit).take(5).collect(),
        None => String::new(),
    };
    let level = level.trim_matches(['<', '>', ' ']);
    Some(if number.is_empty() {
        format!("{component}: {level}")
    } else {
        format!("{component}: error {number}")
    })
}

fn shorten(text: &str) -> String {
    let text = text.split("(in query:").next().unwrap_or_default();
    let text = text.split(", Stack trace (").next().unwrap_or_default();
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LINE_CHARS_MAX)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "2026.01.02 03:04:05.678901 [ 77 ] {} <Error> ";
    const QUERY: &str = "2026.01.02 03:04:05.678901 [ 77 ] {f8273c4b-95ec} <Error> ";

    #[test]
    fn the_message_is_kept_while_the_engine_starts() {
        let kept = keep(
            &format!(
                "{START}Application: Code: 76. DB::Exception: Cannot lock file x (in query: ann@x.example"
            ),
            false,
        );
        assert_eq!(kept.unwrap(), "Application: Code: 76. DB::Exception: Cannot lock file x");
        assert_eq!(
            keep("Code: 210. DB::Exception: Listen failed", false).unwrap(),
            "Code: 210. DB::Exception: Listen failed"
        );
    }

    #[test]
    fn only_component_and_number_are_kept_once_there_are_queries() {
        let text = "MergeTreeBackgroundExecutor: Code: 27. DB::Exception: Cannot parse 'ann@x.example'";
        assert_eq!(keep(&format!("{START}{text}"), true).unwrap(), "MergeTreeBackgroundExecutor: error 27");
        let line = format!("{START}BaseDaemon: (query: INSERT INTO t VALUES ('ann@x.example'))");
        assert_eq!(keep(&line, true).unwrap(), "BaseDaemon: Error");
    }

    #[test]
    fn errors_of_queries_are_dropped() {
        let line = format!(
            "{QUERY}executeQuery: Code: 27. DB::Exception: Cannot parse 'ann@x.example' (in query: INSERT"
        );
        assert_eq!(keep(&line, false), None);
        assert_eq!(keep(&format!("{START}DynamicQueryHandler: Code: 27. 'ann@x.example'"), true), None);
    }

    #[test]
    fn pieces_of_a_message_and_lower_levels_are_dropped() {
        assert_eq!(keep("Code: 27. 'ann@x.example'", true), None);
        assert_eq!(keep("ann@x.example", false), None);
        assert_eq!(keep(&START.replace("Error", "Information"), false), None);
        let late = format!("{}{START}ann@x.example", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(keep(&late, false), None);
        let cut_in_a_char = format!("{}é", "x".repeat(HEAD_BYTES_MAX - 1));
        assert_eq!(keep(&cut_in_a_char, false), None);
    }

    #[test]
    fn lines_and_their_number_are_bounded() {
        let tail = Tail::default();
        let mut text = format!("{START}{}\n", "y".repeat(LINE_BYTES_MAX * 3));
        for n in 0..LINES_MAX + 2 {
            text += &format!("{START}number {n}\n");
        }
        tail.read(text.as_bytes());
        assert_eq!(tail.all().len(), LINES_MAX);
        assert_eq!(tail.last().unwrap(), format!("number {}", LINES_MAX + 1));
        let tail = Tail::default();
        tail.read(format!("{START}{}", "y".repeat(LINE_BYTES_MAX * 3)).as_bytes());
        assert_eq!(tail.last().unwrap().len(), LINE_CHARS_MAX);
    }
}
