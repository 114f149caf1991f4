//! The SidecarSet; v1beta1 is the storage version.

pub mod container;
pub mod convert;
pub mod default;
pub mod expression;
pub mod v1alpha1;
pub mod v1beta1;
pub mod validate;
