//! The lifecycle state on a pod's label, and whether a hook's markers are on the pod (`inplace.md` §13).
//!
//! Which state follows which is decided in `kruise-inplace`.

use std::fmt;
use std::str::FromStr;

use crate::statefulset::v1beta1::LifecycleHook;

/// A value of label [`crate::keys::LIFECYCLE_STATE`]. A pod without the label has no state, and never gets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LifecycleState {
    /// New, and not all markers of `preNormal` are on it.
    PreparingNormal,
    /// At work.
    Normal,
    /// Held by `inPlaceUpdate` before an update.
    PreparingUpdate,
    /// Being updated in place.
    Updating,
    /// Updated; waits until all markers of `inPlaceUpdate` are back.
    Updated,
    /// Held by `preDelete`.
    PreparingDelete,
}

/// A label value that is no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a lifecycle state")]
pub struct UnknownState(pub String);

impl LifecycleState {
    /// Every state, in the order of a pod's life.
    pub const ALL: [Self; 6] = [
        Self::PreparingNormal,
        Self::Normal,
        Self::PreparingUpdate,
        Self::Updating,
        Self::Updated,
        Self::PreparingDelete,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreparingNormal => "PreparingNormal",
            Self::Normal => "Normal",
            Self::PreparingUpdate => "PreparingUpdate",
            Self::Updating => "Updating",
            Self::Updated => "Updated",
            Self::PreparingDelete => "PreparingDelete",
        }
    }
}

impl fmt::Display for LifecycleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LifecycleState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| UnknownState(text.to_owned()))
    }
}

impl LifecycleHook {
    /// Whether **any** marker is on a pod with these labels (looked up) and finalizers: the hook holds it (P-11).
    /// A hook without markers holds nothing.
    pub fn hooked<'a, F: AsRef<str>>(
        &self,
        label: impl Fn(&str) -> Option<&'a str>,
        finalizers: &[F],
    ) -> bool {
        self.labels_handler.iter().any(|(key, value)| label(key) == Some(value))
            || self.finalizers_handler.iter().any(|finalizer| contains(finalizers, finalizer))
    }

    /// Whether **all** markers are on the pod; true if there are none (P-12). Without a hook the answer is false:
    /// `hook.is_some_and(|hook| hook.all_hooked(..))`.
    pub fn all_hooked<'a, F: AsRef<str>>(
        &self,
        label: impl Fn(&str) -> Option<&'a str>,
        finalizers: &[F],
    ) -> bool {
        self.labels_handler.iter().all(|(key, value)| label(key) == Some(value))
            && self.finalizers_handler.iter().all(|finalizer| contains(finalizers, finalizer))
    }
}

fn contains<F: AsRef<str>>(finalizers: &[F], wanted: &str) -> bool {
    finalizers.iter().any(|finalizer| finalizer.as_ref() == wanted)
}
