use kruise_api::statefulset::v1beta1::StatefulSetStatus;
use kruise_common::plan::{Applied, Outcome, Plan};
use kruise_common::write::{Category, WriteError};
use serde_json::{Value, json};

use super::facts::{Facts, UID, alone, claim, claim_template, now, pod, set};
use crate::plan::action::Action;
use crate::plan::hold::Hold;
use crate::snapshot::Snapshot;
use crate::status::compute;

fn status(snapshot: &Snapshot) -> StatefulSetStatus {
    compute(snapshot, &Plan::default(), &Applied::default(), now())
}

fn at(revision: &str) -> Value {
    json!({ "metadata": { "labels": { "controller-revision-hash": revision } } })
}

/// A set of 2 whose status names `old` as current revision, with these pods; `{update}` stands for its update revision.
fn snapshot(pods: &[Value]) -> Snapshot {
    let mut object = set(&json!({}));
    object["status"] = json!({ "currentRevision": "old" });
    let update = Facts::new(&object, []).snapshot("").chosen().unwrap().1.update.name.to_string();
    let pods = pods.iter().map(|pod| {
        serde_json::from_str::<Value>(&pod.to_string().replace("{update}", &update)).unwrap()
    });
    let template =
        json!({ "metadata": { "labels": { "app": "web" } }, "spec": {}, "$patch": "replace" });
    let old = json!({
        "metadata": {
            "name": "old", "namespace": "default", "uid": "old", "labels": { "app": "web" },
            "ownerReferences": [{
                "apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "web", "uid": UID,
                "controller": true,
            }],
        },
        "revision": 1,
        "data": { "spec": { "template": template } },
    });
    Facts::new(&object, pods).with_revision(&old).snapshot("")
}

#[test]
fn pods_are_counted_by_revision_readiness_and_availability() {
    let mut unready = pod(1, &at("{update}"));
    unready["status"]["conditions"][0]["status"] = json!("False");
    let mut going = pod(2, &at("{update}"));
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:09:00Z");
    let seen = snapshot(&[pod(0, &at("other")), unready, going]);
    let status = status(&seen);
    assert_eq!((status.replicas, status.ready_replicas, status.available_replicas), (3, 2, 2));
    // Terminating pods do not count as live ones of a revision, but they are still there.
    assert_eq!((status.updated_replicas, status.updated_ready_replicas), (1, 1));
}

#[test]
fn readiness_has_to_last() {
    let change = json!({ "updateStrategy": { "rollingUpdate": { "minReadySeconds": 300 } } });
    let since = |time: &str| {
        let mut pod = pod(0, &json!({}));
        pod["status"]["conditions"][0]["lastTransitionTime"] = json!(time);
        status(&Facts::new(&set(&change), [pod]).snapshot("")).available_replicas
    };
    assert_eq!(since("2026-01-01T00:05:00Z"), 1, "exactly five minutes");
    assert_eq!(since("2026-01-01T00:05:01Z"), 0);
}

#[test]
fn the_rollout_ends_when_all_wanted_pods_are_updated_and_ready() {
    let complete = |pods: &[Value]| {
        let status = status(&snapshot(pods));
        status.current_revision == status.update_revision
    };
    assert!(complete(&[pod(0, &at("{update}")), pod(1, &at("{update}"))]));
    assert!(!complete(&[pod(0, &at("{update}"))]), "few pods are not the end (W-9)");
    assert!(!complete(&[pod(0, &at("{update}")), pod(1, &at("other"))]));
}

/// R-17: nothing but the status remembers that a rollout has ended; everything else can be counted again.
#[test]
fn the_end_of_a_rollout_does_not_wait_for_its_time() {
    let urgent = |pods: &[Value]| {
        let seen = snapshot(pods);
        let (plan, applied) = (Plan::default(), Applied::default());
        crate::status::urgent(&seen, &crate::status::status(&seen, &plan, &applied, now()).unwrap())
    };
    assert!(urgent(&[pod(0, &at("{update}")), pod(1, &at("{update}"))]));
    assert!(!urgent(&[pod(0, &at("old")), pod(1, &at("{update}"))]));
    let new = Facts::new(&set(&json!({})), []).snapshot("");
    let first = crate::status::status(&new, &Plan::default(), &Applied::default(), now()).unwrap();
    assert!(!crate::status::urgent(&new, &first), "the first one says what anybody would say");
}

/// §10.2.3: a pod whose CPU changes is ready throughout, and is done when the kubelet reports that it runs with it.
#[test]
fn a_resize_that_the_kubelet_has_not_reported_is_not_the_end() {
    let resized = |ordinal: i32, runs_with: &str| {
        let state = json!({
            "revision": "{update}", "updateTimestamp": "2026-01-01T00:09:00Z", "lastContainerStatuses": null,
            "updateResources": true,
            "containerBatchesRecord": [{ "timestamp": "2026-01-01T00:09:00Z", "containers": ["app"] }],
            "containerResources": { "app": { "requests": { "cpu": "2" }, "generation": 1 } },
        });
        let mut pod = pod(ordinal, &at("{update}"));
        let annotations = json!({ "apps.kruise.io/inplace-update-state": state.to_string() });
        let resources = |cpu: &str| json!({ "requests": { "cpu": cpu } });
        json_patch::merge(
            &mut pod,
            &json!({
                "metadata": { "generation": 2, "annotations": annotations },
                "spec": { "containers": [{ "name": "app", "image": "app:1", "resources": resources("2") }] },
                "status": { "containerStatuses": [{ "name": "app", "resources": resources(runs_with) }] },
            }),
        );
        pod
    };
    let told = |runs_with: &str| {
        let status = status(&snapshot(&[resized(0, "2"), resized(1, runs_with)]));
        assert_eq!((status.updated_replicas, status.ready_replicas), (2, 2));
        assert_eq!(status.available_replicas, status.updated_available_replicas);
        (status.current_revision == status.update_revision, status.available_replicas)
    };
    assert_eq!(told("1"), (false, 1));
    assert_eq!(told("2"), (true, 2));
}

#[test]
fn claims_are_counted_against_their_template() {
    let set = set(&json!({ "volumeClaimTemplates": [claim_template("2Gi")] }));
    let mut grown = claim(0, &json!([]));
    grown["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
    grown["status"]["capacity"]["storage"] = json!("2Gi");
    let facts = Facts::new(&set, []).with_claim(&grown).with_claim(&claim(1, &json!([])));
    let status = status(&facts.snapshot(""));
    let [claims] = &status.volume_claims[..] else { panic!("one template") };
    assert_eq!(claims.volume_claim_name, "data");
    assert_eq!((claims.compatible_replicas, claims.compatible_ready_replicas), (1, 1));
}

fn conditions(
    snapshot: &Snapshot,
    plan: &Plan<Action, Hold>,
    applied: &Applied<Action>,
) -> Vec<(String, String, String)> {
    let status = compute(snapshot, plan, applied, now());
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    status.conditions.iter().map(|c| (c.type_.clone(), c.status.clone(), of(&c.message))).collect()
}

fn create(outcome: Outcome) -> Applied<Action> {
    Applied { outcomes: vec![(Action::CreatePod { ordinal: 0, revision: "r".into() }, outcome)] }
}

fn condition(kind: &str, status: &str, message: &str) -> (String, String, String) {
    (kind.to_owned(), status.to_owned(), message.to_owned())
}

#[test]
fn a_refused_creation_is_a_condition_until_one_succeeds() {
    let refused = WriteError::new(Category::Forbidden, "exceeded quota");
    let failing = create(Outcome::Failed(refused));
    let raised = condition(
        "FailedCreatePod",
        "True",
        "StatefulPodControl failed to create Pod error: exceeded quota",
    );
    assert_eq!(
        conditions(&alone(&json!({})), &Plan::default(), &failing),
        std::slice::from_ref(&raised)
    );

    let mut stored = set(&json!({}));
    stored["status"] = json!({ "conditions": [{
        "type": raised.0, "status": raised.1, "message": raised.2, "reason": "forbidden",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }] });
    let snapshot = || Facts::new(&stored, []).snapshot("");
    let waiting =
        Applied { outcomes: vec![(Action::CreateClaims { ordinal: 0 }, Outcome::NotAttempted)] };
    assert_eq!(conditions(&snapshot(), &Plan::default(), &waiting), [raised], "nothing was tried");
    let settled = condition("FailedCreatePod", "False", "");
    assert_eq!(conditions(&snapshot(), &Plan::default(), &create(Outcome::Done)), [settled]);
}

#[test]
fn a_refused_revision_is_a_condition_until_a_turn_is_refused_nothing() {
    let adopt = |outcome: Outcome| Applied {
        outcomes: vec![(Action::AdoptRevision { name: "web-1".into() }, outcome)],
    };
    let refused = adopt(Outcome::Failed(WriteError::new(Category::Forbidden, "no")));
    let raised = condition("RefusedWrite", "True", "adopt-revision web-1: no");
    let seen = alone(&json!({}));
    assert_eq!(conditions(&seen, &Plan::default(), &refused), std::slice::from_ref(&raised));

    let mut stored = set(&json!({}));
    stored["status"] = json!({ "conditions": [{
        "type": raised.0, "status": raised.1, "message": raised.2, "reason": "forbidden",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }] });
    let snapshot = || Facts::new(&stored, []).snapshot("");
    let unknown = adopt(Outcome::Failed(WriteError::new(Category::Unknown, "no answer")));
    assert_eq!(
        conditions(&snapshot(), &Plan::default(), &unknown),
        [raised],
        "nobody said that it works"
    );
    let settled = condition("RefusedWrite", "False", "");
    assert_eq!(conditions(&snapshot(), &Plan::default(), &adopt(Outcome::Done)), [settled]);
}

#[test]
fn a_race_is_no_condition() {
    let conflict = create(Outcome::Failed(WriteError::new(Category::Conflict, "changed")));
    assert!(conditions(&alone(&json!({})), &Plan::default(), &conflict).is_empty());
}

#[test]
fn a_taken_name_and_a_spec_without_meaning_are_conditions() {
    let held = |hold: Hold| Plan { holds: vec![hold], ..Plan::default() };
    let taken = held(Hold::NameTaken { pod: "web-0".to_owned() });
    let text = "Pod web-0 exists and belongs to somebody else";
    let expected = [
        condition("FailedCreatePod", "True", text),
        condition("Progressing", "False", "NameTaken{pod: web-0}"),
    ];
    assert_eq!(conditions(&alone(&json!({})), &taken, &Applied::default()), expected);

    let invalid = held(Hold::InvalidSpec { field: "spec.x".to_owned(), problem: "no".to_owned() });
    let nonsense = alone(&json!({ "selector": { "matchLabels": null } }));
    let expected = [condition("InvalidSpec", "True", "spec.x: no")];
    assert_eq!(conditions(&nonsense, &invalid, &Applied::default()), expected);
}

#[test]
fn times_are_whole_seconds_so_that_what_is_read_back_is_equal() {
    let refused = create(Outcome::Failed(WriteError::new(Category::Invalid, "no")));
    let odd = now() + jiff::SignedDuration::from_millis(999);
    let status = compute(&alone(&json!({})), &Plan::default(), &refused, odd);
    let time = status.conditions[0].last_transition_time.as_ref().unwrap();
    assert_eq!(time.0, now());
}

/// Section 19.1: those of the current revision, and those of the update revision that are available, are numbers of their own.
#[test]
fn pods_of_both_revisions_are_counted_apart() {
    let mut unready = pod(3, &at("{update}"));
    unready["status"]["conditions"][0]["status"] = json!("False");
    let mut going = pod(2, &at("old"));
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:09:00Z");
    let pods = [pod(0, &at("old")), pod(1, &at("old")), going, unready, pod(4, &at("{update}"))];
    let status = status(&snapshot(&pods));
    assert_eq!(status.current_revision.as_deref(), Some("old"));
    assert_eq!((status.current_replicas, status.updated_replicas), (2, 2));
    assert_eq!((status.available_replicas, status.updated_available_replicas), (4, 1));
}

/// R-17: that it is gone is remembered by its name alone.
#[test]
fn a_lost_revision_stays_named_while_a_partition_keeps_pods() {
    let named = |partition: i32| {
        let rolling = json!({ "updateStrategy": { "rollingUpdate": { "partition": partition } } });
        let mut object = set(&rolling);
        object["status"] = json!({ "currentRevision": "gone" });
        status(&Facts::new(&object, [pod(0, &at("gone"))]).snapshot(""))
    };
    let kept = named(1);
    assert_eq!((kept.current_revision.as_deref(), kept.current_replicas), (Some("gone"), 1));
    let none = named(0);
    assert_eq!(none.current_revision, none.update_revision);
}

/// S-3: whoever scales by the subresource finds the pods from the beginning.
#[test]
fn the_first_status_names_the_selector() {
    let first = status(&alone(&json!({})));
    assert_eq!(first.label_selector.as_deref(), Some("app=web"));
}
