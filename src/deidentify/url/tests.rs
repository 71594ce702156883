//! The edges of reducing addresses and referrers, and the plain cut against the WHATWG parser.

use super::scrub::decode;
use super::*;
use proptest::prelude::*;

fn list(patterns: &[&str]) -> QueryAllowList {
    QueryAllowList::new(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn reduced(url: &str) -> ReducedUrl<'_> {
    reduce(url, &list(&["utm_*", "ref"])).unwrap_or_else(|_| panic!("refused {url:?}"))
}

fn host_and_path(url: &str) -> (String, String) {
    let reduced = reduced(url);
    (reduced.host.into_owned(), reduced.path.into_owned())
}

fn gives(url: &str, host: &str, path: &str) {
    assert_eq!(host_and_path(url), (host.to_owned(), path.to_owned()), "{url:?}");
}

fn refused(url: &str) {
    assert_eq!(reduce(url, &list(&["*"])).err(), Some(UrlInvalid), "{url:?}");
}

#[test]
fn ordinary_address_borrows() {
    let reduced = reduced("https://shop.example/p/12345?color=red#reviews");
    assert!(matches!(
        (&reduced.host, &reduced.path),
        (Cow::Borrowed("shop.example"), Cow::Borrowed("/p/12345"))
    ));
    assert!(reduced.query.is_empty());
    assert_eq!(reduced.redactions, 0);
}

#[test]
fn scheme_user_port_and_fragment_are_cut() {
    gives("HTTPS://user:secret@Shop.Example:8443/a#b", "shop.example", "/a");
    gives("http://www.shop.example:80", "www.shop.example", "/");
    gives("https://shop.example:/a", "shop.example", "/a");
    gives("https://shop.example?x=/y", "shop.example", "/");
    gives("https://shop.example.:443/a", "shop.example", "/a");
}

#[test]
fn user_name_cannot_pose_as_host() {
    gives("https://good.example@evil.example/", "evil.example", "/");
    gives("https://good.example%2F@evil.example/", "evil.example", "/");
    gives("https://evil.example\\@good.example/", "evil.example", "/@good.example/");
    gives("https:/\\evil.example\\a", "evil.example", "/a");
}

#[test]
fn international_host_becomes_punycode() {
    gives("https://bücher.example/", "xn--bcher-kva.example", "/");
    gives("https://BÜCHER.example/", "xn--bcher-kva.example", "/");
    gives("https://xn--bcher-kva.example/", "xn--bcher-kva.example", "/");
    refused("https://xn--a.example\u{0}/");
}

#[test]
fn whitespace_and_controls_inside_vanish() {
    gives(" https://shop.example/a\tb\nc ", "shop.example", "/abc");
    gives("https://shop.exa\nmple/", "shop.example", "/");
    refused("https://shop\0.example/");
}

#[test]
fn not_a_web_page() {
    for url in [
        "",
        "shop.example/a",
        "//shop.example/a",
        "/a",
        "ftp://shop.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "https://",
        "https:///",
        "https://?a",
        "https://:443/",
        "https://shop.example:99999/",
        "https://shop.example:8o/",
        "https://shop .example/",
        "https://[::1/",
        "https://1.2.3.4.5.6/",
        "https://.",
        "about:blank",
    ] {
        refused(url);
    }
    refused(&format!("https://{}.example/", "a".repeat(300)));
}

#[test]
fn host_that_is_an_address() {
    for url in [
        "https://203.0.113.9/a",
        "https://3405803785/a",
        "https://0xcb.0x0.0x71.0x9/a",
        "https://[2001:db8::1]:8443/a",
        "https://[::ffff:203.0.113.9]/a",
        "https://192.168.1.10/a",
    ] {
        let reduced = reduced(url);
        assert_eq!((&*reduced.host, &*reduced.path, reduced.redactions), ("[ip]", "/a", 1), "{url}");
    }
}

#[test]
fn loopback_stays() {
    gives("http://localhost:3000/a", "localhost", "/a");
    gives("http://127.0.0.1:3000/a", "127.0.0.1", "/a");
    gives("http://[::1]:3000/a", "[::1]", "/a");
}

#[test]
fn numbers_before_the_domain_go() {
    gives("https://u1234567.ct.mailer.example/", "[id].ct.mailer.example", "/");
    gives("https://12345678.example/", "12345678.example", "/");
}

#[test]
fn path_segments_are_redacted_decoded() {
    gives("https://a.example/u/john%40example.com/edit", "a.example", "/u/[email]/edit");
    gives("https://a.example/u/john@example.com", "a.example", "/u/[email]");
    gives("https://a.example/t/%2B34%20612%20345%20678", "a.example", "/t/[phone]");
    gives("https://a.example/ip/203.0.113.9", "a.example", "/ip/[ip]");
    gives("https://a.example/o/1234567", "a.example", "/o/[number]");
    gives("https://a.example/x/a%2Fb%20john%40example.com", "a.example", "/x/a%2Fb%20[email]");
    gives("https://a.example/%6A%6F%68%6E%40%65%2e%63%6F", "a.example", "/[email]");
}

#[test]
fn ordinary_paths_stay() {
    gives("https://a.example/p/12345/678", "a.example", "/p/12345/678");
    gives("https://a.example/2026/11/23/news", "a.example", "/2026/11/23/news");
    gives("https://a.example/caf%C3%A9/%20x", "a.example", "/caf%C3%A9/%20x");
    gives("https://a.example/café", "a.example", "/caf%C3%A9");
    gives("https://a.example//a//", "a.example", "//a//");
}

#[test]
fn dot_segments_are_resolved() {
    gives("https://a.example/a/../b/./c", "a.example", "/b/c");
    gives("https://a.example/a/%2e%2E/b", "a.example", "/b");
    gives("https://a.example/.well-known/x", "a.example", "/.well-known/x");
}

#[test]
fn session_ids_and_matrix_parameters_are_cut() {
    gives("https://a.example/cart;jsessionid=0A1B2C3D?x=1", "a.example", "/cart");
    gives("https://a.example/cart;v=1/item;sid=9", "a.example", "/cart/item");
    gives("https://a.example/cart%3Bjsessionid=0A1B", "a.example", "/cart");
}

#[test]
fn path_is_cut_at_its_limit() {
    let at_limit = format!("/{}", "a".repeat(PATH_BYTES_MAX - 1));
    gives(&format!("https://a.example{at_limit}"), "a.example", &at_limit);
    gives(&format!("https://a.example{at_limit}b"), "a.example", &at_limit);
    let encoded = format!("https://a.example/{}%C3%A9", "a".repeat(PATH_BYTES_MAX - 3));
    assert_eq!(reduced(&encoded).path.len(), PATH_BYTES_MAX - 2);
}

#[test]
fn query_keeps_what_is_allowed() {
    let url = "https://a.example/?ref=x+y%21&secret=1&Ref=2&utm_source=n%C3%A9ws&utm_id=7&r%65f=z&ref=%FF";
    let query = reduced(url).query;
    let want = [("ref", "x y!"), ("utm_source", "néws"), ("utm_id", "7"), ("ref", "z"), ("ref", "\u{FFFD}")];
    assert_eq!(query, want.map(|(name, value)| (name.into(), value.into())));
}

#[test]
fn query_is_redacted() {
    let reduced =
        reduced("https://a.example/?ref=john%40example.com&utm_4111111111111111=a&utm_term=%2B34612345678");
    assert_eq!(reduced.query[0].1, "[email]");
    assert_eq!(reduced.query[1].0, "utm_[card]");
    assert_eq!(reduced.utm.term.as_deref(), Some("[phone]"));
    assert_eq!(reduced.redactions, 3);
}

#[test]
fn query_is_bounded() {
    let many = format!("https://a.example/?{}", "ref=1&".repeat(QUERY_PAIRS_MAX + 1));
    assert_eq!(reduced(&many).query.len(), QUERY_PAIRS_MAX);
    let long = format!("https://a.example/?ref={}", "é".repeat(QUERY_VALUE_BYTES_MAX));
    assert_eq!(reduced(&long).query[0].1.len(), QUERY_VALUE_BYTES_MAX);
    // Cut after redaction: no half of an address is left at the edge.
    let edge =
        format!("https://a.example/?ref={}john@example.com", "a+".repeat(QUERY_VALUE_BYTES_MAX / 2 - 3));
    assert!(!reduced(&edge).query[0].1.contains("john"));
}

#[test]
fn campaign_is_taken_whether_or_not_it_is_allowed() {
    let url = "https://a.example/?utm_source=&utm_source=news&utm_source=b&utm_medium=e-mail&utm_campaign=spring+sale\
               &utm_content=c&utm_term=t&utm_channel=ch&utm_type=ty";
    let reduced = reduce(url, &QueryAllowList::default()).unwrap();
    assert!(reduced.query.is_empty());
    let utm = reduced.utm;
    assert_eq!(utm.source.as_deref(), Some("news"));
    assert_eq!(utm.medium.as_deref(), Some("e-mail"));
    assert_eq!(utm.campaign.as_deref(), Some("spring sale"));
    assert_eq!(utm.content.as_deref(), Some("c"));
    assert_eq!(utm.term.as_deref(), Some("t"));
    assert_eq!(utm.channel.as_deref(), Some("ch"));
    assert_eq!(utm.kind.as_deref(), Some("ty"));
}

#[test]
fn click_id_is_seen_and_never_kept() {
    let reduced = reduce("https://a.example/?fbclid=&gclid=Cj0KCQ&msclkid=2", &list(&["*"])).unwrap();
    assert_eq!(reduced.click_id, Some(ClickId::GoogleAds));
    assert!(reduced.query.is_empty());
}

#[test]
fn allow_list_patterns() {
    let list = list(&["utm_*", "ref", "a*b"]);
    assert!(list.allows("utm_x") && list.allows("utm_") && list.allows("ref") && list.allows("a*b"));
    assert!(!list.allows("ref2") && !list.allows("Ref") && !list.allows("xutm_x") && !list.allows("aXb"));
    assert!(!QueryAllowList::default().allows(""));
}

#[test]
fn previous_page_is_a_path() {
    let path = |text| reduce_path(text).map(|reduced| reduced.path.into_owned());
    assert_eq!(path("/a/john@example.com?x=1#y").as_deref(), Ok("/a/[email]"));
    assert_eq!(path("https://shop.example/a;s=1?b").as_deref(), Ok("/a"));
    assert_eq!(path("/a/../b c").as_deref(), Ok("/b%20c"));
    assert_eq!(path("//shop.example/a").as_deref(), Ok("/a"));
    assert_eq!(path("/").as_deref(), Ok("/"));
    assert_eq!(path("/?q").as_deref(), Ok("/"));
    assert_eq!(path(""), Err(UrlInvalid));
    assert_eq!(path("a/b"), Err(UrlInvalid));
    assert_eq!(path("mailto:john@example.com"), Err(UrlInvalid));
}

#[test]
fn referrer_is_reduced_to_its_host() {
    let external = |host: &'static str| Referrer::External { host: host.into() };
    assert_eq!(referrer("https://www.Google.com/search?q=x", "shop.example"), external("www.google.com"));
    assert_eq!(referrer("https://u:p@t.co:443/abc", "shop.example"), external("t.co"));
    assert_eq!(
        referrer("android-app://com.google.android.gm/", "shop.example"),
        external("com.google.android.gm")
    );
    assert_eq!(referrer("https://203.0.113.9/x", "shop.example"), external("[ip]"));
    assert_eq!(
        referrer("https://shop.example.evil.example/", "shop.example"),
        external("shop.example.evil.example")
    );
    assert_eq!(referrer("https://shop.example/a", "shop.example"), Referrer::Internal);
    assert_eq!(referrer("https://www.shop.example/a", "shop.example"), Referrer::Internal);
    assert_eq!(referrer("https://shop.example/a", "www.shop.example"), Referrer::Internal);
    for nothing in
        ["", "about:blank", "google.com", "android-app://", "android-app://a b/", "data:,x", "https://"]
    {
        assert_eq!(referrer(nothing, "shop.example"), Referrer::None, "{nothing}");
    }
}

/// What the `url` crate makes of it, for comparison.
fn by_the_crate(url: &str) -> Option<(String, String)> {
    let url = Url::parse(url).ok()?;
    Some((url.host_str()?.to_owned(), url.path().to_owned()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn fast_path_agrees_with_the_url_crate(
        scheme in "(https?|HTTPS)",
        host in "([a-z0-9A-Z_-]{0,6}\\.){0,3}([a-zA-Z0-9_-]{0,5}|0x[0-9a-f]{1,3}|xn--[a-z]{1,4})",
        port in "(:[0-9]{0,6})?",
        rest in "([/?#][-a-zA-Z0-9._~!$&'()*+,;=:@%/?#\\\\\\^|{}\"<>`\\[\\] é]{0,20}|/(\\.|%2e|a|/){0,6})?",
    ) {
        let url = format!("{scheme}://{host}{port}{rest}");
        if let Some(parts) = plain(&url) {
            let path = if parts.path.is_empty() { "/" } else { parts.path };
            prop_assert_eq!(Some((parts.host.to_ascii_lowercase(), path.to_owned())), by_the_crate(&url));
        }
    }

    #[test]
    fn form_decoding_agrees_with_the_url_crate(value in "([a-z+%=é]|%[0-9a-fA-F]{2}){0,20}") {
        let query = format!("k={value}");
        let want = url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, value)| value.into_owned());
        prop_assert_eq!(Some(decode(&value, true).into_owned()), want);
    }

    #[test]
    fn nothing_panics_and_limits_hold(url in "(https?:[/\\\\]{0,3})?.{0,200}", own in ".{0,20}") {
        if let Ok(reduced) = reduce(&url, &list(&["*"])) {
            prop_assert!(!reduced.host.is_empty() && reduced.host.len() <= HOST_BYTES_MAX + 8);
            prop_assert!(reduced.path.starts_with('/') && reduced.path.len() <= PATH_BYTES_MAX);
            prop_assert!(reduced.query.len() <= QUERY_PAIRS_MAX);
        }
        let _ = reduce_path(&url);
        let _ = referrer(&url, &own);
    }

    #[test]
    fn no_email_survives_in_any_part(local in "[a-z0-9.]{0,8}[a-z0-9]", encoded in any::<bool>()) {
        let sign = if encoded { "%40" } else { "@" };
        let email = format!("{local}{sign}mail.example");
        let url = format!("https://shop.example/{email}/x?a={email}&utm_source={email}&{email}#{email}");
        let text = format!("{:?}", reduce(&url, &list(&["*"])));
        prop_assert!(!text.contains("mail.example"), "{}", text);
    }
}
