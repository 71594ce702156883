//! Links for others: a token that reads the figures of one site until a moment, and nothing else.
//!
//! Of a token only its hash is kept, in `shares.json` under the data directory. Where an epsilon is declared, every count that is
//! told gets Laplace noise of scale 1/epsilon, drawn from a key of the share: the same question has the same answer, so asking
//! again takes nothing of it away.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::period::Period;
use super::plan::Question;
use super::problem::{Answer, Problem};
use super::query::{SiteFacts, only};
use super::words::Metric;

/// What every token of a share begins with.
pub const PREFIX: &str = "share_";
const SHARES_MAX: usize = 1000;
const EXPIRES_S_MAX: u64 = 400 * 86_400;
const EPSILON: std::ops::RangeInclusive<f64> = 0.01..=100.0;

/// One share.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Share {
    /// Its name, by which it is ended.
    pub id: String,
    token_hash: String,
    /// The site that it is for.
    pub site: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: i64,
    /// Of the noise, where there is any.
    pub epsilon: Option<f64>,
    /// The period that it is for, in seconds; none: any.
    period: Option<(i64, i64)>,
    noise_key: String,
}

/// All shares, in memory and on the disk.
#[derive(Debug)]
pub struct Shares {
    path: PathBuf,
    list: Mutex<Vec<Arc<Share>>>,
}

fn random_hex<const N: usize>() -> Answer<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Problem::away())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn hash(token: &str) -> String {
    blake3::hash(token.as_bytes()).to_hex().to_string()
}

impl Shares {
    /// Reads what an earlier run left. A file that cannot be read opens nothing.
    pub fn open(path: PathBuf) -> Self {
        let list: Vec<Share> = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|_| {
                tracing::warn!(path = %path.display(), "shares cannot be read; their links are closed");
                Vec::new()
            }),
            Err(_) => Vec::new(),
        };
        Self { path, list: Mutex::new(list.into_iter().map(Arc::new).collect()) }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Share>>> {
        self.list.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whole or not at all, for the owner alone.
    fn keep(&self, list: &[Arc<Share>]) -> Answer<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let write = || {
            let new = self.path.with_extension("new");
            let _ = std::fs::remove_file(&new);
            let shares: Vec<&Share> = list.iter().map(AsRef::as_ref).collect();
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec_pretty(&shares)?)?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)
        };
        write().map_err(|error| {
            tracing::warn!(%error, "a share cannot be kept");
            Problem::away()
        })
    }

    /// The share of a token, if it has not ended.
    pub fn find(&self, token: &str, now_ms: i64) -> Option<Arc<Share>> {
        // Hashes: the time of a comparison tells nothing of the token.
        let hash = hash(token);
        let share = self.list().iter().find(|share| share.token_hash == hash).cloned();
        share.filter(|share| now_ms < share.expires_at_ms)
    }

    /// Makes a share from the body of a request.
    pub fn make(&self, body: &Map<String, Value>, site: &SiteFacts, now_ms: i64) -> Answer<Value> {
        only(body, &["site", "site_id", "date_range", "expires_in_s", "epsilon"])?;
        let wrong = |field: &str, message: String| Problem::field("share_invalid", field, message);
        let seconds = body.get("expires_in_s").and_then(Value::as_u64);
        let seconds = seconds.filter(|seconds| (1..=EXPIRES_S_MAX).contains(seconds));
        let seconds =
            seconds.ok_or_else(|| wrong("expires_in_s", format!("takes 1 to {EXPIRES_S_MAX} seconds")))?;
        let epsilon = match body.get("epsilon") {
            None | Some(Value::Null) => None,
            Some(value) => {
                Some(value.as_f64().filter(|epsilon| EPSILON.contains(epsilon)).ok_or_else(|| {
                    wrong("epsilon", format!("takes {} to {}", EPSILON.start(), EPSILON.end()))
                })?)
            }
        };
        let period = match body.get("date_range") {
            None | Some(Value::Null) => None,
            Some(range) => Some(Period::parse(range, "date_range", &site.zone, now_ms, site.first_day)?),
        };
        let token = format!("{PREFIX}{}", random_hex::<32>()?);
        let share = Share {
            id: random_hex::<8>()?,
            token_hash: hash(&token),
            site: site.id.clone(),
            expires_at_ms: now_ms + i64::try_from(seconds).unwrap_or(0) * 1000,
            epsilon,
            period: period.map(|period| (period.from_s, period.to_s)),
            noise_key: random_hex::<32>()?,
        };
        let expires = jiff::Timestamp::from_millisecond(share.expires_at_ms).unwrap_or(jiff::Timestamp::MAX);
        let told = json!({
            "id": share.id, "token": token, "expires_at": expires.to_string(), "path": format!("/dashboard#share={token}"),
        });
        let mut list = self.list();
        let mut next = list.clone();
        next.retain(|share| now_ms < share.expires_at_ms);
        if next.len() >= SHARES_MAX {
            return Err(wrong("site", format!("there are {SHARES_MAX} shares; end one of them first")));
        }
        next.push(Arc::new(share));
        self.keep(&next)?;
        *list = next;
        Ok(told)
    }

    /// Ends a share.
    pub fn end(&self, id: &str) -> Answer<Value> {
        let mut list = self.list();
        let mut next = list.clone();
        next.retain(|share| share.id != id);
        if next.len() == list.len() {
            return Err(Problem::path());
        }
        self.keep(&next)?;
        *list = next;
        Ok(json!({ "ended": true }))
    }
}

impl Share {
    /// Whether it is for a site and, where it names one, for a period.
    pub fn allows(&self, site: &str, period: Option<Period>) -> Answer<()> {
        if site != self.site {
            return Err(Problem::forbidden("this link is for another site"));
        }
        match (self.period, period) {
            (Some((from_s, to_s)), Some(period)) if period.from_s < from_s || period.to_s > to_s => {
                Err(Problem::forbidden("this link is for another period; choose a date_range within it"))
            }
            _ => Ok(()),
        }
    }

    /// Lays noise over a row's counts.
    pub fn noise(&self, question: &Question, dimensions: &[String], metrics: &mut [Value]) {
        let Some(epsilon) = self.epsilon else { return };
        for (metric, value) in question.metrics.iter().zip(metrics) {
            let (true, Some(count)) = (is_count(*metric), value.as_f64()) else { continue };
            let Question { period, filter, dimensions: by, .. } = question;
            // What makes the question what it is; Debug names every part of it.
            let what = format!("{period:?}|{filter:?}|{by:?}|{dimensions:?}|{metric:?}");
            let key = blake3::derive_key("consentry 2026 noise of a share", self.noise_key.as_bytes());
            let drawn = blake3::keyed_hash(&key, what.as_bytes());
            let mut eight = [0; 8];
            eight.copy_from_slice(&drawn.as_bytes()[..8]);
            // Uniform in (-0.5, 0.5), then Laplace by its inverse distribution.
            let uniform =
                (u64::from_le_bytes(eight) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5 + f64::EPSILON;
            let noise = -uniform.signum() * (1.0 - 2.0 * uniform.abs()).max(f64::MIN_POSITIVE).ln() / epsilon;
            *value = json!((count + noise).round().max(0.0) as i64);
        }
    }

    /// What an answer says of the noise.
    pub fn told(&self) -> Option<Value> {
        self.epsilon.map(|epsilon| {
            json!({ "mechanism": "laplace", "epsilon": epsilon, "scale": 1.0 / epsilon, "of": "each count, by one event or visitor" })
        })
    }
}

fn is_count(metric: Metric) -> bool {
    use Metric::{Clicks, Crashes, Events, Pageviews, Samples, Visitors, Visits};
    matches!(metric, Visitors | Visits | Pageviews | Events | Clicks | Crashes | Samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::filter::Filter;

    fn site() -> SiteFacts {
        let zone = jiff::tz::TimeZone::UTC;
        SiteFacts { id: "shop".into(), zone_name: "UTC".into(), zone, k: 10, first_day: None }
    }

    #[test]
    fn a_share_ends_in_time_or_by_hand_and_outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shares.json");
        let shares = Shares::open(path.clone());
        let body = json!({"site": "shop", "expires_in_s": 60, "epsilon": 1.0, "date_range": ["2026-01-01", "2026-01-31"]});
        let told = shares.make(body.as_object().unwrap(), &site(), 1_774_958_400_000).unwrap();
        let token = told["token"].as_str().unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains(token));
        let shares = Shares::open(path);
        let share = shares.find(token, 1_774_958_459_999).unwrap();
        assert!(shares.find(token, 1_774_958_460_000).is_none(), "ended");
        assert!(shares.find(&format!("{token}0"), 1_774_958_400_000).is_none());
        assert!(share.allows("shop", None).is_ok() && share.allows("blog", None).is_err());
        let later = Period { from_s: 1_769_817_600, to_s: 1_769_990_400 };
        assert!(share.allows("shop", Some(later)).is_err());
        shares.end(told["id"].as_str().unwrap()).unwrap();
        assert!(shares.find(token, 1_774_958_400_000).is_none());
    }

    #[test]
    fn noise_is_laplaces_and_the_same_for_the_same_question() {
        let dir = tempfile::tempdir().unwrap();
        let shares = Shares::open(dir.path().join("shares.json"));
        let body = json!({"site": "shop", "expires_in_s": 60, "epsilon": 0.1});
        let told = shares.make(body.as_object().unwrap(), &site(), 0).unwrap();
        let share = shares.find(told["token"].as_str().unwrap(), 0).unwrap();
        let question = Question {
            site: "shop".into(),
            zone: "UTC".into(),
            k: 10,
            period: Period { from_s: 0, to_s: 900 },
            metrics: vec![Metric::Visitors, Metric::BounceRate],
            dimensions: Vec::new(),
            filter: Filter::And(Vec::new()),
            order: Vec::new(),
            limit: 1,
            offset: 0,
            lone: false,
            rolled: None,
        };
        let noised = |row: usize| {
            let mut metrics = [json!(1_000_000), json!(50.5)];
            share.noise(&question, &[row.to_string()], &mut metrics);
            assert_eq!(metrics[1], json!(50.5));
            metrics[0].as_f64().unwrap() - 1e6
        };
        let drawn: Vec<f64> = (0..4000).map(noised).collect();
        assert_eq!(drawn, (0..4000).map(noised).collect::<Vec<_>>());
        // Of scale 10: the mean is 0, the mean of the absolute values 10.
        let mean = drawn.iter().sum::<f64>() / 4000.0;
        let absolute = drawn.iter().map(|noise| noise.abs()).sum::<f64>() / 4000.0;
        assert!(mean.abs() < 1.0 && (absolute - 10.0).abs() < 1.0, "{mean} {absolute}");
    }
}
