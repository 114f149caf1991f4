//! Defaults of a pod template, written into raw JSON (statefulset D-9…D-12): only missing members are added, none is
//! removed or rewritten, so a pod field that nobody here knows survives (D-14). Quantities finer than thousandths are
//! the one exception; the API server would round them too.
//!
//! `enableServiceLinks` is not among them: OpenKruise leaves it to the pod, and a template with it would be another revision.
//!
//! Where Go cannot tell a zero value from absence (`""`, 0), zero counts as missing; `null` always does.

use serde_json::{Map, Value, json};

use super::quantity::Quantity;

type Object = Map<String, Value>;

/// Where a container stands in its pod; decides how an absent `imagePullPolicy` is filled (D-10).
#[derive(Clone, Copy)]
enum Place {
    /// `Always`, whatever the tag: an in-place update must get what the tag means now.
    App,
    /// Kubernetes' rule: `Always` for `latest` or no tag.
    Other,
}

/// Fills the pod spec of `template`. With `host_ports`, pods in the host's network get their container ports as host
/// ports (gate `DefaultHostNetworkHostPortsInPodTemplates`). A template without spec is left alone: no pod comes of it.
pub fn fill_template(template: &mut Value, host_ports: bool) {
    let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) else { return };
    fill_text(spec, "dnsPolicy", "ClusterFirst");
    fill_text(spec, "restartPolicy", "Always");
    fill_text(spec, "schedulerName", "default-scheduler");
    fill(spec, "securityContext", json!({}));
    fill(spec, "terminationGracePeriodSeconds", json!(30));
    if host_ports && spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        for list in ["containers", "initContainers"] {
            each(spec, list).for_each(fill_host_ports);
        }
    }
    let lists = [
        ("containers", Place::App),
        ("initContainers", Place::Other),
        ("ephemeralContainers", Place::Other),
    ];
    for (list, place) in lists {
        each(spec, list).for_each(|container| fill_container(container, place));
    }
    each(spec, "volumes").for_each(fill_volume);
}

/// Rounds every quantity of a resource list up to thousandths.
pub fn round_quantities(list: Option<&mut Value>) {
    for quantity in list.and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        let text = match &*quantity {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => continue,
        };
        if let Some(rounded) = Quantity::parse(&text).ok().and_then(|read| read.rounded_to_milli())
        {
            *quantity = Value::String(rounded.to_string());
        }
    }
}

/// Adds a member that is absent or `null`.
pub fn fill(object: &mut Object, member: &str, default: Value) {
    fill_if(object, member, default, Value::is_null);
}

/// The member, created if it is absent or `null`; `None` if it is something else than an object.
pub fn fill_object<'a>(object: &'a mut Object, member: &str) -> Option<&'a mut Object> {
    fill(object, member, json!({}));
    object.get_mut(member).and_then(Value::as_object_mut)
}

/// Adds a text that is absent, `null` or empty.
pub fn fill_text(object: &mut Object, member: &str, default: &str) {
    fill_if(object, member, json!(default), |old| old.is_null() || old == "");
}

fn fill_number(object: &mut Object, member: &str, default: Value) {
    fill_if(object, member, default, |old| old.is_null() || *old == json!(0));
}

fn fill_if(object: &mut Object, member: &str, default: Value, missing: impl Fn(&Value) -> bool) {
    if object.get(member).is_none_or(missing) {
        object.insert(member.to_owned(), default);
    }
}

/// The objects of a list.
pub fn each<'a>(object: &'a mut Object, list: &str) -> impl Iterator<Item = &'a mut Object> {
    let items = object.get_mut(list).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn member<'a>(object: &'a mut Object, name: &str) -> Option<&'a mut Object> {
    object.get_mut(name).and_then(Value::as_object_mut)
}

fn fill_host_ports(container: &mut Object) {
    for port in each(container, "ports") {
        if let Some(number) = port.get("containerPort").filter(|number| !number.is_null()).cloned()
        {
            fill_number(port, "hostPort", number);
        }
    }
}

/// Fills a container of a SidecarSet: as an init container of a pod, but for the start-up probe, which older hashes do not
/// cover (sidecarset DEF-20).
pub fn fill_sidecar(container: &mut Object) {
    fill_parts(container, Place::Other, &["livenessProbe", "readinessProbe"]);
}

fn fill_container(container: &mut Object, place: Place) {
    fill_parts(container, place, &["livenessProbe", "readinessProbe", "startupProbe"]);
}

fn fill_parts(container: &mut Object, place: Place, probes: &[&str]) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = match place {
        Place::App => "Always",
        Place::Other if is_latest(image) => "Always",
        Place::Other => "IfNotPresent",
    };
    fill_text(container, "imagePullPolicy", policy);
    fill_text(container, "terminationMessagePath", "/dev/termination-log");
    fill_text(container, "terminationMessagePolicy", "File");
    each(container, "ports").for_each(|port| fill_text(port, "protocol", "TCP"));
    for variable in each(container, "env") {
        if let Some(source) = member(variable, "valueFrom") {
            fill_field_ref(source);
        }
    }
    for probe in probes {
        if let Some(probe) = member(container, probe) {
            fill_probe(probe);
        }
    }
    if let Some(lifecycle) = member(container, "lifecycle") {
        for handler in ["postStart", "preStop"] {
            if let Some(handler) = member(lifecycle, handler) {
                fill_http_get(handler);
            }
        }
    }
    if let Some(resources) = member(container, "resources") {
        round_quantities(resources.get_mut("limits"));
        round_quantities(resources.get_mut("requests"));
    }
}

/// Whether Kubernetes takes the image's tag for `latest`: it is, or there is neither tag nor digest.
fn is_latest(image: &str) -> bool {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        // What is no reference has no tag either, not even the implied one.
        None => digest.is_none() && is_repository(name),
    }
}

/// Whether a name without tag can be a repository: path components in lower case behind an optional host.
fn is_repository(name: &str) -> bool {
    let mut parts: Vec<&str> = name.split('/').collect();
    if let [host, _, ..] = parts[..]
        && (host.contains(['.', ':']) || host == "localhost" || host.to_lowercase() != host)
    {
        parts.remove(0);
    }
    parts.iter().all(|part| {
        let inside = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
        let end = |c: char| c.is_ascii_alphanumeric();
        !part.is_empty() && part.bytes().all(inside) && part.starts_with(end) && part.ends_with(end)
    })
}

/// Fills `fieldRef` inside a source of a value.
pub fn fill_field_ref(source: &mut Object) {
    if let Some(field) = member(source, "fieldRef") {
        fill_text(field, "apiVersion", "v1");
    }
}

fn fill_probe(probe: &mut Object) {
    for (name, default) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        fill_number(probe, name, json!(default));
    }
    fill_http_get(probe);
}

fn fill_http_get(handler: &mut Object) {
    if let Some(get) = member(handler, "httpGet") {
        fill_text(get, "path", "/");
        fill_text(get, "scheme", "HTTP");
    }
}

/// Fills a volume.
pub fn fill_volume(volume: &mut Object) {
    if !volume.iter().any(|(name, source)| name != "name" && !source.is_null()) {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    if let Some(path) = member(volume, "hostPath") {
        fill(path, "type", json!(""));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = member(volume, source) {
            fill(source, "defaultMode", json!(0o644));
        }
    }
    if let Some(source) = member(volume, "downwardAPI") {
        each(source, "items").for_each(fill_field_ref);
    }
    let Some(projected) = member(volume, "projected") else { return };
    for source in each(projected, "sources") {
        if let Some(token) = member(source, "serviceAccountToken") {
            fill(token, "expirationSeconds", json!(3600));
        }
        if let Some(downward) = member(source, "downwardAPI") {
            each(downward, "items").for_each(fill_field_ref);
        }
    }
}
