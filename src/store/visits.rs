//! Visits of days that are over: settled once, and made anew where rows of theirs were taken out.
//!
//! ClickHouse makes the visits of the last days anew by itself, each minute and each hour (`schema/0009_visits.sql`).

use clickhouse::Client;

use super::verdict::{Brief, brief};
use crate::clock::day_of;

/// A day's visits are settled when so many days have passed since it began: its events may be 72 hours old when they
/// come, may be of a visit that began the day before, and may have waited in a spool.
const SETTLED_AFTER_DAYS: i64 = 5;
/// Days that one statement settles.
const DAYS_MAX: i64 = 7;
/// A day of fewer page views is counted fast enough without marks.
const MARKED_ROWS_MIN: u32 = 50_000;

pub(super) async fn execute(admin: &Client, sql: &str, settings: &[(&str, &str)]) -> Result<(), Brief> {
    let mut query = admin.query_raw(sql);
    for &(name, value) in settings {
        query = query.with_setting(name, value);
    }
    query.execute().await.map_err(|error| brief(&error))
}

pub(super) fn date(day: i64) -> String {
    format!("toDate({})", day.max(0))
}

/// Settles the days that are due at `now_ms`; gives how many. Done again, or by several collectors, it changes nothing.
pub async fn settle_visits(admin: &Client, now_ms: i64) -> Result<i64, Brief> {
    let settled = settle(admin, now_ms).await?;
    let last = day_of(now_ms) - SETTLED_AFTER_DAYS;
    super::page_days::settle_pages(admin, last).await?;
    mark_lone(admin, last).await?;
    Ok(settled)
}

async fn settle(admin: &Client, now_ms: i64) -> Result<i64, Brief> {
    let last = day_of(now_ms) - SETTLED_AFTER_DAYS;
    // Days without an event have no visit.
    let first = "SELECT assumeNotNull((SELECT toInt64(toUInt16(min(day))) FROM consentry.events \
                 WHERE day > (SELECT max(day) FROM consentry.visits_settled)))";
    let mut first = admin.query_raw(first).fetch_one::<i64>().await.map_err(|error| brief(&error))?;
    if first == 0 {
        return Ok(0);
    }
    let mut settled = 0;
    while first <= last {
        let until = last.min(first + DAYS_MAX - 1);
        let insert = format!(
            "INSERT INTO consentry.visits_settled SELECT * FROM consentry.visits_between(first_day = {}, last_day = {})",
            date(first),
            date(until)
        );
        let token = format!("visits-{first}-{until}");
        execute(admin, &insert, &[("insert_deduplicate", "1"), ("insert_deduplication_token", &token)])
            .await?;
        settled += until - first + 1;
        first = until + 1;
    }
    Ok(settled)
}

/// Marks the rows of page views whose visitor has no other row of the path, of settled days: such rows can be counted without
/// remembering whose they are, which is most of what a count of visitors costs.
async fn mark_lone(admin: &Client, last: i64) -> Result<(), Brief> {
    let days = format!(
        "SELECT toInt64(toUInt16(day)) FROM consentry.page_visitors WHERE day <= {} \
         AND day NOT IN (SELECT DISTINCT day FROM consentry.page_visitors WHERE lone = 1) \
         GROUP BY day HAVING count() >= {MARKED_ROWS_MIN} ORDER BY 1",
        date(last)
    );
    let days = admin.query_raw(&days).fetch_all::<i64>().await.map_err(|error| brief(&error))?;
    for day in days {
        // Of the days beside it too: a visit may go on over midnight.
        let of_day = date(day);
        let mark = format!(
            "ALTER TABLE consentry.page_visitors UPDATE lone = 1 WHERE day = {of_day} \
             AND (site, path, visitor) IN (SELECT site, path, visitor FROM consentry.page_visitors \
             WHERE day >= {of_day} - 1 AND day <= {of_day} + 1 GROUP BY site, path, visitor HAVING count() = 1)"
        );
        execute(admin, &mark, &[("mutations_sync", "1")]).await?;
    }
    Ok(())
}

/// Takes the marks of some days and of those beside them away: rows came to them.
async fn unmark_lone(admin: &Client, days: &[u32]) -> Result<(), Brief> {
    let near = days.iter().flat_map(|&day| [i64::from(day) - 1, i64::from(day), i64::from(day) + 1]);
    let near: Vec<String> = near.map(date).collect();
    let marked = format!("lone = 1 AND day IN ({})", near.join(", "));
    let count = format!("SELECT count() FROM consentry.page_visitors WHERE {marked}");
    if admin.query_raw(&count).fetch_one::<u64>().await.map_err(|error| brief(&error))? == 0 {
        return Ok(());
    }
    let unmark = format!("ALTER TABLE consentry.page_visitors UPDATE lone = 0 WHERE {marked}");
    execute(admin, &unmark, &[("mutations_sync", "1")]).await
}

/// Brings the page views of days before `page_visitors` was there into it. For the migration that makes the table, before any
/// insert: a row that its view brings meanwhile would be there twice.
pub(super) async fn excerpt_pages(admin: &Client) -> Result<(), Brief> {
    let missing = "SELECT DISTINCT toInt64(toUInt16(day)) FROM consentry.events \
                   WHERE day IN (SELECT DISTINCT toDate(hour, 'UTC') FROM consentry.pages) \
                   AND day NOT IN (SELECT DISTINCT day FROM consentry.page_visitors) ORDER BY 1";
    let missing = admin.query_raw(missing).fetch_all::<i64>().await.map_err(|error| brief(&error))?;
    if missing.is_empty() {
        return Ok(());
    }
    let view =
        "SELECT as_select FROM system.tables WHERE database = 'consentry' AND name = 'page_visitors_mv'";
    let view = admin.query_raw(view).fetch_one::<String>().await.map_err(|error| brief(&error))?;
    for day in missing {
        let insert = format!("INSERT INTO consentry.page_visitors {view}");
        let filter = format!("{{'consentry.events': 'day = {}'}}", date(day));
        // Once, whoever else does it too.
        let token = format!("page-visitors-{day}");
        let settings = [
            ("insert_deduplicate", "1"),
            ("insert_deduplication_token", token.as_str()),
            ("additional_table_filters", filter.as_str()),
        ];
        execute(admin, &insert, &settings).await?;
    }
    Ok(())
}

/// Makes a site's visits anew in which events of some days (since 1970) are.
pub(super) async fn rebuild_visits(admin: &Client, site: &str, days: &[u32]) -> Result<(), Brief> {
    // A visit may have begun the day before.
    let mut days: Vec<u32> = days.iter().flat_map(|&day| [day.saturating_sub(1), day]).collect();
    days.sort_unstable();
    days.dedup();
    let mut settled = Vec::new();
    for days in days.chunk_by(|before, after| before + 1 == *after) {
        let known = format!("SELECT count() FROM consentry.visits_settled WHERE {}", of_days(site, days));
        if admin.query_raw(&known).fetch_one::<u64>().await.map_err(|error| brief(&error))? > 0 {
            settled.extend_from_slice(days);
        }
    }
    rebuild_settled(admin, site, &settled).await?;
    super::page_days::remake_pages(admin, site, &days).await?;
    refresh_views(admin).await
}

fn of_days(site: &str, days: &[u32]) -> String {
    let (first, last) = (i64::from(days[0]), i64::from(days[days.len() - 1]));
    format!("site = '{site}' AND day >= {} AND day <= {}", date(first), date(last))
}

/// Makes settled days of a site anew, given in their order.
async fn rebuild_settled(admin: &Client, site: &str, days: &[u32]) -> Result<(), Brief> {
    // So that a day that is not settled yet is not settled for this site alone.
    let end = "SELECT toInt64(toUInt16(max(day))) FROM consentry.visits_settled";
    let end = admin.query_raw(end).fetch_one::<i64>().await.map_err(|error| brief(&error))?;
    for days in days.chunk_by(|before, after| before + 1 == *after) {
        let (first, last) = (i64::from(days[0]), i64::from(days[days.len() - 1]));
        let delete = format!("ALTER TABLE consentry.visits_settled DELETE WHERE {}", of_days(site, days));
        execute(admin, &delete, &[("mutations_sync", "2")]).await?;
        let insert = format!(
            "INSERT INTO consentry.visits_settled SELECT * FROM \
             consentry.visits_between(first_day = {}, last_day = {}) WHERE site = '{site}'",
            date(first),
            date(last.min(end))
        );
        let filter = format!("{{'consentry.events': 'site = ''{site}'''}}");
        execute(admin, &insert, &[("insert_deduplicate", "0"), ("additional_table_filters", &filter)])
            .await?;
    }
    Ok(())
}

/// Makes visits agree with the rows that are there now: settles what is due, makes settled days anew to which rows came since
/// (an import, a spool that had to wait for long), and today's and the days before without waiting for their minute or hour.
pub async fn freshen_visits(admin: &Client, now_ms: i64) -> Result<(), Brief> {
    settle(admin, now_ms).await?;
    let late = "SELECT e.site, toUInt32(toUInt16(e.day)) FROM (SELECT toString(site) AS site, day, count() AS rows, \
                countIf(no_share = 0 AND bot = 0) AS shared FROM consentry.events \
                WHERE day <= (SELECT max(day) FROM consentry.visits_settled) GROUP BY site, day) AS e \
                LEFT JOIN (SELECT toString(site) AS site, day, max(day_rows) AS rows FROM consentry.visits_settled GROUP BY site, day) AS v \
                ON v.site = e.site AND v.day = e.day WHERE e.shared > 0 AND e.rows > v.rows ORDER BY 1, 2";
    let late = admin.query_raw(late).fetch_all::<(String, u32)>().await.map_err(|error| brief(&error))?;
    for site in late.chunk_by(|one, other| one.0 == other.0) {
        let days: Vec<u32> = site.iter().map(|(_, day)| *day).collect();
        // Ids have no quotes (see `Site::resolve`); whoever else wrote into the table does not get far.
        let id: String = site[0].0.chars().filter(|c| !matches!(c, '\'' | '\\')).collect();
        unmark_lone(admin, &days).await?;
        rebuild_settled(admin, &id, &days).await?;
        super::page_days::remake_pages(admin, &id, &days).await?;
    }
    refresh_views(admin).await
}

async fn refresh_views(admin: &Client) -> Result<(), Brief> {
    for view in ["visits_now_mv", "visits_late_mv"] {
        for word in ["REFRESH", "WAIT"] {
            execute(admin, &format!("SYSTEM {word} VIEW consentry.{view}"), &[]).await?;
        }
    }
    Ok(())
}
