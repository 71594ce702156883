//! Fourth room: identifiers end here. ConsentedEvent -> [`ScrubbedEvent`] -> [`PseudonymousEvent`].
//!
//! Invariant: behind this room there is no address, no event, visit or subject id as sent, no query parameter that
//! the site did not name, no path or text that has not been through the detectors. The User-Agent goes one door
//! further, as an opaque borrow of the request: `enrich` makes a family and a version of it.

pub mod detect;
mod locked;
pub(crate) mod network;
mod pseudonym;
mod salt;
mod subject;
pub mod url;

use std::borrow::Cow;

pub use locked::{Locked, forbid_core_dumps};
pub use network::{Country, Networks, NetworksError, Place};
pub use pseudonym::Pseudonymiser;
pub use salt::{
    Broken, Event as SaltEvent, Keys, Reason, Receipt, SaltError, SaltStore, Salts, SiteKey, read_receipts,
    verify,
};
pub use subject::{SubjectKeys, TOKEN_BYTES_MAX, TOKEN_BYTES_MIN, Token};

use crate::accept::{ClientAddress, Sender};
use crate::beacon::{
    Around, Crash, Event, Identifying, Kind, NAME_BYTES_MAX, PROP_NAME_BYTES_MAX, RejectCode,
    STACK_BYTES_MAX, Size, TEXT_BYTES_MAX, Time, Timed, Utm, Vitals,
};
use crate::consent::{ConsentedEvent, Grant};
use crate::site::Site;
use detect::{Redacted, redact_field, redact_line, redact_lines};
use url::{ClickId, ReducedUrl, Referrer};

/// What is left of an event's words and numbers.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Content<'a> {
    pub host: Cow<'a, str>,
    pub path: Cow<'a, str>,
    pub query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub prev_path: Cow<'a, str>,
    pub referrer_host: Cow<'a, str>,
    pub click_id: Option<ClickId>,
    pub utm: Utm<'a>,
    pub title: Cow<'a, str>,
    pub page_id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub point: Cow<'a, str>,
    pub props: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub language: Cow<'a, str>,
    pub timezone: Cow<'a, str>,
    pub connection: Cow<'a, str>,
    pub app_version: Cow<'a, str>,
    pub sdk: Cow<'a, str>,
    pub crash_kind: Cow<'a, str>,
    pub crash_message: Cow<'a, str>,
    pub crash_stack: Cow<'a, str>,
    pub crash_source: Cow<'a, str>,
    /// How many places were replaced by `[kind]`.
    pub redactions: u16,
}

/// The numbers of an event, which identify nobody.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Measures {
    pub kind: Kind,
    pub ts_ms: i64,
    pub screen: Size,
    pub viewport: Size,
    pub engaged_ms: u32,
    pub scroll_pct: u8,
    pub vitals: Vitals,
}

/// What still identifies, until it is hashed.
struct Raw<'a> {
    client: ClientAddress,
    sender: Sender<'a>,
    event_id: Option<Identifying<'a>>,
    visit_id: Option<Identifying<'a>>,
    visit_started_at: Option<Time>,
    subject: Option<Identifying<'a>>,
    skew_ms: i64,
    received_at_ms: i64,
}

/// An event whose words have been through the detectors. Made by [`scrub`] alone.
pub struct ScrubbedEvent<'a> {
    site: &'a Site,
    grant: Grant,
    measures: Measures,
    content: Content<'a>,
    place: Place,
    raw: Raw<'a>,
}

impl ScrubbedEvent<'_> {
    /// Notes what may be known of the network that the event came from, while its address is still at hand.
    pub fn locate(&mut self, networks: &Networks) {
        self.place = networks.place(self.raw.client.expose());
    }
}

impl std::fmt::Debug for ScrubbedEvent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScrubbedEvent").finish_non_exhaustive()
    }
}

/// Counts what it replaces.
struct Scrubber {
    redactions: u16,
}

impl Scrubber {
    /// One line of text: control characters out, identifiers out, then cut, in this order.
    fn line<'a>(&mut self, text: Cow<'a, str>, kept_bytes_max: usize) -> Cow<'a, str> {
        self.text(text, kept_bytes_max, redact_line)
    }

    /// A property: its value is gone where its name says that it identifies, else a line of text.
    fn prop<'a>(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) -> (Cow<'a, str>, Cow<'a, str>) {
        let value = match redact_field(&name, &value) {
            Some(kind) => {
                self.redactions = self.redactions.saturating_add(1);
                Cow::Borrowed(kind)
            }
            None => self.line(value, TEXT_BYTES_MAX),
        };
        (self.line(name, PROP_NAME_BYTES_MAX), value)
    }

    /// Text of several lines.
    fn lines<'a>(&mut self, text: Cow<'a, str>, kept_bytes_max: usize) -> Cow<'a, str> {
        self.text(text, kept_bytes_max, redact_lines)
    }

    fn text<'a>(
        &mut self,
        text: Cow<'a, str>,
        kept_bytes_max: usize,
        redact: fn(&str) -> Redacted<'_>,
    ) -> Cow<'a, str> {
        match text {
            Cow::Borrowed("") => text,
            Cow::Borrowed(text) => self.take(redact(text), kept_bytes_max),
            Cow::Owned(text) => Cow::Owned(self.take(redact(&text), kept_bytes_max).into_owned()),
        }
    }

    fn take<'a>(&mut self, redacted: Redacted<'a>, kept_bytes_max: usize) -> Cow<'a, str> {
        self.redactions = self.redactions.saturating_add(redacted.count);
        match redacted.text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..text.floor_char_boundary(kept_bytes_max)]),
            Cow::Owned(mut text) => {
                text.truncate(text.floor_char_boundary(kept_bytes_max));
                Cow::Owned(text)
            }
        }
    }

    /// The path of a URL; empty where it is none.
    fn path(&mut self, location: &Identifying<'_>) -> Cow<'static, str> {
        let Ok(reduced) = url::reduce_path(location.expose()) else { return Cow::Borrowed("") };
        self.redactions = self.redactions.saturating_add(reduced.redactions);
        Cow::Owned(reduced.path.into_owned())
    }

    fn option<'a>(&mut self, text: Option<Cow<'a, str>>) -> Option<Cow<'a, str>> {
        text.map(|text| self.line(text, NAME_BYTES_MAX))
    }
}

/// Reduces URLs and redacts every free text. An event whose URL is none is rejected.
pub fn scrub(consented: ConsentedEvent<'_>) -> Result<ScrubbedEvent<'_>, RejectCode> {
    let (Timed { event, ts_ms, skew_ms }, Around { site, submission, sender }, grant) =
        consented.into_parts();
    let event = *event;
    let Event { kind, screen, viewport, engaged_ms, scroll_pct, vitals, .. } = event;
    let measures = Measures { kind, ts_ms, screen, viewport, engaged_ms, scroll_pct, vitals };
    let raw = Raw {
        client: submission.client(),
        sender,
        event_id: event.id,
        visit_id: event.visit_id,
        visit_started_at: event.visit_started_at,
        subject: event.subject,
        skew_ms,
        received_at_ms: submission.received_at_ms(),
    };
    let mut scrubber = Scrubber { redactions: 0 };
    let mut content = Content {
        title: scrubber.line(event.title, TEXT_BYTES_MAX),
        page_id: scrubber.line(event.page_id, NAME_BYTES_MAX),
        name: scrubber.line(event.name, NAME_BYTES_MAX),
        point: scrubber.line(event.point, NAME_BYTES_MAX),
        language: event.language,
        timezone: event.timezone,
        connection: event.connection,
        app_version: scrubber.line(event.app_version, NAME_BYTES_MAX),
        sdk: scrubber.line(event.sdk, NAME_BYTES_MAX),
        utm: utm(&mut scrubber, event.utm),
        ..Content::default()
    };
    locate(&mut content, &mut scrubber, event.url, event.prev_url, event.referrer, site)?;
    content.props = event.props.into_iter().map(|(name, value)| scrubber.prop(name, value)).collect();
    if kind == Kind::Crash {
        crash(&mut content, &mut scrubber, event.crash);
    }
    content.redactions = content.redactions.saturating_add(scrubber.redactions);
    Ok(ScrubbedEvent { site, grant, measures, content, place: Place::default(), raw })
}

fn utm<'a>(scrubber: &mut Scrubber, utm: Utm<'a>) -> Utm<'a> {
    Utm {
        source: scrubber.option(utm.source),
        medium: scrubber.option(utm.medium),
        campaign: scrubber.option(utm.campaign),
        content: scrubber.option(utm.content),
        term: scrubber.option(utm.term),
        channel: scrubber.option(utm.channel),
        kind: scrubber.option(utm.kind),
    }
}

/// The three URLs of an event: page, page before, page of elsewhere.
fn locate<'a>(
    content: &mut Content<'a>,
    scrubber: &mut Scrubber,
    page: Option<Identifying<'a>>,
    before: Option<Identifying<'a>>,
    referrer: Option<Identifying<'a>>,
    site: &Site,
) -> Result<(), RejectCode> {
    if let Some(page) = page {
        let reduced = match page.into_exposed() {
            Cow::Borrowed(page) => url::reduce(page, &site.query_params),
            // Only a URL that was written with escapes is not borrowed from the body.
            Cow::Owned(page) => url::reduce(&page, &site.query_params).map(ReducedUrl::into_owned),
        };
        let reduced = reduced.map_err(|_| RejectCode::UrlInvalid)?;
        content.host = reduced.host;
        content.path = reduced.path;
        content.query = reduced.query;
        content.click_id = reduced.click_id;
        scrubber.redactions = scrubber.redactions.saturating_add(reduced.redactions);
        // What the payload says outright counts more than what the URL still carries.
        let (own, from_url) = (&mut content.utm, reduced.utm);
        let pairs = [
            (&mut own.source, from_url.source),
            (&mut own.medium, from_url.medium),
            (&mut own.campaign, from_url.campaign),
            (&mut own.content, from_url.content),
            (&mut own.term, from_url.term),
            (&mut own.channel, from_url.channel),
            (&mut own.kind, from_url.kind),
        ];
        for (own, from_url) in pairs {
            if own.is_none() {
                *own = from_url;
            }
        }
    }
    if let Some(before) = before {
        content.prev_path = scrubber.path(&before);
    }
    if let Some(referrer) = referrer
        && let Referrer::External { host } = url::referrer(referrer.expose(), &content.host)
        && !site.internal_hosts.contains(&host)
    {
        content.referrer_host = scrubber.line(Cow::Owned(host.into_owned()), url::HOST_BYTES_MAX);
    }
    Ok(())
}

fn crash<'a>(content: &mut Content<'a>, scrubber: &mut Scrubber, crash: Crash<'a>) {
    content.crash_kind = scrubber.line(crash.kind, NAME_BYTES_MAX);
    content.crash_message = scrubber.line(crash.message, TEXT_BYTES_MAX);
    content.crash_stack = scrubber.lines(crash.stack, STACK_BYTES_MAX);
    if let Some(source) = crash.source {
        let path = scrubber.path(&source);
        content.crash_source = Cow::Owned(format!("{path}:{}:{}", crash.line, crash.column));
    }
}

/// Hashes that stand for a person or a thing, under a key that is destroyed within 48 h.
#[derive(Debug, Clone, Copy)]
pub struct Pseudonyms {
    /// One browser of one network, for one site and day.
    pub visitor: u64,
    /// One visit; 0: unknown.
    pub visit: u64,
    /// One event; 0: the sender gave no id.
    pub event_id: u128,
    /// Whoever holds a token, on a site that keeps subjects, under a key that is not destroyed; 0: nobody known.
    pub subject: u128,
    /// The same event under the key of the day before, soon after midnight; else 0.
    event_id_before: u128,
}

/// An event that names nobody. Made by [`Pseudonymiser`] alone.
pub struct PseudonymousEvent<'a> {
    site: &'a Site,
    grant: Grant,
    measures: Measures,
    content: Content<'a>,
    pseudonyms: Pseudonyms,
    restricted: bool,
    place: Place,
    sender: Sender<'a>,
}

impl std::fmt::Debug for PseudonymousEvent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PseudonymousEvent").finish_non_exhaustive()
    }
}

/// A pseudonymous event taken apart, for `enrich`.
pub(crate) struct Parts<'a> {
    pub(crate) site: &'a Site,
    pub(crate) grant: Grant,
    pub(crate) measures: Measures,
    pub(crate) content: Content<'a>,
    pub(crate) pseudonyms: Pseudonyms,
    pub(crate) restricted: bool,
    pub(crate) place: Place,
    pub(crate) sender: Sender<'a>,
}

impl<'a> PseudonymousEvent<'a> {
    /// Its event id under the key of the day before, soon after midnight; else 0.
    pub fn event_id_before(&self) -> u128 {
        self.pseudonyms.event_id_before
    }

    /// Whose it is, as in the column `subject`; 0: nobody known.
    pub fn subject(&self) -> u128 {
        self.pseudonyms.subject
    }

    /// Marks it as one that its subject wants in no report.
    pub fn restrict(&mut self) {
        self.restricted = true;
    }

    pub(crate) fn into_parts(self) -> Parts<'a> {
        let Self { site, grant, measures, content, pseudonyms, restricted, place, sender } = self;
        Parts { site, grant, measures, content, pseudonyms, restricted, place, sender }
    }
}
