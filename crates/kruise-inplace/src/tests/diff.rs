//! Which difference of two revisions is an in-place change (`inplace.md` §4).

use kruise_api::raw::RawJson;
use serde_json::{Value, json};

use crate::diff::{Change, DiffOptions, MetadataChange, NotInPlace, diff};

const ON: DiffOptions = DiffOptions { env_from_metadata: true, vertical_scaling: false };

fn template() -> Value {
    json!({
        "metadata": { "labels": { "app": "web" }, "annotations": { "note": "1" } },
        "spec": {
            "initContainers": [{ "name": "init", "image": "init:v1" }],
            "containers": [
                {
                    "name": "main", "image": "main:v1",
                    "env": [
                        { "name": "A", "value": "1" },
                        { "name": "APP", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['app']" } } },
                    ],
                    "resources": { "requests": { "cpu": "1" } },
                },
                { "name": "side", "image": "side:v1" },
            ],
        },
    })
}

fn data(template: &Value) -> RawJson {
    let mut template = template.clone();
    if let Some(template) = template.as_object_mut() {
        template.insert("$patch".to_owned(), json!("replace"));
    }
    RawJson::from_string(json!({ "spec": { "template": template } }).to_string()).unwrap()
}

fn compare(old: &Value, new: &Value) -> Result<Change, NotInPlace> {
    diff(&data(old), &data(new), &ON)
}

/// The template with a value at a path; null removes.
fn with(path: &str, value: Value) -> Value {
    let mut template = template();
    let (parent, member) = path.rsplit_once('/').unwrap();
    let parent = template.pointer_mut(parent).unwrap();
    match (parent, member) {
        (Value::Array(list), "-") => list.push(value),
        (Value::Array(list), index) => list[index.parse::<usize>().unwrap()] = value,
        (Value::Object(object), member) if value.is_null() => drop(object.remove(member)),
        (parent, member) => parent[member] = value,
    }
    template
}

fn some(pairs: &[(&str, Option<&str>)]) -> std::collections::BTreeMap<String, Option<String>> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect()
}

#[test]
fn images_are_changed_in_place() {
    let mut new = with("/spec/containers/0/image", json!("main:v2"));
    new["spec"]["containers"][1]["image"] = json!("side:v2");
    let images = [("main", "main:v2"), ("side", "side:v2")];
    let images = images.map(|(name, image)| (name.to_owned(), image.to_owned())).into();
    let change = compare(&template(), &new).unwrap();
    assert_eq!(change, Change { images, ..Change::default() });
    assert!(!change.is_metadata_only());
}

#[test]
fn metadata_is_changed_in_place() {
    let mut old = template();
    old["metadata"]["finalizers"] = json!(["a", "b"]);
    let mut new = template();
    new["metadata"] = json!({
        "labels": { "app": "web", "tier": "gold" },
        "annotations": { "other": "x" },
        "finalizers": ["b", "c"],
    });
    let metadata = MetadataChange {
        labels: some(&[("tier", Some("gold"))]),
        annotations: some(&[("note", None), ("other", Some("x"))]),
        finalizers_added: vec!["c".to_owned()],
        finalizers_removed: vec!["a".to_owned()],
    };
    let change = compare(&old, &new).unwrap();
    assert!(change.is_metadata_only());
    assert_eq!(change, Change { metadata, ..Change::default() });
}

/// Else a pod that is told to have no revision would be one of which nothing is known.
#[test]
fn what_controllers_keep_on_pods_is_no_change_of_theirs() {
    let mut old = template();
    for (kind, key) in [
        ("labels", "controller-revision-hash"),
        ("annotations", "apps.kruise.io/runtime-containers-meta"),
        ("annotations", "apps.kruise.io/inplace-update-announced"),
        ("annotations", "kruise.io/sidecarset-hash"),
        ("annotations", "kruise.io/sidecarset-injected-list"),
        ("labels", "lifecycle.apps.kruise.io/state"),
        ("labels", "statefulset.kubernetes.io/pod-name"),
        ("labels", "apps.kruise.io/specified-delete"),
        ("annotations", "apps.kruise.io/inplace-update-state"),
        ("annotations", "lifecycle.apps.kruise.io/timestamp"),
    ] {
        old["metadata"][kind][key] = json!("web-1");
    }
    for (from, to) in [(&old, &template()), (&template(), &old)] {
        assert_eq!(compare(from, to).unwrap(), Change::default());
    }
}

#[test]
fn everything_else_recreates_and_says_where() {
    let main = json!({ "name": "main", "image": "main:v1" });
    let cases = [
        (
            "init image",
            with("/spec/initContainers/0/image", json!("init:v2")),
            "spec.initContainers",
        ),
        ("env", with("/spec/containers/0/env/0/value", json!("2")), "spec.containers[0].env"),
        ("command", with("/spec/containers/1/command", json!(["x"])), "spec.containers[1].command"),
        (
            "resources",
            with("/spec/containers/0/resources/requests/cpu", json!("2")),
            "spec.containers[0].resources",
        ),
        ("name", with("/spec/containers/1/name", json!("other")), "spec.containers[1].name"),
        ("added container", with("/spec/containers/-", main), "spec.containers"),
        ("volumes", with("/spec/volumes", json!([{ "name": "v" }])), "spec.volumes"),
        ("no image", with("/spec/containers/1/image", Value::Null), "spec.containers[1].image"),
        ("a field that nobody knows", with("/spec/zNew", json!(1)), "spec.zNew"),
        ("template name", with("/metadata/name", json!("x")), "metadata.name"),
    ];
    for (sentence, new, path) in cases {
        let want = NotInPlace::Changed { path: path.to_owned() };
        assert_eq!(want.to_string(), format!("{path} changed"));
        assert_eq!(compare(&template(), &new), Err(want.clone()), "{sentence}");
        assert_eq!(compare(&new, &template()), Err(want), "{sentence}, the other way");
    }
}

/// Matched by index: a swap is two renames, whatever the images.
#[test]
fn reordered_containers_recreate() {
    let mut new = template();
    new["spec"]["containers"].as_array_mut().unwrap().reverse();
    assert!(matches!(compare(&template(), &new), Err(NotInPlace::Changed { .. })));
}

/// IP-5, §4.3: a semantic comparison, not one of bytes.
#[test]
fn other_spellings_are_no_difference() {
    let mut spelled = template();
    spelled["metadata"]["creationTimestamp"] = Value::Null;
    spelled["spec"]["volumes"] = json!([]);
    spelled["spec"]["containers"][1]["resources"] = json!({});
    spelled["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("1000m");
    assert_eq!(compare(&template(), &spelled), Ok(Change::default()));
    assert!(compare(&template(), &spelled).unwrap().is_empty());
}

#[test]
fn data_that_cannot_be_read_is_not_in_place() {
    for broken in ["{}", "[]", r#"{"spec":{"template":[]}}"#, r#"{"spec":{"template":{"spec":1}}}"#]
    {
        let broken = RawJson::from_string(broken.to_owned()).unwrap();
        for (old, new) in [(&broken, &data(&template())), (&data(&template()), &broken)] {
            let refused = diff(old, new, &ON).unwrap_err();
            assert!(matches!(refused, NotInPlace::Unreadable { .. }), "{broken:?}: {refused}");
            assert!(refused.to_string().starts_with("revision data cannot be read: "));
        }
    }
}

#[test]
fn containers_whose_env_reads_a_changed_key_are_named() {
    let readers =
        |old: &Value, new: &Value| compare(old, new).unwrap().env.into_keys().collect::<Vec<_>>();
    let reads = |name: &str, path: &str| {
        let env = json!([{ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } }]);
        with("/spec/containers/1/env", env)
    };
    let change = |mut template: Value, map: &str, key: &str, value: Value| {
        template["metadata"][map][key] = value;
        template
    };
    let t = template();
    assert_eq!(readers(&t, &change(t.clone(), "labels", "app", json!("b"))), ["main"]);
    assert!(readers(&t, &change(t.clone(), "labels", "other", json!("b"))).is_empty());
    let gone = with("/metadata/labels", json!({ "other": "1" }));
    assert!(readers(&t, &gone).is_empty(), "a removed key restarts nobody");
    let cases = [
        ("E", "metadata.annotations['note']", true),
        ("E", "metadata.annotations['a/b~c']", false),
        ("E", "metadata.labels['note']", false),
        ("E", "metadata.annotations", false),
        ("E", "['note']", false),
        ("E", "metadata.name", false),
        ("SIDECARSET_VERSION", "metadata.annotations['note']", false),
        ("SIDECARSET_VERSION_ALT", "metadata.annotations['note']", false),
    ];
    for (name, path, read) in cases {
        let old = reads(name, path);
        let new = change(old.clone(), "annotations", "note", json!("2"));
        assert_eq!(readers(&old, &new) == ["side"], read, "{name} from {path}");
    }
    let old = reads("E", "metadata.annotations['a/b~c']");
    let new = change(old.clone(), "annotations", "a/b~c", json!("1"));
    assert_eq!(readers(&old, &new), ["side"], "a key with characters that pointers escape");
}

/// §4.1: the patch has no path with the key then.
#[test]
fn a_whole_map_that_appears_restarts_nobody() {
    let mut old = with("/metadata/labels", Value::Null);
    let change = compare(&old, &template()).unwrap();
    assert_eq!(change.metadata.labels, some(&[("app", Some("web"))]));
    assert!(change.is_metadata_only());
    old["metadata"]["labels"] = json!({ "other": "1" });
    assert!(!compare(&old, &template()).unwrap().is_metadata_only(), "the map was there");
}

#[test]
fn without_the_gate_env_is_not_looked_at() {
    let off = DiffOptions { env_from_metadata: false, vertical_scaling: false };
    let new = with("/metadata/labels/app", json!("b"));
    assert!(diff(&data(&template()), &data(&new), &off).unwrap().is_metadata_only());
}

#[test]
fn refusals_say_what_to_do_about_them() {
    let no_daemon = NotInPlace::NoDaemon { containers: "main".to_owned() };
    let want = "env of main reads changed metadata, and no kruise-daemon reports on this node";
    assert_eq!(no_daemon.to_string(), want);
    assert_eq!(NotInPlace::Pod { problem: "why".to_owned() }.to_string(), "why");
}

/// §4.1, §4.2d: entries of CPU and memory that both have.
#[test]
fn cpu_and_memory_are_changed_in_place_if_the_gate_is_on() {
    let resize = DiffOptions { env_from_metadata: true, vertical_scaling: true };
    let resources = |value: Value| {
        let mut template = template();
        template["spec"]["containers"][0]["resources"] = value;
        data(&template)
    };
    let between =
        |old: &Value, new: &Value| diff(&resources(old.clone()), &resources(new.clone()), &resize);
    let changed = |old: Value, new: Value| {
        let change = between(&old, &new).unwrap();
        assert!(!change.is_metadata_only());
        change.resources["main"].value()
    };
    let one = json!({ "requests": { "cpu": "1", "memory": "1Gi" }, "limits": { "memory": "2Gi" } });
    let mut two = one.clone();
    two["requests"]["cpu"] = json!("1500m");
    two["limits"]["memory"] = json!("3Gi");
    let want = json!({ "limits": { "memory": "3Gi" }, "requests": { "cpu": "1500m" } });
    assert_eq!(changed(one.clone(), two.clone()), want);
    // Requests that a template leaves out are made equal to the limits when a pod is created.
    let (old, new) = (json!({ "limits": { "cpu": "1" } }), json!({ "limits": { "cpu": "2" } }));
    assert_eq!(changed(old, new), json!({ "limits": { "cpu": "2" }, "requests": { "cpu": "2" } }));
    let path = "spec.containers[0].resources".to_owned();
    let refused = Err(NotInPlace::Changed { path });
    assert_eq!(diff(&resources(one.clone()), &resources(two), &ON), refused, "the gate is off");
    let not = |why: &str, path: &str, value: Value| {
        let mut other = one.clone();
        match path.rsplit_once('/') {
            Some((part, name)) if value.is_null() => {
                drop(other[part].as_object_mut().unwrap().remove(name));
            }
            Some((part, name)) => other[part][name] = value,
            None => other[path] = value,
        }
        assert_eq!(between(&one, &other), refused, "{why}");
        assert_eq!(between(&other, &one), refused, "{why}, the other way");
    };
    not("an entry that comes", "limits/cpu", json!("2"));
    not("an entry that goes", "requests/cpu", Value::Null);
    not("another resource", "limits/ephemeral-storage", json!("1Gi"));
    not("claims", "claims", json!([{ "name": "x" }]));
    let best = json!({});
    assert_eq!(between(&one, &best), refused, "all that goes");
}

/// §4.2.4.
#[test]
fn a_resize_may_not_change_the_class_of_service() {
    let resize = DiffOptions { env_from_metadata: true, vertical_scaling: true };
    let alone = |cpu: &str| {
        let resources = json!({ "requests": { "cpu": cpu, "memory": "1" }, "limits": { "cpu": "1", "memory": "1" } });
        json!({ "spec": { "containers": [{ "name": "main", "image": "main:v1", "resources": resources }] } })
    };
    let (guaranteed, burstable) = (data(&alone("1000m")), data(&alone("500m")));
    assert_eq!(diff(&guaranteed, &burstable, &resize), Err(NotInPlace::Qos));
    assert_eq!(diff(&burstable, &guaranteed, &resize), Err(NotInPlace::Qos));
    assert!(diff(&burstable, &data(&alone("600m")), &resize).is_ok());
    let mut sidecar = alone("500m");
    sidecar["spec"]["initContainers"] = json!([{ "name": "init", "image": "init:v1" }]);
    let mut other = alone("1");
    other["spec"]["initContainers"] = sidecar["spec"]["initContainers"].clone();
    assert!(diff(&data(&sidecar), &data(&other), &resize).is_ok(), "init containers count");
}

/// §4.2.5a: what env reads is kept apart; the rest of the metadata is not.
#[test]
fn metadata_that_env_reads_goes_to_its_readers() {
    let mut new = template();
    new["metadata"]["labels"] = json!({ "app": "other", "tier": "gold" });
    let change = compare(&template(), &new).unwrap();
    assert_eq!(change.metadata.labels, some(&[("tier", Some("gold"))]));
    assert_eq!(change.env["main"].labels, [("app".to_owned(), "other".to_owned())].into());
    assert_eq!(change.env.len(), 1);
}
