//! The JSON of the wire, version 1, as borrowed structs. Unknown keys are skipped and never kept.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{MapAccess, SeqAccess};

use super::field::{Field, Key, Leaf, Skip, Text};
use super::said::WireConsent;
use super::time::Time;

/// Most events that one body may hold.
pub const EVENTS_PER_BODY_MAX: usize = 1000;
/// Most custom properties that one event may have.
pub const PROPS_MAX: usize = 64;

/// An object that takes its fields one by one.
pub trait Object<'a>: Default {
    /// Takes the value behind `key`; one that nobody knows is skipped.
    fn take<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;

    /// Takes all of them.
    fn fill<A: MapAccess<'a>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            self.take(&key, map)?;
        }
        Ok(())
    }
}

/// An object of the wire: each key once, each value a [`Field`].
macro_rules! wire_object {
    ($(#[$doc:meta])* $name:ident { $($field:ident $key:literal: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        pub struct $name<'a> {
            $(pub(super) $field: Field<$type>,)*
            _body: PhantomData<&'a ()>,
        }

        impl<'a> Object<'a> for $name<'a> {
            fn take<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
                match key {
                    $($key => self.$field.set(map.next_value()?),)*
                    _ => {
                        map.next_value::<Skip>()?;
                    }
                }
                Ok(())
            }
        }

        impl<'a> $name<'a> {
            /// Fills what is absent here with what `defaults` has, but for what can only be one event's own.
            #[allow(dead_code)]
            pub(super) fn inherit(&mut self, defaults: &Self) {
                $(if self.$field.is_absent() && !matches!($key, "id" | "consent") {
                    self.$field = defaults.$field.clone();
                })*
            }
        }

        impl<'a> Leaf<'a> for $name<'a> {
            fn from_map<A: MapAccess<'a>>(mut map: A) -> Result<Option<Self>, A::Error> {
                let mut object = Self::default();
                object.fill(&mut map)?;
                Ok(Some(object))
            }
        }
    };
}

wire_object! {
    /// One event. `context` has the same fields and gives the defaults.
    WireEvent {
        site "site": Text<'a>,
        kind "type": Text<'a>,
        id "id": Text<'a>,
        ts "ts": Time,
        url "url": Text<'a>,
        referrer "referrer": Text<'a>,
        title "title": Text<'a>,
        page_id "page_id": Text<'a>,
        prev_url "prev_url": Text<'a>,
        visit "visit": WireVisit<'a>,
        subject "subject": Text<'a>,
        consent "consent": WireConsent<'a>,
        screen "screen": WireSize<'a>,
        viewport "viewport": WireSize<'a>,
        language "language": Text<'a>,
        timezone "timezone": Text<'a>,
        connection "connection": Text<'a>,
        app "app": WireApp<'a>,
        utm "utm": Box<WireUtm<'a>>,
        name "name": Text<'a>,
        props "props": WireProps<'a>,
        point "point": Text<'a>,
        engaged_ms "engaged_ms": f64,
        scroll_pct "scroll_pct": f64,
        vitals "vitals": Box<WireVitals<'a>>,
        crash "crash": Box<WireCrash<'a>>,
    }
}

wire_object! {
    /// `visit`: at most 24 h of one browser.
    WireVisit { id "id": Text<'a>, started_at "started_at": Time, }
}
wire_object! {
    /// `screen`, `viewport`: CSS pixels.
    WireSize { w "w": f64, h "h": f64, }
}
wire_object! {
    /// `app`: who sends.
    WireApp { version "version": Text<'a>, sdk "sdk": Text<'a>, }
}
wire_object! {
    /// `utm`: the seven campaign fields of the cookie policy.
    WireUtm {
        source "source": Text<'a>,
        medium "medium": Text<'a>,
        campaign "campaign": Text<'a>,
        content "content": Text<'a>,
        term "term": Text<'a>,
        channel "channel": Text<'a>,
        kind "type": Text<'a>,
    }
}
wire_object! {
    /// `vitals`: milliseconds, `cls` without unit.
    WireVitals {
        ttfb "ttfb": f64,
        fcp "fcp": f64,
        lcp "lcp": f64,
        inp "inp": f64,
        cls "cls": f64,
        dom "dom": f64,
        load "load": f64,
    }
}
wire_object! {
    /// `crash`: an error that the page did not expect.
    WireCrash {
        kind "kind": Text<'a>,
        message "message": Text<'a>,
        stack "stack": Text<'a>,
        source "source": Text<'a>,
        line "line": f64,
        column "column": f64,
        handled "handled": bool,
    }
}

/// `props`: names with scalar values, all as text.
#[derive(Debug, Clone, Default)]
pub struct WireProps<'a> {
    /// In the order sent.
    pub(super) pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// There were more than [`PROPS_MAX`].
    pub(super) too_many: bool,
    /// A value was neither text, number nor boolean.
    pub(super) wrong: bool,
}

struct PropValue<'a>(Cow<'a, str>);

impl<'de> Leaf<'de> for PropValue<'de> {
    fn from_borrowed(text: &'de str) -> Option<Self> {
        Some(Self(Cow::Borrowed(text)))
    }
    fn from_owned(text: String) -> Option<Self> {
        Some(Self(Cow::Owned(text)))
    }
    fn from_number(number: f64) -> Option<Self> {
        Some(Self(Cow::Owned(number.to_string())))
    }
    fn from_integer(number: i64) -> Option<Self> {
        Some(Self(Cow::Owned(itoa::Buffer::new().format(number).to_owned())))
    }
    fn from_bool(value: bool) -> Option<Self> {
        Some(Self(Cow::Borrowed(if value { "true" } else { "false" })))
    }
}

impl<'de> Leaf<'de> for WireProps<'de> {
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut props = Self::default();
        while let Some(Key(key)) = map.next_key()? {
            if props.pairs.len() == PROPS_MAX {
                props.too_many = true;
                map.next_value::<Skip>()?;
                continue;
            }
            match map.next_value::<Field<PropValue<'de>>>()? {
                Field::Value(PropValue(value)) => props.pairs.push((key, value)),
                Field::Absent => {}
                Field::Wrong => props.wrong = true,
            }
        }
        Ok(Some(props))
    }
}

/// A whole body: one event, an array of events, or an envelope.
#[derive(Debug, Default)]
pub struct Root<'a> {
    /// The event itself, or the envelope's `site` and `consent`.
    pub(super) own: Box<WireEvent<'a>>,
    pub(super) sent_at: Field<Time>,
    pub(super) context: Field<Box<WireEvent<'a>>>,
    /// Absent: the root is the one event.
    pub(super) events: Field<Events<'a>>,
}

/// A list of events; what is not an object is [`Field::Wrong`].
#[derive(Debug, Default)]
pub struct Events<'a> {
    pub(super) list: Vec<Field<Box<WireEvent<'a>>>>,
    pub(super) too_many: bool,
}

/// What is large has a place of its own and is filled there, so that it is never moved.
impl<'a, T: Object<'a>> Leaf<'a> for Box<T> {
    fn from_map<A: MapAccess<'a>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut object = Self::default();
        object.fill(&mut map)?;
        Ok(Some(object))
    }
}

impl<'a> Leaf<'a> for Events<'a> {
    fn from_seq<A: SeqAccess<'a>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut events = Self::default();
        while events.list.len() < EVENTS_PER_BODY_MAX {
            match seq.next_element()? {
                Some(event) => events.list.push(event),
                None => return Ok(Some(events)),
            }
        }
        while seq.next_element::<Skip>()?.is_some() {
            events.too_many = true;
        }
        Ok(Some(events))
    }
}

impl<'a> Leaf<'a> for Root<'a> {
    fn from_seq<A: SeqAccess<'a>>(seq: A) -> Result<Option<Self>, A::Error> {
        let events = Events::from_seq(seq)?.map_or(Field::Wrong, Field::Value);
        Ok(Some(Self { events, ..Self::default() }))
    }
    fn from_map<A: MapAccess<'a>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut root = Self::default();
        while let Some(Key(key)) = map.next_key()? {
            match key.as_ref() {
                "sent_at" => root.sent_at.set(map.next_value()?),
                "context" => root.context.set(map.next_value()?),
                "events" => root.events.set(map.next_value()?),
                _ => root.own.take(&key, &mut map)?,
            }
        }
        Ok(Some(root))
    }
}
