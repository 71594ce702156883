//! What an error of the store means: try again, or look for the row that it will never take.

use clickhouse::error::Error;

/// Errors by which ClickHouse says that a value of a row can never go in. Everything else may pass: a server that is
/// away, out of memory or disk, has too many parts, or lacks a column that the next migration brings. Trying again
/// is then the right answer, because it loses nothing.
const ROW_IS_AT_FAULT: &[(u32, &str)] = &[
    (6, "CANNOT_PARSE_TEXT"),
    (26, "CANNOT_PARSE_QUOTED_STRING"),
    (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"),
    (38, "CANNOT_PARSE_DATE"),
    (41, "CANNOT_PARSE_DATETIME"),
    (69, "ARGUMENT_OUT_OF_BOUND"),
    (72, "CANNOT_PARSE_NUMBER"),
    (117, "INCORRECT_DATA"),
    (131, "TOO_LARGE_STRING_SIZE"),
    (349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN"),
    (395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
    (407, "DECIMAL_OVERFLOW"),
    (469, "VIOLATED_CONSTRAINT"),
    (691, "UNKNOWN_ELEMENT_OF_ENUM"),
];

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same insert may succeed later.
    TryAgain,
    /// One of the rows will never go in.
    RowAtFault,
}

/// An error of the store without a word of the data that it may quote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Brief(pub String);

/// ClickHouse's own number of an error, from `Code: 60. DB::Exception: ...`.
fn code_of(text: &str) -> Option<u32> {
    let digits = text.split_once("Code: ")?.1;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The last word in capitals in brackets: `(TABLE_IS_READ_ONLY)`.
fn name_of(text: &str) -> Option<&str> {
    text.rsplit('(').map(|part| part.split(')').next().unwrap_or_default()).find(|word| {
        word.len() > 3
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

/// Judges an error of an insert.
pub fn judge(error: &Error) -> Verdict {
    let Error::BadResponse(text) = error else { return Verdict::TryAgain };
    // The row is in the table then; only a view choked on it.
    if text.contains("while pushing to view") {
        return Verdict::TryAgain;
    }
    match code_of(text) {
        Some(code) if ROW_IS_AT_FAULT.iter().any(|&(at_fault, _)| at_fault == code) => Verdict::RowAtFault,
        _ => Verdict::TryAgain,
    }
}

/// The error for a log line: number and name, no quoted value.
pub fn brief(error: &Error) -> Brief {
    Brief(match error {
        Error::BadResponse(text) => match (code_of(text), name_of(text)) {
            (Some(code), Some(name)) => format!("ClickHouse answered with error {code} ({name})"),
            (Some(code), None) => format!("ClickHouse answered with error {code}"),
            _ => "ClickHouse answered with something that is no answer of ClickHouse".into(),
        },
        Error::Network(source) => {
            let mut cause: &dyn std::error::Error = source.as_ref();
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            format!("cannot reach ClickHouse: {cause}")
        }
        Error::TimedOut => "ClickHouse did not answer in time".into(),
        _ => "the insert could not be sent".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Error {
        Error::BadResponse(text.into())
    }

    #[test]
    fn only_a_fault_of_the_row_itself_is_final() {
        let at_fault =
            answer("Code: 469. DB::Exception: Constraint `c` is violated at row 3. (VIOLATED_CONSTRAINT)");
        assert_eq!(judge(&at_fault), Verdict::RowAtFault);
        for passing in
            ["Code: 252. DB::Exception: Too many parts. (TOO_MANY_PARTS)", "Code: 16. no column", "503", ""]
        {
            assert_eq!(judge(&answer(passing)), Verdict::TryAgain, "{passing}");
        }
        assert_eq!(judge(&Error::TimedOut), Verdict::TryAgain);
    }

    #[test]
    fn a_log_line_quotes_no_value() {
        let error = answer(
            "Code: 27. DB::Exception: Cannot parse input: 'jane@shop.example' (CANNOT_PARSE_INPUT_ASSERTION_FAILED) (version 26.7)",
        );
        assert_eq!(
            brief(&error).to_string(),
            "ClickHouse answered with error 27 (CANNOT_PARSE_INPUT_ASSERTION_FAILED)"
        );
    }
}
