//! Hashes by which the node daemon tells what a container was made from (§11).

use kruise_api::keys;
use kruise_api::shared::inplace::{RuntimeContainer, RuntimeMeta};
use kruise_common::pod::{Container, ContainerStatus, Pod};
use serde_json::{Map, Value, json};

/// FNV-1a of 32 bits, over the text that Go prints of the bytes (§11.1).
fn deep_hash(json: &str) -> u64 {
    let bytes: Vec<String> = json.bytes().map(|byte| byte.to_string()).collect();
    let text = format!("([]uint8)[{}]", bytes.join(" "));
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    u64::from(text.bytes().fold(0x811c_9dc5_u32, mix))
}

/// Hash of a container as kubelets from 1.31 on compute it (§11.2).
pub(crate) fn plain(container: &Container) -> u64 {
    let image = json!(&*container.image);
    let name = json!(&*container.name);
    deep_hash(&format!(r#"{{"image":{image},"name":{name}}}"#))
}

/// Hash of the env that a container reads from the pod's metadata as it is now (§11.3).
pub(crate) fn env(pod: &Pod, container: &Container) -> u64 {
    let value = |annotation: bool, key: &str| {
        let map = if annotation { &pod.annotations } else { &pod.meta.labels };
        map.get(key).unwrap_or_default()
    };
    let mut read: Vec<(&str, &str)> =
        container.env.iter().map(|env| (&*env.name, value(env.annotation, &env.key))).collect();
    if read.is_empty() {
        return deep_hash("null");
    }
    read.sort_by_key(|(name, _)| *name);
    let entries = read.into_iter().map(|(name, value)| {
        let mut entry = Map::new();
        entry.insert("name".to_owned(), json!(name));
        if !value.is_empty() {
            entry.insert("value".to_owned(), json!(value));
        }
        Value::Object(entry)
    });
    deep_hash(&escaped(&entries.collect::<Value>().to_string()))
}

/// JSON as Go writes it: signs that mean something in HTML are escaped.
fn escaped(json: &str) -> String {
    let escape = |sign: char| match sign {
        '<' => "\\u003c".to_owned(),
        '>' => "\\u003e".to_owned(),
        '&' => "\\u0026".to_owned(),
        '\u{2028}' => "\\u2028".to_owned(),
        '\u{2029}' => "\\u2029".to_owned(),
        other => other.to_string(),
    };
    json.chars().map(escape).collect()
}

/// What the daemon reports, if it can be read.
pub(crate) fn report(pod: &Pod) -> Option<RuntimeMeta> {
    serde_json::from_str(pod.annotations.get(keys::RUNTIME_CONTAINERS_META)?).ok()
}

/// What the daemon reports of the container that runs now.
pub(crate) fn of<'a>(
    report: &'a RuntimeMeta,
    status: &ContainerStatus,
) -> Option<&'a RuntimeContainer> {
    let named = report.containers.iter().find(|container| *container.name == *status.name)?;
    let current = !named.container_id.is_empty() && *named.container_id == *status.container_id;
    current.then_some(named)
}
