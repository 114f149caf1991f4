//! Jobs as OpenKruise v1.9 left them, stored through either version of the API.

use std::path::Path;

use kruise_common::testing::cluster::wait;
use serde_json::{Value, json};

use crate::harness::{LABEL, Space, controller};

/// A captured job and its pod.
fn captured(gates: &str, name: &str) -> [Value; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured").join(gates);
    let entries = std::fs::read_dir(folder.join("5-more")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut mine: Vec<_> = paths
        .filter(|path| path.file_name().unwrap().to_str().unwrap().contains(&format!(".{name}")))
        .collect();
    mine.sort();
    let objects: Vec<Value> = mine
        .iter()
        .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        .collect();
    objects.try_into().unwrap()
}

/// Stores both, and reads the job in the other version: that has what was captured, defaults and status included.
async fn restore(space: &Space, (version, gates, name): (&str, &str, &str)) {
    let [mut job, mut pod] = captured(gates, name);
    // This cluster has nodes of other tests.
    job["spec"]["template"]["spec"]["nodeSelector"] = json!({ LABEL: space.name });
    let stored = space.restore(version, job.clone(), None).await;
    let other = if version == "v1beta1" { "v1alpha1" } else { "v1beta1" };
    let read = space.jobs(other).get(name).await.unwrap();
    for member in ["spec", "status"] {
        assert_eq!(read.data[member], job[member], "{version}, {gates}, {name}: {member}");
    }
    pod["metadata"]["annotations"] = json!({ "sim.kruise.dev/ignore": "true" });
    let spec = pod["spec"].as_object_mut().unwrap();
    spec.insert("nodeName".to_owned(), json!(space.node(0)));
    // Admission adds them anew.
    for member in ["volumes", "serviceAccount", "serviceAccountName", "priority"] {
        spec.remove(member);
    }
    for container in spec["containers"].as_array_mut().unwrap() {
        container.as_object_mut().unwrap().remove("volumeMounts");
    }
    space.restore("v1", pod, Some(&stored)).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn the_first_turns_over_captured_jobs_of_both_versions_write_nothing() {
    for version in ["v1alpha1", "v1beta1"] {
        for gates in ["all-gates", "default-gates"] {
            let space = Space::new(&format!("takeover-{version}-{gates}"), 1).await;
            for name in ["once", "never"] {
                restore(&space, (version, gates, name)).await;
            }
            let controller = controller(&space).await;
            wait("both jobs to have had their turn", || async {
                let turns = controller.count("controller_runtime_reconcile_total", "").await;
                let pods = controller.count("kruise_cache_objects", "resource=\"pods\"").await;
                (turns >= 2 && pods == 2).then_some(())
            })
            .await;
            let written = controller.count("kruise_writes_total", "").await;
            assert_eq!(written, 0, "{version}, {gates}");
            controller.stop().await;
            space.end().await;
        }
    }
}
