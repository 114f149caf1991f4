use serde_json::{Value, json};

use super::{chosen, copied, inject, injected, item, names, outcome, pod, refused, set, settings};
use crate::inject::Settings;

fn sidecar(name: &str, place: &str) -> Value {
    json!({ "name": name, "image": "i:1", "podInjectPolicy": place })
}

/// INJ-51, CNF-3.
#[test]
fn sidecars_go_before_and_after_the_pod_s_own_containers() {
    let set = set(
        "a",
        &json!({ "containers": [
        sidecar("after", "AfterAppContainer"), sidecar("b2", "BeforeAppContainer"), sidecar("b1", ""), sidecar("odd", "x"),
    ] }),
    );
    let after = injected(&pod(&json!({})), &[set]);
    assert_eq!(names(&after, "containers"), ["b2", "b1", "app", "after", "odd"]);
    let sidecar = item(&after, "containers", "after");
    for extension in ["podInjectPolicy", "upgradeStrategy", "shareVolumePolicy"] {
        assert_eq!(sidecar.get(extension), None, "INJ-16");
    }
    assert_eq!(sidecar["imagePullPolicy"], "IfNotPresent");
}

/// INJ-49, INJ-52, CNF-19: init containers of all sets are sorted; native sidecars stand behind the pod's own.
#[test]
fn init_containers_are_sorted_by_name() {
    let first = set(
        "a",
        &json!({ "initContainers": [sidecar("z", ""), sidecar("n", "BeforeAppContainer")] }),
    );
    let mut native = sidecar("m", "");
    native["restartPolicy"] = json!("Always");
    let second = set("b", &json!({ "initContainers": [native] }));
    let own = pod(&json!({ "spec": { "initContainers": [{ "name": "own", "image": "i:1" }] } }));
    let after = injected(&own, &[first.clone(), second.clone()]);
    assert_eq!(names(&after, "initContainers"), ["n", "own", "m", "z"]);
    let text = after["metadata"]["annotations"]["kruise.io/sidecarset-hash"].as_str().unwrap();
    let entries: Value = serde_json::from_str(text).unwrap();
    assert_eq!(
        (&entries["a"]["sidecarList"], &entries["b"]["sidecarList"]),
        (&json!([]), &json!(["m"]))
    );
    let without = injected(&pod(&json!({})), &[first, second]);
    assert_eq!(names(&without, "initContainers"), ["n", "m", "z"]);
}

/// INJ-54, W-15: as in OpenKruise, but not silently.
#[test]
fn a_container_of_a_sidecar_s_name_is_replaced_where_it_stands() {
    let set =
        set("a", &json!({ "containers": [sidecar("app", "AfterAppContainer"), sidecar("s", "")] }));
    let two = pod(
        &json!({ "spec": { "containers": [{ "name": "app", "image": "mine" }, { "name": "z" }] } }),
    );
    let (after, warnings) = outcome(&two, &[set]).unwrap();
    assert_eq!(names(&after, "containers"), ["s", "app", "z"]);
    assert_eq!(item(&after, "containers", "app")["image"], "i:1");
    assert_eq!(warnings, ["container app of the pod is replaced by that of SidecarSet a"]);
}

/// INJ-53: Kubernetes would refuse the pod without naming the set.
#[test]
fn names_that_cannot_be_are_refused() {
    let init = set("a", &json!({ "initContainers": [sidecar("app", "")] }));
    let text = "container app of sidecarset a has the name of another container of the pod";
    assert_eq!(refused(&pod(&json!({})), &[init]), text);
    let one = |name: &str| set(name, &json!({ "containers": [sidecar("s", "")] }));
    let both = refused(&pod(&json!({})), &[one("a"), one("b")]);
    assert_eq!(both, "container s of sidecarset b already exist in a");
}

/// INJ-53 the other way round, and W-15 in both lists.
#[test]
fn names_of_init_containers_count_alike() {
    let own =
        pod(&json!({ "spec": { "initContainers": [{ "name": "prep", "image": "prep:1" }] } }));
    let plain = set("a", &json!({ "containers": [sidecar("prep", "")] }));
    let text = "container prep of sidecarset a has the name of another container of the pod";
    assert_eq!(refused(&own, &[plain]), text);
    let strict = Settings { strict: true, ..settings(false) };
    for (list, name) in [("initContainers", "prep"), ("containers", "app")] {
        let sets = [set("a", &json!({ list: [sidecar(name, "")] }))];
        let refusal = inject(&own, &chosen(&own, &sets), strict).unwrap_err().to_string();
        assert_eq!(refusal, format!("container {name} of the pod has the name of a sidecar of a"));
        let once = injected(&own, &sets);
        assert!(inject(&once, &chosen(&once, &sets), strict).is_ok(), "what is ours is no clash");
    }
}

/// INJ-51: in both lists, and at a second look too.
#[test]
fn an_init_container_of_a_sidecar_s_name_is_replaced_where_it_stands() {
    let inits = json!([
        { "name": "first", "image": "own:1" }, { "name": "prep", "image": "own:2" }, { "name": "last", "image": "own:3" },
    ]);
    let own = pod(&json!({ "spec": { "initContainers": inits } }));
    let set = set("a", &json!({ "initContainers": [sidecar("prep", "")] }));
    let (mut once, warnings) = outcome(&own, std::slice::from_ref(&set)).unwrap();
    assert_eq!(names(&once, "initContainers"), ["first", "prep", "last"]);
    assert_eq!(item(&once, "initContainers", "prep")["image"], "i:1");
    assert_eq!(warnings, ["container prep of the pod is replaced by that of SidecarSet a"]);
    once["spec"]["initContainers"][1]["image"] = json!("mirror/i:1");
    once["spec"]["initContainers"][1]["args"] = json!(["-v"]);
    assert_eq!(injected(&once, std::slice::from_ref(&set)), once, "what others made of it stays");
    let anew = copied(&once, &[set]);
    let prep = item(&anew, "initContainers", "prep");
    assert_eq!((&prep["image"], prep.get("args")), (&json!("i:1"), None), "a copy gets it anew");
}

/// INJ-57, CNF-29: only lists grow; everything else of the pod is left alone.
#[test]
fn nothing_else_changes() {
    let own = pod(&json!({ "spec": {
        "restartPolicy": "OnFailure", "hostNetwork": true, "tolerations": [{ "key": "a" }], "containers": [{ "name": "app" }],
    } }));
    let after = injected(&own, &[set("a", &json!({ "containers": [sidecar("s", "")] }))]);
    let mut expected = own["spec"].clone();
    expected["containers"] = json!([item(&after, "containers", "s"), { "name": "app" }]);
    assert_eq!(after["spec"], expected);
}

/// The API server asks again after its own plugins have seen the sidecars: what they added to them stays, as seen on a
/// real server.
#[test]
fn what_admission_adds_to_a_sidecar_survives_a_second_question() {
    let set = set("a", &json!({ "containers": [{ "name": "s", "image": "i:1", "args": ["-v"] }] }));
    let token = json!({ "name": "kube-api-access", "mountPath": "/var/run/secrets" });
    let mut once = injected(&pod(&json!({})), std::slice::from_ref(&set));
    once["spec"]["containers"][0]["volumeMounts"] = json!([token]);
    once["spec"]["containers"][0]["resources"] = json!({ "limits": { "cpu": "1" } });
    let twice = injected(&once, std::slice::from_ref(&set));
    assert_eq!(twice, once);
    once["spec"]["containers"][0]["args"] = json!(["-v", "-w"]);
    assert_eq!(injected(&once, std::slice::from_ref(&set)), once, "nobody is asked a third time");
    let restored = copied(&once, &[set]);
    assert_eq!(item(&restored, "containers", "s")["args"], json!(["-v"]), "ours is ours");
}

/// INT-7, INT-11: what others made of our container since stays, such as what a plugin that has images always pulled insists
/// on; what they took away comes back.
#[test]
fn what_others_made_of_a_sidecar_survives_a_second_question() {
    let spec = json!({ "containers": [{
        "name": "s", "image": "i:1", "env": [{ "name": "A", "value": "1" }, { "name": "C", "value": "4" }],
        "volumeMounts": [{ "name": "v", "mountPath": "/v" }], "resources": { "requests": { "cpu": "1" } },
        "livenessProbe": { "httpGet": { "path": "/", "port": 80 } },
    }] });
    let set = set("a", &spec);
    let first = injected(&pod(&json!({})), std::slice::from_ref(&set));
    assert_eq!(item(&first, "containers", "s")["imagePullPolicy"], "IfNotPresent");
    let mut changed = first.clone();
    let sidecar = &mut changed["spec"]["containers"][0];
    sidecar["image"] = json!("mirror/i:1");
    sidecar["imagePullPolicy"] = json!("Always");
    sidecar["livenessProbe"]["httpGet"]["port"] = json!(15020);
    sidecar["volumeMounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "token", "mountPath": "/t" }));
    sidecar["volumeDevices"] = json!([{ "name": "d", "devicePath": "/d" }]);
    sidecar["resources"]["limits"] = json!({ "cpu": "2" });
    sidecar["securityContext"] = json!({ "runAsNonRoot": true });
    let again = injected(&changed, std::slice::from_ref(&set));
    assert_eq!(again, changed);
    let sidecar = &mut changed["spec"]["containers"][0];
    sidecar["env"] = json!([{ "name": "A", "value": "2" }, { "name": "IS_INJECTED", "value": "true" }, { "name": "B", "value": "3" }]);
    sidecar.as_object_mut().unwrap().remove("volumeMounts");
    let again = injected(&changed, std::slice::from_ref(&set));
    let sidecar = item(&again, "containers", "s");
    assert_eq!(
        sidecar["env"],
        json!([
            { "name": "A", "value": "2" }, { "name": "IS_INJECTED", "value": "true" }, { "name": "B", "value": "3" },
            { "name": "C", "value": "4" },
        ])
    );
    assert_eq!(sidecar["volumeMounts"], json!([{ "name": "v", "mountPath": "/v" }]));
    // A pod that was copied brings a sidecar of another time along: that one is replaced (INJ-54).
    let later = json!({ "containers": [{ "name": "s", "image": "i:2" }] });
    let replaced = injected(&changed, &[super::set("a", &later)]);
    let sidecar = item(&replaced, "containers", "s");
    assert_eq!(sidecar["image"], "i:2");
    assert_eq!(
        (&sidecar["securityContext"], &sidecar["volumeDevices"]),
        (&Value::Null, &Value::Null)
    );
    let of_old = copied(&changed, std::slice::from_ref(&set));
    assert_eq!(item(&of_old, "containers", "s"), item(&first, "containers", "s"));
    let since =
        |pod: &Value| pod["metadata"]["annotations"]["kruise.io/sidecarset-hash"].to_string();
    assert!(since(&first).contains("2026-11-23T00:04:32Z"), "{}", since(&first));
    assert!(since(&of_old).contains("2026-11-23T01:04:32Z"), "INJ-50: {}", since(&of_old));
    // So is one whose sidecars were updated in place a moment ago.
    changed["metadata"]["annotations"]["kruise.io/sidecarset-inplace-update-state"] = json!("{}");
    let of_updated = injected(&changed, std::slice::from_ref(&set));
    assert_eq!(item(&of_updated, "containers", "s"), item(&first, "containers", "s"));
}

/// INJ-51: a copied pod brings the sidecar of an older revision, which had more than that of today.
#[test]
fn a_copied_sidecar_with_more_than_the_set_says_is_replaced() {
    let mut container = json!({
        "name": "s", "image": "i:1", "command": ["run"], "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
        "livenessProbe": { "httpGet": { "path": "/", "port": 80 } }, "resources": { "limits": { "cpu": "1" } },
    });
    let of = |container: &Value| set("a", &json!({ "containers": [container] }));
    let old = injected(&pod(&json!({})), &[of(&container)]);
    for member in ["command", "livenessProbe", "resources"] {
        container.as_object_mut().unwrap().remove(member);
    }
    container["env"].as_array_mut().unwrap().pop();
    let new = [of(&container)];
    let expected = injected(&pod(&json!({})), &new);
    assert_eq!(item(&copied(&old, &new), "containers", "s"), item(&expected, "containers", "s"));
    // The last variable of a name counts.
    let mut doubled = expected.clone();
    let env = doubled["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    env.push(json!({ "name": "A", "value": "evil" }));
    let restored = copied(&doubled, &new);
    assert_eq!(item(&restored, "containers", "s"), item(&expected, "containers", "s"));
}

/// INT-11: what webhooks behind ours bring along is not shared at a second look; a container that somebody took away is built
/// as at the first.
#[test]
fn a_second_look_shares_nothing_that_came_later() {
    let spec = json!({ "containers": [
        {
            "name": "s", "image": "i:1", "shareVolumePolicy": { "type": "enabled" },
            "shareVolumeDevicePolicy": { "type": "enabled" },
            "transferEnv": [{ "sourceContainerName": "app", "envNames": ["*"] }],
        },
        {
            "name": "mesh", "image": "i:1", "shareVolumePolicy": { "type": "enabled" },
            "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e:1" },
        },
    ] });
    let set = set("a", &spec);
    let app = json!({ "name": "app", "image": "app:1", "volumeMounts": [{ "name": "d", "mountPath": "/d" }] });
    let own = pod(&json!({ "spec": { "containers": [app] } }));
    let mut changed = injected(&own, std::slice::from_ref(&set));
    let shared = json!([{ "name": "d", "mountPath": "/d" }]);
    assert_eq!(item(&changed, "containers", "mesh-2")["volumeMounts"], shared);
    let containers = changed["spec"]["containers"].as_array_mut().unwrap();
    let app = containers.iter_mut().find(|container| container["name"] == "app").unwrap();
    app["env"] = json!([{ "name": "LATE", "value": "1" }]);
    containers.push(json!({
        "name": "vault-agent", "image": "v:1", "env": [{ "name": "V", "value": "v" }],
        "volumeMounts": [{ "name": "secrets", "mountPath": "/vault/secrets", "subPathExpr": "$(V)" }],
        "volumeDevices": [{ "name": "disk", "devicePath": "/dev/vault" }],
    }));
    assert_eq!(injected(&changed, std::slice::from_ref(&set)), changed);
    let containers = changed["spec"]["containers"].as_array_mut().unwrap();
    containers.retain(|container| container["name"] != "s");
    let again = injected(&changed, &[set]);
    assert_eq!(item(&again, "containers", "s")["volumeMounts"].as_array().map(Vec::len), Some(2));
}
