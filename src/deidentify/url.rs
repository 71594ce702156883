//! A page's address reduced to what analysts may see, and a referrer to its host.
//!
//! Scheme, user name, password, port and fragment are cut. The path is scrubbed segment by segment, session ids
//! and matrix parameters are cut from it. Of the query only the names on the site's allow-list survive; the seven
//! campaign parameters and the mere presence of an advertiser's click id are taken out before.
//!
//! Addresses are read as browsers read them (WHATWG URL). Almost all are plain enough for [`plain`], which only
//! cuts them up; all others go through the `url` crate, and what that refuses is [`UrlInvalid`].
//!
//! `parts` cuts an address up, `scrub` takes identifiers out of the pieces, `query` and `campaign` say which parameters
//! are kept, `internal` which hosts are the site's own; the walk over all of them, and what it gives, stand here.

mod campaign;
mod internal;
mod parts;
mod query;
mod scrub;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use url::Url;

pub use campaign::{ClickId, Utm};
pub use internal::InternalHosts;
pub use query::QueryAllowList;

use parts::{Parts, parse, parts_of, plain, plain_after_host, strip_prefix_ignore_case};
use scrub::{lower_case, owned, scrub_host, scrub_path};

/// Longest path that is kept, in bytes.
pub const PATH_BYTES_MAX: usize = 1024;
/// Most query parameters that are kept.
pub const QUERY_PAIRS_MAX: usize = 32;
/// Longest value of a query or campaign parameter that is kept, in bytes.
pub const QUERY_VALUE_BYTES_MAX: usize = 256;
/// Longest name of a query parameter that is kept, in bytes.
pub const QUERY_NAME_BYTES_MAX: usize = 64;
/// Longest host name, in bytes (RFC 1035 section 2.3.4, in text form).
pub const HOST_BYTES_MAX: usize = 253;

/// What stands for a host that is an IP address.
const HOST_IP: &str = "[ip]";

/// The text is no address of a web page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlInvalid;

impl std::fmt::Display for UrlInvalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not an absolute http or https address")
    }
}

impl std::error::Error for UrlInvalid {}

/// What is kept of a page's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReducedUrl<'a> {
    /// Host in lower case, Unicode names in Punycode, `[ip]` for an address other than loopback.
    pub host: Cow<'a, str>,
    /// Path, still percent-encoded but for redacted segments; at least "/".
    pub path: Cow<'a, str>,
    /// Allowed parameters, decoded and redacted, in their order.
    pub query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Campaign parameters, whether or not the allow-list has them.
    pub utm: Utm<'a>,
    /// Whose click id the address carries.
    pub click_id: Option<ClickId>,
    /// How many identifiers were replaced.
    pub redactions: u16,
}

/// The path of a page's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReducedPath<'a> {
    /// As in [`ReducedUrl`].
    pub path: Cow<'a, str>,
    /// How many identifiers were replaced.
    pub redactions: u16,
}

/// Where a visitor came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referrer<'a> {
    /// From a page of the same site.
    Internal,
    /// From elsewhere.
    External {
        /// Host in lower case, without port and user; the identifier of an Android application.
        host: Cow<'a, str>,
    },
    /// From nowhere that is known.
    None,
}

/// Reduces the absolute address of a page.
///
/// # Errors
/// Where it is no valid http or https address with a host.
pub fn reduce<'a>(url: &'a str, allow: &QueryAllowList) -> Result<ReducedUrl<'a>, UrlInvalid> {
    if let Some(parts) = plain(url) {
        return reduce_parts(parts, allow);
    }
    let url = parse(url)?;
    Ok(reduce_parts(parts_of(&url)?, allow)?.into_owned())
}

impl ReducedUrl<'_> {
    /// The same without a borrow of the address that it was made from.
    pub fn into_owned(self) -> ReducedUrl<'static> {
        ReducedUrl {
            host: owned(self.host),
            path: owned(self.path),
            query: self.query.into_iter().map(|(name, value)| (owned(name), owned(value))).collect(),
            utm: self.utm.into_owned(),
            click_id: self.click_id,
            redactions: self.redactions,
        }
    }
}

/// Reduces an absolute address, or a path from the site's root, to its path.
///
/// # Errors
/// Where it is neither.
pub fn reduce_path(url_or_path: &str) -> Result<ReducedPath<'_>, UrlInvalid> {
    let is_path = url_or_path.starts_with('/') && !matches!(url_or_path.as_bytes(), [_, b'/' | b'\\', ..]);
    let parts = if is_path { plain_after_host("", url_or_path) } else { plain(url_or_path) };
    if let Some(parts) = parts {
        return Ok(scrub_path(parts.path));
    }
    // An address without a scheme takes it from the page; which host it names does not matter here.
    let url = if url_or_path.starts_with(['/', '\\']) {
        Url::parse("https://path.invalid").and_then(|base| base.join(url_or_path)).map_err(|_| UrlInvalid)?
    } else {
        parse(url_or_path)?
    };
    let ReducedPath { path, redactions } = scrub_path(url.path());
    Ok(ReducedPath { path: owned(path), redactions })
}

/// Reduces a referrer to its host, or to [`Referrer::Internal`] where that is `own_host`, which is a host in lower
/// case; a leading "www." makes no difference. What is no address at all counts as none.
pub fn referrer<'a>(url: &'a str, own_host: &str) -> Referrer<'a> {
    let host = if let Some(app) = strip_prefix_ignore_case(url, "android-app://") {
        let id = &app[..app.find(['/', '?', '#', '@', ':']).unwrap_or(app.len())];
        let named =
            id.contains('.') && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
        named.then_some(Cow::Borrowed(id)).map(lower_case).and_then(|id| scrub_host(id).ok())
    } else if let Some(parts) = plain(url) {
        scrub_host(lower_case(Cow::Borrowed(parts.host))).ok()
    } else {
        let host = parse(url).ok().and_then(|url| parts_of(&url).ok().map(|parts| parts.host.to_owned()));
        host.and_then(|host| scrub_host(Cow::Owned(host)).ok())
    };
    let without_www = |host: &str| host.strip_prefix("www.").unwrap_or(host).len();
    match host {
        None => Referrer::None,
        Some((host, _)) => {
            let own = &own_host[own_host.len() - without_www(own_host)..];
            let other = &host[host.len() - without_www(&host)..];
            if other.eq_ignore_ascii_case(own) { Referrer::Internal } else { Referrer::External { host } }
        }
    }
}

fn reduce_parts<'a>(parts: Parts<'a>, allow: &QueryAllowList) -> Result<ReducedUrl<'a>, UrlInvalid> {
    let (host, host_redactions) = scrub_host(lower_case(Cow::Borrowed(parts.host)))?;
    let ReducedPath { path, redactions } = scrub_path(parts.path);
    let redactions = redactions.saturating_add(host_redactions);
    let mut reduced = ReducedUrl { host, path, redactions, ..ReducedUrl::default() };
    reduced.take_query(parts.query, allow);
    Ok(reduced)
}
