//! Every way a request is turned away, with all that the answer and the operator need.

use http::StatusCode;

use super::admit::{Limited, Scope};

/// Who has to change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The sender: the same request will fail again.
    Sender,
    /// The collector, for now: the same request may succeed later.
    Collector,
}

/// A request that was turned away whole. Neither text ever repeats what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No such path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// `Content-Type` is none of ours.
    TypeUnsupported,
    /// `Content-Encoding` is none of ours, or more than one.
    EncodingUnsupported,
    /// The body does not decompress.
    EncodingBroken,
    /// The body is above its limit, before or after decompression.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodySlow,
    /// The connection broke within the body.
    BodyBroken,
    /// The body is not JSON.
    JsonInvalid,
    /// The JSON is neither an event, nor an array of events, nor an envelope.
    ShapeInvalid,
    /// The body holds no event.
    EventsEmpty,
    /// The body holds more events than allowed.
    EventsTooMany,
    /// No event of the body names a site that is configured here.
    SiteUnknown,
    /// The page's origin may not send to the site.
    OriginForbidden,
    /// Too many bodies are in memory.
    Overloaded,
    /// The spool is at its limit.
    SpoolFull,
    /// The disk did not take the events.
    SpoolFailed,
    /// The collector is going down.
    ShuttingDown,
    /// The admin token is missing or wrong.
    Unauthorized,
    /// A subject's request that cannot be read, or whose token is none.
    SubjectInvalid,
    /// Too many requests of subjects, from one network or in all.
    SubjectsTooMany,
    /// The store is away, and the request needs it.
    StoreAway,
    /// More requests than a network, a site or everybody together may send.
    Limited(Limited),
}

impl Refusal {
    /// All of them, for metrics that show a zero before the first.
    pub const ALL: [Self; 25] = [
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TypeUnsupported,
        Self::EncodingUnsupported,
        Self::EncodingBroken,
        Self::BodyTooLarge,
        Self::BodySlow,
        Self::BodyBroken,
        Self::JsonInvalid,
        Self::ShapeInvalid,
        Self::EventsEmpty,
        Self::EventsTooMany,
        Self::SiteUnknown,
        Self::OriginForbidden,
        Self::Overloaded,
        Self::SpoolFull,
        Self::SpoolFailed,
        Self::ShuttingDown,
        Self::Unauthorized,
        Self::SubjectInvalid,
        Self::SubjectsTooMany,
        Self::StoreAway,
        Self::Limited(Limited::of(Scope::Network)),
        Self::Limited(Limited::of(Scope::Site)),
        Self::Limited(Limited::of(Scope::All)),
    ];

    /// The stable word for programs: in the answer's body and as a metric label.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TypeUnsupported => "content_type_unsupported",
            Self::EncodingUnsupported => "content_encoding_unsupported",
            Self::EncodingBroken => "content_encoding_broken",
            Self::BodyTooLarge => "body_too_large",
            Self::BodySlow => "body_slow",
            Self::BodyBroken => "body_broken",
            Self::JsonInvalid => "json_invalid",
            Self::ShapeInvalid => "shape_invalid",
            Self::EventsEmpty => "events_empty",
            Self::EventsTooMany => "events_too_many",
            Self::SiteUnknown => "site_unknown",
            Self::OriginForbidden => "origin_forbidden",
            Self::Overloaded => "overloaded",
            Self::SpoolFull => "spool_full",
            Self::SpoolFailed => "spool_failed",
            Self::ShuttingDown => "shutting_down",
            Self::Unauthorized => "unauthorized",
            Self::SubjectInvalid => "subject_invalid",
            Self::SubjectsTooMany => "subjects_too_many",
            Self::StoreAway => "store_away",
            Self::Limited(limited) => match limited.scope {
                Scope::Network => "network_limited",
                Scope::Site => "site_limited",
                Scope::All => "limited",
            },
        }
    }

    /// The answer's status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TypeUnsupported | Self::EncodingUnsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge | Self::EventsTooMany => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodySlow => StatusCode::REQUEST_TIMEOUT,
            Self::EncodingBroken
            | Self::BodyBroken
            | Self::JsonInvalid
            | Self::ShapeInvalid
            | Self::SubjectInvalid
            | Self::EventsEmpty => StatusCode::BAD_REQUEST,
            Self::SiteUnknown | Self::OriginForbidden => StatusCode::FORBIDDEN,
            Self::SubjectsTooMany | Self::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded | Self::SpoolFull | Self::SpoolFailed | Self::ShuttingDown | Self::StoreAway => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
        }
    }

    /// What the caller should change, in one sentence.
    pub fn message(self) -> &'static str {
        match self {
            Self::NotFound => "no such path; events go to POST /v1/events",
            Self::MethodNotAllowed => "this path does not take that method; see the Allow header",
            Self::TypeUnsupported => "send application/json, text/plain or application/x-ndjson",
            Self::EncodingUnsupported => "send one Content-Encoding of identity, gzip, deflate, br or zstd",
            Self::EncodingBroken => "the body does not decompress as its Content-Encoding says",
            Self::BodyTooLarge => {
                "the body is too large, as sent or after decompression; send fewer events at once"
            }
            Self::BodySlow => "the body took too long to arrive; send it again",
            Self::BodyBroken => "the body ended early; send it again",
            Self::JsonInvalid => "the body is not valid JSON in UTF-8",
            Self::ShapeInvalid => "send an event, an array of events, or an envelope with \"events\"",
            Self::EventsEmpty => "the body holds no event",
            Self::EventsTooMany => "too many events in one body; send fewer at once",
            Self::SiteUnknown => "no such site here; set \"site\" to a configured id",
            Self::OriginForbidden => "this origin may not send to the site; add it to the site's origins",
            Self::Overloaded => "too much is being received at the moment; retry later",
            Self::SpoolFull => "the spool is full; retry later",
            Self::SpoolFailed => "the events could not be made durable; retry later",
            Self::ShuttingDown => "the collector is shutting down; retry later",
            Self::Unauthorized => "send the admin token as Authorization: Bearer",
            Self::SubjectInvalid => {
                "send {\"token\":\"...\"} with the token that the browser keeps, and \"site\", \"format\" or \"lift\" if you like"
            }
            Self::SubjectsTooMany => "too many requests from this network; retry later",
            Self::StoreAway => "the database is away; retry later",
            Self::Limited(limited) => match limited.scope {
                Scope::Network => {
                    "too many requests from this network; send more events in one body, or retry later"
                }
                Scope::Site => "too many requests to this site; send more events in one body, or retry later",
                Scope::All => "too many requests at the moment; retry later",
            },
        }
    }

    /// Seconds after which to try again, where that can help.
    pub fn retry_after_s(self) -> Option<u32> {
        match self {
            Self::Overloaded | Self::ShuttingDown => Some(1),
            Self::SpoolFull | Self::SpoolFailed | Self::StoreAway => Some(10),
            Self::SubjectsTooMany => Some(60),
            Self::Limited(limited) => Some(limited.wait_s),
            _ => None,
        }
    }

    /// Who has to change something.
    pub fn fault(self) -> Fault {
        match self.status().is_server_error() {
            true => Fault::Collector,
            false => Fault::Sender,
        }
    }
}
