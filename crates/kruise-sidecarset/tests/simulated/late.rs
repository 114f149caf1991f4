//! What was decided on a state that is over costs nobody anything: the write fails, and the next turn decides anew.

use kruise_common::kind::{POD, SIDECAR_SET};
use kruise_common::reconciler::Reconciler;
use kruise_common::write::Category;
use kruise_sidecarset::controller::SidecarSetController as C;
use serde_json::{Value, json};

use crate::builders::{Sim, drive, log, merge, pod_key, settle, with};

/// Makes the pod ready, or not.
fn turn_ready(sim: &mut Sim, ready: bool) {
    sim.world.edit(&POD, &pod_key("web-0"), |pod| {
        for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "Ready" {
                let reason = if ready { Value::Null } else { json!("ContainersNotReady") };
                let status = if ready { "True" } else { "False" };
                merge(condition, &json!({ "status": status, "reason": reason }));
            }
        }
    });
}

/// What becomes of the writes to the pod that are decided while it is not ready, and come when it is.
fn late(set: &Value, edit: impl FnOnce(&mut Value)) -> Vec<Option<Category>> {
    let (mut sim, key) = drive(set, 2);
    settle(&mut sim, &key);
    turn_ready(&mut sim, false);
    sim.world.edit(&SIDECAR_SET, &key, edit);
    sim.relist();
    let snapshot = sim.observe(&key).unwrap();
    let plan = C::plan(&snapshot, sim.world.now);
    turn_ready(&mut sim, true);
    let own = plan.actions().filter(|action| action.pod() == Some(&pod_key("web-0")));
    let own = own.filter(|action| !action.to_string().starts_with("mark"));
    let now = sim.world.now;
    let writes = own.flat_map(|action| C::apply(&snapshot, action, now));
    writes.map(|write| sim.world.perform(&write).err().map(|error| error.category)).collect()
}

/// UPD-24: a pod goes whatever the budget says because it is not ready; by the time of the write it serves.
#[test]
fn a_pod_that_serves_again_is_not_updated_for_free() {
    let next =
        |set: &mut Value| set["spec"]["containers"][0]["image"] = json!("example.com/agent:2");
    assert_eq!(late(&log(), next), [Some(Category::Conflict)]);
}

#[test]
fn a_pod_that_serves_again_is_not_evicted_for_free() {
    let evicting = json!({ "metadata": { "annotations": { "kruise.io/sidecarset-evict-not-upgradable": "true" } } });
    let next = |set: &mut Value| set["spec"]["containers"][0]["args"] = json!(["-v"]);
    assert_eq!(late(&with(log(), &evicting), next), [Some(Category::Conflict)]);
}
