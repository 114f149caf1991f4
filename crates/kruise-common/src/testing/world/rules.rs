//! What the API server does to an object before it stores it, and what it refuses.

use kruise_api::keys;
use serde_json::{Map, Value, json};

use super::meta;
use crate::kind::{CLAIM, CONTROLLER_REVISION, Kind, POD};
use crate::write::{Category, Patch};

/// Finalizer of every claim, until no pod uses it.
pub const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// What clients do not decide; an update leaves it as it is.
const SYSTEM: [&str; 4] =
    ["creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// A new object from the body of a POST.
pub fn created(kind: &Kind, body: &Value) -> Value {
    let mut object = body.clone();
    if let Some(members) = object.as_object_mut() {
        members.remove("status");
        if [&POD, &CLAIM].contains(&kind) {
            members.insert("status".into(), json!({ "phase": "Pending" }));
        }
        let meta = members.entry("metadata").or_insert_with(|| json!({}));
        if let Some(meta) = meta.as_object_mut() {
            meta.retain(|name, _| name != "uid" && !SYSTEM.contains(&name.as_str()));
            if *kind == CLAIM {
                let list = meta.entry("finalizers").or_insert(Value::Null);
                let mut finalizers = list.as_array().cloned().unwrap_or_default();
                finalizers.push(json!(PROTECTION));
                *list = Value::Array(finalizers);
            }
        }
    }
    object
}

/// Whether the kind is defined by a CRD.
fn is_custom(kind: &Kind) -> bool {
    kind.group == keys::GROUP
}

/// Whether the kind takes such a patch at all.
pub fn takes(
    kind: &Kind,
    subresource: Option<&str>,
    patch: &Patch,
) -> Result<(), (Category, &'static str)> {
    let unknown = match subresource {
        Some("resize") => *kind != POD,
        Some(_) => *kind == CONTROLLER_REVISION,
        None => false,
    };
    if unknown {
        return Err((Category::NotFound, "has no such subresource"));
    }
    if is_custom(kind) && matches!(patch, Patch::Strategic(_)) {
        return Err((Category::Invalid, "custom resources take no strategic merge"));
    }
    Ok(())
}

/// JSON Patch as the API server does it, which takes null for a missing member, and replaces what is missing in a map.
pub fn operations(target: &mut Value, list: &Value) -> Result<(), String> {
    for operation in list.as_array().into_iter().flatten() {
        let path = operation.get("path").and_then(Value::as_str).unwrap_or_default();
        let missing = target.pointer(path).is_none();
        let parent = path.rsplit_once('/').and_then(|(parent, _)| target.pointer(parent));
        let in_map = missing && parent.is_some_and(Value::is_object);
        let mut operation = operation.clone();
        match operation.get("op").and_then(Value::as_str) {
            Some("test") if in_map && operation.get("value").is_none_or(Value::is_null) => continue,
            Some("replace") if in_map => {
                if let Some(members) = operation.as_object_mut() {
                    members.insert("op".into(), json!("add"));
                }
            }
            _ => {}
        }
        let one: json_patch::Patch =
            serde_json::from_value(json!([operation])).map_err(|error| error.to_string())?;
        json_patch::patch(target, &one).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// `new` with the members of `old` that a request to this subresource cannot change.
pub fn updated(kind: &Kind, subresource: Option<&str>, old: &Value, mut new: Value) -> Value {
    if subresource.is_none() {
        keep(&mut new, old, &["status"]);
    } else if subresource == Some("resize") {
        return resized(old, &new);
    } else if is_custom(kind) {
        let mut object = old.clone();
        keep(&mut object, &new, &["status"]);
        return object;
    } else {
        // Labels, annotations and finalizers are taken along.
        keep(&mut new, old, &["spec"]);
    }
    if let (Some(meta), Some(before)) = (new.get_mut("metadata"), old.get("metadata")) {
        keep(meta, before, &SYSTEM);
        if subresource.is_some() && *kind == POD {
            keep(meta, before, &["ownerReferences"]);
        }
    }
    new
}

/// `old` with the resources of the containers of `new`: all that `pods/resize` takes.
fn resized(old: &Value, new: &Value) -> Value {
    let mut object = old.clone();
    let wanted = new.pointer("/spec/containers").and_then(Value::as_array);
    let containers = object.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    for (container, wanted) in containers.into_iter().flatten().zip(wanted.into_iter().flatten()) {
        keep(container, wanted, &["resources"]);
    }
    object
}

/// What a resize may not change.
pub fn may_resize(old: &Value, new: &Value) -> Result<(), &'static str> {
    let statuses = old.pointer("/status/containerStatuses").and_then(Value::as_array);
    let running = statuses.into_iter().flatten().find(|s| s.pointer("/state/running").is_some());
    if running.is_some_and(|status| status.get("resources").is_none()) {
        return Err("Pod running on node without support for resize");
    }
    if qos(old) != qos(new) {
        return Err("Pod QOS Class may not change as a result of resizing");
    }
    Ok(())
}

/// Guaranteed, Burstable or BestEffort, by the containers.
fn qos(pod: &Value) -> &'static str {
    let amount = |container: &Value, part: &str, name: &str| -> Option<String> {
        let text = container.pointer(&format!("/resources/{part}/{name}"))?.as_str()?;
        Some(kruise_api::shared::quantity::Quantity::parse(text).ok()?.plain())
    };
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let all: Vec<&Value> = containers.into_iter().flatten().collect();
    let parts = ["limits", "requests"];
    let names = ["cpu", "memory"];
    let any = |c: &&Value| parts.iter().any(|p| names.iter().any(|n| amount(c, p, n).is_some()));
    let full = |c: &&Value| {
        let limit = |name| amount(c, "limits", name);
        names.iter().all(|name| limit(name).is_some() && limit(name) == amount(c, "requests", name))
    };
    match () {
        () if !all.iter().any(any) => "BestEffort",
        () if all.iter().all(full) => "Guaranteed",
        () => "Burstable",
    }
}

/// Makes `names` of `object` what they are in `from`.
fn keep(object: &mut Value, from: &Value, names: &[&str]) {
    let Some(members) = object.as_object_mut() else { return };
    for name in names {
        match from.get(name) {
            Some(value) => members.insert((*name).to_owned(), value.clone()),
            None => members.remove(*name),
        };
    }
}

/// Drops what is not stored when it is empty.
pub fn tidy(kind: &Kind, object: &mut Value) {
    let drop = |members: Option<&mut Map<String, Value>>, names: &[&str]| {
        if let Some(members) = members {
            members.retain(|name, value| !names.contains(&name.as_str()) || !is_empty(value));
        }
    };
    let maps = ["labels", "annotations", "ownerReferences", "finalizers"];
    drop(object.get_mut("metadata").and_then(Value::as_object_mut), &maps);
    if is_custom(kind) {
        return;
    }
    let lists =
        [("conditions", &["reason", "message"][..]), ("containerStatuses", &["containerID"])];
    for (list, optional) in lists {
        let items = object.get_mut("status").and_then(|status| status.get_mut(list));
        for item in items.and_then(Value::as_array_mut).into_iter().flatten() {
            drop(item.as_object_mut(), optional);
        }
        drop(object.get_mut("status").and_then(Value::as_object_mut), &[list]);
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Most bytes of an object: etcd takes no larger request.
const STORABLE: usize = 1_572_864;

/// Whether etcd takes it.
pub fn storable(object: &Value) -> Result<(), &'static str> {
    let size = serde_json::to_vec(object).map_or(0, |text| text.len());
    if size > STORABLE { Err("etcdserver: request is too large") } else { Ok(()) }
}

/// What holds for every object.
pub fn valid(kind: &Kind, object: &Value) -> Result<(), &'static str> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controls = |owner: &&Value| owner.get("controller") == Some(&json!(true));
    if owners.into_iter().flatten().filter(controls).count() > 1 {
        return Err("only one owner may be the controller");
    }
    let revision = object.get("revision").and_then(Value::as_i64);
    if *kind == CONTROLLER_REVISION && revision.is_some_and(|revision| revision < 0) {
        return Err("revision must not be negative");
    }
    Ok(())
}

/// What an update may not change.
pub fn may_become(kind: &Kind, old: &Value, new: &Value) -> Result<(), &'static str> {
    if meta(old, "deletionTimestamp").is_some()
        && finalizers(new).any(|f| !finalizers(old).any(|g| f == g))
    {
        return Err("no new finalizers while the object is being deleted");
    }
    let spec = |object: &Value| object.get("spec").cloned().unwrap_or_default();
    if *kind == POD && without_images(spec(old)) != without_images(spec(new)) {
        return Err("pod updates may not change fields other than images and deadline");
    }
    let deadline = |object: &Value| object.pointer("/spec/activeDeadlineSeconds")?.as_i64();
    if *kind == POD
        && let Some(before) = deadline(old)
        && deadline(new).is_none_or(|now| now > before)
    {
        return Err("activeDeadlineSeconds must be less than or equal to the previous value");
    }
    if *kind == CLAIM {
        let bound = old.pointer("/status/phase") == Some(&json!("Bound"));
        if claim_spec(spec(old), bound) != claim_spec(spec(new), bound) {
            return Err("the spec is immutable except requests of bound claims");
        }
    }
    if *kind == CONTROLLER_REVISION && old.get("data") != new.get("data") {
        return Err("data is immutable");
    }
    Ok(())
}

fn finalizers(object: &Value) -> impl Iterator<Item = &Value> {
    let list = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten()
}

fn without_images(mut spec: Value) -> Value {
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("activeDeadlineSeconds");
    }
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            container.remove("image");
        }
    }
    spec
}

/// What must stay of the spec of a claim.
fn claim_spec(mut spec: Value, bound: bool) -> Value {
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("volumeName");
    }
    let resources = spec.get_mut("resources").and_then(Value::as_object_mut);
    if let (true, Some(resources)) = (bound, resources) {
        resources.remove("requests");
    }
    spec
}

/// How long a deletion waits for the kubelet, in seconds: not at all where there is nothing to stop.
pub fn grace(kind: &Kind, object: &Value) -> i64 {
    let phase = object.pointer("/status/phase").and_then(Value::as_str);
    let ended = matches!(phase, Some("Failed" | "Succeeded"));
    if *kind != POD || object.pointer("/spec/nodeName").is_none() || ended {
        return 0;
    }
    let seconds = object.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64);
    seconds.unwrap_or(30)
}

/// Whether nothing holds a terminating object any more.
pub fn goes(object: &Value) -> bool {
    let grace = object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
    meta(object, "deletionTimestamp").is_some()
        && grace.unwrap_or(0) == 0
        && finalizers(object).next().is_none()
}
