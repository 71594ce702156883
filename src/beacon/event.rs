//! One event of the wire, checked: every value has its type and its bounds. Still untrusted.

use std::borrow::Cow;

use super::field::{Field, Text};
use super::reject::RejectCode;
use super::time::Time;
use super::wire::{WireCrash, WireEvent, WireSize, WireUtm, WireVitals};

/// A URL above this is invalid, in bytes.
pub const URL_BYTES_MAX: usize = 4096;
/// Ids and tokens above this are refused rather than cut: two cut ids could become one.
pub const ID_BYTES_MAX: usize = 256;
/// Free text of one line is cut to this, in bytes.
pub const TEXT_BYTES_MAX: usize = 512;
/// Short names are cut to this, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// A crash's stack is cut to this, in bytes.
pub const STACK_BYTES_MAX: usize = 8192;
/// A property's name is cut to this, in bytes.
pub const PROP_NAME_BYTES_MAX: usize = 64;
/// The longest time that one `engagement` increment may claim.
pub const ENGAGED_MS_MAX: u32 = 24 * 60 * 60 * 1000;
/// The longest time that a vital may claim.
pub const VITAL_MS_MAX: u32 = 10 * 60 * 1000;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page was shown.
    Pageview,
    /// A page was looked at, for `engaged_ms`.
    Engagement,
    /// A function point was clicked.
    Click,
    /// Something that the site names.
    Custom,
    /// How fast a page was.
    Performance,
    /// An error that the page did not expect.
    Crash,
}

impl Kind {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "pageview" => Self::Pageview,
            "engagement" => Self::Engagement,
            "click" => Self::Click,
            "custom" => Self::Custom,
            "performance" => Self::Performance,
            "crash" => Self::Crash,
            _ => return None,
        })
    }

    /// The word of the wire and of the column `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pageview => "pageview",
            Self::Engagement => "engagement",
            Self::Click => "click",
            Self::Custom => "custom",
            Self::Performance => "performance",
            Self::Crash => "crash",
        }
    }
}

/// Something that may say who a visitor is: readable for whoever asks by name, never printed.
#[derive(Clone)]
pub struct Identifying<'a>(Cow<'a, str>);

impl<'a> Identifying<'a> {
    /// The text itself, for hashing or reducing.
    pub fn expose(&self) -> &str {
        &self.0
    }
    /// The text itself, for reducing without a copy.
    pub fn into_exposed(self) -> Cow<'a, str> {
        self.0
    }
}

impl std::fmt::Debug for Identifying<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Width and height in CSS pixels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Size {
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}

/// The seven campaign fields of the cookie policy, of a payload or a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Utm<'a> {
    pub source: Option<Cow<'a, str>>,
    pub medium: Option<Cow<'a, str>>,
    pub campaign: Option<Cow<'a, str>>,
    pub content: Option<Cow<'a, str>>,
    pub term: Option<Cow<'a, str>>,
    pub channel: Option<Cow<'a, str>>,
    pub kind: Option<Cow<'a, str>>,
}

/// Web vitals: milliseconds, `cls` without unit.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct Vitals {
    pub ttfb_ms: Option<u32>,
    pub fcp_ms: Option<u32>,
    pub lcp_ms: Option<u32>,
    pub inp_ms: Option<u32>,
    pub cls: Option<f32>,
    pub dom_ms: Option<u32>,
    pub load_ms: Option<u32>,
}

/// A crash.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct Crash<'a> {
    pub kind: Cow<'a, str>,
    pub message: Cow<'a, str>,
    pub stack: Cow<'a, str>,
    pub source: Option<Identifying<'a>>,
    pub line: u32,
    pub column: u32,
}

/// One event, checked. Text is as sent, cut only where it is many times longer than what is kept of it.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Event<'a> {
    pub kind: Kind,
    pub id: Option<Identifying<'a>>,
    pub url: Option<Identifying<'a>>,
    pub referrer: Option<Identifying<'a>>,
    pub prev_url: Option<Identifying<'a>>,
    pub title: Cow<'a, str>,
    pub page_id: Cow<'a, str>,
    pub visit_id: Option<Identifying<'a>>,
    pub visit_started_at: Option<Time>,
    pub subject: Option<Identifying<'a>>,
    pub screen: Size,
    pub viewport: Size,
    pub language: Cow<'a, str>,
    pub timezone: Cow<'a, str>,
    pub connection: Cow<'a, str>,
    pub app_version: Cow<'a, str>,
    pub sdk: Cow<'a, str>,
    pub utm: Utm<'a>,
    pub name: Cow<'a, str>,
    pub point: Cow<'a, str>,
    pub props: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub engaged_ms: u32,
    pub scroll_pct: u8,
    pub vitals: Vitals,
    pub crash: Crash<'a>,
}

fn taken<T>(field: Field<T>, name: &'static str) -> Result<Option<T>, RejectCode> {
    match field {
        Field::Absent => Ok(None),
        Field::Value(value) => Ok(Some(value)),
        Field::Wrong => Err(RejectCode::FieldType(name)),
    }
}

/// Text is read up to this many times the length at which it is kept: it is cut once the detectors have seen it whole,
/// or half an identifier would slip by them.
const READ_TIMES: usize = 8;
/// The longest thing that a detector looks for, in bytes (an e-mail address, RFC 5321).
const DETECTED_BYTES_MAX: usize = 320;

/// Cuts a text that is far too long for what is kept of it, and the word that the cut goes through.
fn cut<'a>(text: Text<'a>, kept_bytes_max: usize) -> Cow<'a, str> {
    let bytes_max = kept_bytes_max * READ_TIMES;
    if text.len() <= bytes_max {
        return text;
    }
    let end = text.floor_char_boundary(bytes_max);
    let tail = text.floor_char_boundary(end.saturating_sub(DETECTED_BYTES_MAX));
    let end = text[tail..end].rfind(char::is_whitespace).map_or(tail, |space| tail + space);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        // A copy gives the rest of a huge text back.
        Cow::Owned(text) => Cow::Owned(text[..end].to_owned()),
    }
}

fn text<'a>(
    field: Field<Text<'a>>,
    name: &'static str,
    bytes_max: usize,
) -> Result<Cow<'a, str>, RejectCode> {
    Ok(cut(taken(field, name)?.unwrap_or_default(), bytes_max))
}

/// Absent where empty: an empty id says nothing.
fn id<'a>(
    field: Field<Text<'a>>,
    name: &'static str,
    bytes_max: usize,
) -> Result<Option<Identifying<'a>>, RejectCode> {
    match taken(field, name)?.filter(|id| !id.is_empty()) {
        Some(id) if id.len() > bytes_max => Err(RejectCode::FieldTooLong(name)),
        id => Ok(id.map(Identifying)),
    }
}

/// Only a part is ever kept of these (a host, a path), so they are cut rather than refused.
fn location<'a>(field: Field<Text<'a>>, name: &'static str) -> Result<Option<Identifying<'a>>, RejectCode> {
    let location = text(field, name, URL_BYTES_MAX / READ_TIMES)?;
    Ok((!location.is_empty()).then_some(Identifying(location)))
}

fn number(field: Field<f64>, name: &'static str, max: u32) -> Result<Option<u32>, RejectCode> {
    match taken(field, name)? {
        None => Ok(None),
        // Fractions of a millisecond or pixel carry nothing but precision that nobody asked for.
        Some(value) if (0.0..=f64::from(max)).contains(&value) => Ok(Some(value.round() as u32)),
        Some(_) => Err(RejectCode::FieldRange(name)),
    }
}

fn size(field: Field<WireSize<'_>>, name: &'static str) -> Result<Size, RejectCode> {
    let Some(size) = taken(field, name)? else { return Ok(Size::default()) };
    let side = |field| Ok(number(field, name, 65_535)?.unwrap_or(0));
    Ok(Size { w: side(size.w)?, h: side(size.h)? })
}

fn utm<'a>(field: Field<Box<WireUtm<'a>>>) -> Result<Utm<'a>, RejectCode> {
    let Some(utm) = taken(field, "utm")? else { return Ok(Utm::default()) };
    let utm = *utm;
    let word = |field| Ok(Some(text(field, "utm", NAME_BYTES_MAX)?).filter(|word| !word.is_empty()));
    Ok(Utm {
        source: word(utm.source)?,
        medium: word(utm.medium)?,
        campaign: word(utm.campaign)?,
        content: word(utm.content)?,
        term: word(utm.term)?,
        channel: word(utm.channel)?,
        kind: word(utm.kind)?,
    })
}

fn vitals(field: Field<Box<WireVitals<'_>>>) -> Result<Vitals, RejectCode> {
    let Some(vitals) = taken(field, "vitals")? else { return Ok(Vitals::default()) };
    let vitals = *vitals;
    let ms = |field| number(field, "vitals", VITAL_MS_MAX);
    let cls = match taken(vitals.cls, "vitals")? {
        Some(cls) if !(0.0..=100.0).contains(&cls) => return Err(RejectCode::FieldRange("vitals")),
        cls => cls.map(|cls| cls as f32),
    };
    Ok(Vitals {
        ttfb_ms: ms(vitals.ttfb)?,
        fcp_ms: ms(vitals.fcp)?,
        lcp_ms: ms(vitals.lcp)?,
        inp_ms: ms(vitals.inp)?,
        cls,
        dom_ms: ms(vitals.dom)?,
        load_ms: ms(vitals.load)?,
    })
}

fn crash<'a>(field: Field<Box<WireCrash<'a>>>) -> Result<Crash<'a>, RejectCode> {
    let Some(crash) = taken(field, "crash")? else { return Ok(Crash::default()) };
    let crash = *crash;
    taken(crash.handled, "crash.handled")?;
    Ok(Crash {
        kind: text(crash.kind, "crash.kind", NAME_BYTES_MAX)?,
        message: text(crash.message, "crash.message", TEXT_BYTES_MAX)?,
        stack: text(crash.stack, "crash.stack", STACK_BYTES_MAX)?,
        source: location(crash.source, "crash.source")?,
        line: number(crash.line, "crash.line", u32::MAX)?.unwrap_or(0),
        column: number(crash.column, "crash.column", u32::MAX)?.unwrap_or(0),
    })
}

/// Checks one event. What it lacks for its type, or has with a wrong type or bound, is named in the code.
pub(super) fn check<'a>(wire: WireEvent<'a>) -> Result<(Box<Event<'a>>, Option<Time>), RejectCode> {
    let word = taken(wire.kind, "type")?.unwrap_or_default();
    let kind = Kind::parse(&word).ok_or(RejectCode::TypeUnknown)?;
    let ts = match wire.ts {
        Field::Wrong => return Err(RejectCode::TsInvalid),
        Field::Value(ts) => Some(ts),
        Field::Absent => None,
    };
    let url = match wire.url {
        Field::Wrong => return Err(RejectCode::UrlInvalid),
        Field::Value(url) if url.len() > URL_BYTES_MAX => return Err(RejectCode::UrlInvalid),
        Field::Value(url) => Some(Identifying(url)),
        Field::Absent => None,
    };
    let props = taken(wire.props, "props")?.unwrap_or_default();
    if props.too_many {
        return Err(RejectCode::PropsTooMany);
    }
    if props.wrong {
        return Err(RejectCode::FieldType("props"));
    }
    let (visit_id, visit_started_at) = match taken(wire.visit, "visit")? {
        Some(visit) => {
            (id(visit.id, "visit.id", ID_BYTES_MAX)?, taken(visit.started_at, "visit.started_at")?)
        }
        None => (None, None),
    };
    let app = taken(wire.app, "app")?.unwrap_or_default();
    let event = Box::new(Event {
        kind,
        id: id(wire.id, "id", ID_BYTES_MAX)?,
        url,
        referrer: location(wire.referrer, "referrer")?,
        prev_url: location(wire.prev_url, "prev_url")?,
        title: text(wire.title, "title", TEXT_BYTES_MAX)?,
        page_id: text(wire.page_id, "page_id", NAME_BYTES_MAX)?,
        visit_id,
        visit_started_at,
        subject: id(wire.subject, "subject", ID_BYTES_MAX)?,
        screen: size(wire.screen, "screen")?,
        viewport: size(wire.viewport, "viewport")?,
        language: text(wire.language, "language", NAME_BYTES_MAX)?,
        timezone: text(wire.timezone, "timezone", NAME_BYTES_MAX)?,
        connection: text(wire.connection, "connection", NAME_BYTES_MAX)?,
        app_version: text(app.version, "app.version", NAME_BYTES_MAX)?,
        sdk: text(app.sdk, "app.sdk", NAME_BYTES_MAX)?,
        utm: utm(wire.utm)?,
        name: text(wire.name, "name", NAME_BYTES_MAX)?,
        point: text(wire.point, "point", NAME_BYTES_MAX)?,
        props: props
            .pairs
            .into_iter()
            .map(|(name, value)| (cut(name, PROP_NAME_BYTES_MAX), cut(value, TEXT_BYTES_MAX)))
            .collect(),
        engaged_ms: number(wire.engaged_ms, "engaged_ms", ENGAGED_MS_MAX)?.unwrap_or(0),
        scroll_pct: number(wire.scroll_pct, "scroll_pct", 100)?.unwrap_or(0) as u8,
        vitals: vitals(wire.vitals)?,
        crash: crash(wire.crash)?,
    });
    event.require_what_its_type_needs()?;
    Ok((event, ts))
}

impl Event<'_> {
    fn require_what_its_type_needs(&self) -> Result<(), RejectCode> {
        let missing = match self.kind {
            Kind::Pageview if self.url.is_none() => return Err(RejectCode::UrlInvalid),
            Kind::Custom => self.name.is_empty().then_some("name"),
            Kind::Click => self.point.is_empty().then_some("point"),
            _ => None,
        };
        missing.map_or(Ok(()), |name| Err(RejectCode::FieldMissing(name)))
    }
}
