//! The BroadcastJob; v1beta1 is the storage version.

pub mod amount;
pub mod default;
pub mod v1alpha1;
pub mod v1beta1;
pub mod validate;
