//! What has to go in time and no TTL of ClickHouse takes away: hashes of visitors in roll-ups, roll-ups past a site's
//! retention, rows whose retention was shortened after they came.
//!
//! Rows have a TTL of their own (`0001_events.sql`). The number of a day's visitors cannot be added up from its hours,
//! so it is written down from the states of all hours together, and only then are the states emptied; in this order
//! nothing is lost, whenever either side stops.

use clickhouse::Client;

use super::rollups::{ROLLUPS as ROLLUP_TABLES, VIEWS};
use super::verdict::{Brief, brief};
use crate::clock::{DAY_MS, day_of};

/// The states of a day are emptied when so many days have passed since it began. An event may be 72 h old when it
/// comes, so a day's states are whole four days after its beginning; the fifth is for a spool that had to wait.
/// Visitors of events that come later still are not added to the day's number; their views are.
pub const STATE_DAYS: i64 = 5;

/// How far the collector's clock and the store's may be apart before neither is believed.
const CLOCKS_APART_MS_MAX: u64 = DAY_MS.unsigned_abs();

/// What [`retain`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Months in which states of roll-ups were emptied.
    pub emptied_months: usize,
    /// Deletes that found something to delete, one a table and site.
    pub deletes: usize,
}

/// Whether the store's clock is near `now_ms`. A clock that jumped must not delete what others still have time to keep.
pub async fn agrees_on_time(admin: &Client, now_ms: i64) -> Result<bool, Brief> {
    let theirs = admin.query_raw("SELECT toUnixTimestamp64Milli(now64(3))").fetch_one::<i64>().await;
    Ok(theirs.map_err(|error| brief(&error))?.abs_diff(now_ms) <= CLOCKS_APART_MS_MAX)
}

/// Does what is due at `now_ms`. Safe to run again, and by several collectors.
pub async fn retain(admin: &Client, now_ms: i64) -> Result<Retained, Brief> {
    let emptied_months = empty_states(admin, now_ms).await?;
    let mut deletes = 0;
    let sites = "SELECT site, retention_days, rollup_retention_days FROM consentry.sites FINAL";
    let sites = admin.query_raw(sites).fetch_all::<(String, u16, u16)>().await;
    for (site, retention_days, rollup_days) in sites.map_err(|error| brief(&error))? {
        let today = day_of(now_ms);
        let (oldest_row, oldest_rollup) = (today - i64::from(retention_days), today - i64::from(rollup_days));
        let rollups = ROLLUP_TABLES.map(|table| (table, "hour", oldest_rollup));
        let rows = [
            ("events", "day", oldest_row),
            ("visits_settled", "day", oldest_row),
            ("page_visitors", "day", oldest_row),
            ("page_days", "day", oldest_row),
            ("rollup_visitors", "day", oldest_rollup),
        ];
        for (table, column, oldest) in rows.into_iter().chain(rollups) {
            let moment = if column == "hour" { moment(oldest) } else { date(oldest) };
            // Ids have no quotes (see `Site::resolve`); whoever else wrote into the table does not get far.
            let site: String = site.chars().filter(|c| !matches!(c, '\'' | '\\')).collect();
            let rows = format!("FROM consentry.{table} WHERE site = '{site}' AND {column} < {moment}");
            let any = format!("SELECT count() FROM (SELECT 1 {rows} LIMIT 1)");
            if admin.query_raw(&any).fetch_one::<u64>().await.map_err(|error| brief(&error))? > 0 {
                execute(admin, &format!("DELETE {rows}")).await?;
                deletes += 1;
            }
        }
    }
    Ok(Retained { emptied_months, deletes })
}

/// Whoever changes what roll-ups hold of days gone by: emptying states and building days anew would undo each other.
/// One for the process, which is one collector.
pub(super) static ROLLUPS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn empty_states(admin: &Client, now_ms: i64) -> Result<usize, Brief> {
    let _alone = ROLLUPS.lock().await;
    let filled =
        format!("hour < {} AND finalizeAggregation(visitors) > 0", moment(day_of(now_ms) - STATE_DAYS + 1));
    let mut emptied = std::collections::BTreeSet::new();
    for rollup in ROLLUP_TABLES {
        let months = format!("SELECT DISTINCT toYYYYMM(hour) FROM consentry.{rollup} WHERE {filled}");
        let months = admin.query_raw(&months).fetch_all::<u32>().await.map_err(|error| brief(&error))?;
        for month in &months {
            // All hours of those days; a day of which some states are empty already keeps the larger number.
            let condition = format!("toYYYYMM(hour) = {month} AND {filled}");
            for view in VIEWS.iter().filter(|view| view.rollup == rollup) {
                for number in view.write_down(&condition) {
                    execute(admin, &number).await?;
                }
            }
            let empty = format!(
                "ALTER TABLE consentry.{rollup} \
                 UPDATE visitors = initializeAggregation('uniqStateIf', toUInt64(0), 0) IN PARTITION {month} \
                 WHERE {filled} SETTINGS mutations_sync = 1"
            );
            execute(admin, &empty).await?;
        }
        emptied.extend(months);
    }
    Ok(emptied.len())
}

async fn execute(admin: &Client, statement: &str) -> Result<(), Brief> {
    admin.query_raw(statement).execute().await.map_err(|error| brief(&error))
}

/// The first moment of a UTC day.
fn moment(day: i64) -> String {
    format!("toDateTime({}, 'UTC')", day.max(0) * 86_400)
}

fn date(day: i64) -> String {
    format!("toDate({})", day.max(0))
}
