//! The SidecarSet; v1beta1 is the storage version.

pub mod container;
pub mod v1alpha1;
pub mod v1beta1;
