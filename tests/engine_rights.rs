//! Nobody reaches more of the embedded engine than they should: ingest, analyst, default, in every way we know.
//!
//! Needs an engine: `CONSENTRY_LIBCHDB`, the cache, or npm to fetch one.

mod engine_support;

use consentry::store::engine::Credentials;
use engine_support::*;

#[tokio::test]
async fn nobody_reaches_more_than_they_should() {
    let dir = tempfile::tempdir().unwrap();
    let engine = started(dir.path()).await;
    let access = engine.access().unwrap();
    make_tables(&access);

    // Ingest: the views behind the table fire; nothing can be read.
    let ingest = |sql: &str| ask(access.http_port, Some(&access.ingest), "/", sql);
    assert_eq!(ingest(INSERT), "");
    for sql in [
        "SELECT count() FROM consentry.events",
        "SELECT * FROM report.hours",
        "ALTER TABLE consentry.events DELETE WHERE 1",
        "DROP TABLE consentry.events",
        "TRUNCATE TABLE consentry.events",
        "CREATE TABLE consentry.x (n UInt8) ENGINE = Memory",
        "SELECT count() FROM system.processes",
        "SYSTEM STOP MERGES consentry.events",
    ] {
        assert_eq!(ingest(sql), "error 497", "ingest: {sql}");
    }

    // Analyst: the reports, and nothing beside them.
    assert_eq!(analyst(&access, "SELECT visitors FROM report.hours"), "20");
    assert_eq!(admin(&access, "SELECT uniqMerge(visitors) FROM consentry.hours"), "20");
    for sql in [
        "SELECT count() FROM consentry.events",
        "SELECT * FROM consentry.hours_mv",
        "SELECT * FROM merge('consentry', '.*')",
        "SELECT * FROM mergeTreeIndex('consentry', 'events')",
        "SELECT * FROM remote('127.0.0.1', 'consentry.events')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM file('users.xml', 'LineAsString')",
        "SELECT * FROM 'users.xml'",
        "SELECT * FROM executable('x', 'TSV', 'a String')",
        "SELECT * FROM values('a String', (file('users.xml')))",
        "SELECT * FROM format(Values, 'a String', '(file(''users.xml''))')",
        "SELECT count() FROM system.parts",
        "SELECT count() FROM system.processes",
        "SELECT count() FROM system.users",
        "SHOW CREATE TABLE consentry.events",
        "EXISTS TABLE consentry.events",
        "INSERT INTO consentry.events VALUES ('x', 0, 0)",
        "CREATE TEMPORARY TABLE t (n UInt8)",
        "CREATE VIEW report.x AS SELECT 1",
        "DROP VIEW report.hours",
        "DROP FUNCTION file",
        "SYSTEM STOP LISTEN HTTP",
        "KILL QUERY WHERE 1",
    ] {
        let answer = analyst(&access, sql);
        // 164: not in readonly mode, which is asked first for whatever changes something. 636: no table is visible.
        assert!(
            ["error 497", "error 164", "error 636"].contains(&answer.as_str()),
            "analyst: {sql}: {answer}"
        );
    }
    assert_eq!(analyst(&access, "SELECT name FROM system.tables WHERE database = 'consentry'"), "");
    // The function that the library leaves open to everybody: each way to call it.
    for user in [&access.analyst, &access.ingest] {
        for sql in [
            "SELECT file('users.xml')",
            "SELECT file('/etc/hostname')",
            "SELECT `file`(x) FROM (SELECT '/etc/hostname' AS x)",
            "SELECT * APPLY(file) FROM (SELECT '/etc/hostname')",
            "SELECT * REPLACE(file(x) AS x) FROM (SELECT '/etc/hostname' AS x)",
            "SELECT arrayMap(file, ['/etc/hostname'])",
            "SELECT arrayMap(x -> file(x), ['/etc/hostname'])",
            "WITH (SELECT file('/etc/hostname')) AS y SELECT y",
            "SELECT 1 IN (SELECT file('/etc/hostname'))",
        ] {
            assert_eq!(ask(access.http_port, Some(user), "/", sql), "error 395", "{sql}");
        }
        let with_default = "SELECT file('/etc/hostname', 'default')";
        assert_eq!(ask(access.http_port, Some(user), "/", with_default), "error 36");
    }
    // No setting can be changed, so no limit can be lifted.
    for path in ["/?max_threads=7", "/?readonly=0", "/?enable_analyzer=0", "/?max_execution_time=0"] {
        assert_eq!(ask(access.http_port, Some(&access.analyst), path, "SELECT 1"), "error 164", "{path}");
    }
    assert_eq!(analyst(&access, "SET max_execution_time = 0"), "error 164");
    assert_eq!(analyst(&access, "SELECT 1 SETTINGS max_memory_usage = 0"), "error 164");
    assert_eq!(analyst(&access, "SELECT getSetting('max_execution_time')"), "60");

    // The engine's own session has used up what `default` may do.
    let default = |path: &str, sql: &str| ask(access.http_port, None, path, sql);
    for sql in [
        "SYSTEM STOP LISTEN HTTP",
        "SYSTEM STOP LISTEN TCP",
        "SELECT * FROM system.numbers LIMIT 1",
        "SHOW DATABASES",
    ] {
        assert_eq!(default("/", sql), "error 201", "default: {sql}");
    }
    // No quota counts a SELECT without a table; there is a limit to what it can use.
    assert_eq!(default("/", "SELECT length(range(50000000))"), "error 241");
    assert_eq!(default("/?max_memory_usage=0", "SELECT 1"), "error 452");
    assert_eq!(default("/", "SELECT file('users.xml')"), "error 395");
    assert_eq!(admin(&access, "SELECT 1"), "1", "it still listens");
    let wrong = Credentials { user: "admin".into(), password: access.analyst.password.clone() };
    assert_eq!(ask(access.http_port, Some(&wrong), "/", "SELECT 1"), "error 516");
    engine.stop().await;
}
