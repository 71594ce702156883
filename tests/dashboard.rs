//! The dashboard, as the collector serves it, in a real browser: web/e2e/dashboard.mjs says what is held.
//!
//! Needs Chromium (Debian's package `chromium`; `CHROMIUM` names another path) and Node.js with npm.

mod browser_support;
mod common;

use std::path::Path;

use browser_support::drive;
use common::{Collector, request};

#[test]
fn each_card_shows_what_the_api_says_by_mouse_and_keyboard_light_and_dark_wide_and_narrow() {
    let collector = Collector::start();
    let admin = format!("http://{}", collector.admin);
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
    // The figures are made up by web/e2e/fake_stats.mjs; page, script, styles and their headers are the collector's.
    let args = [admin.as_str(), shots.to_str().unwrap()];
    let Some(shown) = drive("dashboard", "dashboard.mjs", &args) else { return };
    println!("{shown}");
    assert!(shown["first_load_bytes"].as_u64().unwrap() < 100_000);
    for name in
        ["light", "dark", "light-360", "dark-360", "completeness", "compared", "hover", "all", "token"]
    {
        assert!(shots.join(format!("dashboard-{name}.png")).is_file(), "{name}");
    }
}

#[test]
fn the_page_needs_no_token_and_nothing_else_on_the_admin_address_does_without() {
    let collector =
        Collector::start_with(&[], &[("CONSENTRY_ADMIN_TOKEN", "0123456789abcdef0123456789abcdef")]);
    for (path, content_type) in [
        ("/dashboard", "text/html; charset=utf-8"),
        ("/dashboard/", "text/html; charset=utf-8"),
        ("/dashboard/dashboard.js", "text/javascript; charset=utf-8"),
        ("/dashboard/dashboard.css", "text/css; charset=utf-8"),
    ] {
        let answer = collector.get_admin(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(content_type));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        let tag = answer.header("etag").unwrap();
        let again = request(collector.admin, "GET", path, &[("if-none-match", tag)], b"");
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(request(collector.admin, "POST", path, &[], b"{}").status, 405, "{path}");
        assert_eq!(collector.get(path).status, 404, "{path} is not on the public address");
    }
    for path in ["/metrics", "/v1/stats/sites", "/dashboard/../metrics", "/dashboard/nothing", "/dashboards"]
    {
        assert_eq!(collector.get_admin(path).status, 401, "{path}");
    }
}

#[test]
fn nothing_in_the_page_is_inline() {
    let collector = Collector::start();
    let page = collector.get_admin("/dashboard").text();
    for tag in page.split('<').skip(1) {
        assert!(!tag.contains(" on") && !tag.contains("style="), "<{tag}");
        if let Some(rest) = tag.strip_prefix("script") {
            assert!(
                rest.contains("src=\"/dashboard/dashboard.js\"") && rest.trim_end().ends_with('>'),
                "<{tag}"
            );
        }
        assert!(!tag.starts_with("style"), "<{tag}");
    }
    let script = collector.get_admin("/dashboard/dashboard.js").text();
    for way in ["eval(", "new Function", "innerHTML", "insertAdjacentHTML", "document.write"] {
        assert!(!script.contains(way), "{way}");
    }
}
