//! Second room: a [`Submission`]'s body becomes [`Beacon`]s, typed and bounded, and still not to be trusted.
//!
//! Invariant: a fault in one event rejects that event; only a body that cannot be read at all is refused whole.
//! Invariant: unknown keys are skipped as they are read.

mod event;
mod field;
mod pixel;
mod reject;
mod said;
mod time;
mod wire;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

pub use event::{
    Crash, Event, Identifying, Kind, NAME_BYTES_MAX, PROP_NAME_BYTES_MAX, STACK_BYTES_MAX, Size,
    TEXT_BYTES_MAX, Utm, Vitals,
};
pub use pixel::GIF;
pub use reject::RejectCode;
pub use said::{Choice, PayloadConsent, Said, Signals, WireConsent};
pub use time::{AGE_MS_MAX, FUTURE_MS_MAX, Time};
pub use wire::{EVENTS_PER_BODY_MAX, PROPS_MAX};

use crate::accept::{Form, Refusal, Sender, SignatureFault, Submission};
use crate::site::{HostnameRule, Site, Sites};
use field::{Field, Text};
use wire::{Events, Root, WireEvent};

/// One event of one site, read but not yet consented to. Made by [`read`] alone.
#[derive(Debug)]
pub struct Beacon<'a> {
    timed: Timed<'a>,
    consent: PayloadConsent<'a>,
    /// What the body says beside the event's own consent; silent where that is the event's.
    beside: PayloadConsent<'a>,
    around: Around<'a>,
    elsewhere: bool,
}

/// An event with its times.
#[derive(Debug, Clone)]
pub struct Timed<'a> {
    /// What was sent. In one place from here to where it is scrubbed: it is too large to be handed on.
    pub event: Box<Event<'a>>,
    /// When it happened by our clock, in milliseconds.
    pub ts_ms: i64,
    /// How far the client's clock is behind ours, in milliseconds.
    pub skew_ms: i64,
}

impl<'a> Beacon<'a> {
    /// What the body around it says where it has a consent of its own. It cannot grant any more; it can object.
    pub fn consent_beside(&self) -> &PayloadConsent<'a> {
        &self.beside
    }

    /// What its payload says of consent.
    pub fn consent(&self) -> &PayloadConsent<'a> {
        &self.consent
    }

    /// Whether its page is on a host that is none of the site's.
    pub fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Where it came in.
    pub fn around(&self) -> Around<'a> {
        self.around
    }

    /// Gives the event up. Only the consent gate has a use for it.
    pub(crate) fn into_timed(self) -> Timed<'a> {
        self.timed
    }
}

/// Where a beacon came in.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// Its site.
    pub site: &'a Arc<Site>,
    /// Its request.
    pub submission: &'a Submission,
    /// What the request says of its sender.
    pub sender: Sender<'a>,
}

/// An event that cannot be taken.
#[derive(Debug, Clone, Copy)]
pub struct Rejected<'a> {
    /// Its site, where it named one that exists.
    pub site: Option<&'a Arc<Site>>,
    /// Why.
    pub code: RejectCode,
}

/// A body's events in their order, each made when it is asked for: no two are in memory at one time.
pub struct Batch<'a> {
    reader: Reader<'a>,
    events: std::vec::IntoIter<Field<Box<WireEvent<'a>>>>,
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<Beacon<'a>, Rejected<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.events.next().map(|event| self.reader.beacon(event))
    }
}

impl std::fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("events", &self.events.len()).finish_non_exhaustive()
    }
}

/// Reads a submission. The error is the answer for the body as a whole; a batch is never empty.
pub fn read<'a>(submission: &'a Submission, sites: &'a Sites) -> Result<Batch<'a>, Refusal> {
    let (root, events) = match submission.form() {
        Form::Lines => (Root::default(), lines(submission.body())?),
        Form::Pixel => split(pixel::read(submission.query(), submission.referer()))?,
        Form::Json => split(json(submission.body())?)?,
    };
    if events.too_many {
        return Err(Refusal::EventsTooMany);
    }
    if events.list.is_empty() {
        return Err(Refusal::EventsEmpty);
    }
    Ok(Batch { reader: Reader::new(root, submission, sites), events: events.list.into_iter() })
}

/// Where not one event of a body may be sent here, the request as a whole is forbidden.
pub fn forbidden(codes: impl Iterator<Item = RejectCode> + Clone) -> Option<Refusal> {
    let all = |code| codes.clone().all(|other| other == code);
    match () {
        () if all(RejectCode::SiteUnknown) => Some(Refusal::SiteUnknown),
        () if all(RejectCode::OriginForbidden) => Some(Refusal::OriginForbidden),
        () => None,
    }
}

fn json(body: &[u8]) -> Result<Root<'_>, Refusal> {
    // Once for the whole body instead of once a text.
    let body = std::str::from_utf8(body).map_err(|_| Refusal::JsonInvalid)?;
    match serde_json::from_str::<Field<Root<'_>>>(body) {
        Ok(Field::Value(root)) => Ok(root),
        Ok(Field::Absent | Field::Wrong) => Err(Refusal::ShapeInvalid),
        Err(_) => Err(Refusal::JsonInvalid),
    }
}

fn lines(body: &[u8]) -> Result<Events<'_>, Refusal> {
    let mut events = Events::default();
    let mut readable = false;
    for line in body.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if events.list.len() == EVENTS_PER_BODY_MAX {
            events.too_many = true;
            break;
        }
        let event = serde_json::from_slice(line);
        readable |= event.is_ok();
        events.list.push(event.unwrap_or(Field::Wrong));
    }
    // One bad line is that line's fault; nothing but bad lines is a body that is not JSON lines.
    if !readable && !events.list.is_empty() {
        return Err(Refusal::JsonInvalid);
    }
    Ok(events)
}

/// Parts the envelope from its events; a root without `events` is itself the one event.
fn split(mut root: Root<'_>) -> Result<(Root<'_>, Events<'_>), Refusal> {
    match std::mem::take(&mut root.events) {
        Field::Value(events) => Ok((root, events)),
        Field::Wrong => Err(Refusal::ShapeInvalid),
        Field::Absent => {
            let own = std::mem::take(&mut root.own);
            Ok((root, Events { list: vec![Field::Value(own)], too_many: false }))
        }
    }
}

/// What is the same for all events of a body.
struct Reader<'a> {
    submission: &'a Submission,
    sender: Sender<'a>,
    origin: Option<&'a str>,
    sites: &'a Sites,
    /// The site that was looked up last.
    last: Cell<Option<&'a Arc<Site>>>,
    /// The envelope's `site`, else the query's; `None`: neither.
    site: Field<Text<'a>>,
    /// What envelope and context say for events that say nothing themselves.
    consent: PayloadConsent<'a>,
    context: Field<Box<WireEvent<'a>>>,
    skew_ms: i64,
    sent_at_wrong: bool,
    /// The sites that the request's signature was checked for: once for each, since it counts once.
    checked: RefCell<Vec<Checked<'a>>>,
}

struct Checked<'a> {
    site: &'a Arc<Site>,
    told: Result<(), SignatureFault>,
}

impl<'a> Reader<'a> {
    fn new(root: Root<'a>, submission: &'a Submission, sites: &'a Sites) -> Self {
        let mut site = root.own.site;
        if site.is_absent() {
            let named = |(name, value)| if name == "site" { Some(value) } else { None };
            let hint = url::form_urlencoded::parse(submission.query().as_bytes()).find_map(named);
            site = hint.map_or(Field::Absent, Field::Value);
        }
        let (sent_at, sent_at_wrong) = match root.sent_at {
            Field::Value(at) => (Some(at), false),
            Field::Absent => (None, false),
            Field::Wrong => (None, true),
        };
        let consent = PayloadConsent::of(&root.own.consent);
        Self {
            submission,
            sender: submission.sender(),
            origin: submission.origin(),
            sites,
            last: Cell::new(None),
            site,
            consent: match &root.context {
                Field::Value(context) => consent.and(PayloadConsent::of(&context.consent)),
                _ => consent,
            },
            context: root.context,
            skew_ms: time::skew_ms(sent_at, submission.received_at_ms()),
            sent_at_wrong,
            checked: RefCell::default(),
        }
    }

    fn site_of(&self, named: &Field<Text<'a>>) -> Option<&'a Arc<Site>> {
        let Field::Value(id) = named else { return None };
        let site = self.last.get().filter(|last| last.id == **id).or_else(|| self.sites.by_id(id));
        self.last.set(site);
        site
    }

    /// A browser says its origin with every beacon; a picture does not, and nobody can sign one. Whoever else comes without an
    /// origin has to sign, where the site's back ends do.
    fn signed(&self, site: &'a Arc<Site>) -> Result<(), SignatureFault> {
        let Some(keys) = &site.server_keys else { return Ok(()) };
        if self.origin.is_some() {
            return Ok(());
        }
        if self.submission.form() == Form::Pixel {
            let page = self.submission.referer().unwrap_or_default();
            let known = url::Url::parse(page).is_ok_and(|page| {
                !site.allows_any_origin() && site.allows_origin(&page.origin().ascii_serialization())
            });
            return if known { Ok(()) } else { Err(SignatureFault::Missing) };
        }
        let mut checked = self.checked.borrow_mut();
        if let Some(before) = checked.iter().find(|before| Arc::ptr_eq(before.site, site)) {
            return before.told;
        }
        let told = self.submission.verify(keys);
        checked.push(Checked { site, told });
        told
    }

    fn beacon(&self, event: Field<Box<WireEvent<'a>>>) -> Result<Beacon<'a>, Rejected<'a>> {
        let Field::Value(mut wire) = event else {
            // It cannot say whose it is; the envelope may.
            return Err(Rejected { site: self.site_of(&self.site), code: RejectCode::EventInvalid });
        };
        if let Field::Value(context) = &self.context {
            wire.inherit(context);
        }
        let site = self.site_of(if wire.site.is_absent() { &self.site } else { &wire.site });
        let rejected = |code| Rejected { site, code };
        let Some(site) = site else { return Err(rejected(RejectCode::SiteUnknown)) };
        if self.origin.is_some_and(|origin| !site.allows_origin(origin)) {
            return Err(rejected(RejectCode::OriginForbidden));
        }
        self.signed(site).map_err(|fault| rejected(RejectCode::Signature(fault)))?;
        if matches!(self.context, Field::Wrong) {
            return Err(rejected(RejectCode::FieldType("context")));
        }
        if self.sent_at_wrong {
            return Err(rejected(RejectCode::FieldType("sent_at")));
        }
        let (consent, beside) = match PayloadConsent::of(&wire.consent) {
            PayloadConsent::Silent => (self.consent.clone(), PayloadConsent::Silent),
            own => (own, self.consent.clone()),
        };
        // What the site does not list is gone before anybody has an event.
        if let Field::Value(props) = &mut wire.props {
            props.pairs.retain(|(name, _)| site.keeps_prop(name));
        }
        let (event, ts) = event::check(*wire).map_err(rejected)?;
        let elsewhere = event.url.as_ref().is_some_and(|url| !site.knows_page(url.expose()));
        if elsewhere && site.unknown_hostnames == HostnameRule::Reject {
            return Err(rejected(RejectCode::HostnameUnknown));
        }
        let received_at_ms = self.submission.received_at_ms();
        let ts_ms =
            time::corrected_ms(ts, self.skew_ms, received_at_ms).ok_or(rejected(RejectCode::TsOutOfRange))?;
        let around = Around { site, submission: self.submission, sender: self.sender };
        Ok(Beacon {
            timed: Timed { event, ts_ms, skew_ms: self.skew_ms },
            consent,
            beside,
            around,
            elsewhere,
        })
    }
}

#[cfg(test)]
mod tests;
