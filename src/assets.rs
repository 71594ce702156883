//! The files that browsers load: the tracker, the demo page and the dashboard, built from `web/` when the program is.

use std::io::Write;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use crate::payload::Payload as Full;
use crate::routes::Reply;

const TRACKER: &str = include_str!(concat!(env!("OUT_DIR"), "/consentry.js"));
const MANAGERS: &str = include_str!(concat!(env!("OUT_DIR"), "/consentry-managers.js"));
const DEMO_HTML: &str = include_str!(concat!(env!("OUT_DIR"), "/demo.html"));
const DEMO_JS: &str = include_str!(concat!(env!("OUT_DIR"), "/demo.js"));
const DEMO_CSS: &str = include_str!(concat!(env!("OUT_DIR"), "/demo.css"));
const DASHBOARD_HTML: &str = include_str!(concat!(env!("OUT_DIR"), "/dashboard.html"));
const DASHBOARD_JS: &str = include_str!(concat!(env!("OUT_DIR"), "/dashboard.js"));
const DASHBOARD_CSS: &str = include_str!(concat!(env!("OUT_DIR"), "/dashboard.css"));

/// Where the admin address has the dashboard.
pub const DASHBOARD_PATH: &str = "/dashboard";

/// A page of ours loads from us alone.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The same for the dashboard, whose script also promises to make no markup out of text (w3c/trusted-types).
const DASHBOARD_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Who loads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Pages of any origin, such as the tracker.
    AnyPage,
    /// A browser, as the page itself.
    Page,
    /// The dashboard, on the admin address: nobody else.
    Dashboard,
}

#[derive(Debug)]
struct Asset {
    content_type: &'static str,
    used: Use,
    /// How long a browser may use its copy without asking, in seconds.
    fresh_s: u32,
    tag: HeaderValue,
    plain: Bytes,
    gzip: Bytes,
}

/// All files, each also compressed once at the start.
#[derive(Debug)]
pub struct Assets {
    tracker: Asset,
    /// What the tracker loads where a page names its consent manager.
    managers: Asset,
    /// Only where there is a site `demo`.
    demo: Option<[Asset; 3]>,
    /// Page, script and styles; they hold no figures, those come from the statistics API.
    dashboard: [Asset; 3],
}

impl Asset {
    fn new(content_type: &'static str, used: Use, fresh_s: u32, text: &'static str) -> Self {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let gzip = writer.write_all(text.as_bytes()).and_then(|()| writer.finish()).unwrap_or_default();
        let tag = format!("\"{}\"", &blake3::hash(text.as_bytes()).to_hex()[..16]);
        Self {
            content_type,
            used,
            fresh_s,
            tag: HeaderValue::try_from(tag).expect("hex digits in quotes are a header value"),
            plain: Bytes::from_static(text.as_bytes()),
            gzip: Bytes::from(gzip),
        }
    }

    fn reply(&self, headers: &HeaderMap) -> Reply {
        let mut reply = Response::new(Full::default());
        let own = reply.headers_mut();
        own.insert(header::ETAG, self.tag.clone());
        own.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        own.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.used == Use::Dashboard {
            own.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
            own.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
            own.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
            own.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DASHBOARD_POLICY));
            own.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        } else {
            // Pages of other origins load the tracker.
            own.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
            own.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            if let Ok(value) = HeaderValue::try_from(format!("public, max-age={}", self.fresh_s)) {
                own.insert(header::CACHE_CONTROL, value);
            }
        }
        if self.used == Use::Page {
            own.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
            own.insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin"));
        }
        if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag == self.tag) {
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
            return reply;
        }
        own.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let accepted =
            headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let gzip =
            !self.gzip.is_empty() && accepted.split(',').any(|coding| coding.trim().starts_with("gzip"));
        if gzip {
            own.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        *reply.body_mut() = Full::new(if gzip { self.gzip.clone() } else { self.plain.clone() });
        reply
    }
}

const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

impl Assets {
    /// Prepares the files; `demo`: whether there is a site for the demo page.
    pub fn new(demo: bool) -> Self {
        Self {
            tracker: Asset::new(JS, Use::AnyPage, 3600, TRACKER),
            managers: Asset::new(JS, Use::AnyPage, 3600, MANAGERS),
            demo: demo.then(|| {
                [
                    Asset::new(HTML, Use::Page, 0, DEMO_HTML),
                    Asset::new(JS, Use::AnyPage, 0, DEMO_JS),
                    Asset::new(CSS, Use::AnyPage, 0, DEMO_CSS),
                ]
            }),
            dashboard: [
                Asset::new(HTML, Use::Dashboard, 0, DASHBOARD_HTML),
                Asset::new(JS, Use::Dashboard, 0, DASHBOARD_JS),
                Asset::new(CSS, Use::Dashboard, 0, DASHBOARD_CSS),
            ],
        }
    }

    fn find(&self, path: &str) -> Option<&Asset> {
        let [page, script, style] = match (&self.demo, path) {
            (_, "/js/consentry.js") => return Some(&self.tracker),
            (_, "/js/consentry-managers.js") => return Some(&self.managers),
            (Some(demo), _) => demo,
            (None, _) => return None,
        };
        match path {
            // The demo page shows navigation within one page: its second address is the same page.
            "/demo" | "/demo/" | "/demo/tour" => Some(page),
            "/demo/demo.js" => Some(script),
            "/demo/demo.css" => Some(style),
            _ => None,
        }
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// The file, as the headers want it.
    pub fn get(&self, path: &str, headers: &HeaderMap) -> Option<Reply> {
        self.find(path).map(|asset| asset.reply(headers))
    }

    /// A file of the dashboard, as the headers want it; `path` begins with [`DASHBOARD_PATH`].
    pub fn dashboard(&self, path: &str, headers: &HeaderMap) -> Option<Reply> {
        let [page, script, style] = &self.dashboard;
        let asset = match path.strip_prefix(DASHBOARD_PATH)? {
            "" | "/" => page,
            "/dashboard.js" => script,
            "/dashboard.css" => style,
            _ => return None,
        };
        Some(asset.reply(headers))
    }
}
