//! The Advanced StatefulSet; v1beta1 is the storage version.

pub mod claim_template;
pub mod default;
pub mod v1alpha1;
pub mod v1beta1;
pub mod validate;
