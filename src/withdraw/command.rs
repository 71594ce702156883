//! `consentry subject`: the same requests, sent to a running collector's admin address.

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http_body_util::{BodyExt, Full};
use zeroize::Zeroizing;

use super::SUBJECTS_PATH;
use crate::config::File;
use crate::reach::Reach;

/// What to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Verb {
    /// Print every row.
    Export,
    /// Erase every row.
    Erase,
    /// Erase every row and refuse later events.
    Withdraw,
    /// Keep the rows out of every report.
    Restrict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Csv,
}

/// `consentry subject export|erase|withdraw|restrict --token T`.
#[derive(Debug, Args)]
pub struct SubjectArgs {
    /// What to ask.
    #[arg(value_enum)]
    verb: Verb,
    /// The subject's token; `-` reads it from standard input, so that it does not stand in the list of processes.
    #[arg(long)]
    token: String,
    /// The site; without it, every site that keeps subjects.
    #[arg(long)]
    site: Option<String>,
    /// How an export is printed.
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// End a restriction.
    #[arg(long)]
    lift: bool,
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    pub config: Option<PathBuf>,
    /// The collector's admin address, where it is not the configuration's.
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
}

/// Why nothing was done.
#[derive(Debug)]
pub enum SubjectFailure {
    /// The command is at fault.
    Usage(String),
    /// The collector did not do it.
    Failed(String),
}

/// Sends the request and prints the answer.
pub async fn run(args: &SubjectArgs, config: &File) -> Result<(), SubjectFailure> {
    let failed = |error: &dyn std::fmt::Display| SubjectFailure::Failed(error.to_string());
    if args.lift && args.verb != Verb::Restrict {
        return Err(SubjectFailure::Usage("--lift ends a restriction: subject restrict --lift".into()));
    }
    let token = Zeroizing::new(match args.token.as_str() {
        "-" => {
            let mut text = String::new();
            let stdin = std::io::stdin().lock().take(1024).read_to_string(&mut text);
            stdin.map_err(|error| SubjectFailure::Usage(format!("cannot read the token: {error}")))?;
            text.trim().to_owned()
        }
        token => token.to_owned(),
    });
    let verb = args.verb.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut body = serde_json::json!({ "token": *token, "lift": args.lift });
    if let Some(site) = &args.site {
        body["site"] = site.clone().into();
    }
    if args.format == Format::Csv {
        body["format"] = "csv".into();
    }
    let reach = Reach::admin(args.admin_listen.unwrap_or(config.admin_listen), config.tls.as_ref());
    let reach = reach.map_err(SubjectFailure::Failed)?;
    let admin = reach.address();
    let mut request = hyper::Request::post(reach.url(&format!("{SUBJECTS_PATH}/{verb}")))
        .header("content-type", "application/json");
    if let Some(token) = &config.admin_token {
        request = request.header("authorization", format!("Bearer {}", token.expose()));
    }
    let request = request.body(Full::new(Bytes::from(body.to_string()))).map_err(|error| failed(&error))?;
    let answer = reach.http1().request(request).await.map_err(|_| {
        SubjectFailure::Failed(format!(
            "no collector answers at {admin}; start it, or name its admin address with --admin-listen"
        ))
    })?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
    let text = String::from_utf8_lossy(&body);
    if status.is_success() {
        println!("{}", text.trim_end());
        return Ok(());
    }
    let parsed: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let message = parsed.as_ref().and_then(|body| body.pointer("/error/message")?.as_str());
    let message = message.map_or_else(|| format!("the collector answered {status}"), str::to_owned);
    Err(match status {
        http::StatusCode::BAD_REQUEST | http::StatusCode::FORBIDDEN => SubjectFailure::Usage(message),
        _ => SubjectFailure::Failed(message),
    })
}
