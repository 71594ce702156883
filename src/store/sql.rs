//! `consentry sql`: one query as admin, its answer as ClickHouse wrote it.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::connect::Http;
use super::{External, engine::Access};

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// Nobody there.
    #[error("cannot reach ClickHouse: {0}")]
    Network(String),
    /// ClickHouse said no, in its own words: whoever asks sees the answer anyway.
    #[error("{0}")]
    Refused(String),
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
}

/// An address with a user of full rights.
#[derive(Debug)]
pub struct Target<'a> {
    url: String,
    user: &'a str,
    password: &'a str,
    /// `None`: http.
    tls: Option<&'a Http>,
}

impl<'a> From<&'a Access> for Target<'a> {
    fn from(access: &'a Access) -> Self {
        Self {
            url: access.http_url(),
            user: &access.admin.user,
            password: access.admin.password.expose(),
            tls: None,
        }
    }
}

impl<'a> From<&'a External> for Target<'a> {
    fn from(external: &'a External) -> Self {
        Self {
            url: external.url.clone(),
            user: external.user.as_deref().unwrap_or("default"),
            password: external.password.as_ref().map_or("", crate::config::Secret::expose),
            tls: external.tls.as_ref(),
        }
    }
}

/// Sends one query and writes its answer as it comes; TabSeparated unless the query names a FORMAT.
pub async fn query(target: &Target<'_>, sql: &str, mut out: impl std::io::Write) -> Result<(), SqlError> {
    let network = |error: &dyn std::error::Error| {
        let mut cause = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        SqlError::Network(cause.to_string())
    };
    let uri =
        format!("{}/?default_format=TabSeparated&wait_end_of_query=0", target.url.trim_end_matches('/'));
    let request = hyper::Request::post(uri)
        .header("x-clickhouse-user", target.user)
        .header("x-clickhouse-key", target.password)
        .body(Full::new(Bytes::from(sql.to_owned())))
        .map_err(|error| network(&error))?;
    let answer = match target.tls {
        Some(https) => https.client().request(request).await,
        None => Client::builder(TokioExecutor::new()).build_http().request(request).await,
    };
    let answer = answer.map_err(|error| network(&error))?;
    let good = answer.status().is_success();
    let mut body = answer.into_body();
    let mut refusal = Vec::new();
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| network(&error))?;
        let Some(chunk) = frame.data_ref() else { continue };
        match good {
            true => out.write_all(chunk)?,
            false => refusal.extend_from_slice(chunk),
        }
    }
    out.flush()?;
    match good {
        true => Ok(()),
        false => Err(SqlError::Refused(String::from_utf8_lossy(&refusal).trim().to_owned())),
    }
}
