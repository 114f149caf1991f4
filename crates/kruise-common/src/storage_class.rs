//! The record of a StorageClass: whether volumes of it can grow.

use std::collections::BTreeMap;

use k8s_openapi::api::storage::v1::StorageClass as Stored;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_api::keys;
use serde::{Deserialize, Serialize};

use crate::intern::Interner;
use crate::kind::{Kind, STORAGE_CLASS};
use crate::meta::{Meta, lean_meta};
use crate::table::{Record, Wire};

/// A storage class as far as controllers look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageClass {
    /// Metadata.
    pub meta: Meta,
    /// Whether volumes may be expanded; unset counts as no (RS-5).
    pub expandable: bool,
    /// Whether claims without a class get this one.
    pub default: bool,
}

impl Record for StorageClass {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// A StorageClass as it comes from the API server.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = Stored)]
#[serde(rename_all = "camelCase")]
pub struct WireStorageClass {
    /// Metadata without managedFields.
    #[serde(deserialize_with = "lean_meta", default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    allow_volume_expansion: Option<bool>,
}

impl Wire for WireStorageClass {
    type Record = StorageClass;
    const KIND: &'static Kind = &STORAGE_CLASS;

    fn into_record(self, interner: &Interner) -> StorageClass {
        let none = BTreeMap::new();
        let annotations = self.metadata.annotations.as_ref().unwrap_or(&none);
        StorageClass {
            expandable: self.allow_volume_expansion == Some(true),
            default: annotations
                .get(keys::DEFAULT_STORAGE_CLASS)
                .is_some_and(|text| text == "true"),
            meta: Meta::new(&self.metadata, interner),
        }
    }
}
