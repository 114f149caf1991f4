//! Metadata operations that hold whatever else is on the live object.

use kruise_common::kind::POD;
use kruise_common::write::{Operations, Write};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::pod::{Builder, operations, web_main};
use crate::diff::MetadataChange;
use crate::metadata::{apply, with_annotations, with_labels};

fn finalizers(added: &[&str], removed: &[&str]) -> MetadataChange {
    let owned = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
    MetadataChange {
        finalizers_added: owned(added),
        finalizers_removed: owned(removed),
        ..MetadataChange::default()
    }
}

fn write(pod: &Builder, change: &MetadataChange) -> Write {
    let pod = pod.build();
    Write::json(&POD, &pod.meta, apply(&pod, Operations::default(), change))
}

#[test]
fn finalizers_are_merged_with_those_of_others() {
    let cases: [(&str, &[&str], MetadataChange, &[&str]); 5] = [
        ("first one", &[], finalizers(&["a", "b"], &[]), &["a", "b"]),
        ("appended", &["x"], finalizers(&["a"], &[]), &["x", "a"]),
        ("there already", &["a"], finalizers(&["a"], &[]), &["a"]),
        ("several removed", &["a", "x", "b"], finalizers(&[], &["a", "b", "gone"]), &["x"]),
        ("replaced", &["a"], finalizers(&["b"], &["a"]), &["b"]),
    ];
    for (sentence, held, change, want) in cases {
        let pod = if held.is_empty() { web_main() } else { web_main().finalizers(held) };
        let mut cluster = Cluster::new(&pod);
        cluster.perform(&[write(&pod, &change)]);
        let left =
            cluster.pod().meta.finalizers.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(left, want, "{sentence}");
    }
}

/// A list that changed meanwhile: the index names another one's finalizer.
#[test]
fn another_finalizer_at_the_index_is_not_removed() {
    let pod = web_main().finalizers(&["a", "x"]);
    let late = write(&pod, &finalizers(&[], &["a"]));
    let mut cluster = Cluster::new(&pod);
    cluster.edit(|pod| pod["metadata"]["finalizers"] = json!(["x", "a"]));
    assert!(cluster.world.perform(&late).is_err());
    assert_eq!(cluster.pod().meta.finalizers.len(), 2);
}

#[test]
fn a_key_that_somebody_removed_meanwhile_can_be_removed() {
    let pod = web_main().label("tier", "gold");
    let change = MetadataChange {
        labels: [("tier".to_owned(), None)].into(),
        annotations: [("note".to_owned(), Some("1".to_owned()))].into(),
        ..MetadataChange::default()
    };
    let late = write(&pod, &change);
    let mut cluster = Cluster::new(&pod);
    cluster.edit(|pod| drop(pod["metadata"]["labels"].as_object_mut().unwrap().remove("tier")));
    cluster.perform(&[late]);
    assert_eq!(cluster.pod().meta.labels.get("tier"), None);
}

#[test]
fn maps_are_made_only_where_they_are_absent() {
    let made = |pod: &Builder| {
        let pod = pod.build();
        let operations_of = with_annotations(&pod, with_labels(&pod, Operations::default()));
        operations(&[Write::json(&POD, &pod.meta, operations_of)]).split_off(1)
    };
    assert!(made(&web_main()).is_empty());
    let bare = web_main().edit(|pod| {
        pod["metadata"]["labels"] = Value::Null;
        pod["metadata"]["annotations"] = json!({});
    });
    assert_eq!(
        Value::from(made(&bare)),
        json!([
            { "op": "test", "path": "/metadata/labels", "value": null },
            { "op": "add", "path": "/metadata/labels", "value": {} },
            { "op": "test", "path": "/metadata/annotations", "value": null },
            { "op": "add", "path": "/metadata/annotations", "value": {} },
        ])
    );
}
