//! A point in time as small as Kubernetes stores it.

use std::num::NonZeroU32;

use jiff::Timestamp;

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
