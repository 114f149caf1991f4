//! What several files share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::intern::Interner;
use crate::key::ObjectKey;
use crate::meta::Meta;

#[cfg(feature = "runtime")]
mod api;

#[cfg(feature = "runtime")]
pub use api::*;

/// A key in namespace `ns`.
pub fn key(name: &str) -> ObjectKey {
    ObjectKey::new("ns", name)
}

/// Metadata of an object in namespace `ns`, controlled by the object with UID `owner` unless that is empty.
pub fn meta(name: &str, uid: &str, version: u64, owner: &str) -> Meta {
    let owner = (!owner.is_empty()).then(|| OwnerReference {
        api_version: "apps.kruise.io/v1beta1".into(),
        kind: "StatefulSet".into(),
        name: format!("set-{owner}"),
        uid: owner.into(),
        controller: Some(true),
        ..OwnerReference::default()
    });
    let meta = ObjectMeta {
        namespace: Some("ns".into()),
        name: Some(name.into()),
        uid: Some(uid.into()),
        resource_version: Some(version.to_string()),
        owner_references: owner.map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    Meta::new(&meta, &Interner::default())
}
