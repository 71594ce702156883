//! `/v1/stats/*`: the paths, who may ask, and the bodies.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::export::Export;
use super::filter::Filter;
use super::funnel::Funnel;
use super::guard::Caller;
use super::openapi::{self, PATHS};
use super::period::Period;
use super::plan::Question;
use super::problem::{Answer, Problem};
use super::query::{SiteFacts, site_of};
use super::shares::{PREFIX, Share};
use super::{Statistics, crashes};

/// Everything of statistics is below this path.
pub const STATS_PATH: &str = "/v1/stats/";

/// Bytes of a question.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long its body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// An answer, for the routes to wrap.
#[derive(Debug)]
pub struct Said {
    /// Its status.
    pub status: StatusCode,
    /// Its type.
    pub content_type: &'static str,
    /// The name of a file.
    pub file: Option<String>,
    /// Its body.
    pub body: SaidBody,
}

/// The body of an answer.
#[derive(Debug)]
pub enum SaidBody {
    /// At once.
    Whole(Bytes),
    /// As it is made.
    Pieces(mpsc::Receiver<std::io::Result<Bytes>>),
}

/// What a query string may name besides the site, and what is said of other names.
#[derive(Clone, Copy)]
struct Known {
    names: &'static [&'static str],
    message: &'static str,
}

const REALTIME: Known = Known {
    names: &[],
    message: "the query string takes site alone: the last half hour of few visitors would be left by a filter or another period; \
              POST /v1/stats/query takes both",
};
const CRASHES: Known = Known {
    names: &["date_range", "filters"],
    message: "the query string takes site, date_range, and filters as JSON",
};

/// What a query string named.
struct Named {
    client: clickhouse::Client,
    site: SiteFacts,
    range: Value,
    filter: Filter,
}

impl Said {
    fn json(status: StatusCode, value: &Value) -> Self {
        let body = SaidBody::Whole(value.to_string().into());
        Self { status, content_type: "application/json", file: None, body }
    }
}

impl From<Problem> for Said {
    fn from(problem: Problem) -> Self {
        Self::json(problem.status, &problem.to_json())
    }
}

impl Statistics {
    /// Answers a request to a path below [`STATS_PATH`]. `bearer` is the token that was sent, `authorized` whether it is the
    /// admin token, or none is needed.
    pub async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        bearer: Option<&str>,
        authorized: bool,
    ) -> Said {
        let caller = Caller(bearer.map_or([0; 32], |token| *blake3::hash(token.as_bytes()).as_bytes()));
        // A link that has ended opens nothing, also where no token would be needed.
        let share = match bearer.filter(|token| token.starts_with(PREFIX)) {
            Some(token) => match self.shares.find(token, self.clock.now_ms()) {
                Some(share) => Some(share),
                None => return Problem::unauthorized().into(),
            },
            None if authorized => None,
            None => return Problem::unauthorized().into(),
        };
        let path = request.uri().path().strip_prefix(STATS_PATH).unwrap_or_default();
        if path == "export" && share.is_none() {
            return match self.file(request, &caller).await {
                Ok(Export { content_type, name, pieces }) => {
                    let (status, body) = (StatusCode::OK, SaidBody::Pieces(pieces));
                    Said { status, content_type, file: Some(name), body }
                }
                Err(problem) => problem.into(),
            };
        }
        match self.route(request, &caller, share.as_deref()).await {
            Ok(value) => Said::json(StatusCode::OK, &value),
            Err(problem) => problem.into(),
        }
    }

    /// Answers `/v1/stats/export`; as a link, the question stands in the query string.
    async fn file(&self, request: Request<Incoming>, caller: &Caller) -> Answer<Export> {
        match *request.method() {
            Method::POST => self.export(&body(request).await?, caller).await,
            Method::GET => {
                let mut asked = Map::new();
                let mut format = None;
                for (name, value) in
                    url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                {
                    match name.as_ref() {
                        "query" => {
                            let parsed = serde_json::from_str(&value);
                            asked = parsed.map_err(|_| {
                                Problem::field("body_invalid", "query", "takes a JSON object")
                            })?;
                        }
                        "format" => format = Some(json!(value)),
                        _ => return Err(Problem::body("the query string takes query and format")),
                    }
                }
                asked.extend(format.map(|format| ("format".to_owned(), format)));
                self.export(&asked, caller).await
            }
            _ => Err(Problem::method()),
        }
    }

    async fn route(
        self: &Arc<Self>,
        request: Request<Incoming>,
        caller: &Caller,
        share: Option<&Share>,
    ) -> Answer<Value> {
        let path = request.uri().path().strip_prefix(STATS_PATH).unwrap_or_default().to_owned();
        if share.is_some() && !matches!(path.as_str(), "query" | "sites" | "openapi.json") {
            return Err(Problem::forbidden("this link reads figures with /v1/stats/query alone"));
        }
        match (path.as_str(), request.method()) {
            ("query", &Method::POST) => self.query(&body(request).await?, caller, share).await,
            ("openapi.json", &Method::GET | &Method::HEAD) => Ok(openapi::document()),
            ("shares", &Method::POST) => {
                let body = body(request).await?;
                let client = self.client()?;
                let site = self.site(site_of(&body)?, &client).await?;
                self.shares.make(&body, &site, self.clock.now_ms())
            }
            ("sites", &Method::GET | &Method::HEAD) => self.list_sites(share).await,
            ("realtime", &Method::GET | &Method::HEAD) => {
                let Named { client, site, .. } = self.named(request.uri().query(), REALTIME).await?;
                self.realtime(&client, &site, caller).await
            }
            ("crashes", &Method::GET | &Method::HEAD) => {
                let Named { client, site, range, filter } =
                    self.named(request.uri().query(), CRASHES).await?;
                let now_ms = self.clock.now_ms();
                let period = Period::parse(&range, "date_range", &site.zone, now_ms, site.first_day)?;
                let question = Question::of_all(&site, period, filter);
                let _turn = self.turn().await?;
                self.fresh.look(&self.source, &self.clock).await;
                self.guard.admit(caller, &question, &client).await?;
                crashes::crashes(&client, &site, &question).await
            }
            ("funnel", &Method::POST) => {
                let body = body(request).await?;
                let client = self.client()?;
                let site = self.site(site_of(&body)?, &client).await?;
                let funnel = Funnel::parse(&body, &site, self.clock.now_ms())?;
                let _turn = self.turn().await?;
                self.fresh.look(&self.source, &self.clock).await;
                self.guard.admit(caller, &funnel.question, &client).await?;
                funnel.run(&client, &site).await
            }
            (path, &Method::DELETE) if path.strip_prefix("shares/").is_some_and(|id| !id.is_empty()) => {
                self.shares.end(path.strip_prefix("shares/").unwrap_or_default())
            }
            (path, _) if PATHS.iter().any(|known| known.0 == path) || path.starts_with("shares/") => {
                Err(Problem::method())
            }
            _ => Err(Problem::path()),
        }
    }

    /// What a query string names, of which only some names are `known`; 30 days where there is no `date_range`.
    async fn named(&self, query: Option<&str>, known: Known) -> Answer<Named> {
        let (mut site, mut range, mut filters) = (None, json!("30d"), Value::Null);
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "site" | "site_id" => site = Some(value.into_owned()),
                other if !known.names.contains(&other) => return Err(Problem::body(known.message)),
                "date_range" => {
                    range = match value.split_once(',') {
                        Some((from, to)) => json!([from, to]),
                        None => json!(value),
                    }
                }
                _ => {
                    filters = serde_json::from_str(&value).map_err(|_| {
                        Problem::field("filter_invalid", "filters", "takes a list of filters, as JSON")
                    })?;
                }
            }
        }
        let id = site.ok_or_else(|| Problem::field("site_missing", "site", "takes a site's id"))?;
        let filter = Filter::parse(Some(&filters))?;
        let client = self.client()?;
        let site = self.site(&id, &client).await?;
        Ok(Named { client, site, range, filter })
    }

    /// Answers `GET /v1/stats/sites`.
    async fn list_sites(&self, share: Option<&Share>) -> Answer<Value> {
        let client = self.client()?;
        let mut sites = Vec::new();
        let known = self.sites.now();
        let mut ids: Vec<&str> = known.iter().map(|site| site.id.as_str()).collect();
        ids.retain(|id| share.is_none_or(|share| share.site == *id));
        ids.sort_unstable();
        for id in ids {
            let site = self.site(id, &client).await?;
            let first = site.first_day.map(|day| {
                let date = jiff::Timestamp::from_second(day * 86_400).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
                date.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
            });
            sites.push(json!({
                "id": site.id, "time_zone": site.zone_name, "k_anonymity": site.k, "first_day": first,
            }));
        }
        Ok(json!({ "sites": sites }))
    }
}

/// Reads a body that is a JSON object.
async fn body(request: Request<Incoming>) -> Answer<Map<String, Value>> {
    let reading = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let read = tokio::time::timeout(BODY_WAIT, reading).await;
    let read = read.map_err(|_| Problem::body("the body took too long to arrive"))?;
    let bytes = match read {
        Ok(read) => read.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(Problem::too_large(BODY_BYTES_MAX)),
        Err(_) => return Err(Problem::body("the body ended early; send it again")),
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(Problem::body("the body takes a JSON object")),
        Err(_) => Err(Problem::body("the body is not JSON")),
    }
}
