//! Whatever is stored, nobody else suffers, and its owner reads in a condition and in an event which field has which value
//! and which rule it breaks. No webhook stands before the API server here.

use std::time::Instant;

use kruise_common::testing::cluster::wait;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::audit;
use crate::harness::{Controller, Space, set};

struct Case {
    name: &'static str,
    change: Value,
    condition: &'static str,
    /// Field, value and rule.
    says: [&'static str; 3],
}

fn case(
    name: &'static str,
    spec: &Value,
    condition: &'static str,
    says: [&'static str; 3],
) -> Case {
    Case { name, change: json!({ "spec": spec }), condition, says }
}

/// One per kind of slip that the schema of the CRD lets pass and that leaves nothing to act upon.
fn unread() -> Vec<Case> {
    let invalid = "InvalidSpec";
    let amount = "is neither a number nor a percentage such as \"10%\"";
    let rolling = |rolling: Value| json!({ "podManagementPolicy": "Parallel", "updateStrategy": { "rollingUpdate": rolling } });
    let percent = "spec.updateStrategy.rollingUpdate.maxUnavailable";
    let selector = json!({ "selector": { "matchLabels": { "app": "other" } } });
    vec![
        case(
            "word",
            &rolling(json!({ "maxUnavailable": "lots" })),
            invalid,
            [percent, "\"lots\"", amount],
        ),
        case(
            "sign",
            &rolling(json!({ "maxUnavailable": "-5%" })),
            invalid,
            [percent, "\"-5%\"", amount],
        ),
        case(
            "scale",
            &json!({ "scaleStrategy": { "maxUnavailable": "5 %" } }),
            invalid,
            ["spec.scaleStrategy.maxUnavailable", "\"5 %\"", amount],
        ),
        case(
            "ordinals",
            &json!({ "reserveOrdinals": [1, "5-x"] }),
            invalid,
            [
                "spec.reserveOrdinals[1]",
                "\"5-x\"",
                "must be an ordinal of at least 0 or a range \"a-b\" with a ≤ b",
            ],
        ),
        case(
            "range",
            &json!({ "reserveOrdinals": ["7-3"] }),
            invalid,
            ["spec.reserveOrdinals[0]", "\"7-3\"", "must be an ordinal of at least 0 or a range"],
        ),
        case(
            "selector",
            &selector,
            invalid,
            [
                "spec.template.metadata.labels",
                "app=selector",
                "`selector` \"app=other\" does not match template `labels`",
            ],
        ),
    ]
}

/// What the schema lets pass and the API server refuses when the pods are to be made.
fn refused() -> Vec<Case> {
    let policy = json!({ "template": { "spec": { "restartPolicy": "Sometimes" } } });
    let container = json!({ "name": "app", "image": "" });
    let image = json!({ "template": { "spec": { "containers": [container] } } });
    vec![
        case(
            "rejected",
            &policy,
            "FailedCreatePod",
            ["spec.restartPolicy", "\"Sometimes\"", "supported values: \"Always\""],
        ),
        case(
            "image",
            &image,
            "FailedCreatePod",
            ["spec.containers[0].image", "Required value", "Required value"],
        ),
    ]
}

fn all() -> impl Iterator<Item = Case> {
    unread().into_iter().chain(refused())
}

/// The events about a set: how many objects, and how often in all.
async fn told(space: &Space, name: &str) -> (usize, u64) {
    let params = ListParams::default().fields(&format!("involvedObject.name={name}"));
    let list = space.api("", "v1", "Event").list(&params).await.unwrap().items;
    let count = list.iter().map(|event| event.data["count"].as_u64().unwrap_or(1)).sum();
    (list.len(), count)
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn bad_input_is_explained_and_harms_nobody_else() {
    let space = Space::new("bad").await;
    let controller = Controller::start(&space, &[]).await;
    let began = Instant::now();
    for case in all() {
        let mut bad = set(case.name, 2);
        json_patch::merge(&mut bad, &case.change);
        space.create(bad).await;
    }
    // Stored without any default: what is left out means what the webhook would have written.
    space.create(set("good", 2)).await;
    space.rolled_out("good").await;
    let stored = space.api_set("good").await.unwrap();
    for defaulted in ["updateStrategy", "podManagementPolicy", "revisionHistoryLimit"] {
        assert!(stored["spec"].get(defaulted).is_none(), "{defaulted}: {stored}");
    }
    for case in all() {
        let message = space.condition(case.name, case.condition).await;
        let event = space.warning(case.name).await;
        for part in case.says {
            assert!(message.contains(part), "condition of {}: {part}: {message}", case.name);
            assert!(event.contains(part), "event of {}: {part}: {event}", case.name);
        }
        println!("{}: {message}", case.name);
    }
    bounded(&space, &controller, began).await;
    // And it is over when the owner puts it right.
    for case in all() {
        let mut good = set(case.name, 1)["spec"].clone();
        good["updateStrategy"] = Value::Null;
        good["scaleStrategy"] = Value::Null;
        good["reserveOrdinals"] = Value::Null;
        good["template"]["spec"]["restartPolicy"] = Value::Null;
        space.merge(case.name, json!({ "spec": good })).await;
        space.rolled_out(case.name).await;
        wait("the end of the condition", || async {
            let set = space.api_set(case.name).await?;
            let conditions = set["status"]["conditions"].as_array()?.clone();
            let one = conditions.iter().find(|one| one["type"] == case.condition)?;
            (one["status"] == "False").then_some(())
        })
        .await;
    }
    controller.stop().await;
}

/// No hot loop. What cannot be acted upon is looked at when it changes, with one status write; what the server refuses is
/// tried at intervals that double from 5 ms to 30 s, while another set goes on as if nothing were.
async fn bounded(space: &Space, controller: &Controller, began: Instant) {
    let failed = controller.failed_count().await;
    controller.failed_turns(failed + 4).await;
    for (version, replicas) in [(2, 4), (3, 1)] {
        space.patch("good", crate::image(version)).await;
        space.merge("good", json!({ "spec": { "replicas": replicas } })).await;
        space.rolled_out("good").await;
    }
    let failed = controller.failed_count().await;
    // Two sets are refused: each has 13 intervals until they are 30 s long, and some turns when its own status shows.
    let most = 2 * (18 + i64::try_from(began.elapsed().as_secs() / 25).unwrap());
    assert!(failed <= most, "{failed} failed turns, {most} at most");
    println!("{failed} failed turns of two sets in {:?}", began.elapsed());
    let refused: Vec<&str> = refused().iter().map(|case| case.name).collect();
    for case in all() {
        let (events, times) = told(space, case.name).await;
        let most = if refused.contains(&case.name) { 25 } else { 2 };
        assert!(events <= 4 && times <= most, "{}: {events} events, {times} times", case.name);
    }
    if let Some(calls) = audit::writes(space, "statefulsets") {
        for case in all() {
            let own = calls.iter().filter(|call| call.ours && call.name == case.name).count();
            let most = if refused.contains(&case.name) { 4 } else { 1 };
            assert!(own <= most, "{}: {own} status writes", case.name);
        }
    }
}
