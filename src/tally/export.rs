//! `/v1/stats/export`: the groups of a question as a file, sent on as the store writes it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::Statistics;
use super::guard::Caller;
use super::problem::{Answer, Problem};
use super::query::{Asked, site_of};
use super::sql::Sql;

/// Pieces that wait for a slow reader.
const PIECES_MAX: usize = 4;
/// Between two pieces.
const PIECE_WAIT: Duration = Duration::from_secs(60);
/// Rows of one file.
const ROWS_MAX: u64 = 1_000_000;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    JsonLines,
    Parquet,
}

/// A file on its way.
#[derive(Debug)]
pub struct Export {
    /// Its type.
    pub content_type: &'static str,
    /// Its name.
    pub name: String,
    /// Its bytes; an error ends the connection, so that a part is not taken for the whole.
    pub pieces: mpsc::Receiver<io::Result<Bytes>>,
}

impl Statistics {
    /// Answers an export.
    pub(super) async fn export(&self, body: &Map<String, Value>, caller: &Caller) -> Answer<Export> {
        let form = match body.get("format").map(Value::as_str) {
            None | Some(Some("csv")) => Form::Csv,
            Some(Some("jsonl")) => Form::JsonLines,
            Some(Some("parquet")) => Form::Parquet,
            _ => return Err(Problem::field("format_unknown", "format", "takes csv, jsonl or parquet")),
        };
        let client = self.client()?;
        let site = self.site(site_of(body)?, &client).await?;
        let mut asked = Asked::parse(body, &site, self.clock.now_ms())?;
        if body.get("pagination").is_none_or(|pagination| pagination.get("limit").is_none()) {
            asked.question.limit = ROWS_MAX;
        }
        let turn = self.turn().await?;
        self.fresh.look(&self.source, &self.clock).await;
        self.guard.admit(caller, &asked.question, &client).await?;
        let mut sql = Sql::default();
        let text = asked.question.named_statement(&mut sql, form == Form::Csv)?;
        let (words, content_type, suffix) = match form {
            Form::Csv => ("CSVWithNames", "text/csv; charset=utf-8", "csv"),
            Form::JsonLines => ("JSONEachRow", "application/x-ndjson", "jsonl"),
            Form::Parquet => ("Parquet", "application/vnd.apache.parquet", "parquet"),
        };
        let cursor = sql.bind(client.query_raw(&text)).fetch_bytes(words);
        let mut cursor = cursor.map_err(|error| Problem::of_store(&error))?;
        // Whatever is wrong with the question is known before the first piece.
        let first = tokio::time::timeout(PIECE_WAIT, cursor.next()).await.map_err(|_| Problem::too_much())?;
        let first = first.map_err(|error| Problem::of_store(&error))?;
        drop(turn);
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        tokio::spawn(async move {
            let mut next = first;
            while let Some(piece) = next {
                if sender.send(Ok(piece)).await.is_err() {
                    return;
                }
                next = match tokio::time::timeout(PIECE_WAIT, cursor.next()).await {
                    Ok(Ok(next)) => next,
                    Ok(Err(_)) | Err(_) => {
                        let _ = sender.send(Err(io::Error::other("the store stopped"))).await;
                        return;
                    }
                };
            }
        });
        let [from, to] = asked.question.period.stamps(&site.zone);
        let name = format!("{}_{}_{}.{suffix}", site.id, &from[..10], &to[..10]);
        Ok(Export { content_type, name, pieces })
    }
}
