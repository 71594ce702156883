//! `GET /v1/pixel.gif?...`: one page view for pages without script.

use std::borrow::Cow;

use super::field::{Field, Leaf};
use super::said::{Choice, WireConsent};
use super::time::Time;
use super::wire::Root;

/// A transparent GIF of 1 x 1 pixel.
pub const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// Reads the query: `site`, `url` (else the `Referer`), `referrer` or `ref`, `title`, `id`, `ts`, and consent as
/// `c=1`, `c=0` or `analytics_storage=granted|denied`.
pub(super) fn read<'a>(query: &'a str, referer: Option<&'a str>) -> Root<'a> {
    let mut root = Root::default();
    let event = &mut root.own;
    event.kind.set(Field::Value(Cow::Borrowed("pageview")));
    let mut consent: Option<WireConsent<'_>> = None;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let choice = match name.as_ref() {
            "site" => {
                event.site.set(Field::Value(value));
                continue;
            }
            "url" => {
                event.url.set(Field::Value(value));
                continue;
            }
            "referrer" | "ref" => {
                event.referrer.set(Field::Value(value));
                continue;
            }
            "title" => {
                event.title.set(Field::Value(value));
                continue;
            }
            "id" => {
                event.id.set(Field::Value(value));
                continue;
            }
            "ts" => {
                let time = value.parse().ok().map(Time).or_else(|| Time::from_owned(value.into_owned()));
                event.ts.set(time.map_or(Field::Wrong, Field::Value));
                continue;
            }
            "c" => match value.as_ref() {
                "1" => Choice::Granted,
                "0" => Choice::Denied,
                _ => Choice::Malformed,
            },
            "analytics_storage" => Choice::from_owned(value.into_owned()).unwrap_or(Choice::Malformed),
            _ => continue,
        };
        consent.get_or_insert_default().add(choice);
    }
    if let Some(consent) = consent {
        event.consent.set(Field::Value(consent));
    }
    if event.url.is_absent()
        && let Some(page) = referer
    {
        event.url.set(Field::Value(Cow::Borrowed(page)));
    }
    root
}
