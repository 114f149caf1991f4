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
