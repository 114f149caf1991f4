//! Properties of whole updates over generated pods, with a kubelet that acts (`inplace.md` §22).

use kruise_common::write::{Patch, Request, Write};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::json;

use crate::begin::{Target, begin};
use crate::diff::{Change, MetadataChange};
use crate::progress::{Progress, progress};
use crate::refresh::{Context, Refresh, refresh};
use crate::tests::cluster::Cluster;
use crate::tests::pod::{Builder, web};

/// A pod of some containers and an update of some of them.
#[derive(Clone, Debug)]
struct Case {
    /// Launch priority and whether the image changes.
    containers: Vec<(Option<i32>, bool)>,
    gates: usize,
    state: bool,
    label: Option<Label>,
    grace_seconds: i32,
}

/// What becomes of a label; `None` removes it.
type Label = Option<String>;

fn case() -> impl Strategy<Value = Case> {
    let container = (prop::option::of(-2..3_i32), any::<bool>());
    (
        prop::collection::vec(container, 1..5),
        0..3_usize,
        any::<bool>(),
        prop::option::of(prop::option::of("[a-z]{0,3}")),
        prop_oneof![Just(0), 1..4_i32],
    )
        .prop_map(|(containers, gates, state, label, grace_seconds)| Case {
            containers,
            gates,
            state,
            label,
            grace_seconds,
        })
}

fn pod(case: &Case) -> Builder {
    let mut pod = web().without_gates().label("tier", "silver");
    for gate in ["InPlaceUpdateReady", "KruisePodReady"].into_iter().take(case.gates) {
        pod = pod.gate(gate).condition(gate, &json!({ "status": "True" }));
    }
    if !case.state {
        pod = pod.without_label("lifecycle.apps.kruise.io/state");
    }
    for (index, (priority, _)) in case.containers.iter().enumerate() {
        let name = format!("c{index}");
        pod = pod.container(&name, "reg.io/app:v1");
        if let Some(priority) = priority {
            pod = pod.priority(&name, *priority);
        }
    }
    pod
}

fn change(case: &Case) -> Change {
    let changed = case.containers.iter().enumerate().filter(|(_, (_, changed))| *changed);
    let images = changed.map(|(index, _)| (format!("c{index}"), "reg.io/app:v2".to_owned()));
    let labels = case.label.iter().map(|value| ("tier".to_owned(), value.clone())).collect();
    let metadata = MetadataChange { labels, ..MetadataChange::default() };
    Change { images: images.collect(), metadata, ..Change::default() }
}

fn upkeep(cluster: &Cluster) -> Refresh {
    let context = Context { lifecycle: None, update_revision: "web-b" };
    refresh(&cluster.pod(), &context, cluster.world.now)
}

/// Every patch names the pod that was seen before it changes anything.
fn check(writes: &[Write]) -> Result<(), TestCaseError> {
    for write in writes {
        match &write.request {
            Request::Patch { patch: Patch::Json(operations), subresource } => {
                let first = &operations[0];
                prop_assert_eq!(
                    first,
                    &json!({ "op": "test", "path": "/metadata/uid", "value": first["value"] })
                );
                prop_assert_eq!(&operations[1]["op"], "test");
                let paths = operations.as_array().unwrap().iter().filter(|o| o["op"] != "test");
                let forbidden = if subresource.is_some() { "/spec" } else { "/status" };
                for operation in paths {
                    prop_assert!(!operation["path"].as_str().unwrap().starts_with(forbidden));
                }
            }
            Request::Patch { patch: Patch::Strategic(body), .. } => {
                prop_assert!(body["metadata"]["uid"].is_string());
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
    Ok(())
}

/// A cluster in which the kubelet has taken the pod over as it is.
fn settled(case: &Case) -> Cluster {
    let mut cluster = Cluster::new(&pod(case));
    cluster.run(5);
    cluster
}

fn few() -> ProptestConfig {
    ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few())]

    /// Begin, then nothing but upkeep: the pod ends settled at what was wanted, with as few writes as can be.
    #[test]
    fn an_update_ends_with_the_minimum_of_writes(case in case()) {
        let mut cluster = settled(&case);
        prop_assert_eq!(upkeep(&cluster), Refresh::default(), "settled before");
        let target = Target { revision: "web-b", grace_seconds: case.grace_seconds };
        let begun = begin(&cluster.pod(), &change(&case), &target, cluster.world.now);
        check(&begun)?;
        cluster.perform(&begun);
        let mut writes = begun.len();
        for _ in 0..60 {
            let Refresh { writes: now, .. } = upkeep(&cluster);
            prop_assert!(now.len() <= 1);
            check(&now)?;
            cluster.perform(&now);
            writes += now.len();
            cluster.run(1);
        }
        let pod = cluster.pod();
        prop_assert_eq!(progress(&pod), Progress::Complete);
        prop_assert_eq!(upkeep(&cluster), Refresh::default(), "settled after");
        prop_assert!(pod.ready());
        prop_assert_eq!(pod.revision(), Some("web-b"));
        for (container, (_, changed)) in pod.containers.iter().zip(&case.containers) {
            let want = if *changed { "reg.io/app:v2" } else { "reg.io/app:v1" };
            prop_assert_eq!(&*container.image, want);
        }
        let tier = case.label.clone().unwrap_or(Some("silver".to_owned()));
        prop_assert_eq!(pod.meta.labels.get("tier"), tier.as_deref());
        prop_assert_eq!(writes, minimum(&case));
    }

    /// As long as a changed container has not restarted the gate stays false.
    #[test]
    fn nothing_is_ready_before_the_kubelet_acted(case in case()) {
        let mut cluster = settled(&case);
        let target = Target { revision: "web-b", grace_seconds: 0 };
        let begun = begin(&cluster.pod(), &change(&case), &target, cluster.world.now);
        cluster.perform(&begun);
        let restarts = case.containers.iter().any(|(_, changed)| *changed);
        if restarts {
            prop_assert_ne!(progress(&cluster.pod()), Progress::Complete);
            prop_assert_eq!(upkeep(&cluster).writes, []);
        } else {
            prop_assert_eq!(progress(&cluster.pod()), Progress::Complete);
        }
    }

    /// No annotation that anybody can write makes the upkeep panic; what is no JSON object makes it write nothing.
    #[test]
    fn any_annotation_is_survived(text in "(\\{.{0,40}|\\PC{0,20})", key in 0..4_usize) {
        let keys = [
            "apps.kruise.io/inplace-update-state", "apps.kruise.io/inplace-update-grace",
            "inplace-update-state", "inplace-update-grace",
        ];
        let pod = web().container("c0", "reg.io/app:v1").annotation(keys[key], &text);
        let cluster = Cluster::new(&pod);
        let done = upkeep(&cluster);
        let is_object = serde_json::from_str::<serde_json::Map<_, _>>(&text).is_ok();
        prop_assert!(is_object || done.writes.is_empty(), "{:?}", done);
        drop(progress(&cluster.pod()));
    }
}

/// §22.1: out of traffic, one write per batch, back; metadata alone once.
fn minimum(case: &Case) -> usize {
    let changed: Vec<Option<i32>> = case
        .containers
        .iter()
        .filter(|(_, changed)| *changed)
        .map(|(priority, _)| *priority)
        .collect();
    let levels: std::collections::BTreeSet<i32> = changed.iter().flatten().copied().collect();
    let batches = levels.len().max(1);
    let gated = case.gates > 0;
    let drain = usize::from(gated && !changed.is_empty());
    let back = usize::from((case.state || gated) && !changed.is_empty());
    drain + batches + back
}
