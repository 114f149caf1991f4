//! What Go takes for absent: how its JSON reader fills members and which ones its writer leaves out.
//!
//! Only for serde attributes; what a default *means* is in each kind's `default.rs`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads `null` as the zero value, as Go does for everything.
pub(crate) fn or_zero<'de, D, T>(source: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(source).map(Option::unwrap_or_default)
}

/// `omitempty` of a plain value.
pub(crate) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `omitempty` of a plain value that we keep as an option.
#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
pub(crate) fn is_absent_or_zero<T: Default + PartialEq>(value: &Option<T>) -> bool {
    value.as_ref().is_none_or(is_zero)
}

/// A time that was never set is `null` in Go, and an empty text would not be readable there.
pub(crate) fn null_if_empty<S: Serializer>(text: &str, target: S) -> Result<S::Ok, S::Error> {
    if text.is_empty() { target.serialize_none() } else { text.serialize(target) }
}
