//! What two servers must agree on of an object.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The members of an object that writes change or depend on; UIDs as their names, absent members absent.
pub fn view(object: &Value, uids: &BTreeMap<String, String>) -> Value {
    let meta = &object["metadata"];
    let mut seen = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            seen.insert(name.to_owned(), without_nulls(&value));
        }
    };
    for member in ["labels", "annotations", "finalizers", "deletionGracePeriodSeconds"] {
        put(member, meta.get(member).cloned());
    }
    put("terminating", meta.get("deletionTimestamp").map(|_| json!(true)));
    put("owners", meta.get("ownerReferences").map(|owners| named(owners, uids)));
    put("images", object.pointer("/spec/containers").map(images));
    put("resources", object.pointer("/spec/containers").map(resources));
    put("requests", object.pointer("/spec/resources/requests").cloned());
    put("replicas", object.pointer("/spec/replicas").cloned());
    put("phase", object.pointer("/status/phase").cloned());
    put("conditions", object.pointer("/status/conditions").cloned());
    put("containerStatuses", object.pointer("/status/containerStatuses").map(statuses));
    put("counted", object.pointer("/status/readyReplicas").cloned());
    put("data", object.get("data").cloned());
    put("revision", object.get("revision").cloned());
    // Only sets have a generation that anybody looks at.
    let generation = meta.get("generation").filter(|_| object["kind"] == "StatefulSet");
    put("generation", generation.cloned());
    Value::Object(seen)
}

fn named(owners: &Value, uids: &BTreeMap<String, String>) -> Value {
    let owners = owners.as_array().into_iter().flatten().map(|owner| {
        let mut owner = owner.clone();
        if let Some(name) = owner["uid"].as_str().and_then(|uid| uids.get(uid)) {
            owner["uid"] = json!(name);
        }
        owner
    });
    owners.collect()
}

fn images(containers: &Value) -> Value {
    let containers = containers.as_array().into_iter().flatten();
    containers.map(|container| json!([container["name"], container["image"]])).collect()
}

fn resources(containers: &Value) -> Value {
    let containers = containers.as_array().into_iter().flatten();
    containers.map(|container| container.get("resources").cloned().unwrap_or(json!({}))).collect()
}

fn statuses(statuses: &Value) -> Value {
    let statuses = statuses.as_array().into_iter().flatten();
    let members = ["name", "image", "imageID", "containerID", "ready", "restartCount"];
    statuses
        .map(|status| members.map(|member| status[member].clone()).into_iter().collect::<Value>())
        .collect()
}

/// Typed members that are null are written by some servers and left out by others.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        other => other.clone(),
    }
}
