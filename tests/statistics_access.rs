//! Who may ask for statistics, what a wrong question is told, and that no question is anything but a question.

mod common;

use common::{Answer, Collector, request};
use serde_json::{Value, json};

const SITES: &str = "[[site]]\nid = \"shop\"\nk_anonymity = 10\n[[site]]\nid = \"blog\"\n";

fn ask(collector: &Collector, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    if let Some(bearer) = &bearer {
        headers.push(("authorization", bearer.as_str()));
    }
    request(collector.admin, method, &format!("/v1/stats/{path}"), &headers, body)
}

fn post(collector: &Collector, path: &str, body: &Value) -> Answer {
    ask(collector, "POST", path, None, body.to_string().as_bytes())
}

/// 40 visitors with an event each, now.
fn seed(collector: &Collector) {
    collector.sql(
        "INSERT INTO consentry.events (site, type, ts, visitor, visit, host, path, name, device, channel, retention_days) \
         SELECT 'shop', ['pageview', 'custom'][1 + number % 2], now64(3) - 30, intDiv(number, 2) + 1, intDiv(number, 2) + 1, 'h', \
         '=cmd', if(number % 2 = 1, 'signup', ''), 'desktop', 'Direct', 30 FROM numbers(80)",
    );
}

fn question() -> Value {
    json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d"})
}

#[test]
fn only_whoever_has_a_token_is_answered() {
    let collector = Collector::start_configured(&format!("admin_token = \"right-token\"\n{SITES}"));
    let body = question().to_string();
    for token in [None, Some("wrong"), Some(""), Some("right-toke"), Some("right-token2"), Some("share_0123")]
    {
        for (method, path) in
            [("POST", "query"), ("GET", "sites"), ("GET", "openapi.json"), ("GET", "nothing")]
        {
            let answer = ask(&collector, method, path, token, body.as_bytes());
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{token:?} {path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    // Not in the query string, where it would be written into logs.
    assert_eq!(ask(&collector, "GET", "sites?token=right-token", None, b"").status, 401);
    assert_eq!(ask(&collector, "POST", "query", Some("right-token"), body.as_bytes()).status, 200);
    // Not on the address of beacons.
    assert_eq!(collector.request("POST", "/v1/stats/query", &[], body.as_bytes()).status, 404);
}

#[test]
fn a_link_reads_one_site_until_it_ends() {
    let collector = Collector::start_configured(SITES);
    seed(&collector);
    let made = post(&collector, "shares", &json!({"site": "shop", "expires_in_s": 3, "epsilon": 0.5}));
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    let token = made["token"].as_str().unwrap();
    assert!(made["path"].as_str().unwrap().ends_with(token));
    let answer = ask(&collector, "POST", "query", Some(token), question().to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["meta"]["noise"]["epsilon"], 0.5);
    assert!(
        answer["results"][0]["metrics"][0].as_i64().is_some_and(|visitors| (10..=80).contains(&visitors)),
        "{answer}"
    );
    assert_eq!(answer["completeness"].as_object().unwrap().len(), 2, "exact counts are not told");
    let again = ask(&collector, "POST", "query", Some(token), question().to_string().as_bytes()).json();
    assert_eq!(again["results"], answer["results"], "asking again takes no noise away");
    let other = json!({"site": "blog", "metrics": ["visitors"], "date_range": "7d"}).to_string();
    assert_eq!(ask(&collector, "POST", "query", Some(token), other.as_bytes()).code(), "forbidden");
    for (method, path) in [
        ("GET", "realtime?site=shop"),
        ("GET", "crashes?site=shop"),
        ("POST", "funnel"),
        ("POST", "export"),
        ("POST", "shares"),
    ] {
        assert_eq!(ask(&collector, method, path, Some(token), b"{}").status, 403, "{path}");
    }
    let sites = ask(&collector, "GET", "sites", Some(token), b"").json();
    assert_eq!(sites["sites"].as_array().unwrap().len(), 1);
    assert_eq!(
        request(collector.admin, "GET", "/metrics", &[("authorization", &format!("Bearer {token}x"))], b"")
            .status,
        200,
        "no token is needed here"
    );
    std::thread::sleep(std::time::Duration::from_millis(3200));
    assert_eq!(
        ask(&collector, "POST", "query", Some(token), question().to_string().as_bytes()).status,
        401,
        "ended"
    );

    let made = post(&collector, "shares", &json!({"site": "shop", "expires_in_s": 600})).json();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let answer = ask(&collector, "POST", "query", Some(token), question().to_string().as_bytes()).json();
    assert_eq!((answer["results"][0]["metrics"][0].as_u64(), answer["meta"].get("noise")), (Some(40), None));
    assert_eq!(ask(&collector, "DELETE", &format!("shares/{id}"), None, b"").status, 200);
    assert_eq!(ask(&collector, "POST", "query", Some(token), question().to_string().as_bytes()).status, 401);
}

#[test]
fn sql_in_every_field_is_a_text_or_an_error() {
    let collector = Collector::start_configured(SITES);
    seed(&collector);
    let rows = collector.count("consentry.events");
    let nasty = [
        "'; DROP TABLE consentry.events; --",
        "\\'; SELECT 1 --",
        "') OR 1=1 --",
        "{p0:String}",
        "{x:Identifier}",
        "`; DROP",
        "\u{0}",
        "a\nb\tc\\",
        "1) UNION ALL SELECT * FROM consentry.events --",
        "file('/etc/passwd')",
        "%27%20OR%201",
        "\u{2019} OR 1=1",
        "$$a$$",
    ];
    let dimensions = [
        "event:page",
        "event:name",
        "event:point",
        "event:crash",
        "visit:channel",
        "visit:source",
        "visit:browser_version",
        "visit:entry_page",
        "visit:country",
    ];
    let mut asked = 0;
    for text in nasty {
        let mut bodies = vec![
            json!({"site": text, "metrics": ["visitors"], "date_range": "7d"}),
            json!({"site": "shop", "metrics": [text], "date_range": "7d"}),
            json!({"site": "shop", "metrics": ["visitors"], "date_range": text}),
            json!({"site": "shop", "metrics": ["visitors"], "date_range": [text, text]}),
            json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d", "dimensions": [text]}),
            json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d", "order_by": [[text, "desc"]]}),
            json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d", "order_by": [["visitors", text]]}),
            json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d", "pagination": {"limit": text}}),
            json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d", "include": {"comparisons": {"mode": text}}}),
            json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d", "filters": [[text, "visit:os", ["a"]]]}),
            json!({"site": "shop", "metrics": ["visitors"], "date_range": "7d", "filters": [["is", text, ["a"]]]}),
        ];
        for dimension in dimensions {
            for operator in ["is", "is_not", "contains", "matches"] {
                bodies.push(json!({"site": "shop", "metrics": ["visitors", "pageviews"], "date_range": "7d", "filters": [[operator, dimension, [text]]]}));
            }
        }
        for body in bodies {
            let answer = post(&collector, "query", &body);
            asked += 1;
            match answer.status {
                // Nobody has such a value: nothing, or everybody where it is negated.
                200 => {
                    let results = answer.json()["results"].clone();
                    let all = results == json!([]) || results[0]["metrics"][0] == 40;
                    assert!(all, "{body}: {results}");
                }
                400 | 404 => {
                    assert!(!answer.text().contains(text) || text.len() < 4, "{body}: repeats what was sent")
                }
                status => panic!("{body}: {status} {}", answer.text()),
            }
        }
        for steps in [
            json!([{"page": text}]),
            json!([{"event": text}, {"point": text}]),
            json!([{"page": format!("{text}*")}]),
        ] {
            let answer =
                post(&collector, "funnel", &json!({"site": "shop", "date_range": "7d", "steps": steps}));
            assert!([200, 400].contains(&answer.status), "{steps}: {}", answer.text());
        }
    }
    assert_eq!(collector.count("consentry.events"), rows);
    println!("{asked} questions with SQL in them");
}

#[test]
fn a_file_is_the_answer_and_no_formula() {
    let collector = Collector::start_configured(SITES);
    seed(&collector);
    let mut body = json!({"site": "shop", "metrics": ["visitors", "pageviews"], "date_range": "7d", "dimensions": ["event:page"], "format": "csv"});
    let csv = post(&collector, "export", &body);
    assert_eq!(csv.status, 200, "{}", csv.text());
    assert!(csv.header("content-disposition").unwrap().contains("shop_"));
    let text = unchunked(&csv);
    assert_eq!(text.trim_end(), "\"event:page\",\"visitors\",\"pageviews\"\n\"'=cmd\",40,40");
    body["format"] = "jsonl".into();
    let lines = unchunked(&post(&collector, "export", &body));
    assert_eq!(
        serde_json::from_str::<Value>(lines.trim_end()).unwrap(),
        json!({"event:page": "=cmd", "visitors": 40, "pageviews": 40})
    );
    body["format"] = "parquet".into();
    let parquet = post(&collector, "export", &body);
    assert!(parquet.body.windows(4).any(|window| window == b"PAR1"));
    body["format"] = "xlsx".into();
    assert_eq!(post(&collector, "export", &body).code(), "format_unknown");
    let link = "export?format=csv&query=%7B%22site%22%3A%22shop%22%2C%22metrics%22%3A%5B%22visitors%22%5D%2C%22date_range%22%3A%227d%22%7D";
    assert_eq!(unchunked(&ask(&collector, "GET", link, None, b"")).trim_end(), "\"visitors\"\n40");
}

/// A body that came in pieces.
fn unchunked(answer: &Answer) -> String {
    let (mut rest, mut text) = (answer.body.as_slice(), Vec::new());
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        text.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
        if size == 0 {
            break;
        }
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn the_document_is_what_the_routes_are() {
    let collector = Collector::start_configured(SITES);
    let document = ask(&collector, "GET", "openapi.json", None, b"").json();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path.strip_prefix("/v1/stats/").unwrap().replace("{id}", "0123");
        for method in ["get", "post", "delete"] {
            let answer = ask(&collector, &method.to_uppercase(), &path, None, b"{}");
            match operations.get(method) {
                Some(operation) => {
                    assert!(answer.status != 405, "{method} {path}");
                    let known = operation["responses"].as_object().unwrap();
                    assert!(
                        known.contains_key(&answer.status.to_string()),
                        "{method} {path}: {}",
                        answer.status
                    );
                }
                None => assert_eq!(answer.code(), "method_not_allowed", "{method} {path}"),
            }
        }
    }
    assert_eq!(ask(&collector, "GET", "elsewhere", None, b"").status, 404);
    // Every word of the document is understood.
    seed(&collector);
    let words = |name: &str| document["components"]["schemas"][name]["enum"].as_array().unwrap().clone();
    for dimension in words("Dimension") {
        let body =
            json!({"site": "shop", "metrics": ["visitors"], "date_range": "30d", "dimensions": [dimension]});
        assert_eq!(post(&collector, "query", &body).status, 200, "{body}");
    }
    for metric in words("Metric") {
        let body =
            json!({"site": "shop", "metrics": [metric], "date_range": "30d", "dimensions": ["visit:device"]});
        let answer = post(&collector, "query", &body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    }
    let large = vec![b' '; 70_000];
    assert_eq!(ask(&collector, "POST", "query", None, &large).status, 413);
    assert_eq!(ask(&collector, "POST", "query", None, b"[1").code(), "body_invalid");
}

#[test]
fn the_last_half_hour_crashes_and_funnels() {
    let collector = Collector::start_configured(SITES);
    let quiet = ask(&collector, "GET", "realtime?site=shop", None, b"").json();
    assert_eq!((&quiet["visitors"], quiet["minutes"].as_array().unwrap().len()), (&json!(0), 30));
    seed(&collector);
    let busy = ask(&collector, "GET", "realtime?site=shop", None, b"").json();
    assert_eq!(
        (&busy["visitors"], &busy["pages"][0]),
        (&json!(40), &json!({"page": "=cmd", "visitors": 40}))
    );
    let views: u64 = busy["minutes"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert_eq!(views, 40);
    collector.sql(
        "INSERT INTO consentry.events (site, type, ts, visitor, host, path, retention_days) \
         SELECT 'blog', 'pageview', now64(3) - 30, number, 'h', '/', 30 FROM numbers(9)",
    );
    let few = ask(&collector, "GET", "realtime?site=blog", None, b"").json();
    assert_eq!((&few["visitors"], &few["pages"]), (&Value::Null, &json!([])));
    assert!(few["minutes"].as_array().unwrap().contains(&Value::Null));

    collector.sql(
        "INSERT INTO consentry.events (site, type, ts, visitor, host, path, crash_kind, crash_message, crash_fingerprint, app_version, retention_days) \
         SELECT 'shop', 'crash', now64(3) - 30, number + 1, 'h', '/', 'TypeError', 'x is undefined', multiIf(number < 30, 255, number < 42, 9, 7), '1.0', 30 FROM numbers(48)",
    );
    // Of 30 visitors; of 12, withheld with the one of 6.
    let crashes = ask(&collector, "GET", "crashes?site=shop&date_range=7d", None, b"").json();
    assert_eq!(crashes["crashes"].as_array().unwrap().len(), 1);
    let crash = &crashes["crashes"][0];
    assert_eq!(
        (&crash["kind"], &crash["crashes"], &crash["visitors"]),
        (&json!("TypeError"), &json!(30), &json!(30))
    );
    assert_eq!((&crash["versions"], &crashes["meta"]["withheld"]["groups"]), (&json!(["1.0"]), &json!(2)));

    let funnel = |steps: Value| {
        post(&collector, "funnel", &json!({"site": "shop", "date_range": "7d", "steps": steps})).json()
    };
    let told = funnel(json!([{"page": "=*"}, {"event": "signup"}, {"point": "none"}]));
    assert_eq!(
        (&told["steps"][0]["visits"], &told["steps"][1]["visits"], &told["steps"][2]["visits"]),
        (&json!(40), &json!(40), &json!(0))
    );
    assert_eq!(told["steps"][1]["share_of_first"], 1.0);
}

#[test]
fn a_question_over_the_roles_limits_is_told_what_to_narrow() {
    let collector = Collector::start_configured(SITES);
    seed(&collector);
    // The same error that a year of a large site would meet, on a store of few rows.
    let access = consentry::store::engine::read_access(&collector.data_dir().join("engine")).unwrap();
    let client = consentry::store::embedded_client(&access, consentry::store::Role::Statistics);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let allowed = |sql: &str| runtime.block_on(client.query_raw(sql).execute()).is_ok();
    assert!(allowed("SELECT count() FROM consentry.page_visitors"));
    for sql in [
        "SELECT subject FROM consentry.events",
        "SELECT title FROM consentry.events",
        "SELECT props FROM consentry.events",
        "SELECT crash_stack FROM consentry.events",
        "SELECT * FROM consentry.subject_choices",
        "SELECT count() FROM system.parts",
        "INSERT INTO consentry.ledger VALUES ('x', now(), 'x', 'x', 1)",
        "SELECT 1 SETTINGS max_rows_to_read = 0",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT file('/etc/hostname')",
    ] {
        assert!(!allowed(sql), "{sql}");
    }
    let error = runtime
        .block_on(client.query_raw("SELECT sum(number) FROM numbers(1000000000000)").execute())
        .unwrap_err();
    let problem = consentry::tally::Problem::of_store(&error);
    assert_eq!((problem.status.as_u16(), problem.code), (422, "question_too_large"), "{error}");
    assert!(problem.message.contains("date_range"));
}
