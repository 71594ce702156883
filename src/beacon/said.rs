//! What a payload says of consent. Whether a signal counts, and what its text means, is for the gate to say: here a
//! field of a wrong type is a state of that one signal.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::MapAccess;

use super::field::{Field, Key, Leaf, Skip, Text};

/// What the payload says of consent to analytics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// `true`, `"granted"`, `1`.
    Granted,
    /// `false`, `"denied"`, `0`.
    Denied,
    /// Anything else, `null` too; or two that disagree.
    Malformed,
}

impl Choice {
    fn word(word: &str) -> Self {
        match word {
            "granted" => Self::Granted,
            "denied" => Self::Denied,
            _ => Self::Malformed,
        }
    }

    /// Both of two that are said in the same breath.
    fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Malformed }
    }
}

impl<'de> Leaf<'de> for Choice {
    fn from_borrowed(text: &'de str) -> Option<Self> {
        Some(Self::word(text))
    }
    fn from_owned(text: String) -> Option<Self> {
        // Written with escapes it is still the same word.
        Some(Self::word(&text))
    }
    fn from_number(_number: f64) -> Option<Self> {
        Some(Self::Malformed)
    }
    fn from_integer(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Granted,
            0 => Self::Denied,
            _ => Self::Malformed,
        })
    }
    fn from_bool(value: bool) -> Option<Self> {
        Some(if value { Self::Granted } else { Self::Denied })
    }
    fn from_null() -> Field<Self> {
        Field::Value(Self::Malformed)
    }
}

/// `gcm`: of Google's Consent Mode only `analytics_storage`, which is a word and nothing else.
struct Storage(Option<Choice>);

impl<'de> Leaf<'de> for Storage {
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut storage = None;
        while let Some(Key(key)) = map.next_key()? {
            if key == "analytics_storage" {
                let choice = match map.next_value::<Field<Text<'de>>>()? {
                    Field::Value(word) => Choice::word(&word),
                    _ => Choice::Malformed,
                };
                storage = Some(storage.map_or(choice, |before: Choice| before.and(choice)));
            } else {
                map.next_value::<Skip>()?;
            }
        }
        Ok(Some(Self(storage)))
    }
    fn from_null() -> Field<Self> {
        Field::Wrong
    }
}

/// A signal that the page read from its consent manager and sends on as it is. Such texts carry identifiers, so none is
/// ever printed.
#[derive(Clone, Default)]
pub enum Said<'a> {
    /// The payload does not have it.
    #[default]
    Nothing,
    /// As sent.
    Text(Cow<'a, str>),
    /// Not a text, `null` too; or two that differ.
    Malformed,
}

impl std::fmt::Debug for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Text(_) => "[redacted]",
            Self::Malformed => "Malformed",
        })
    }
}

impl Said<'_> {
    fn add(&mut self, other: Self) {
        *self = match (std::mem::take(self), other) {
            (Self::Nothing, one) | (one, Self::Nothing) => one,
            (Self::Text(one), Self::Text(other)) if one == other => Self::Text(one),
            _ => Self::Malformed,
        };
    }
}

impl<'de> Leaf<'de> for Said<'de> {
    fn from_borrowed(text: &'de str) -> Option<Self> {
        Some(Self::Text(Cow::Borrowed(text)))
    }
    fn from_owned(text: String) -> Option<Self> {
        Some(Self::Text(Cow::Owned(text)))
    }
    fn from_null() -> Field<Self> {
        Field::Value(Self::Malformed)
    }
}

macro_rules! signals {
    ($($(#[$doc:meta])* $field:ident $key:literal,)*) => {
        /// Every signal of `consent` but `analytics`.
        #[derive(Debug, Clone, Default)]
        pub struct Signals<'a> {
            /// `gcm.analytics_storage`.
            pub gcm: Option<Choice>,
            $($(#[$doc])* pub $field: Said<'a>,)*
        }

        impl<'a> Signals<'a> {
            const KEYS: &'static [&'static str] = &[$($key),*];

            fn slot(&mut self, key: &str) -> Option<&mut Said<'a>> {
                match key {
                    $($key => Some(&mut self.$field),)*
                    _ => None,
                }
            }

            fn add(&mut self, other: Self) {
                self.gcm = both(self.gcm, other.gcm);
                $(self.$field.add(other.$field);)*
            }
        }
    };
}

signals! {
    /// The TC string of IAB TCF.
    tcf "tcf",
    /// The string of IAB GPP.
    gpp "gpp",
    /// The US Privacy string.
    usp "usp",
    /// OneTrust: `OptanonConsent` or `OnetrustActiveGroups`.
    onetrust "onetrust",
    /// TrustArc: one of its cookies, or several as `name=value; name=value`.
    trustarc "trustarc",
    /// Cookiebot: `CookieConsent`.
    cookiebot "cookiebot",
    /// CookieYes: `cookieyes-consent`.
    cookieyes "cookieyes",
    /// Didomi: `didomi_token`.
    didomi "didomi",
    /// Klaro: `klaro`.
    klaro "klaro",
    /// WP Consent API: `wp_consent_statistics`.
    wp_consent "wp_consent",
    /// Complianz: `cmplz_statistics`.
    complianz "complianz",
    /// CookieConsent version 3: `cc_cookie`.
    cookieconsent "cookieconsent",
}

fn both(one: Option<Choice>, other: Option<Choice>) -> Option<Choice> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.and(other)),
        (one, other) => one.or(other),
    }
}

/// `consent`, as read.
#[derive(Debug, Clone, Default)]
pub struct WireConsent<'a> {
    /// `consent.analytics`.
    pub analytics: Option<Choice>,
    /// The others; most payloads have none. Shared, because all events of a batch may point at the envelope's.
    pub signals: Option<Arc<Signals<'a>>>,
}

impl<'a> WireConsent<'a> {
    /// Takes one more word on analytics; two that disagree are malformed.
    pub(super) fn add(&mut self, choice: Choice) {
        self.analytics = both(self.analytics, Some(choice));
    }

    fn and(self, other: Self) -> Self {
        let signals = match (self.signals, other.signals) {
            (Some(one), Some(other)) => {
                let mut signals = Arc::unwrap_or_clone(one);
                signals.add(Arc::unwrap_or_clone(other));
                Some(Arc::new(signals))
            }
            (one, other) => one.or(other),
        };
        Self { analytics: both(self.analytics, other.analytics), signals }
    }
}

impl<'de> Leaf<'de> for WireConsent<'de> {
    fn from_null() -> Field<Self> {
        // Somebody meant to say something and did not: not the same as silence.
        Field::Wrong
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut consent = Self::default();
        let mut signals: Option<Signals<'de>> = None;
        while let Some(Key(key)) = map.next_key()? {
            match key.as_ref() {
                "analytics" => match map.next_value::<Field<Choice>>()? {
                    Field::Value(choice) => consent.add(choice),
                    _ => consent.add(Choice::Malformed),
                },
                "gcm" => {
                    let storage = match map.next_value::<Field<Storage>>()? {
                        Field::Value(Storage(storage)) => storage,
                        _ => Some(Choice::Malformed),
                    };
                    let gcm = &mut signals.get_or_insert_default().gcm;
                    *gcm = both(*gcm, storage);
                }
                key if Signals::KEYS.contains(&key) => {
                    let said = match map.next_value::<Field<Said<'de>>>()? {
                        Field::Value(said) => said,
                        _ => Said::Malformed,
                    };
                    if let Some(slot) = signals.get_or_insert_default().slot(key) {
                        slot.add(said);
                    }
                }
                _ => {
                    map.next_value::<Skip>()?;
                }
            }
        }
        consent.signals = signals.map(Arc::new);
        Ok(Some(consent))
    }
}

/// What an event says of consent in its own payload.
#[derive(Debug, Clone)]
pub enum PayloadConsent<'a> {
    /// Nothing, nor does the body around it.
    Silent,
    /// This.
    Says(WireConsent<'a>),
    /// Something that cannot be read.
    Unreadable,
}

impl<'a> PayloadConsent<'a> {
    pub(super) fn of(field: &Field<WireConsent<'a>>) -> Self {
        match field {
            Field::Absent => Self::Silent,
            Field::Value(consent) => Self::Says(consent.clone()),
            Field::Wrong => Self::Unreadable,
        }
    }

    /// Both of two that are said in the same breath; where they disagree on a signal, neither can be believed.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unreadable, _) | (_, Self::Unreadable) => Self::Unreadable,
            (Self::Silent, one) | (one, Self::Silent) => one,
            (Self::Says(one), Self::Says(other)) => Self::Says(one.and(other)),
        }
    }
}
