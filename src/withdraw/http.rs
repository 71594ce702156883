//! `/v1/subjects`: POST with a token carries out what it asks; GET explains, to a person without one, why nothing is found.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request as HttpRequest, StatusCode, header};
use hyper::body::Incoming;
use serde::Deserialize;

use super::job::{Job, Request, Target, new_id};
use super::work::{NotDone, Row};
use super::{Choice, Rights, choices::Step};
use crate::accept::{self, ClientAddress, Limits, Refusal};
use crate::config::File;
use crate::deidentify::Token;
use crate::enrich::EventRow;

/// Everything of subjects is below this path.
pub const SUBJECTS_PATH: &str = "/v1/subjects";

/// Bytes of a request.
const BODY_BYTES_MAX: usize = 4096;
/// Bytes of all requests at one time.
const BODIES_BYTES_MAX: usize = 512 * 1024;
/// How long a caller waits for a job; it goes on behind the answer.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

const PAGE: &str = include_str!("page.html");
const PAGE_SCRIPT: &str = include_str!("page.js");
const PAGE_STYLE: &str = include_str!("page.css");
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

/// An answer, for the routes to wrap.
#[derive(Debug)]
pub struct Said {
    /// Its status.
    pub status: StatusCode,
    /// Its type.
    pub content_type: &'static str,
    /// A page's Content-Security-Policy.
    pub policy: Option<&'static str>,
    /// Its body.
    pub body: Bytes,
}

/// A refusal, and where it is not the refusal's usual one, the seconds after which to try again.
type Refused = (Refusal, Option<u32>);

/// What is asked. Unknown names are refused: a misspelt `site` must not erase the rows of all sites.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked<'a> {
    site: Option<String>,
    #[serde(borrow)]
    token: Option<std::borrow::Cow<'a, str>>,
    format: Option<Format>,
    #[serde(default)]
    lift: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Csv,
}

/// The limits of a subject's request: those of an event's, with a much smaller body.
pub(super) fn limits(config: &File) -> Limits {
    Limits::new(&File {
        body_bytes_max: BODY_BYTES_MAX,
        body_decoded_bytes_max: BODY_BYTES_MAX,
        bodies_in_flight_bytes_max: BODIES_BYTES_MAX,
        ..config.clone()
    })
}

fn json(status: StatusCode, body: impl serde::Serialize) -> Said {
    let body = serde_json::to_vec(&body).unwrap_or_default();
    Said { status, content_type: "application/json", policy: None, body: body.into() }
}

fn file(content_type: &'static str, text: &'static str) -> Said {
    let body = Bytes::from_static(text.as_bytes());
    Said { status: StatusCode::OK, content_type, policy: Some(PAGE_POLICY), body }
}

/// Whether JSON is wanted rather than a page.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/html")
}

impl Rights {
    /// Answers a request to a path below [`SUBJECTS_PATH`].
    pub async fn answer(
        self: Arc<Self>,
        request: HttpRequest<Incoming>,
        client: ClientAddress,
        admin: bool,
    ) -> Result<Said, Refused> {
        let path = request.uri().path();
        let last = path
            .strip_prefix(SUBJECTS_PATH)
            .and_then(|rest| rest.strip_prefix('/').or((rest.is_empty()).then_some("")));
        let last = last.ok_or((Refusal::NotFound, None))?;
        match (last, request.method()) {
            ("page.js", &Method::GET | &Method::HEAD) => {
                Ok(file("text/javascript; charset=utf-8", PAGE_SCRIPT))
            }
            ("page.css", &Method::GET | &Method::HEAD) => Ok(file("text/css; charset=utf-8", PAGE_STYLE)),
            (_, &Method::GET | &Method::HEAD) if last.is_empty() || Request::of_word(last).is_some() => {
                match wants_json(request.headers()) {
                    true => Err((Refusal::MethodNotAllowed, None)),
                    false => Ok(file("text/html; charset=utf-8", PAGE)),
                }
            }
            (word, &Method::POST) => {
                let asked = Request::of_word(word).ok_or((Refusal::NotFound, None))?;
                self.ask(asked, request, client, admin).await
            }
            _ => Err((Refusal::MethodNotAllowed, None)),
        }
    }

    async fn ask(
        self: Arc<Self>,
        asked: Request,
        request: HttpRequest<Incoming>,
        client: ClientAddress,
        admin: bool,
    ) -> Result<Said, Refused> {
        let refuse = |refusal| (refusal, None);
        let bearer = bearer(request.headers()).filter(|_| !admin);
        let query = request.uri().query().map(str::to_owned).unwrap_or_default();
        let submission =
            accept::receive(request, client, self.clock.now_ms(), &self.limits).await.map_err(refuse)?;
        if !admin {
            let admitted = self.rate.admit(submission.client());
            admitted.map_err(|wait_s| (Refusal::SubjectsTooMany, Some(wait_s)))?;
        }
        let body = if submission.body().is_empty() { b"{}" } else { submission.body() };
        let body: Asked<'_> = serde_json::from_slice(body).map_err(|_| refuse(Refusal::SubjectInvalid))?;
        let token = body.token.as_deref().or(bearer.as_ref().map(|bearer| bearer.as_str()));
        let token = token.and_then(Token::parse).ok_or(refuse(Refusal::SubjectInvalid))?;
        let named = url::form_urlencoded::parse(query.as_bytes())
            .find_map(|(name, value)| (name == "site").then(|| value.into_owned()));
        let targets =
            self.targets(body.site.or(named).as_deref(), &token).ok_or(refuse(Refusal::SiteUnknown))?;
        drop(token);
        let request = match (asked, body.lift) {
            (Request::Restrict, true) => Request::Lift,
            (_, true) => return Err(refuse(Refusal::SubjectInvalid)),
            (asked, false) => asked,
        };
        let id = new_id().map_err(|_| refuse(Refusal::SpoolFailed))?;
        let mut job = Job { id, request, at_ms: self.clock.now_ms(), shared: false, targets, unreadable: 0 };
        if request == Request::Export {
            return match self.export(&mut job).await {
                Ok((rows, complete)) => Ok(exported(&job, &rows, complete, body.format)),
                Err(reason) => {
                    tracing::warn!(%reason, "a subject's export could not be made");
                    let disk = matches!(reason, NotDone::Disk(_));
                    Err(refuse(if disk { Refusal::SpoolFailed } else { Refusal::StoreAway }))
                }
            };
        }
        self.promise(job).await
    }

    /// The sites that are meant, each with the subject's number there; `None` where no such site keeps subjects.
    fn targets(&self, site: Option<&str>, token: &Token) -> Option<Vec<Target>> {
        let meant = self.sites.iter().filter(|known| site.is_none_or(|site| known.id == site));
        let subject = |id: &str| self.subjects.keys.subject(id, token);
        let mut targets: Vec<Target> =
            meant.filter_map(|site| Some(Target::new(&site.id, subject(&site.id)?))).collect();
        targets.sort_by(|a, b| a.site.cmp(&b.site));
        (!targets.is_empty()).then_some(targets)
    }

    /// Keeps a job and what it means for later events durably, then waits for it a while.
    async fn promise(self: Arc<Self>, job: Job) -> Result<Said, Refused> {
        let step = match job.request {
            Request::Withdraw => Some(Step::Set(Choice::Withdrawn)),
            Request::Restrict => Some(Step::Set(Choice::Restricted)),
            Request::Lift => Some(Step::Lift),
            Request::Erase | Request::Export => None,
        };
        let kept = tokio::task::block_in_place(|| {
            if let Some(step) = step {
                job.targets
                    .iter()
                    .try_for_each(|target| self.subjects.choices.set(target.subject(), step))?;
            }
            self.jobs.add(job.clone())
        });
        let id = kept.map_err(|error| {
            tracing::error!(%error, "a subject's request cannot be kept");
            (Refusal::SpoolFailed, None)
        })?;
        // Not the caller's to cancel.
        let working = {
            let (rights, id) = (self.clone(), id.clone());
            tokio::spawn(async move { rights.carry_out(&id).await })
        };
        let waiting = match tokio::time::timeout(ANSWER_WAIT, working).await {
            Ok(Ok(Ok(receipt))) => return Ok(json(StatusCode::OK, receipt)),
            Ok(Ok(Err(reason))) => reason.to_string(),
            Ok(Err(_)) => "a fault of this program".to_owned(),
            Err(_) => "it takes longer than its caller waits".to_owned(),
        };
        tracing::warn!(reason = waiting, "a subject's request is kept and will be carried out");
        let waiting = self.jobs.get(&id).unwrap_or(job);
        Ok(json(StatusCode::ACCEPTED, waiting.receipt(false)))
    }
}

fn bearer(headers: &HeaderMap) -> Option<zeroize::Zeroizing<String>> {
    let sent = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    Some(zeroize::Zeroizing::new(sent.trim().to_owned()))
}

#[derive(serde::Serialize)]
struct Export<'a> {
    #[serde(flatten)]
    receipt: super::job::Receipt,
    /// False where there are more rows than one export holds.
    complete: bool,
    rows: &'a [Row],
}

fn exported(job: &Job, rows: &[Row], complete: bool, format: Option<Format>) -> Said {
    if format == Some(Format::Csv) {
        let body = Bytes::from(csv(rows));
        let status = if complete { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
        return Said { status, content_type: "text/csv; charset=utf-8", policy: None, body };
    }
    json(StatusCode::OK, Export { receipt: job.receipt(true), complete, rows })
}

/// RFC 4180: a line of names, then a line for each row.
fn csv(rows: &[Row]) -> String {
    let mut out = String::new();
    let columns = EventRow::COLUMNS.iter().chain(&["segment", "stored_in"]);
    for (index, column) in columns.clone().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        out.push_str(column);
    }
    out.push_str("\r\n");
    for row in rows {
        for (index, column) in columns.clone().enumerate() {
            out.push_str(if index > 0 { "," } else { "" });
            match row.get(*column) {
                None | Some(serde_json::Value::Null) => {}
                Some(serde_json::Value::String(text)) => push_quoted(&mut out, text),
                Some(serde_json::Value::Number(number)) => out.push_str(&number.to_string()),
                Some(other) => push_quoted(&mut out, &other.to_string()),
            }
        }
        out.push_str("\r\n");
    }
    out
}

fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    // A spreadsheet takes a cell that begins so for a formula, and the text was a visitor's to choose.
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formula() {
        let row = serde_json::json!({"title": "a \"b\",\n=c", "path": "=1+1", "engaged_ms": 5, "query": {"a": "b"}});
        let text = csv(&[row.as_object().unwrap().clone()]);
        assert!(
            text.contains("\"a \"\"b\"\",\n=c\"") && text.contains("\"'=1+1\"") && text.contains(",5,"),
            "{text}"
        );
        assert!(text.contains("\"{\"\"a\"\":\"\"b\"\"}\""), "{text}");
    }

    #[test]
    fn a_name_that_is_not_known_is_refused() {
        assert!(serde_json::from_str::<Asked<'_>>(r#"{"token":"x","sites":"shop"}"#).is_err());
    }
}
