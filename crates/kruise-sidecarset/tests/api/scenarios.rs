//! The requirements on the roll-out (sidecarset 29.1), each in a namespace of its own.

use serde_json::{Value, json};

use crate::builders::{annotation, image, restarts, strategy, text, with};
use crate::harness::{Space, wait};

fn name(set: &Value) -> &str {
    text(set, "/metadata/name")
}

fn agent(tag: &str) -> Value {
    json!({ "image": format!("example.com/agent:{tag}") })
}

fn mesh(tag: &str) -> Value {
    json!({ "image": format!("example.com/mesh:{tag}") })
}

/// The hash that a pod records of a set.
fn hash(pod: &Value, set: &Value) -> String {
    let records: Value =
        serde_json::from_str(annotation(pod, "kruise.io/sidecarset-hash")).unwrap();
    text(&records[name(set)], "/hash").to_owned()
}

/// CNF-9.
pub async fn every_pod_gets_the_image_and_keeps_everything_else(space: Space) {
    let set = space.running(&space.log(), 4).await;
    let before = space.pods().await;
    let watch = space.watch("agent");
    watch.began().await;
    space.container(&set, &agent("2")).await;
    space.counts(name(&set), [4, 4, 4, 4]).await;
    let (order, most) = watch.end();
    assert_eq!((order.len(), most), (4, 1), "one after another: {order:?}");
    let after = space.pods().await;
    for (old, new) in before.iter().zip(&after) {
        for same in ["/metadata/uid", "/spec/nodeName", "/status/podIP"] {
            assert_eq!(old.pointer(same), new.pointer(same), "{same}");
        }
        assert_eq!(image(new, "agent"), "example.com/agent:2");
        assert_eq!((restarts(new, "app"), restarts(new, "agent")), (0, 1));
    }
    let hashes: std::collections::BTreeSet<String> =
        after.iter().map(|pod| hash(pod, &set)).collect();
    let now = space.set(name(&set)).await;
    let spec = serde_json::from_value(now["spec"].clone()).unwrap();
    let wanted = kruise_sidecarset::hash::hashes(&spec).unwrap().full;
    assert_eq!(hashes.into_iter().collect::<Vec<_>>(), [wanted], "pods and set say the same");
}

/// CNF-10.
pub async fn more_than_an_image_waits_until_it_is_taken_back(space: Space) {
    let set = space.running(&space.log(), 1).await;
    let (no, yes) =
        (format!("{{\"{}\":false}}", name(&set)), format!("{{\"{}\":true}}", name(&set)));
    space.container(&set, &json!({ "args": ["-v"] })).await;
    space.stays(&set, [1, 0, 1, 0]).await;
    space.says("web-0", "False", &no).await;
    let now = space.set(name(&set)).await;
    assert_eq!(text(&now, "/status/conditions/0/reason"), "MoreThanImages", "{now}");
    // A pod of now follows a later image, the old one does not.
    space.pod("web-1", &[&now], &json!({})).await;
    space.counts(name(&set), [2, 1, 2, 1]).await;
    space.container(&now, &agent("2")).await;
    space.stays(&set, [2, 1, 2, 1]).await;
    let pods = space.pods().await;
    assert_eq!(
        (image(&pods[0], "agent"), image(&pods[1], "agent")),
        ("example.com/agent:1".into(), "example.com/agent:2".into())
    );
    // Back to the old arguments, with a new image: now the old one follows.
    space.container(&set, &agent("3")).await;
    space.stays(&set, [2, 1, 2, 1]).await;
    space.says("web-0", "True", &yes).await;
    space.says("web-1", "False", &no).await;
}

/// CNF-11.
pub async fn two_sets_share_the_condition(space: Space) {
    let (log, mesh_set) = (space.create(&space.log()).await, space.create(&space.mesh()).await);
    space.pod("web-0", &[&log, &mesh_set], &json!({})).await;
    space.counts(name(&log), [1, 1, 1, 1]).await;
    space.container(&mesh_set, &json!({ "args": ["-v"] })).await;
    space.container(&log, &agent("2")).await;
    let message = |yes: bool| format!("{{\"{}\":true,\"{}\":{yes}}}", name(&log), name(&mesh_set));
    space.says("web-0", "False", &message(false)).await;
    space.container(&mesh_set, &mesh("2")).await;
    space.says("web-0", "True", &message(true)).await;
    space.counts(name(&mesh_set), [1, 1, 1, 1]).await;
}

/// CNF-12.
pub async fn a_bad_image_stops_and_a_good_one_heals(space: Space) {
    let set = space.running(&space.log(), 2).await;
    space.container(&set, &agent("fail-pull")).await;
    space.stays(&set, [2, 1, 1, 0]).await;
    space.container(&set, &agent("3")).await;
    space.counts(name(&set), [2, 2, 2, 2]).await;
}

/// CNF-13.
pub async fn half_of_the_pods_go_at_once(space: Space) {
    let set =
        space.create(&with(space.log(), &strategy(&json!({ "maxUnavailable": "50%" })))).await;
    for at in 0..4 {
        let slow =
            json!({ "metadata": { "annotations": { "sim.kruise.dev/ready-delay-ms": "1500" } } });
        space.pod(&format!("web-{at}"), &[&set], &slow).await;
    }
    space.counts(name(&set), [4, 4, 4, 4]).await;
    let watch = space.watch("agent");
    watch.began().await;
    space.container(&set, &agent("2")).await;
    space.counts(name(&set), [4, 2, 2, 0]).await;
    space.counts(name(&set), [4, 4, 4, 4]).await;
    let (_, most) = watch.end();
    assert_eq!(most, 2);
}

/// CNF-14, CNF-15, CNF-16.
pub async fn a_partition_a_pause_and_a_selector_keep_pods_old(space: Space) {
    let set = space.running(&space.log(), 2).await;
    space.patch(&set, strategy(&json!({ "partition": "50%" }))).await;
    space.container(&set, &agent("2")).await;
    space.stays(&set, [2, 1, 2, 1]).await;
    space.patch(&set, strategy(&json!({ "partition": 0, "paused": true }))).await;
    space.stays(&set, [2, 1, 2, 1]).await;
    space.patch(&set, strategy(&json!({ "paused": false }))).await;
    space.counts(name(&set), [2, 2, 2, 2]).await;
    let selector = json!({ "matchLabels": { "tier": "gold" } });
    space.patch(&set, strategy(&json!({ "selector": selector }))).await;
    space.container(&set, &agent("3")).await;
    space.stays(&set, [2, 0, 2, 0]).await;
    let gold = json!([{ "op": "add", "path": "/metadata/labels/tier", "value": "gold" }]);
    space.patch_pod("web-1", gold).await;
    space.stays(&set, [2, 1, 2, 1]).await;
    assert_eq!(image(&space.pods().await[1], "agent"), "example.com/agent:3");
    space.patch(&set, strategy(&json!({ "selector": null }))).await;
    space.counts(name(&set), [2, 2, 2, 2]).await;
}

/// CNF-15: in the middle.
pub async fn a_pause_after_the_first_pod_keeps_the_others_old(space: Space) {
    let set = space.create(&space.log()).await;
    for at in 0..3 {
        let slow =
            json!({ "metadata": { "annotations": { "sim.kruise.dev/ready-delay-ms": "5000" } } });
        space.pod(&format!("web-{at}"), &[&set], &slow).await;
    }
    space.counts(name(&set), [3, 3, 3, 3]).await;
    space.container(&set, &agent("2")).await;
    // The next one waits until the first one is ready.
    space.counts(name(&set), [3, 1, 2, 0]).await;
    space.patch(&set, strategy(&json!({ "paused": true }))).await;
    space.stays(&set, [3, 1, 3, 1]).await;
    space.patch(&set, strategy(&json!({ "paused": false }))).await;
    space.counts(name(&set), [3, 3, 3, 3]).await;
}

fn working(pod: &Value) -> String {
    let map: Value =
        serde_json::from_str(annotation(pod, "kruise.io/sidecarset-working-hotupgrade-container"))
            .unwrap();
    text(&map, "/mesh").to_owned()
}

fn version(pod: &Value, prefix: &str, twin: &str) -> u64 {
    annotation(pod, &format!("{prefix}.sidecarset.kruise.io/{twin}")).parse().unwrap()
}

/// CNF-17.
pub async fn a_hot_upgrade_keeps_one_side_working(space: Space) {
    let set = space.running(&space.mesh(), 1).await;
    let pod = || async { space.pods().await.remove(0) };
    let images = |pod: &Value| [image(pod, "mesh-1"), image(pod, "mesh-2")];
    let tag = |tag: &str| format!("example.com/mesh:{tag}");
    assert_eq!(images(&pod().await), [tag("1"), tag("empty")]);
    space.container(&set, &mesh("2")).await;
    space.counts(name(&set), [1, 1, 1, 1]).await;
    let now = pod().await;
    assert_eq!((images(&now), working(&now)), ([tag("empty"), tag("2")], "mesh-2".into()));
    assert!(version(&now, "version", "mesh-2") > 1);
    assert_eq!(version(&now, "version", "mesh-1"), 0);
    assert_eq!(version(&now, "versionalt", "mesh-2"), 0);
    assert_eq!(version(&now, "versionalt", "mesh-1"), version(&now, "version", "mesh-2"));
    // A failing image keeps the old side, and is counted as HOT-26 says.
    space.container(&set, &mesh("fail-pull")).await;
    space.stays(&set, [1, 1, 0, 0]).await;
    let failing = pod().await;
    assert_eq!(
        (images(&failing), working(&failing)),
        ([tag("fail-pull"), tag("2")], "mesh-1".into())
    );
    assert_eq!(version(&failing, "versionalt", "mesh-1"), version(&failing, "version", "mesh-2"));
    // A corrected one goes to the same twin, and the old side was never touched.
    space.container(&set, &mesh("3")).await;
    space.counts(name(&set), [1, 1, 1, 1]).await;
    let healed = pod().await;
    assert_eq!((images(&healed), working(&healed)), ([tag("3"), tag("empty")], "mesh-1".into()));
    assert_eq!(healed["metadata"]["uid"], now["metadata"]["uid"]);
    assert_eq!(restarts(&healed, "app"), 0);
    // W-14: back to the image of the old side while the new one fails.
    space.container(&set, &mesh("fail-pull-too")).await;
    space.stays(&set, [1, 1, 0, 0]).await;
    space.container(&set, &mesh("3")).await;
    space.counts(name(&set), [1, 1, 1, 1]).await;
    assert_eq!(images(&pod().await), [tag("3"), tag("empty")]);
}

/// CNF-18.
pub async fn a_set_that_updates_nothing_counts_and_leaves_alone(space: Space) {
    let set = space.create(&with(space.log(), &strategy(&json!({ "type": "NotUpdate" })))).await;
    space.counts(name(&set), [0, 0, 0, 0]).await;
    for at in 0..2 {
        space.pod(&format!("web-{at}"), &[&set], &json!({})).await;
    }
    space.ready(2).await;
    space.counts(name(&set), [2, 2, 0, 0]).await;
    space.container(&set, &agent("2")).await;
    space.stays(&set, [2, 0, 2, 0]).await;
    assert!(space.pods().await.iter().all(|pod| image(pod, "agent") == "example.com/agent:1"));
}

/// CNF-21.
pub async fn revisions_are_kept_numbered_and_limited(space: Space) {
    let set =
        space.create(&with(space.log(), &json!({ "spec": { "revisionHistoryLimit": 3 } }))).await;
    for version in 1..=6 {
        space.container(&set, &agent(&version.to_string())).await;
        space.counts(name(&set), [0, 0, 0, 0]).await;
    }
    space.container(&set, &agent("5")).await;
    space.counts(name(&set), [0, 0, 0, 0]).await;
    let numbers = wait("the limit", || async {
        let all = space.revisions(&set).await;
        let numbers: Vec<i64> = all.iter().filter_map(|it| it["revision"].as_i64()).collect();
        (numbers.len() == 3).then_some(numbers)
    })
    .await;
    assert_eq!(numbers, [4, 6, 7], "number 5 was rolled back to");
    let all = space.revisions(&set).await;
    let latest = all.last().unwrap();
    assert_eq!(text(latest, "/data/spec/containers/0/image"), "example.com/agent:5");
    assert_eq!(text(latest, "/metadata/ownerReferences/0/uid"), text(&set, "/metadata/uid"));
    let now = space.set(name(&set)).await;
    assert_eq!(now["status"]["latestRevision"], latest["metadata"]["name"]);
    let parts: Vec<&String> = latest["data"]["spec"].as_object().unwrap().keys().collect();
    assert_eq!(parts.len(), 6);
}

/// CNF-27.
pub async fn a_deleted_set_leaves_its_pods_alone(space: Space) {
    let set = space.running(&space.log(), 2).await;
    let before = space.pods().await;
    space.delete(&set).await;
    wait("the end of the revisions", || async {
        space.revisions(&set).await.is_empty().then_some(())
    })
    .await;
    let after = space.pods().await;
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(
            (&old["metadata"]["uid"], &old["spec"]),
            (&new["metadata"]["uid"], &new["spec"])
        );
        assert_eq!(restarts(new, "agent"), 0);
    }
    // Made again under the same name it finds its old pods (LIF-12).
    let again = space.create(&space.log()).await;
    space.counts(name(&again), [2, 2, 2, 2]).await;
}

/// CNF-32.
pub async fn pods_go_by_priority_and_spread(space: Space) {
    let set = space.create(&space.log()).await;
    for at in 0..6 {
        let zone = if at < 3 { "a" } else { "b" };
        let labels = json!({ "metadata": { "labels": { "o": format!("p-{at}"), "zone": zone } } });
        space.pod(&format!("web-{at}"), &[&set], &labels).await;
    }
    space.counts(name(&set), [6, 6, 6, 6]).await;
    let roll = async |tag: &str| {
        let watch = space.watch("agent");
        watch.began().await;
        space.container(&set, &agent(tag)).await;
        space.counts(name(&set), [6, 6, 6, 6]).await;
        watch.end().0
    };
    let priority = json!({ "orderPriority": [{ "orderedKey": "o" }] });
    space.patch(&set, strategy(&json!({ "priorityStrategy": priority }))).await;
    let order = roll("2").await;
    assert_eq!(order, ["web-5", "web-4", "web-3", "web-2", "web-1", "web-0"]);
    let weight = json!({ "orderPriority": null, "weightPriority": [{ "weight": 1, "matchSelector": { "matchLabels": { "zone": "a" } } }] });
    space.patch(&set, strategy(&json!({ "priorityStrategy": weight }))).await;
    let order = roll("3").await;
    let mut first: Vec<&str> = order[..3].iter().map(String::as_str).collect();
    first.sort_unstable();
    assert_eq!(first, ["web-0", "web-1", "web-2"], "{order:?}");
    let scatter =
        json!({ "priorityStrategy": null, "scatterStrategy": [{ "key": "zone", "value": "a" }] });
    space.patch(&set, strategy(&scatter)).await;
    let order = roll("4").await;
    let zone_a = |name: &String| ["web-0", "web-1", "web-2"].contains(&name.as_str());
    let runs = order.chunk_by(|a, b| zone_a(a) == zone_a(b)).map(<[String]>::len).max();
    assert!(runs.unwrap() < 3, "spread: {order:?}");
}

/// CNF-30, from the side of the set: the pod's owner writes to the same pods at the same time.
pub async fn a_workload_updates_its_own_container_meanwhile(space: Space) {
    let set =
        space.running(&with(space.log(), &strategy(&json!({ "maxUnavailable": "100%" }))), 4).await;
    space.container(&set, &agent("2")).await;
    for at in 0..4 {
        let patch = json!([
            { "op": "replace", "path": "/spec/containers/0/image", "value": "example.com/app:2" },
            { "op": "add", "path": "/metadata/annotations/apps.kruise.io~1inplace-update-state", "value": "{}" },
        ]);
        space.patch_pod(&format!("web-{at}"), patch).await;
    }
    space.counts(name(&set), [4, 4, 4, 4]).await;
    for pod in space.pods().await {
        assert_eq!(
            (image(&pod, "app"), image(&pod, "agent")),
            ("example.com/app:2".into(), "example.com/agent:2".into())
        );
        assert_eq!((restarts(&pod, "app"), restarts(&pod, "agent")), (1, 1));
        assert_eq!(annotation(&pod, "apps.kruise.io/inplace-update-state"), "{}");
    }
}

/// EVN-1, W-29: what the user is told on the set; Events about what belongs to no namespace are in `default`.
pub async fn events_tell_of_a_roll_out(space: Space) {
    let set = space.running(&space.log(), 2).await;
    space.container(&set, &agent("2")).await;
    space.counts(name(&set), [2, 2, 2, 2]).await;
    let revision = text(&space.set(name(&set)).await, "/status/latestRevision").to_owned();
    for (reason, message) in [
        ("RolloutStarted", format!("2 pods are to follow revision {revision}")),
        ("RolloutCompleted", format!("no pod is behind revision {revision}")),
    ] {
        space.event(&set, reason, &message).await;
    }
    space.container(&set, &json!({ "image": "example.com/agent:2", "args": ["-v"] })).await;
    let text = "SidecarSet in-place update detected 2 not upgradable pod(s) in this round, will skip them.";
    space.event(&set, "NotUpgradablePods", text).await;
}

/// [ext]: opt-in eviction; a pod that nobody makes again stays.
pub async fn pods_that_cannot_follow_are_evicted_on_request(space: Space) {
    let set = space.running(&space.log(), 1).await;
    let evict = json!({ "metadata": { "annotations": { "kruise.io/sidecarset-evict-not-upgradable": "true" } } });
    space.patch(&set, evict).await;
    space.container(&set, &json!({ "args": ["-v"] })).await;
    space.stays(&set, [1, 0, 1, 0]).await;
    let own = space.set(name(&set)).await;
    // An owner that is there: the set itself will do.
    let owner = json!([{ "op": "add", "path": "/metadata/ownerReferences", "value": [{
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "name": name(&own), "uid": own["metadata"]["uid"], "controller": true,
    }] }]);
    space.patch_pod("web-0", owner).await;
    wait("the eviction", || async { space.pods().await.is_empty().then_some(()) }).await;
}
