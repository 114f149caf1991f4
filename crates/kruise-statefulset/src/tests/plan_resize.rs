//! Claims beside the update of their pods (section 17).

use serde_json::json;

use super::facts::{Facts, claim, claim_template, now, pod, set};
use crate::plan::plan;

/// RU-9, AC-17: a claim that has no volume yet is none that grows, nor can it be made to.
#[test]
fn a_claim_without_volume_neither_grows_nor_waits() {
    for size in ["1Gi", "2Gi"] {
        let set = set(&json!({
            "replicas": 1, "podManagementPolicy": "Parallel", "volumeClaimTemplates": [claim_template(size)],
            "volumeClaimUpdateStrategy": { "type": "OnPodRollingUpdate" },
        }));
        let old = json!({
            "metadata": { "labels": { "controller-revision-hash": "web-old" } },
            "spec": { "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data-web-0" } }] },
            "status": { "phase": "Pending", "conditions": null },
        });
        let mut unbound = claim(0, &json!([]));
        unbound["status"] = json!({ "phase": "Pending" });
        let facts = Facts::new(&set, [pod(0, &old)]).with_claim(&unbound);
        let plan = plan(&facts.snapshot("StatefulSetAutoResizePVCGate=true"), now());
        let actions: Vec<String> = plan.actions().map(ToString::to_string).collect();
        assert!(actions.contains(&"delete 0 (update)".to_owned()), "{size}: {actions:?}");
        assert!(!actions.iter().any(|action| action.starts_with("resize")), "{size}: {actions:?}");
    }
}
