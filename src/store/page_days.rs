//! Days of pages and hosts, added up once a day is settled (`schema/0014_page_days.sql`), and again where its rows changed.
//!
//! A day that is made again replaces what was there name by name, with zeros for names that are gone, so that whoever reads
//! meanwhile finds the former day or the new one. `done` says that a day is there, and stands for all days before it.

use clickhouse::Client;

use super::verdict::{Brief, brief};
use super::visits::{date, execute};

/// Visitors of a group of whom a day remembers who they are; a site's k is seldom more.
const FEW: usize = 64;
/// Each kind of names with its column of `page_visitors`.
const KINDS: [(&str, &str); 2] = [("path", "path"), ("host", "host")];

/// Adds up the days until `last` that are not yet. Done again, or by several collectors, it changes nothing.
pub(super) async fn settle_pages(admin: &Client, last: i64) -> Result<(), Brief> {
    let days = format!(
        "SELECT DISTINCT toInt64(toUInt16(day)) FROM consentry.page_visitors WHERE day <= {} \
         AND day > (SELECT max(day) FROM consentry.page_days WHERE kind = 'done') ORDER BY 1",
        date(last)
    );
    let days = admin.query_raw(&days).fetch_all::<i64>().await.map_err(|error| brief(&error))?;
    for day in days {
        make(admin, None, day).await?;
        // After everything else: a day without it is made once more.
        let done = format!(
            "INSERT INTO consentry.page_days (site, kind, day, retention_days) VALUES ('', 'done', {}, 3650)",
            date(day)
        );
        execute(admin, &done, &[]).await?;
    }
    Ok(())
}

/// Makes a site's days again, of those that are there: rows of theirs came or went. `days` since 1970.
pub(super) async fn remake_pages(admin: &Client, site: &str, days: &[u32]) -> Result<(), Brief> {
    let end = "SELECT toInt64(toUInt16(max(day))) FROM consentry.page_days WHERE kind = 'done'";
    let end = admin.query_raw(end).fetch_one::<i64>().await.map_err(|error| brief(&error))?;
    // The day after says who was there the day before.
    let mut days: Vec<i64> = days.iter().flat_map(|&day| [i64::from(day), i64::from(day) + 1]).collect();
    days.sort_unstable();
    days.dedup();
    for day in days.into_iter().filter(|day| *day <= end) {
        make(admin, Some(site), day).await?;
    }
    Ok(())
}

async fn make(admin: &Client, site: Option<&str>, day: i64) -> Result<(), Brief> {
    let (day, before) = (date(day), date(day - 1));
    // Ids have no quotes: see `freshen_visits`.
    let of_site = site.map_or_else(String::new, |site| format!(" AND site = '{site}'"));
    for (kind, column) in KINDS {
        let key = "if(visit = 0, visitor, visit)";
        let told = "engaged_ms > 0 OR scroll_pct > 0";
        let sql = format!(
            "INSERT INTO consentry.page_days (site, kind, day, name, rows, views, engaged_ms, depth, depth_rows, visitors, visitors_again, \
             visits, visits_again, few, retention_days) \
             WITH (site, {column}, visitor) IN (SELECT site, {column}, visitor FROM consentry.page_visitors WHERE day = {before}{of_site}) AS known, \
             (site, {column}, {key}) IN (SELECT site, {column}, {key} FROM consentry.page_visitors WHERE day = {before}{of_site}) AS going_on \
             SELECT site, '{kind}', {day}, {column}, count(), sum(views), sum(engaged_ms), sumIf(scroll_pct, {told}), countIf({told}), \
             uniqExact(visitor), uniqExactIf(visitor, known), uniqExact({key}), uniqExactIf({key}, going_on), \
             groupUniqArray({FEW})(visitor), max(retention_days) \
             FROM (SELECT site, host, path, visitor, visit, slot, sum(views) AS views, sum(engaged_ms) AS engaged_ms, max(scroll_pct) AS scroll_pct, \
             max(retention_days) AS retention_days FROM consentry.page_visitors WHERE day = {day}{of_site} GROUP BY ALL) GROUP BY site, {column} \
             UNION ALL \
             SELECT site, kind, day, name, 0, 0, 0, 0, 0, 0, 0, 0, 0, [], any(retention_days) FROM consentry.page_days \
             WHERE kind = '{kind}' AND day = {day}{of_site} \
             AND (site, name) NOT IN (SELECT site, {column} FROM consentry.page_visitors WHERE day = {day}{of_site}) \
             GROUP BY site, kind, day, name"
        );
        execute(admin, &sql, &[]).await?;
    }
    Ok(())
}
