//! One subject's rows in the store: found, deleted, marked; the roll-ups of their hours built anew.
//!
//! Every step can be done again with the same result. Site ids are checked when the configuration is read, subjects are
//! numbers: no quote can stand in either.

use std::time::Duration;

use clickhouse::Client;

use super::rollups::{EXCERPTS, ROLLUPS};
use super::verdict::{Brief, brief};

/// The store may take this long over one step: a deletion rewrites the parts that hold the rows.
const STEP_WAIT: Duration = Duration::from_secs(300);
/// Days whose roll-ups are built anew by one statement.
const DAYS_MAX: usize = 50;
const DAY_S: u32 = 86_400;

/// A subject's rows of one site.
#[derive(Debug, Clone, Copy)]
pub struct SubjectRows<'a> {
    /// As admin.
    pub admin: &'a Client,
    /// The site.
    pub site: &'a str,
    /// As in the column.
    pub subject: u128,
}

/// How many rows there are, and the hours (seconds since 1970) whose roll-ups they are in.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Found {
    pub rows: u64,
    pub hours: Vec<u32>,
}

/// A choice that a collector made known to the others.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct SharedChoice {
    pub site: String,
    pub subject: u128,
    pub choice: String,
    pub request: String,
    pub at_ms: i64,
}

async fn execute(admin: &Client, sql: &str, settings: &[(&str, &str)]) -> Result<(), Brief> {
    // Whoever gives up waiting must not find the statement's rows there later.
    let mut query = admin.query_raw(sql).with_setting("max_execution_time", STEP_WAIT.as_secs().to_string());
    for &(name, value) in settings {
        query = query.with_setting(name, value);
    }
    match tokio::time::timeout(STEP_WAIT, query.execute()).await {
        Ok(done) => done.map_err(|error| brief(&error)),
        Err(_) => Err(Brief("ClickHouse did not answer in time".into())),
    }
}

impl SubjectRows<'_> {
    fn condition(&self) -> String {
        format!("site = '{}' AND subject = toUInt128('{}')", self.site, self.subject)
    }

    /// Looks for the rows that a predicate names. Hours whose rows have reached the end of their retention are left
    /// out: their roll-ups cannot be made again from what is left.
    async fn found(&self, and: &str) -> Result<Found, Brief> {
        let sql = format!(
            "SELECT toUInt32(toStartOfHour(toDateTime(ts, 'UTC'))) AS hour, \
             toUInt8(min(toDate(ts, 'UTC') + toIntervalDay(retention_days)) > today()) AS kept, count() AS rows \
             FROM consentry.events WHERE {} {and} GROUP BY hour",
            self.condition()
        );
        let query = self.admin.query_raw(&sql).fetch_all::<(u32, u8, u64)>();
        let hours = match tokio::time::timeout(STEP_WAIT, query).await {
            Ok(hours) => hours.map_err(|error| brief(&error))?,
            Err(_) => return Err(Brief("ClickHouse did not answer in time".into())),
        };
        Ok(Found {
            rows: hours.iter().map(|hour| hour.2).sum(),
            hours: hours.iter().filter(|hour| hour.1 == 1).map(|hour| hour.0).collect(),
        })
    }

    /// All rows.
    pub async fn all(&self) -> Result<Found, Brief> {
        self.found("").await
    }

    /// The rows whose `no_share` is `value`.
    pub async fn with_no_share(&self, value: u8) -> Result<Found, Brief> {
        self.found(&format!("AND no_share = {value}")).await
    }

    /// Deletes the rows. Done when the parts that held them are rewritten; ClickHouse unlinks the old parts after
    /// `old_parts_lifetime` (8 minutes unless set), which guards against a power cut and is left as it is.
    pub async fn delete(&self) -> Result<(), Brief> {
        let sql = format!("ALTER TABLE consentry.events DELETE WHERE {}", self.condition());
        execute(self.admin, &sql, &[("mutations_sync", "2")]).await
    }

    /// Turns `no_share` of the rows from one value into another.
    pub async fn mark(&self, from: u8, to: u8) -> Result<(), Brief> {
        let sql = format!(
            "ALTER TABLE consentry.events UPDATE no_share = {to} WHERE {} AND no_share = {from}",
            self.condition()
        );
        execute(self.admin, &sql, &[("mutations_sync", "2")]).await
    }

    /// The rows as JSON, one object a line, at most `rows_max`.
    pub async fn export(&self, rows_max: usize) -> Result<bytes::Bytes, Brief> {
        let sql =
            format!("SELECT * FROM consentry.events WHERE {} ORDER BY ts LIMIT {rows_max}", self.condition());
        let query = self.admin.query_raw(&sql).with_setting("output_format_json_quote_64bit_integers", "1");
        let mut cursor = query.fetch_bytes("JSONEachRow").map_err(|error| brief(&error))?;
        match tokio::time::timeout(STEP_WAIT, cursor.collect()).await {
            Ok(rows) => rows.map_err(|error| brief(&error)),
            Err(_) => Err(Brief("ClickHouse did not answer in time".into())),
        }
    }
}

/// Ends inserts of events that nobody waits for any more. The caller holds back its own: one that still runs was given
/// up by a client that lost patience or died, and would bring its rows after they were looked for. Another collector's
/// insert that is ended so is sent again by it.
pub async fn end_inserts(admin: &Client) -> Result<(), Brief> {
    let kill = "KILL QUERY WHERE query_kind = 'Insert' AND position(query, 'consentry.events') > 0 SYNC";
    match execute(admin, kill, &[]).await {
        // A user who may not do that may still erase; what is lost is the promise about inserts that were given up.
        Err(reason) if reason.0.contains("(ACCESS_DENIED)") => {
            tracing::warn!(%reason, "inserts that were given up cannot be ended: grant KILL QUERY to the collector's user");
            Ok(())
        }
        ended => ended,
    }
}

/// Builds the roll-ups of the days that some of a site's hours lie in anew, from what `events` holds now.
///
/// Whole days, because a day's number of visitors comes from the states of all its hours; a number that was written down
/// before (see `retention.rs`) goes, and is written down again from the new states. The caller keeps this collector's
/// inserts back meanwhile. The view's own SELECT is used, so that the hours come out as the view would have made them.
pub async fn rebuild_hours(admin: &Client, site: &str, hours: &[u32]) -> Result<(), Brief> {
    let days: std::collections::BTreeSet<u32> = hours.iter().map(|hour| hour / DAY_S).collect();
    if days.is_empty() {
        return Ok(());
    }
    let _alone = super::retention::ROLLUPS.lock().await;
    let days: Vec<u32> = days.into_iter().collect();
    for days in days.chunks(DAYS_MAX) {
        for (table, time) in ROLLUPS.map(|rollup| (rollup, "hour")).into_iter().chain(EXCERPTS) {
            rebuild_days(admin, site, (table, time), days).await?;
        }
        super::visits::rebuild_visits(admin, site, days).await?;
        let days = list(days);
        let numbers = format!(
            "ALTER TABLE consentry.rollup_visitors DELETE WHERE site = '{site}' AND toUInt32(toUInt16(day)) IN ({days})"
        );
        execute(admin, &numbers, &[("mutations_sync", "2")]).await?;
    }
    Ok(())
}

fn list(days: &[u32]) -> String {
    days.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

async fn rebuild_days(
    admin: &Client,
    site: &str,
    (rollup, time): (&str, &str),
    days: &[u32],
) -> Result<(), Brief> {
    let days = list(days);
    let select = format!(
        "SELECT as_select, assumeNotNull((SELECT arrayStringConcat(groupArray(name), ', ') FROM system.columns \
         WHERE database = 'consentry' AND table = '{rollup}')) \
         FROM system.tables WHERE database = 'consentry' AND name = '{rollup}_mv'"
    );
    let view = admin.query_raw(&select).fetch_one::<(String, String)>().await;
    let (view, columns) = view.map_err(|error| brief(&error))?;
    let of_hours = format!("site = '{site}' AND toUInt32(toUInt16(toDate({time}, 'UTC'))) IN ({days})");
    let delete = format!("ALTER TABLE consentry.{rollup} DELETE WHERE {of_hours}");
    execute(admin, &delete, &[("mutations_sync", "2")]).await?;
    // Not of the whole table: the days are in its order. Tables are filtered before the view's names are made.
    let filter =
        format!("{{'consentry.events': 'site = ''{site}'' AND toUInt32(toUInt16(day)) IN ({days})'}}");
    let insert =
        format!("INSERT INTO consentry.{rollup} ({columns}) SELECT {columns} FROM ({view}) WHERE {of_hours}");
    // Rows that are the same as those an earlier erasure put in are not a duplicate of them.
    execute(admin, &insert, &[("insert_deduplicate", "0"), ("additional_table_filters", &filter)]).await
}

/// Inserts one row of plain values. Sent again with the same token it is not there twice.
async fn insert_once(admin: &Client, target: &str, values: &str, token: &str) -> Result<(), Brief> {
    let sql = format!("INSERT INTO {target} VALUES ({values})");
    let settings =
        [("insert_deduplicate", "1"), ("insert_deduplication_token", token), ("async_insert", "0")];
    execute(admin, &sql, &settings).await
}

/// What a receipt says of one site.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct ReceiptLine<'a> {
    pub receipt: &'a str,
    pub request: &'a str,
    pub site: &'a str,
    pub at_ms: i64,
    pub spool: u64,
    pub quarantine: u64,
    pub events: u64,
    pub hours: u64,
}

/// Writes down that a request was carried out and, where rows went, a line of the ledger.
pub async fn write_receipt(admin: &Client, line: &ReceiptLine<'_>, erased: u64) -> Result<(), Brief> {
    let ReceiptLine { receipt, request, site, at_ms, spool, quarantine, events, hours } = line;
    let token = format!("{receipt}-{site}");
    if erased > 0 {
        let values = format!(
            "'{site}', toStartOfMinute(toDateTime(intDiv({at_ms}, 1000), 'UTC')), 'erased', 'subject', {erased}"
        );
        let target = "consentry.ledger (site, minute, outcome, reason, count)";
        insert_once(admin, target, &values, &token).await?;
    }
    let values = format!(
        "'{receipt}', '{request}', '{site}', fromUnixTimestamp64Milli(toInt64({at_ms})), {spool}, {quarantine}, {events}, {hours}"
    );
    let target = "consentry.subject_receipts (receipt, request, site, at, spool, quarantine, events, hours)";
    insert_once(admin, target, &values, &token).await
}

/// Makes a choice known to the other collectors.
pub async fn share_choice(admin: &Client, choice: &SharedChoice) -> Result<(), Brief> {
    let SharedChoice { site, subject, choice, request, at_ms } = choice;
    let values = format!(
        "'{site}', toUInt128('{subject}'), '{choice}', '{request}', fromUnixTimestamp64Milli(toInt64({at_ms}))"
    );
    let target = "consentry.subject_choices (site, subject, choice, request, at)";
    insert_once(admin, target, &values, &format!("{request}-{site}-{choice}")).await
}

/// Choices made since a moment, oldest first.
pub async fn shared_choices(admin: &Client, since_ms: i64, max: usize) -> Result<Vec<SharedChoice>, Brief> {
    let sql = format!(
        "SELECT site, subject, choice, request, toUnixTimestamp64Milli(at) AS at_ms FROM consentry.subject_choices \
         WHERE at >= fromUnixTimestamp64Milli(toInt64({since_ms})) ORDER BY at, request LIMIT {max}"
    );
    // Plain tuples: LowCardinality comes as a string.
    let rows = admin.query_raw(&sql).fetch_all::<(String, u128, String, String, i64)>().await;
    let choice =
        |(site, subject, choice, request, at_ms)| SharedChoice { site, subject, choice, request, at_ms };
    Ok(rows.map_err(|error| brief(&error))?.into_iter().map(choice).collect())
}
