//! Which jobs pull images ahead, and what they look like (section 18).

use kruise_common::write::Request;
use serde_json::{Value, json};

use super::facts::{Facts, UID, now, pod, set};
use crate::apply::apply;
use crate::plan::plan;
use crate::snapshot::Snapshot;

const GATE: &str = "PreDownloadImageForInPlaceUpdate=true";

fn revision(name: &str, number: i64, template: &Value, labels: &Value) -> Value {
    let mut template = template.clone();
    template["$patch"] = json!("replace");
    let mut revision = json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "resourceVersion": "1",
            "labels": { "app": "web", "controller.kubernetes.io/hash": "abc" },
            "ownerReferences": [{
                "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": UID,
                "controller": true,
            }],
        },
        "revision": number,
        "data": { "spec": { "template": template } },
    });
    json_patch::merge(&mut revision["metadata"]["labels"], labels);
    revision
}

/// A rollout of five pods from `app:1` to `app:2`, in place. `spec` changes the set, `labels` the new revision.
fn rollout(spec: &Value, labels: &Value, jobs: &[Value]) -> Snapshot {
    rollout_of(&json!({ "spec": spec }), labels, jobs, &json!({}))
}

/// The same; `change` changes more than the spec, `before` the old template.
fn rollout_of(change: &Value, labels: &Value, jobs: &[Value], before: &Value) -> Snapshot {
    let mut set = set(&json!({
        "replicas": 5,
        "podManagementPolicy": "Parallel",
        "updateStrategy": { "rollingUpdate": { "podUpdatePolicy": "InPlaceIfPossible" } },
        "template": { "spec": {
            "containers": [{ "name": "app", "image": "app:2" }, { "name": "side", "image": "side:1" }],
            "imagePullSecrets": [{ "name": "registry" }],
        } },
    }));
    set["status"] = json!({ "currentRevision": "web-old", "updateRevision": "web-new" });
    json_patch::merge(&mut set, change);
    let mut template = set["spec"]["template"].clone();
    let new = revision("web-new", 2, &template, labels);
    template["spec"]["containers"][0]["image"] = json!("app:1");
    json_patch::merge(&mut template, before);
    let old = revision("web-old", 1, &template, &json!({}));
    let at = json!({ "metadata": { "labels": { "controller-revision-hash": "web-old" } } });
    let facts = Facts::new(&set, (0..5).map(|ordinal| pod(ordinal, &at)));
    facts.with_revision(&old).with_revision(&new).with_pull_jobs(jobs).snapshot(GATE)
}

/// What the plan does about pulling ahead.
fn planned(snapshot: &Snapshot) -> Vec<String> {
    let plan = plan(snapshot, now());
    let lines = plan.actions().map(ToString::to_string);
    lines.filter(|line| line.contains("pull-job") || line.contains("mark-revision")).collect()
}

const CREATE: &str = "create-pull-job web-new-app: app:2";
const CREATED: &str = "mark-revision web-new: apps.kruise.io/pre-predownload-created";
const IGNORED: &str = "mark-revision web-new: apps.kruise.io/image-predownload-ignored";

#[test]
fn images_that_change_are_pulled_once() {
    assert_eq!(planned(&rollout(&json!({}), &json!({}), &[])), [CREATE, CREATED]);
    let mark = json!({ "apps.kruise.io/pre-predownload-created": "true" });
    assert_eq!(planned(&rollout(&json!({}), &mark, &[])), [""; 0], "PD-3");
    let job = json!({ "metadata": { "name": "web-new-app", "namespace": "default", "uid": "j", "resourceVersion": "1" } });
    assert_eq!(
        planned(&rollout(&json!({}), &json!({}), &[job])),
        [CREATED],
        "a job of that name is there"
    );
}

#[test]
fn where_it_is_pointless_the_revision_says_so() {
    let rolling = |change: Value| json!({ "updateStrategy": { "rollingUpdate": change } });
    for spec in [
        json!({ "updateStrategy": { "type": "OnDelete" } }),
        rolling(json!({ "podUpdatePolicy": "ReCreate" })),
        rolling(json!({ "maxUnavailable": "100%" })),
        json!({ "replicas": 3 }),
    ] {
        assert_eq!(planned(&rollout(&spec, &json!({}), &[])), [IGNORED], "{spec}");
    }
    // The mark is for people: when the reason is gone, images are pulled (W-35).
    let mark = json!({ "apps.kruise.io/image-predownload-ignored": "true" });
    assert_eq!(planned(&rollout(&json!({}), &mark, &[])), [CREATE, CREATED]);
    assert_eq!(planned(&rollout(&json!({ "replicas": 3 }), &mark, &[])), [""; 0]);
}

#[test]
fn nothing_is_pulled_before_enough_pods_are_updated() {
    let least = json!({ "updateStrategy": { "rollingUpdate": { "inPlaceUpdateStrategy": { "imagePreDownloadMinUpdatedReadyPods": 1 } } } });
    assert_eq!(planned(&rollout(&least, &json!({}), &[])), [""; 0], "PD-2");
    let ready = |least: &str, count: i32, of: &str| {
        let key = "apps.kruise.io/image-predownload-min-updated-ready-pods";
        let status = json!({ "updatedReadyReplicas": count, "updateRevision": of });
        let set = json!({ "metadata": { "annotations": { key: least } }, "status": status });
        planned(&rollout_of(&set, &json!({}), &[], &json!({}))).len()
    };
    assert_eq!((ready("2", 1, "web-new"), ready("2", 2, "web-new")), (0, 2));
    assert_eq!((ready("21%", 1, "web-new"), ready("21%", 2, "web-new")), (0, 2), "two of five");
    assert_eq!(ready("2", 5, "web-old"), 0, "those of the last rollout");
}

/// PD-4.
#[test]
fn where_pods_are_re_created_anyway_nothing_is_pulled() {
    let before = json!({ "spec": { "terminationGracePeriodSeconds": 5 } });
    assert_eq!(planned(&rollout_of(&json!({}), &json!({}), &[], &before)), [IGNORED]);
}

#[test]
fn jobs_end_with_the_rollout() {
    let mut set = set(&json!({ "replicas": 0 }));
    set["status"] = json!({});
    let job = |name: &str, uid: &str| {
        json!({ "metadata": {
            "name": name, "namespace": "default", "uid": name, "resourceVersion": "1",
            "ownerReferences": [{
                "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": uid,
                "controller": true,
            }],
        } })
    };
    let jobs = [job("web-a-app", UID), job("web-b-app", "another")];
    let snapshot = Facts::new(&set, []).with_pull_jobs(&jobs).snapshot(GATE);
    assert_eq!(planned(&snapshot), ["delete-pull-job web-a-app"], "PD-1: only our own");
    let unserved = Facts::new(&set, []).snapshot(GATE);
    assert_eq!(planned(&unserved), [""; 0], "the kind is not served");
}

#[test]
fn a_job_has_openkruises_form() {
    let snapshot = rollout(&json!({}), &json!({}), &[]);
    let plan = plan(&snapshot, now());
    let action = plan.actions().find(|action| action.to_string() == CREATE).unwrap();
    let [write] = &apply(&snapshot, action, now())[..] else { panic!("one write") };
    let Request::Create { body } = &write.request else { panic!("a POST") };
    assert_eq!(
        *body,
        json!({
            "apiVersion": "apps.kruise.io/v1beta1", "kind": "ImagePullJob",
            "metadata": {
                "name": "web-new-app", "namespace": "default",
                "labels": { "app": "web", "controller.kubernetes.io/hash": "abc" },
                "ownerReferences": [{
                    "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": UID,
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {
                "image": "app:2",
                "pullSecrets": ["registry"],
                "podSelector": {
                    "matchLabels": { "app": "web" },
                    "matchExpressions": [{
                        "key": "controller-revision-hash", "operator": "NotIn", "values": ["web-new", "abc"],
                    }],
                },
                "parallelism": 1,
                "pullPolicy": { "backoffLimit": 1, "timeoutSeconds": 300 },
                "completionPolicy": { "type": "Always", "ttlSecondsAfterFinished": 600 },
                "sandboxConfig": { "labels": { "app": "web", "controller.kubernetes.io/hash": "abc" } },
            },
        })
    );
}
