//! One JSON value of the wire, read without ever failing the body around it.
//!
//! serde's derive gives up on a whole body when one value has a wrong type. Here a wrong type is a state of the
//! one field, so that one bad event in a batch is rejected by itself, in the same single pass.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A field as it came.
#[derive(Debug, Clone, Default)]
pub enum Field<T> {
    /// Not there, or `null`.
    #[default]
    Absent,
    /// There, with a type that fits.
    Value(T),
    /// There with a type that does not fit, or there twice.
    Wrong,
}

impl<T> Field<T> {
    /// Takes the next value for this field; a second one makes it [`Field::Wrong`].
    pub(super) fn set(&mut self, next: Self) {
        *self = match self {
            Self::Absent => next,
            _ => Self::Wrong,
        };
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// A type that a [`Field`] can hold. Each method answers for one JSON type; `None` is a wrong type.
pub trait Leaf<'de>: Sized {
    /// From a string that lies unescaped in the body.
    fn from_borrowed(text: &'de str) -> Option<Self> {
        Self::from_owned(text.to_owned())
    }
    /// From a string that had escapes.
    fn from_owned(_text: String) -> Option<Self> {
        None
    }
    /// From any number.
    fn from_number(_number: f64) -> Option<Self> {
        None
    }
    /// From an integer; by default as any number.
    fn from_integer(number: i64) -> Option<Self> {
        Self::from_number(number as f64)
    }
    /// From `true` or `false`.
    fn from_bool(_value: bool) -> Option<Self> {
        None
    }
    /// From `null`; by default the field is absent.
    fn from_null() -> Field<Self> {
        Field::Absent
    }
    /// From an array. Must read it to its end.
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        while seq.next_element::<Skip>()?.is_some() {}
        Ok(None)
    }
    /// From an object. Must read it to its end.
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<Skip, Skip>()?.is_some() {}
        Ok(None)
    }
}

impl<'de, T: Leaf<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor(PhantomData))
    }
}

struct FieldVisitor<T>(PhantomData<T>);

fn field<T, E>(value: Option<T>) -> Result<Field<T>, E> {
    Ok(value.map_or(Field::Wrong, Field::Value))
}

impl<'de, T: Leaf<'de>> Visitor<'de> for FieldVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<T>, E> {
        field(T::from_borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Field<T>, E> {
        field(T::from_owned(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Field<T>, E> {
        field(T::from_owned(text))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Field<T>, E> {
        field(match i64::try_from(number) {
            Ok(number) => T::from_integer(number),
            Err(_) => T::from_number(number as f64),
        })
    }
    fn visit_i64<E>(self, number: i64) -> Result<Field<T>, E> {
        field(T::from_integer(number))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Field<T>, E> {
        field(T::from_number(number))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Field<T>, E> {
        field(T::from_bool(value))
    }
    fn visit_unit<E>(self) -> Result<Field<T>, E> {
        Ok(T::from_null())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Field<T>, A::Error> {
        field(T::from_seq(seq)?)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field<T>, A::Error> {
        field(T::from_map(map)?)
    }
}

/// A string, borrowed from the body where it had no escapes. serde's own `Option<Cow<str>>` would always copy.
pub type Text<'a> = Cow<'a, str>;

impl<'de> Leaf<'de> for Text<'de> {
    fn from_borrowed(text: &'de str) -> Option<Self> {
        Some(Cow::Borrowed(text))
    }
    fn from_owned(text: String) -> Option<Self> {
        Some(Cow::Owned(text))
    }
}

impl<'de> Leaf<'de> for f64 {
    fn from_number(number: f64) -> Option<Self> {
        Some(number)
    }
}

impl<'de> Leaf<'de> for bool {
    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

/// An object's key, borrowed where it had no escapes.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Any value, read over. Unlike serde's `IgnoredAny` it counts towards the parser's limit of 128 levels: a body that
/// nests deeper than that is nobody's event, wherever it does so.
pub(super) struct Skip;

impl<'de> Deserialize<'de> for Skip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}
