//! What the engine is told: `config.xml`, `users.xml` and one function. Written anew at each start of the collector.
//!
//! The library is `clickhouse local` with listeners, and two of its habits are not those of a server:
//!
//! - Its own session logs in as `default` without a password, so that user must exist, and anybody on this machine could
//!   log in as it too. It may do the three things the start needs and nothing else, and its quota is three queries in
//!   67 years: the start uses them up. What no quota counts, a SELECT without a table, gets 50 MB, one at a time.
//! - The function `file(path)` reads any file for any user, without a grant: the tables' own files, `access.json`, the
//!   spool. A function of our own with the same name takes its place; the supervisor tries it out before it lets
//!   anybody in. (The table function `file` asks for a grant, as it should.)
//!
//! Users are in a file because the library has nowhere to write roles to. Passwords stand there as SHA-256 of 32
//! random bytes, and are new at each start of the collector.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::access::{Credentials, Users, hex};
use super::error::EngineError;

/// Of the engine's directory, relative to it: the engine runs there.
pub(super) const CONFIG: &str = "config.xml";
const USERS: &str = "users.xml";
/// The engine's `--path`.
pub(super) const DATA: &str = "data";
const FUNCTIONS: &str = "data/user_defined";
const FILE_FUNCTION: &str = "data/user_defined/function_file.sql";

/// Stands in for the built-in function of that name, which reads files without asking for a grant.
const FILE_FUNCTION_SQL: &str =
    "CREATE FUNCTION file AS x -> throwIf(ignore(x) = 0, 'file() is switched off')\n";

/// A machine with 2 cores and a few GB, shared with the collector: half of the memory at most, small caches and
/// pools, no tables of logs. Inserts are few and large, so each can afford to be synced to the disk: an event that the
/// spool has let go of must survive a power cut.
const CONFIG_XML: &str = "<clickhouse>
    <users_config>users.xml</users_config>
    <logger><console>1</console><console_log_level>error</console_log_level></logger>
    <send_crash_reports><enabled>false</enabled></send_crash_reports>
    <mlock_executable>false</mlock_executable>
    <allow_experimental_webterminal>false</allow_experimental_webterminal>
    <disable_internal_dns_cache>1</disable_internal_dns_cache>
    <asynchronous_metrics_update_period_s>60</asynchronous_metrics_update_period_s>

    <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
    <mark_cache_size>67108864</mark_cache_size>
    <index_mark_cache_size>16777216</index_mark_cache_size>
    <primary_index_cache_size>67108864</primary_index_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <index_uncompressed_cache_size>0</index_uncompressed_cache_size>
    <compiled_expression_cache_size>16777216</compiled_expression_cache_size>
    <mmap_cache_size>100</mmap_cache_size>

    <max_connections>256</max_connections>
    <max_concurrent_queries>100</max_concurrent_queries>
    <background_pool_size>2</background_pool_size>
    <background_merges_mutations_concurrency_ratio>2</background_merges_mutations_concurrency_ratio>
    <background_schedule_pool_size>8</background_schedule_pool_size>
    <background_common_pool_size>2</background_common_pool_size>
    <background_move_pool_size>1</background_move_pool_size>
    <background_fetches_pool_size>1</background_fetches_pool_size>
    <merge_tree>
        <fsync_after_insert>1</fsync_after_insert>
        <fsync_part_directory>1</fsync_part_directory>
        <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
        <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
        <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    </merge_tree>

    <ignore_empty_sql_security_in_create_view_query>false</ignore_empty_sql_security_in_create_view_query>
    <access_control_improvements>
        <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
        <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
        <on_cluster_queries_require_cluster_grant>true</on_cluster_queries_require_cluster_grant>
        <settings_constraints_replace_previous>true</settings_constraints_replace_previous>
    </access_control_improvements>

    <http_handlers>
        <rule><url>/ping</url><handler><type>ping</type></handler></rule>
        <rule><url>/</url><handler><type>dynamic_query_handler</type><query_param_name>query</query_param_name></handler></rule>
    </http_handlers>
</clickhouse>
";

/// An analyst's query: at most a minute, 1 GB, a million rows of answer, eight at a time. `readonly` is 1: no setting
/// can be changed, so none of these can be lifted.
const PROFILES_XML: &str = "    <profiles>
        <default>
            <allow_introspection_functions>0</allow_introspection_functions>
        </default>
        <session>
            <max_memory_usage>50000000</max_memory_usage>
            <max_concurrent_queries_for_user>1</max_concurrent_queries_for_user>
            <constraints>
                <max_memory_usage><readonly/></max_memory_usage>
                <max_concurrent_queries_for_user><readonly/></max_concurrent_queries_for_user>
            </constraints>
        </session>
        <analyst>
            <readonly>1</readonly>
            <max_execution_time>60</max_execution_time>
            <max_memory_usage>1000000000</max_memory_usage>
            <max_result_rows>1000000</max_result_rows>
            <max_concurrent_queries_for_user>8</max_concurrent_queries_for_user>
        </analyst>
        <statistics>
            <readonly>1</readonly>
            <max_execution_time>30</max_execution_time>
            <max_memory_usage>2000000000</max_memory_usage>
            <max_rows_to_read>400000000</max_rows_to_read>
            <max_result_rows>1000000</max_result_rows>
            <max_concurrent_queries_for_user>16</max_concurrent_queries_for_user>
        </statistics>
    </profiles>
    <quotas>
        <default/>
        <session><interval><duration>2147483647</duration><queries>3</queries></interval></session>
    </quotas>
";

/// What the statistics API reads: of the rows the columns that it counts by, none of text that a visitor may have written.
const STATISTICS_GRANTS: [&str; 9] = [
    "(site, day, type, ts, visitor, visit, no_share, bot, host, path, name, point, device, browser, browser_major, os, os_major, screen, \
     country, language, ttfb_ms, fcp_ms, lcp_ms, inp_ms, cls, dom_ms, load_ms, crash_fingerprint) ON consentry.events",
    " ON consentry.visits_settled",
    " ON consentry.visits_late",
    " ON consentry.visits_now",
    " ON consentry.page_visitors",
    " ON consentry.page_days",
    " ON consentry.ledger",
    " ON consentry.crashes",
    " ON consentry.pages",
];

/// What the engine's own session runs: two statements that open the ports, one that lasts for ever.
pub(super) const SESSION_SQL: &str = "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; \
    SELECT sleepEachRow(3) FROM system.numbers \
    SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0 FORMAT Null";

/// Writes everything that the engine reads at its start into `dir`.
pub(super) fn write_all(dir: &Path, users: &Users) -> Result<(), EngineError> {
    make_private_dir(&dir.join(FUNCTIONS))?;
    make_private_dir(&dir.join(DATA))?;
    write_private(&dir.join(CONFIG), CONFIG_XML.as_bytes())?;
    write_private(&dir.join(USERS), users_xml(users).as_bytes())?;
    write_private(&dir.join(FILE_FUNCTION), FILE_FUNCTION_SQL.as_bytes())
}

fn users_xml(users: &Users) -> String {
    let mut text = format!("<clickhouse>\n{PROFILES_XML}    <users>\n");
    let mut user = |name: &str, login: &str, profile: &str, quota: &str, rights: &str| {
        text += &format!(
            "        <{name}>{login}<networks><ip>127.0.0.1</ip></networks><profile>{profile}</profile>\
             <quota>{quota}</quota>{rights}</{name}>\n"
        );
    };
    let grants = |grants: &[&str]| {
        let queries: String = grants.iter().map(|grant| format!("<query>GRANT {grant}</query>")).collect();
        format!("<grants>{queries}</grants>")
    };
    user(
        "default",
        "<no_password/>",
        "session",
        "session",
        &grants(&["SYSTEM LISTEN ON *.*", "SELECT ON system.numbers"]),
    );
    user(
        &users.admin.user,
        &login(&users.admin),
        "default",
        "default",
        "<access_management>1</access_management><named_collection_control>1</named_collection_control>\
         <show_named_collections>1</show_named_collections>\
         <show_named_collections_secrets>1</show_named_collections_secrets>",
    );
    user(
        &users.ingest.user,
        &login(&users.ingest),
        "default",
        "default",
        &grants(&["INSERT ON consentry.*"]),
    );
    user(
        &users.statistics.user,
        &login(&users.statistics),
        "statistics",
        "default",
        &grants(&STATISTICS_GRANTS.map(|grant| format!("SELECT{grant}")).each_ref().map(String::as_str)),
    );
    user(&users.analyst.user, &login(&users.analyst), "analyst", "default", &grants(&["SELECT ON report.*"]));
    text + "    </users>\n</clickhouse>\n"
}

fn login(credentials: &Credentials) -> String {
    let hash = hex(&Sha256::digest(credentials.password.expose()));
    format!("<password_sha256_hex>{hash}</password_sha256_hex>")
}

/// Makes `dir` and what is above it; `dir` itself is for the owner alone.
pub(super) fn make_private_dir(dir: &Path) -> Result<(), EngineError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(EngineError::io("make the directory", dir))?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        .map_err(EngineError::io("close to others", dir))
}

/// Writes a file that only the owner can read, whole or not at all.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    let temporary = path.with_extension("new");
    let write = || {
        // Of another start that was killed in between: its mode may not be ours.
        let _ = fs::remove_file(&temporary);
        let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(EngineError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_are_for_the_owner_alone_and_hold_no_password() {
        let dir = tempfile::tempdir().unwrap();
        let users = Users::random().unwrap();
        write_all(dir.path(), &users).unwrap();
        for file in [CONFIG, USERS, FILE_FUNCTION] {
            assert_eq!(mode(&dir.path().join(file)), 0o600, "{file}");
        }
        assert_eq!(mode(&dir.path().join(DATA)), 0o700);
        let text = fs::read_to_string(dir.path().join(USERS)).unwrap();
        for credentials in [&users.admin, &users.ingest, &users.analyst] {
            assert!(!text.contains(credentials.password.expose()));
            assert!(text.contains(&hex(&Sha256::digest(credentials.password.expose()))));
        }
        assert!(text.contains("<analyst><password_sha256_hex>"));
    }

    #[test]
    fn written_again_over_what_a_killed_start_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        fs::write(path.with_extension("new"), "half").unwrap();
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(mode(&path), 0o600);
        assert!(!path.with_extension("new").exists());
    }
}
