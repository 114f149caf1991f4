//! Twins that the webhook made, under the controller: what it injects is what it upgrades.

use kruise_common::testing::cluster::wait;
use serde_json::{Value, json};

use super::requirements::{Stage, container};

fn mesh(tag: usize) -> Value {
    let upgrade =
        json!({ "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "example.com/mesh:empty" });
    let image = format!("example.com/mesh:{tag}");
    json!({ "spec": { "containers": [{ "name": "mesh", "image": image, "upgradeStrategy": upgrade }] } })
}

fn images(pod: &Value) -> [&str; 2] {
    ["mesh-1", "mesh-2"].map(|twin| container(pod, "containers", twin)["image"].as_str().unwrap())
}

/// CNF-17, and of CNF-9 and CNF-10 that pods bear the hash that stands on the set, new ones with what it asks for now.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn cnf_17_injected_twins_are_upgraded() {
    let stage = Stage::new("twins").await;
    stage.create(&stage.set("mesh", &mesh(1))).await;
    let made = stage.injected(&Stage::pod("first", "mesh", &json!({})), "mesh").await;
    assert_eq!(images(&made), ["example.com/mesh:1", "example.com/mesh:empty"]);
    stage.counts("mesh", (1, 1)).await;
    let set = stage.patch("mesh", mesh(2)).await;
    let first = wait("the new side alone", || async {
        let pod = stage.stored("first").await;
        (images(&pod) == ["example.com/mesh:empty", "example.com/mesh:2"]).then_some(pod)
    })
    .await;
    assert_eq!(first["metadata"]["uid"], made["metadata"]["uid"]);
    let annotations = &first["metadata"]["annotations"];
    let works = &annotations["kruise.io/sidecarset-working-hotupgrade-container"];
    assert_eq!(works, r#"{"mesh":"mesh-2"}"#);
    assert_ne!(annotations["version.sidecarset.kruise.io/mesh-2"], "0");
    assert_eq!(annotations["version.sidecarset.kruise.io/mesh-1"], "0");
    let second = stage.injected(&Stage::pod("second", "mesh", &json!({})), "mesh").await;
    assert_eq!(images(&second), ["example.com/mesh:2", "example.com/mesh:empty"]);
    let key = "kruise.io/sidecarset-hash";
    for pod in [&first, &second] {
        let records = pod["metadata"]["annotations"][key].as_str().unwrap();
        let records: Value = serde_json::from_str(records).unwrap();
        assert_eq!(records["mesh"]["hash"], set["metadata"]["annotations"][key]);
    }
    stage
        .status("mesh", |status| {
            (status["updatedReadyPods"] == 2 && status["matchedPods"] == 2).then_some(())
        })
        .await;
    stage.end().await;
}
