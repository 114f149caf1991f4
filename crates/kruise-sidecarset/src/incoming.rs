//! A pod as the API server asks about it (WHK-10…WHK-12). What matching asks for is read at once; the rest only if some set
//! is about the pod, and what injection never looks at (`managedFields`, often half of a review, most of the spec, and the
//! status) not at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Metadata as far as anybody looks at it.
#[derive(Default, Deserialize)]
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
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Incoming<'a> {
    #[serde(deserialize_with = "there")]
    metadata: Option<Metadata>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
}

/// A spec as far as injection looks at it: lists are null or absent alike.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    automount_service_account_token: Option<Value>,
    containers: Option<Value>,
    image_pull_secrets: Option<Value>,
    init_containers: Option<Value>,
    volumes: Option<Vec<Named>>,
}

/// Of a volume the name is asked for, and nothing else.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: Value,
}

impl Spec {
    fn into_value(self) -> Value {
        let volumes = self.volumes.map(|volumes| {
            let named =
                |volume: Named| Value::Object(Map::from_iter([("name".to_owned(), volume.name)]));
            volumes.into_iter().map(named).collect()
        });
        let members = [
            ("automountServiceAccountToken", self.automount_service_account_token),
            ("containers", self.containers),
            ("imagePullSecrets", self.image_pull_secrets),
            ("initContainers", self.init_containers),
            ("volumes", volumes),
        ];
        let there = |(member, value): (&str, Option<Value>)| Some((member.to_owned(), value?));
        Value::Object(members.into_iter().filter_map(there).collect())
    }
}

/// Absent is one thing, and null is none.
fn there<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Metadata>, D::Error> {
    Metadata::deserialize(source).map(Some)
}

impl<'a> Incoming<'a> {
    /// Reads a pod.
    pub fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
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

    /// The pod as injection looks at it: less than the whole pod, but the paths of what is in it are the same.
    pub fn to_value(&self) -> Result<Value, serde_json::Error> {
        let mut pod = Map::new();
        if let Some(known) = &self.metadata {
            let mut meta = Map::new();
            for (member, value) in [("name", &known.name), ("namespace", &known.namespace)] {
                meta.extend(value.as_ref().map(|text| (member.to_owned(), text.clone().into())));
            }
            for (member, pairs) in [("labels", &known.labels), ("annotations", &known.annotations)]
            {
                let pairs = pairs.iter().map(|pairs| {
                    let text =
                        |(key, value): (&String, &String)| (key.clone(), value.clone().into());
                    (member.to_owned(), Value::Object(pairs.iter().map(text).collect()))
                });
                meta.extend(pairs);
            }
            pod.insert("metadata".to_owned(), Value::Object(meta));
        }
        if let Some(spec) = self.spec {
            let spec: Spec = serde_json::from_str(spec.get())?;
            pod.insert("spec".to_owned(), spec.into_value());
        }
        Ok(Value::Object(pod))
    }
}
