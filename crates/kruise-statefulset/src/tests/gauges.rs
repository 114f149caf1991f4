use kruise_common::reconciler::Reconciler;
use kruise_common::testing::pages;
use kruise_inplace::refresh::Finished;
use serde_json::{Value, json};

use super::facts::{Facts, alone, now, pod, set};
use crate::controller::StatefulSetController;
use crate::gauges::measures;
use crate::plan::action::Action;
use crate::snapshot::Snapshot;

fn told(snapshot: &Snapshot) -> Vec<String> {
    let line = |m: kruise_common::plan::Measure| {
        format!("{}{{{}={}}} {}", m.name, m.label, m.value, m.amount)
    };
    measures(snapshot, now()).into_iter().map(line).collect()
}

/// K-13.
#[test]
fn unavailable_replicas_are_measured() {
    let mut unready = pod(1, &json!({}));
    unready["status"]["conditions"][0]["status"] = json!("False");
    let three = |more: &Value| {
        let mut set = set(&json!({ "replicas": 3 }));
        json_patch::merge(&mut set["spec"], more);
        Facts::new(&set, [pod(0, &json!({})), unready.clone()]).snapshot("")
    };
    let label = "pod_management_policy=OrderedReady";
    let expected = [
        format!("kruise_statefulset_unavailable_replicas{{{label}}} 2"),
        format!("kruise_statefulset_max_unavailable{{{label}}} 1"),
    ];
    assert_eq!(told(&three(&json!({}))), expected, "one is unready, one is missing");
    let corrupt =
        json!({ "metadata": { "annotations": { "apps.kruise.io/inplace-update-state": "{" } } });
    let seen = Facts::new(&set(&json!({ "replicas": 1 })), [pod(0, &corrupt)]).snapshot("");
    let down = format!("kruise_statefulset_unavailable_replicas{{{label}}} 1");
    assert_eq!(told(&seen)[0], down, "it uses budget, however ready it is");
    let parallel =
        json!({ "podManagementPolicy": "Parallel", "updateStrategy": { "type": "OnDelete" } });
    let label = "pod_management_policy=Parallel";
    assert_eq!(
        told(&three(&parallel)),
        [format!("kruise_statefulset_unavailable_replicas{{{label}}} 2")]
    );
    assert!(told(&alone(&json!({ "replicas": -1 }))).is_empty());
    for measure in measures(&seen, now()) {
        pages::lists_family(measure.name, "gauge", &[measure.label]);
    }
}

/// W21.
#[test]
fn an_update_that_ends_says_how_long_it_took() {
    let since = now().checked_sub(jiff::SignedDuration::from_secs(75)).unwrap();
    let refresh =
        |finished| Action::Refresh { ordinal: 1, what: String::new(), finished, asks: None };
    let finished = Some(Finished { since, changed: "image" });
    let samples = StatefulSetController::samples(&alone(&json!({})), &refresh(finished), now());
    let [sample] = &samples[..] else { panic!("one sample: {samples:?}") };
    assert_eq!((sample.value, sample.seconds.to_string()), ("image", "75".to_owned()));
    pages::lists_family(sample.name, "histogram", &[sample.label, sample.value]);
    assert!(StatefulSetController::samples(&alone(&json!({})), &refresh(None), now()).is_empty());
}
