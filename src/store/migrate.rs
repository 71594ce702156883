//! `schema/*.sql`, applied in order, recorded with their checksums.

use clickhouse::Client;

use super::verdict::{Brief, brief};
use crate::site::Sites;

/// All migrations of this version. A file that has been released is never changed; the next number is added.
const MIGRATIONS: &[(u32, &str, &str)] = &[
    (1, "events", include_str!("../../schema/0001_events.sql")),
    (2, "pages", include_str!("../../schema/0002_pages.sql")),
    (3, "ledger", include_str!("../../schema/0003_ledger.sql")),
    (4, "sites", include_str!("../../schema/0004_sites.sql")),
    (5, "report", include_str!("../../schema/0005_report.sql")),
    (6, "salt_receipts", include_str!("../../schema/0006_salt_receipts.sql")),
    (7, "rollup_retention", include_str!("../../schema/0007_rollup_retention.sql")),
    (8, "subjects", include_str!("../../schema/0008_subjects.sql")),
    (9, "visits", include_str!("../../schema/0009_visits.sql")),
    (10, "rollups", include_str!("../../schema/0010_rollups.sql")),
    (11, "report", include_str!("../../schema/0011_report.sql")),
    (12, "report_visits", include_str!("../../schema/0012_report_visits.sql")),
    (13, "statistics", include_str!("../../schema/0013_statistics.sql")),
    (14, "page_days", include_str!("../../schema/0014_page_days.sql")),
];

/// The migration that makes `page_visitors`, which is filled from the rows that are there.
const EXCERPTS: u32 = 13;

/// Roles on a ClickHouse that is not ours; the embedded engine has them from its users file.
const ROLES: &str = include_str!("../../schema/roles.sql");

const BOOKKEEPING: &[&str] = &[
    "CREATE DATABASE IF NOT EXISTS consentry",
    "CREATE TABLE IF NOT EXISTS consentry.schema_migrations \
     (version UInt32, name String, checksum String, applied_at DateTime DEFAULT now()) \
     ENGINE = MergeTree ORDER BY version",
];

/// Why the schema is not as this version needs it.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// ClickHouse is away or refused.
    #[error("migration {name}: {reason}")]
    Store {
        /// The migration.
        name: String,
        /// What ClickHouse said.
        reason: Brief,
    },
    /// A migration that was applied is not the one that this version has.
    #[error(
        "migration {version} was applied with another content: this store belongs to another version of Consentry; \
         run the version that created it, or use another database"
    )]
    Changed {
        /// Its number.
        version: u32,
    },
    /// The store is ahead.
    #[error(
        "the store has migration {version}, which this version of Consentry does not know; run a newer version"
    )]
    Newer {
        /// Its number.
        version: u32,
    },
}

fn checksum(sql: &str) -> String {
    blake3::hash(sql.as_bytes()).to_hex()[..32].to_owned()
}

/// The statements of a file: each ends with `;` at the end of a line.
fn statements(sql: &str) -> impl Iterator<Item = String> {
    sql.split(";\n")
        .map(|statement| {
            let code = statement.lines().filter(|line| !line.trim_start().starts_with("--"));
            code.collect::<Vec<_>>().join("\n").trim().to_owned()
        })
        .filter(|statement| !statement.is_empty())
}

async fn execute(client: &Client, name: &str, statement: &str) -> Result<(), MigrateError> {
    let failed = |error| MigrateError::Store { name: name.to_owned(), reason: brief(&error) };
    client.query_raw(statement).execute().await.map_err(failed)
}

/// Brings the schema to this version and writes down the sites. Safe to run again, and by several collectors.
///
/// `own_roles`: whether roles are to be created too. Returns how many migrations were applied.
pub async fn migrate(admin: &Client, sites: &Sites, own_roles: bool) -> Result<usize, MigrateError> {
    for statement in BOOKKEEPING {
        execute(admin, "bookkeeping", statement).await?;
    }
    let applied = admin
        .query_raw("SELECT version, any(checksum) FROM consentry.schema_migrations GROUP BY version ORDER BY version")
        .fetch_all::<(u32, String)>()
        .await
        .map_err(|error| MigrateError::Store { name: "bookkeeping".into(), reason: brief(&error) })?;
    for (version, applied) in &applied {
        match MIGRATIONS.iter().find(|migration| migration.0 == *version) {
            None => return Err(MigrateError::Newer { version: *version }),
            Some((_, _, sql)) if checksum(sql) != *applied => {
                return Err(MigrateError::Changed { version: *version });
            }
            Some(_) => {}
        }
    }
    let mut count = 0;
    for (version, name, sql) in MIGRATIONS {
        if applied.iter().any(|(applied, _)| applied == version) {
            continue;
        }
        let label = format!("{version:04}_{name}");
        for statement in statements(sql) {
            execute(admin, &label, &statement).await?;
        }
        if *version == EXCERPTS {
            let failed = |reason| MigrateError::Store { name: label.clone(), reason };
            super::visits::excerpt_pages(admin).await.map_err(failed)?;
        }
        let record = format!(
            "INSERT INTO consentry.schema_migrations (version, name, checksum) VALUES ({version}, '{name}', '{}')",
            checksum(sql)
        );
        execute(admin, &label, &record).await?;
        tracing::info!(migration = label, "applied");
        count += 1;
    }
    if own_roles {
        make_roles(admin).await;
    }
    write_sites(admin, sites).await?;
    Ok(count)
}

/// A user that may not make roles, or a server that keeps its roles in files, is no reason not to collect.
async fn make_roles(admin: &Client) {
    for statement in statements(ROLES) {
        if let Err(error) = admin.query_raw(&statement).execute().await {
            let reason = brief(&error);
            tracing::warn!(%reason, "the roles ingest, analyst and admin are not made; make them by schema/roles.sql");
            return;
        }
    }
}

/// Writes down the sites, for whoever asks the store about their zones, retention and k-anonymity.
///
/// Ids and zones are checked when the configuration is read: no quote can stand in them.
pub async fn write_sites(admin: &Client, sites: &Sites) -> Result<(), MigrateError> {
    let row = |site: &std::sync::Arc<crate::site::Site>| {
        format!(
            "('{}','{}',{},{},{},now64(3))",
            site.id, site.timezone, site.k_anonymity, site.retention_days, site.rollup_retention_days
        )
    };
    let rows: Vec<String> = sites.iter().map(row).collect();
    let insert = format!(
        "INSERT INTO consentry.sites \
         (site, timezone, k_anonymity, retention_days, rollup_retention_days, updated_at) VALUES {}",
        rows.join(",")
    );
    execute(admin, "sites", &insert).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::EventRow;

    #[test]
    fn migrations_are_numbered_without_a_gap() {
        let numbers: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.0).collect();
        assert_eq!(numbers, (1..=MIGRATIONS.len() as u32).collect::<Vec<_>>());
    }

    #[test]
    fn every_column_of_a_row_stands_in_the_table() {
        let events = MIGRATIONS[0].2;
        for column in EventRow::COLUMNS {
            assert!(events.contains(&format!("\n    {column} ")), "{column}");
        }
    }

    #[test]
    fn statements_are_split_at_line_ends() {
        let sql = "-- a; b\nSELECT 1;\n\nSELECT ';' -- c\n;\n";
        assert_eq!(statements(sql).collect::<Vec<_>>(), ["SELECT 1", "SELECT ';' -- c"]);
    }
}
