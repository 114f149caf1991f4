//! Manifests become what OpenKruise v1.9 stored of them (`tests/golden/manifests` against `tests/golden/captured-jobs`).

use serde_json::{Value, json};

use crate::broadcastjob::default::{DefaultingGates, default_object};
use crate::tests::statefulset_default::{as_go_writes, manifest, read};

#[test]
fn every_manifest_is_completed_to_what_openkruise_stored() {
    let gates = DefaultingGates::default();
    for folder in ["captured", "captured-default-gates"] {
        for (file, job, version) in
            [("bcj-v1beta1", "once", "v1beta1"), ("bcj-min-v1alpha1", "never", "v1alpha1")]
        {
            let mut object = manifest(file);
            assert!(default_object(&mut object, None, &gates), "{file} is incomplete");
            let stored = read(&format!(
                "captured-jobs/{folder}.1-created.broadcastjobs.{version}.{job}.json"
            ));
            let mut stored: Value = serde_json::from_str(&stored).unwrap();
            // Go writes the template's metadata with a time of null, also where the user wrote none.
            if object["spec"]["template"]["metadata"].is_null() {
                let metadata =
                    stored["spec"]["template"].as_object_mut().unwrap().remove("metadata");
                assert_eq!(metadata, Some(json!({ "creationTimestamp": null })));
            }
            let (ours, theirs) = (object["spec"].clone(), stored["spec"].clone());
            assert_eq!(as_go_writes(ours), as_go_writes(theirs), "{folder}/{file}");
            assert!(!default_object(&mut object, None, &gates), "{file}: twice changes nothing");
        }
    }
}

#[test]
fn a_stored_template_is_left_alone_while_it_does_not_change() {
    let old = manifest("bcj-v1beta1");
    let mut object = old.clone();
    object["spec"]["paused"] = json!(true);
    default_object(&mut object, Some(&old), &DefaultingGates::default());
    assert_eq!(object["spec"]["template"], old["spec"]["template"]);
    assert_eq!(object["spec"]["parallelism"], "100%");
    object["spec"]["template"]["metadata"]["labels"]["more"] = json!("1");
    default_object(&mut object, Some(&old), &DefaultingGates::default());
    assert_eq!(object["spec"]["template"]["spec"]["dnsPolicy"], "ClusterFirst");
}

#[test]
fn a_gate_keeps_templates_as_they_are_written() {
    let mut object = manifest("bcj-v1beta1");
    let template = object["spec"]["template"].clone();
    let gates = DefaultingGates { template_no_defaults: true, ..DefaultingGates::default() };
    default_object(&mut object, None, &gates);
    assert_eq!(object["spec"]["template"], template);
}

#[test]
fn what_nobody_here_knows_survives_and_nonsense_does_not_panic() {
    let mut object = json!({ "spec": { "new": 1, "template": { "spec": { "newer": [2] } } } });
    default_object(&mut object, None, &DefaultingGates::default());
    assert_eq!(object["spec"]["new"], 1);
    assert_eq!(object["spec"]["template"]["spec"]["newer"], json!([2]));
    assert_eq!(object["spec"]["parallelism"], 2_147_483_647);
    for spec in [json!(1), json!(null), json!({ "completionPolicy": 1, "template": "x" })] {
        let mut object = json!({ "spec": spec });
        default_object(&mut object, None, &DefaultingGates::default());
        assert_eq!(object["spec"].get("template"), spec.get("template"));
    }
}
