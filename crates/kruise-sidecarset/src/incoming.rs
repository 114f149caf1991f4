//! A pod as the API server asks about it (WHK-10…WHK-12). It is read in one pass, and what injection never looks at
//! (`managedFields`, often half of a review, most of the spec, and the status) is passed over. Containers that stand where a
//! sidecar is to be are looked up again.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

mod spec;

pub use spec::{Container, Item, Named, Spec};

/// Metadata as far as anybody looks at it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Name; empty or absent while the server has yet to generate it.
    pub name: Option<String>,
    /// Namespace, if the object says it.
    pub namespace: Option<String>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations.
    pub annotations: Option<BTreeMap<String, String>>,
    /// Since when it is being deleted.
    pub deletion_timestamp: Option<Value>,
}

/// A pod that is about to be created.
#[derive(Debug)]
pub struct Incoming<'a> {
    text: &'a str,
    metadata: Option<Metadata>,
    spec: Result<Spec<'a>, serde_json::Error>,
}

/// A pod, as far as `S` looks at its spec.
#[derive(Deserialize)]
struct Pod<S> {
    #[serde(default, deserialize_with = "there")]
    metadata: Option<Metadata>,
    spec: Option<S>,
}

/// Absent is one thing, and null is none.
fn there<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Metadata>, D::Error> {
    Metadata::deserialize(source).map(Some)
}

impl<'a> Incoming<'a> {
    /// Reads a pod. Its spec need not be one as long as no set is about it.
    pub fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        match serde_json::from_str::<Pod<Spec<'a>>>(text) {
            Ok(Pod { metadata, spec }) => {
                Ok(Self { text, metadata, spec: Ok(spec.unwrap_or_default()) })
            }
            Err(error) => {
                let Pod { metadata, .. } = serde_json::from_str::<Pod<IgnoredAny>>(text)?;
                Ok(Self { text, metadata, spec: Err(error) })
            }
        }
    }

    /// Its metadata.
    pub fn metadata(&self) -> &Metadata {
        static NONE: Metadata = Metadata {
            name: None,
            namespace: None,
            labels: None,
            annotations: None,
            deletion_timestamp: None,
        };
        self.metadata.as_ref().unwrap_or(&NONE)
    }

    /// Whether nothing is going to run in it (WHK-13). A phase does not say so: the API server forgets the status of a new pod
    /// after it has asked, and whoever writes one would go without sidecars.
    pub fn inactive(&self) -> bool {
        self.metadata().deletion_timestamp.is_some()
    }

    /// Its metadata, if it has any.
    pub fn stated_metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Its spec as injection looks at it.
    pub fn spec(&self) -> Result<&Spec<'a>, &serde_json::Error> {
        self.spec.as_ref()
    }

    /// The containers of a list of the spec as they are written.
    pub fn texts(&self, list: &str) -> Result<Vec<&'a str>, serde_json::Error> {
        let pod: Pod<BTreeMap<String, &RawValue>> = serde_json::from_str(self.text)?;
        let list = pod.spec.and_then(|mut spec| spec.remove(list));
        let items: Option<Vec<&RawValue>> =
            list.map(|list| serde_json::from_str(list.get())).transpose()?.flatten();
        Ok(items.into_iter().flatten().map(RawValue::get).collect())
    }
}
