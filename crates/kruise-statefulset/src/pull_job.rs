//! ImagePullJob: what is kept of one, and the job that pulls an image ahead of an in-place update (18).

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_api::keys;
use kruise_common::intern::Interner;
use kruise_common::kind::{IMAGE_PULL_JOB, Kind};
use kruise_common::meta::{Meta, lean_meta};
use kruise_common::revision::Revision;
use kruise_common::table::{Record, Wire};
use kruise_common::write::Write;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::revision::controller_reference;
use crate::snapshot::{Settings, Snapshot};

/// Seconds after which a finished job is removed.
const KEPT_SECONDS: i32 = 600;

/// A job as far as the controller looks at it.
#[derive(Clone, Debug)]
pub struct PullJob {
    /// Metadata.
    pub meta: Meta,
}

impl Record for PullJob {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// A job as it comes from the API server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WirePullJob {
    /// Metadata without managedFields.
    #[serde(deserialize_with = "lean_meta", default)]
    pub metadata: ObjectMeta,
}

impl kube::Resource for WirePullJob {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        IMAGE_PULL_JOB.kind.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        IMAGE_PULL_JOB.group.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        IMAGE_PULL_JOB.version.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        IMAGE_PULL_JOB.plural.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Wire for WirePullJob {
    type Record = PullJob;
    const KIND: &'static Kind = &IMAGE_PULL_JOB;

    fn into_record(self, interner: &Interner) -> PullJob {
        PullJob { meta: Meta::new(&self.metadata, interner) }
    }
}

/// Name of the job for a container (PD-5).
pub fn name(revision: &str, container: &str) -> String {
    format!("{revision}-{container}")
}

/// The POST of the job that pulls `image` for `container` (PD-5, PD-6).
pub fn create(
    snapshot: &Snapshot,
    settings: &Settings,
    revision: &Revision,
    (container, image): (&str, &str),
) -> Write {
    let template: Value = settings.template.parse().unwrap_or_default();
    let mut labels = template.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    let hash = revision.meta.labels.get(keys::CONTROLLER_HASH).unwrap_or_default();
    if let Some(labels) = labels.as_object_mut() {
        labels.insert(keys::CONTROLLER_HASH.to_owned(), json!(hash));
    }
    let annotations = template.pointer("/metadata/annotations").cloned();
    let secrets = template.pointer("/spec/imagePullSecrets").and_then(Value::as_array);
    let secrets: Vec<&Value> =
        secrets.into_iter().flatten().filter_map(|s| s.get("name")).collect();
    let prefetch = &settings.prefetch;
    let mut sandbox = json!({ "labels": labels });
    add(&mut sandbox, "annotations", annotations.filter(Value::is_object));
    let mut spec = json!({
        "image": image,
        "podSelector": selector(snapshot, revision, hash),
        "parallelism": prefetch.parallelism,
        "pullPolicy": { "backoffLimit": 1, "timeoutSeconds": prefetch.timeout_seconds },
        "completionPolicy": { "type": "Always", "ttlSecondsAfterFinished": KEPT_SECONDS },
        "sandboxConfig": sandbox,
    });
    add(&mut spec, "pullSecrets", Some(json!(secrets)).filter(|_| !secrets.is_empty()));
    let body = json!({
        "apiVersion": IMAGE_PULL_JOB.api_version(),
        "kind": IMAGE_PULL_JOB.kind,
        "metadata": { "labels": labels, "ownerReferences": [controller_reference(&snapshot.set.meta)] },
        "spec": spec,
    });
    let key = snapshot.set.meta.key.sibling(name(revision.name(), container));
    Write::create(&IMAGE_PULL_JOB, key, body)
}

fn add(object: &mut Value, member: &str, value: Option<Value>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(member.to_owned(), value);
    }
}

/// The set's selector, without the pods that have the image already.
fn selector(snapshot: &Snapshot, revision: &Revision, hash: &str) -> Value {
    let Ok(spec) = &snapshot.set.spec else { return json!({}) };
    let mut selector = serde_json::to_value(&spec.selector).unwrap_or_default();
    let updated = json!({
        "key": keys::CONTROLLER_REVISION_HASH, "operator": "NotIn", "values": [&**revision.name(), hash],
    });
    if let Some(selector) = selector.as_object_mut() {
        let list = selector.entry("matchExpressions").or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(updated);
        }
    }
    selector
}

/// The image of each container of a template, by name.
pub fn images(template: &kruise_api::raw::RawJson) -> BTreeMap<String, String> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Template {
        spec: Spec,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Spec {
        containers: Vec<Container>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Container {
        name: String,
        image: String,
    }
    let template: Template = template.parse().unwrap_or_default();
    template.spec.containers.into_iter().map(|c| (c.name, c.image)).collect()
}
