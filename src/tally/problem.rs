//! Every way a question is turned away: status, code, what to change, and the field where one is wrong.

use http::StatusCode;
use serde_json::json;

use crate::store::Brief;

/// A question that has no answer. The message never repeats a value that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The answer's status.
    pub status: StatusCode,
    /// The stable word for programs.
    pub code: &'static str,
    /// What the caller should change.
    pub message: String,
    /// Where in the body, e.g. `filters[0][1]`.
    pub field: Option<String>,
}

/// What a part of this room gives.
pub type Answer<T> = Result<T, Problem>;

const DIFFERENCING: &str = "difference_too_small";

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }

    /// A field of the body is wrong: 400.
    pub fn field(code: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(StatusCode::BAD_REQUEST, code, message) }
    }

    /// The body as a whole is wrong: 400.
    pub fn body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "body_invalid", message)
    }

    /// The body is too large: 413.
    pub fn too_large(bytes_max: usize) -> Self {
        let message = format!("a question has at most {bytes_max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    /// No such site here: 404.
    pub fn site() -> Self {
        let message = "no such site; GET /v1/stats/sites lists them";
        let problem = Self::new(StatusCode::NOT_FOUND, "site_unknown", message);
        Self { field: Some("site".into()), ..problem }
    }

    /// No such path: 404.
    pub fn path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "no such path; GET /v1/stats/openapi.json lists them")
    }

    /// The path takes other methods: 405.
    pub fn method() -> Self {
        let message = "this path does not take that method; see GET /v1/stats/openapi.json";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// A token that is missing, wrong or expired: 401.
    pub fn unauthorized() -> Self {
        let message = "send the admin token or a valid share token as Authorization: Bearer";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// A share token that asks for what is not shared: 403.
    pub fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// The answer, laid beside an earlier one, would tell of a few visitors: 422.
    pub fn differencing(k: u64) -> Self {
        let message = format!(
            "this question and one asked a short while ago differ by fewer than {k} visitors, so that their difference would \
             tell what these few did; ask for a wider group or period, or take the condition away"
        );
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, DIFFERENCING, message)
    }

    /// Whether it is that.
    pub fn is_differencing(&self) -> bool {
        self.code == DIFFERENCING
    }

    /// The question is over a limit of the database role: 422.
    pub fn too_much() -> Self {
        let message = "this would read more than one question may; choose a shorter date_range, fewer dimensions or fewer filters";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "question_too_large", message)
    }

    /// Too many questions at one time: 429.
    pub fn busy() -> Self {
        let message = "too many questions are being answered; ask again in a second";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_questions", message)
    }

    /// The database is away: 503.
    pub fn away() -> Self {
        let message = "the database is away; ask again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_away", message)
    }

    /// What an error of the store means for whoever asked. Errors that are nobody's fault here are logged by number.
    pub fn of_store(error: &clickhouse::error::Error) -> Self {
        let Brief(reason) = crate::store::brief(error);
        // Rows, time, memory, bytes, result rows: the limits of the role.
        const LIMITS: [&str; 7] = [
            "TOO_MANY_ROWS",
            "TIMEOUT_EXCEEDED",
            "MEMORY_LIMIT_EXCEEDED",
            "TOO_MANY_BYTES",
            "TOO_MANY_ROWS_OR_BYTES",
            "SET_SIZE_LIMIT_EXCEEDED",
            "TOO_SLOW",
        ];
        if LIMITS.iter().any(|limit| reason.ends_with(&format!("({limit})"))) {
            tracing::info!(reason, "a question of statistics was over a limit");
            return Self::too_much();
        }
        if reason.ends_with("(TOO_MANY_SIMULTANEOUS_QUERIES)") {
            return Self::busy();
        }
        if reason.ends_with("(CANNOT_COMPILE_REGEXP)") {
            return Self::field("filter_invalid", "filters", "a pattern is not a regular expression of RE2");
        }
        tracing::warn!(reason, "a question of statistics could not be answered");
        Self::away()
    }

    /// As JSON.
    pub fn to_json(&self) -> serde_json::Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(field) = &self.field {
            error["field"] = field.clone().into();
        }
        json!({ "error": error })
    }
}
