//! Defaults of a pod template against what Kubernetes' own defaulting makes of it (`tests/golden/template`).

use serde_json::{Value, json};

use crate::shared::template::fill_template;

fn golden(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Members that Go's types write or drop whatever was given; they are no defaults.
fn without_go(mut template: Value) -> Value {
    let spec = template["spec"].as_object_mut().unwrap();
    spec.remove("hostNetwork");
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in spec[list].as_array_mut().unwrap() {
            let container = container.as_object_mut().unwrap();
            container.retain(|name, value| {
                !(name == "image" && *value == "" || name == "resources" && *value == json!({}))
            });
        }
    }
    template
}

#[test]
fn a_template_is_filled_as_kubernetes_fills_it() {
    let mut template = golden(include_str!("../../tests/golden/template/in.json"));
    let want = golden(include_str!("../../tests/golden/template/kubernetes.json"));
    fill_template(&mut template, false);
    assert_eq!(without_go(template.clone()), without_go(want));
    let once = template.clone();
    fill_template(&mut template, false);
    assert_eq!(template, once, "filling twice changes nothing");
}

#[test]
fn an_application_container_always_pulls_and_unknown_fields_stay() {
    let mut template =
        json!({ "spec": { "containers": [{ "image": "x:1", "new": { "a": [1.50] } }] } });
    fill_template(&mut template, false);
    let container = &template["spec"]["containers"][0];
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(container["new"], json!({ "a": [1.50] }));
    assert_eq!(template["spec"].get("enableServiceLinks"), None, "as the captured sets show");
}

#[test]
fn host_ports_are_filled_in_the_hosts_network_only_with_the_gate() {
    let filled = |network: bool, gate: bool| {
        let mut template = json!({ "spec": {
            "hostNetwork": network,
            "containers": [{ "ports": [{ "containerPort": 80 }] }],
        } });
        fill_template(&mut template, gate);
        template["spec"]["containers"][0]["ports"][0]["hostPort"] == 80
    };
    assert!(filled(true, true));
    assert!(!filled(true, false) && !filled(false, true));
}
