//! What Kubernetes would say about a pod made of nothing but the set's containers and volumes (VAL-50, VAL-51).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::raw::RawJson;
use crate::shared::field::FieldError;
use crate::shared::pod_template::check_template;
use crate::sidecarset::container::{EXTENSIONS, SidecarContainer};
use crate::sidecarset::v1beta1::SidecarSetSpec;

/// Problems of the containers and volumes together. Paths are those of a pod's spec, which are those of the set's. With
/// `pod_volumes` what they mount may be a volume of the pod (W-19).
pub(super) fn rules(spec: &SidecarSetSpec, pod_volumes: bool) -> Vec<FieldError> {
    if spec.containers.is_empty() && spec.init_containers.is_empty() {
        return Vec::new();
    }
    let mut containers = cores(&spec.containers);
    if containers.is_empty() {
        // A pod needs one.
        containers.push(json!({ "name": "test", "image": "busybox" }));
    }
    let volumes = spec.volumes.iter().map(|volume| volume.parse().unwrap_or_default());
    let mut volumes: Vec<Value> = volumes.collect();
    let init = cores(&spec.init_containers);
    if pod_volumes {
        for (list, kind) in [
            ("volumeMounts", json!({ "emptyDir": {} })),
            ("volumeDevices", json!({ "persistentVolumeClaim": { "claimName": "any" } })),
        ] {
            let missing = missing(init.iter().chain(&containers), list, &volumes);
            volumes.extend(missing.into_iter().map(|name| {
                let mut volume = kind.clone();
                if let Some(members) = volume.as_object_mut() {
                    members.insert("name".to_owned(), name.into());
                }
                volume
            }));
        }
    }
    let pod = json!({ "spec": {
        "initContainers": init,
        "containers": containers,
        "volumes": volumes,
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "terminationGracePeriodSeconds": 30,
    } });
    let mut errors = check_template("", &pod);
    for error in &mut errors {
        error.path = error.path.trim_start_matches('.').to_owned();
    }
    errors.extend(plain_init_containers(&pod, &errors));
    errors
}

/// VAL-50.8: what ends before the pod starts has nobody to probe.
fn plain_init_containers(pod: &Value, said: &[FieldError]) -> Vec<FieldError> {
    const MEMBERS: [&str; 4] = ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"];
    let containers = pod.pointer("/spec/initContainers").and_then(Value::as_array);
    let mut errors = Vec::new();
    for (index, container) in containers.into_iter().flatten().enumerate() {
        let plain = container.get("restartPolicy").is_none_or(|policy| policy != "Always");
        for member in MEMBERS.iter().filter(|member| plain && container.get(**member).is_some()) {
            let path = format!("spec.initContainers[{index}].{member}");
            if said.iter().all(|error| !error.path.starts_with(&path)) {
                let rule = "may not be set for init containers without restartPolicy=Always";
                errors.push(FieldError::forbidden(path, rule));
            }
        }
    }
    errors
}

/// Names in lists of the containers that no volume has.
fn missing<'a>(
    containers: impl Iterator<Item = &'a Value>,
    list: &str,
    volumes: &[Value],
) -> BTreeSet<String> {
    let name = |item: &Value| item.get("name").and_then(Value::as_str).map(str::to_owned);
    let items = containers.filter_map(|container| container.get(list)?.as_array()).flatten();
    let known: BTreeSet<String> = volumes.iter().filter_map(name).collect();
    items.filter_map(name).filter(|name| !known.contains(name)).collect()
}

/// The containers as they enter a pod (INJ-16).
fn cores(containers: &[SidecarContainer]) -> Vec<Value> {
    let core = |raw: &RawJson| {
        let mut container: Value = raw.parse().unwrap_or_default();
        if let Some(members) = container.as_object_mut() {
            members.retain(|name, _| !EXTENSIONS.contains(&name.as_str()));
        }
        container
    };
    containers.iter().map(|container| core(container.raw())).collect()
}
