//! Why one event of a body is rejected, in words for whoever sent it.

use std::borrow::Cow;

use crate::accept::SignatureFault;

/// One event's fault. Names fields of the wire, never their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectCode {
    /// Not an object, or on its line not JSON.
    EventInvalid,
    /// Names a site that is not configured here.
    SiteUnknown,
    /// The page's origin may not send to the site.
    OriginForbidden,
    /// `type` is missing or none of the six.
    TypeUnknown,
    /// A field that the event's type needs is missing.
    FieldMissing(&'static str),
    /// A field has a wrong type or is there twice.
    FieldType(&'static str),
    /// A number is outside its range.
    FieldRange(&'static str),
    /// An id or URL is too long.
    FieldTooLong(&'static str),
    /// `url` is missing on a page view, too long, or not http(s).
    UrlInvalid,
    /// `ts` is neither RFC 3339 nor epoch milliseconds.
    TsInvalid,
    /// After correction more than 5 min ahead or more than 72 h old.
    TsOutOfRange,
    /// More custom properties than allowed.
    PropsTooMany,
    /// A page that is not the site's, where the site says which are.
    HostnameUnknown,
    /// Sent by no browser, to a site whose back ends sign.
    Signature(SignatureFault),
}

impl RejectCode {
    /// All words that [`RejectCode::code`] can give.
    pub const CODES: [&'static str; 18] = [
        "event_invalid",
        "site_unknown",
        "origin_forbidden",
        "type_unknown",
        "field_missing",
        "field_type",
        "field_range",
        "field_too_long",
        "url_invalid",
        "ts_invalid",
        "ts_out_of_range",
        "props_too_many",
        "hostname_unknown",
        "signature_missing",
        "signature_invalid",
        "signature_expired",
        "signature_replayed",
        "signatures_too_many",
    ];

    /// The stable word for programs; also the ledger's reason.
    pub fn code(self) -> &'static str {
        match self {
            Self::EventInvalid => "event_invalid",
            Self::SiteUnknown => "site_unknown",
            Self::OriginForbidden => "origin_forbidden",
            Self::TypeUnknown => "type_unknown",
            Self::FieldMissing(_) => "field_missing",
            Self::FieldType(_) => "field_type",
            Self::FieldRange(_) => "field_range",
            Self::FieldTooLong(_) => "field_too_long",
            Self::UrlInvalid => "url_invalid",
            Self::TsInvalid => "ts_invalid",
            Self::TsOutOfRange => "ts_out_of_range",
            Self::PropsTooMany => "props_too_many",
            Self::HostnameUnknown => "hostname_unknown",
            Self::Signature(fault) => match fault {
                SignatureFault::Missing => "signature_missing",
                SignatureFault::Invalid => "signature_invalid",
                SignatureFault::Expired => "signature_expired",
                SignatureFault::Replayed => "signature_replayed",
                SignatureFault::Crowded => "signatures_too_many",
            },
        }
    }

    /// What the caller should change.
    pub fn message(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::EventInvalid => "an event is a JSON object",
            Self::SiteUnknown => "no such site here; set \"site\" to a configured id",
            Self::OriginForbidden => "this origin may not send to the site; add it to the site's origins",
            Self::TypeUnknown => "\"type\" is one of pageview, engagement, click, custom, performance, crash",
            Self::FieldMissing(name) => {
                return Cow::Owned(format!("\"{name}\" is needed for this type of event"));
            }
            Self::FieldType(name) => {
                return Cow::Owned(format!("\"{name}\" has a wrong type or is there twice"));
            }
            Self::FieldRange(name) => return Cow::Owned(format!("\"{name}\" is outside its range")),
            Self::FieldTooLong(name) => return Cow::Owned(format!("\"{name}\" is too long")),
            Self::UrlInvalid => "\"url\" is an absolute http or https URL of at most 4096 bytes",
            Self::TsInvalid => "\"ts\" is RFC 3339 text or milliseconds since 1970",
            Self::TsOutOfRange => {
                "\"ts\" is more than 5 min ahead or 72 h old; send \"sent_at\" to correct a wrong clock"
            }
            Self::PropsTooMany => "at most 64 properties an event",
            Self::HostnameUnknown => "the page's host is none of the site's; add it to the site's hostnames",
            Self::Signature(fault) => match fault {
                SignatureFault::Missing => {
                    "the site's back ends sign: send consentry-signature: t=SECONDS,v1=HEX (HMAC-SHA256 of \"SECONDS.body\")"
                }
                SignatureFault::Invalid => {
                    "the signature is not of this body and a key of the site, or not t=SECONDS,v1=HEX"
                }
                SignatureFault::Expired => {
                    "the signature's time is more than 5 min from ours; sign again, and set the clock"
                }
                SignatureFault::Replayed => "this signature was used before; sign each request anew",
                SignatureFault::Crowded => {
                    "too many signed requests at the moment; send more events in one body"
                }
            },
        })
    }
}
