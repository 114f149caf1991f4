//! SidecarSet v1alpha1. With conversion strategy `None` both versions must have one schema, or what only one of them
//! knows would be pruned when the other is written: a set limited by `namespace` would become cluster-wide
//! (platform §18.2). So there are no types of its own; what the spellings mean is in `convert.rs`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use super::v1beta1::{SidecarSetSpec, SidecarSetStatus};

/// Name of the version.
pub const VERSION: &str = "v1alpha1";

/// The CRD with this version only.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = super::v1beta1::SidecarSet::crd();
    for version in &mut crd.spec.versions {
        VERSION.clone_into(&mut version.name);
        version.storage = false;
    }
    crd
}
