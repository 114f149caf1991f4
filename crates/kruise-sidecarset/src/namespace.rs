//! The record of a Namespace: its name and labels, by which sets choose.

use k8s_openapi::api::core::v1::Namespace as TypedNamespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_common::intern::Interner;
use kruise_common::kind::{Kind, NAMESPACE};
use kruise_common::meta::{Meta, lean_meta};
use kruise_common::table::{Record, Wire};
use serde::{Deserialize, Serialize};

/// A Namespace as far as anybody looks at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    /// Metadata.
    pub meta: Meta,
}

impl Record for Namespace {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// A Namespace as it comes from the API server.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = TypedNamespace)]
pub struct WireNamespace {
    /// Metadata without managedFields.
    #[serde(deserialize_with = "lean_meta", default)]
    pub metadata: ObjectMeta,
}

impl Wire for WireNamespace {
    type Record = Namespace;
    const KIND: &'static Kind = &NAMESPACE;

    fn into_record(self, interner: &Interner) -> Namespace {
        Namespace { meta: Meta::new(&self.metadata, interner) }
    }
}
