//! The record of OpenKruise's ConfigMap of settings, as far as SidecarSets ask (sidecarset §9.6).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_api::keys;
use kruise_common::intern::Interner;
use kruise_common::kind::{CONFIG_MAP, Kind};
use kruise_common::meta::{Meta, lean_meta};
use kruise_common::table::{Record, Wire};
use serde::{Deserialize, Serialize};

/// A ConfigMap; of others than the one of settings only the name is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// Metadata.
    pub meta: Meta,
    /// Which annotations sets may patch (WL-1).
    pub whitelist: Option<String>,
}

impl Record for Configuration {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// A ConfigMap as it comes from the API server.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = ConfigMap)]
pub struct WireConfiguration {
    /// Metadata without managedFields.
    #[serde(deserialize_with = "lean_meta", default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

impl Wire for WireConfiguration {
    type Record = Configuration;
    const KIND: &'static Kind = &CONFIG_MAP;

    fn into_record(self, interner: &Interner) -> Configuration {
        let meta = Meta::new(&self.metadata, interner);
        let data = self.data.filter(|_| *meta.key.name == *keys::CONFIGURATION);
        let whitelist = data.and_then(|mut data| data.remove(keys::PATCH_WHITELIST));
        Configuration { meta, whitelist }
    }
}
