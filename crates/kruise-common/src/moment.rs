//! A point in time as small as Kubernetes stores it.

use std::num::NonZeroU32;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Deserializer};

/// Whole seconds, as a `metav1.Time` has them; four bytes, also as an `Option`. A cached pod has a dozen of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(NonZeroU32);

impl From<Timestamp> for Moment {
    /// Times outside 1970…2106 become the nearest that can be held: they are nonsense anyway.
    fn from(time: Timestamp) -> Self {
        let seconds = time.as_second().clamp(1, i64::from(u32::MAX));
        Self(u32::try_from(seconds).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN))
    }
}

impl Moment {
    /// The same as a timestamp.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_second(i64::from(self.0.get())).unwrap_or(Timestamp::MAX)
    }
}

/// Reads a time; what is none counts as absent. Go accepts the last hours of the year 9999 in any zone, and then writes five
/// digits of year in UTC: one such object must not spoil a list of all.
pub fn time_or_none<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Time>, D::Error> {
    let text = Option::<String>::deserialize(source)?;
    Ok(text.and_then(|text| text.parse().ok()).map(Time))
}
