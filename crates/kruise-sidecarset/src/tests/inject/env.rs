use serde_json::{Value, json};

use super::{asking, copied, injected, item, pod, set};

/// Env of the sidecar `s` after injection into a pod whose containers are `containers`.
fn env(sidecar: &Value, containers: &Value) -> Vec<String> {
    let mut full = json!({ "name": "s", "image": "i:1" });
    json_patch::merge(&mut full, sidecar);
    let pod = pod(&json!({
        "metadata": { "annotations": { "main": "two" } }, "spec": { "containers": containers },
    }));
    let after = injected(&pod, &[set("a", &json!({ "containers": [full] }))]);
    let env = item(&after, "containers", "s")["env"].as_array().unwrap().clone();
    env.iter()
        .map(|v| format!("{}={}", v["name"].as_str().unwrap(), v["value"].as_str().unwrap_or("…")))
        .collect()
}

fn two() -> Value {
    json!([
        { "name": "one", "env": [{ "name": "A", "value": "1" }, { "name": "A", "value": "2" }, { "name": "B", "value": "b" }] },
        { "name": "two", "env": [{ "name": "A", "value": "3" }, { "name": "N", "valueFrom": { "fieldRef": { "fieldPath": "x" } } }] },
    ])
}

/// INJ-40…INJ-44, CNF-6.
#[test]
fn env_is_taken_from_named_containers() {
    let of = |transfer: Value| env(&json!({ "transferEnv": transfer }), &two());
    assert_eq!(
        of(json!([{ "sourceContainerName": "one", "envName": "A" }])),
        ["IS_INJECTED=true", "A=2"],
        "the last"
    );
    assert_eq!(
        of(json!([{ "sourceContainerName": "one", "envName": "B", "envNames": ["A", "B", "Z"] }])),
        ["IS_INJECTED=true", "A=2", "B=b"],
        "sorted, each once, missing ones left out"
    );
    let by = |path: &str| {
        json!([{
            "sourceContainerName": "one", "sourceContainerNameFrom": { "fieldRef": { "fieldPath": path } }, "envNames": ["A", "N"],
        }])
    };
    assert_eq!(of(by("metadata.annotations['main']")), ["IS_INJECTED=true", "A=3", "N=…"]);
    for path in ["metadata.annotations['gone']", "metadata.labels['app']", "metadata.name", "x["] {
        assert_eq!(of(by(path)), ["IS_INJECTED=true"], "{path}");
    }
    assert_eq!(
        of(json!([{ "sourceContainerName": "gone", "envName": "A" }])),
        ["IS_INJECTED=true"]
    );
}

/// INJ-44: an annotation that a set has just given to the pod names the container as well.
#[test]
fn the_source_may_be_named_by_what_a_set_says() {
    let from = json!({ "fieldRef": { "fieldPath": "metadata.annotations['source']" } });
    let transfer =
        json!([{ "sourceContainerName": "", "sourceContainerNameFrom": from, "envName": "A" }]);
    let sidecar = json!({ "name": "s", "image": "i:1", "transferEnv": transfer });
    let patch = json!([{ "annotations": { "source": "two" }, "patchPolicy": "Overwrite" }]);
    let sets = [set("a", &json!({ "containers": [sidecar], "patchPodMetadata": patch }))];
    let change = json!({ "metadata": { "annotations": { "source": "one" } }, "spec": { "containers": two() } });
    let after = injected(&pod(&change), &sets);
    assert_eq!(
        item(&after, "containers", "s")["env"][1],
        json!({ "name": "A", "value": "3" }),
        "of `two`"
    );
}

/// INJ-13, INJ-30: the mark stands behind one of the set's own, and means something only if it is true.
#[test]
fn a_mark_of_another_value_marks_nothing() {
    let sidecar = json!({
        "env": [{ "name": "IS_INJECTED", "value": "false" }], "shareVolumePolicy": { "type": "enabled" },
    });
    let containers = json!([{
        "name": "one", "env": [{ "name": "IS_INJECTED", "value": "false" }, { "name": "P", "value": "1" }],
        "volumeMounts": [{ "name": "v", "mountPath": "/v", "subPathExpr": "$(P)$(IS_INJECTED)" }],
    }]);
    assert_eq!(env(&sidecar, &containers), ["IS_INJECTED=false", "IS_INJECTED=true", "P=1"]);
}

/// INJ-32: of variables with one name the first, also if the mount that names it is not taken.
#[test]
fn variables_of_paths_come_along_without_their_mount() {
    let sidecar = json!({
        "volumeMounts": [{ "name": "own", "mountPath": "/v" }], "shareVolumePolicy": { "type": "enabled" },
    });
    let containers = json!([{
        "name": "one", "env": [{ "name": "P", "value": "1" }, { "name": "P", "value": "2" }],
        "volumeMounts": [{ "name": "v", "mountPath": "/v", "subPathExpr": "$(P)" }],
    }]);
    assert_eq!(env(&sidecar, &containers), ["IS_INJECTED=true", "P=1"]);
}

/// INJ-40: a placeholder that the sidecar replaces says what it is to have in this workload.
#[test]
fn env_is_taken_from_a_placeholder() {
    let sidecar = json!({
        "env": [{ "name": "A", "value": "own" }],
        "transferEnv": [{ "sourceContainerName": "s", "envNames": ["A", "LEVEL"] }],
    });
    let containers = json!([
        { "name": "app" },
        { "name": "s", "env": [{ "name": "LEVEL", "value": "debug" }, { "name": "A", "value": "1" }, { "name": "B", "value": "2" }] },
    ]);
    assert_eq!(env(&sidecar, &containers), ["A=own", "IS_INJECTED=true", "LEVEL=debug"]);
}

/// INJ-13: own before taken before needed; the first of a name stays.
#[test]
fn own_env_wins() {
    let sidecar = json!({
        "env": [{ "name": "A", "value": "own" }],
        "shareVolumePolicy": { "type": "enabled" },
        "transferEnv": [
            { "sourceContainerName": "two", "envNames": ["A", "P"] }, { "sourceContainerName": "one", "envName": "P" },
        ],
    });
    let containers = json!([
        {
            "name": "one", "env": [{ "name": "P", "value": "1" }, { "name": "Q", "value": "q" }],
            "volumeMounts": [{ "name": "v", "mountPath": "/v", "subPathExpr": "a/$(P)/$(Q)/$(GONE)" }],
        },
        { "name": "two", "env": [{ "name": "P", "value": "2" }, { "name": "A", "value": "x" }] },
    ]);
    assert_eq!(env(&sidecar, &containers), ["A=own", "IS_INJECTED=true", "P=2", "Q=q"]);
}

/// INJ-32: the grammar of references.
#[test]
fn references_in_paths() {
    let of = |path: &str| {
        let sidecar = json!({ "shareVolumePolicy": { "type": "enabled" } });
        let variables =
            ["A", "1", "_b", "-.", ""].map(|name| json!({ "name": name, "value": "v" }));
        let containers = json!([{
            "name": "one", "env": variables,
            "volumeMounts": [{ "name": "v", "mountPath": "/v", "subPathExpr": path }],
        }]);
        env(&sidecar, &containers).split_off(1)
    };
    assert_eq!(of("$(A)"), ["A=v"]);
    assert_eq!(of("x$(_b)$(-.)y$(A)$(A)"), ["_b=v", "-.=v", "A=v"]);
    assert_eq!(of("$$(A)"), ["A=v"]);
    for path in ["", "A", "$A", "$(1)", "$()", "$(A", "$(A B)", "$((A)", "(A)"] {
        assert_eq!(of(path), [] as [&str; 0], "{path}");
    }
}

/// W-46: `*` is all of the source, as it stands there.
#[test]
fn all_env_of_a_container_is_taken() {
    let of = |transfer: Value| {
        env(&json!({ "env": [{ "name": "B", "value": "mine" }], "transferEnv": transfer }), &two())
    };
    let all = json!([{ "sourceContainerName": "one", "envNames": ["*"] }]);
    assert_eq!(of(all), ["B=mine", "IS_INJECTED=true", "A=2"]);
    let both = json!([{ "sourceContainerName": "two", "envName": "N", "envNames": ["*"] }]);
    assert_eq!(of(both), ["B=mine", "IS_INJECTED=true", "N=…", "A=3"]);
    assert_eq!(
        of(json!([{ "sourceContainerName": "none", "envNames": ["*"] }])),
        ["B=mine", "IS_INJECTED=true"]
    );
}

/// W-19: of init containers only for sets that ask for it; containers come first.
#[test]
fn init_containers_share_where_the_set_asks_for_it() {
    let own = pod(&json!({ "spec": {
        "containers": [{ "name": "main", "volumeMounts": [{ "name": "m", "mountPath": "/both" }] }],
        "initContainers": [{
            "name": "prep", "env": [{ "name": "P", "value": "p" }],
            "volumeMounts": [{ "name": "p", "mountPath": "/both" }, { "name": "p", "mountPath": "/prep" }],
            "volumeDevices": [{ "name": "d", "devicePath": "/dev/p" }],
        }],
    } }));
    let plain = set(
        "a",
        &json!({ "containers": [{
        "name": "s", "image": "i:1", "shareVolumePolicy": { "type": "enabled" }, "shareVolumeDevicePolicy": { "type": "enabled" },
        "transferEnv": [{ "sourceContainerName": "prep", "envName": "P" }],
    }] }),
    );
    let main = json!({ "name": "m", "mountPath": "/both" });
    let sidecar = |set| item(&injected(&own, &[set]), "containers", "s").clone();
    let before = sidecar(plain.clone());
    assert_eq!(before["volumeMounts"], json!([main]));
    assert_eq!(
        (&before["volumeDevices"], before["env"].as_array().unwrap().len()),
        (&Value::Null, 1)
    );
    let after = sidecar(asking(&plain, "kruise.io/sidecarset-share-from-init"));
    assert_eq!(after["volumeMounts"], json!([main, { "name": "p", "mountPath": "/prep" }]));
    assert_eq!(after["volumeDevices"], json!([{ "name": "d", "devicePath": "/dev/p" }]));
    assert_eq!(after["env"][1], json!({ "name": "P", "value": "p" }));
}

/// Whoever may create pods must not be able to end a replica: what is made of a pod is no more than what it brings along.
#[test]
fn a_variable_that_paths_name_many_times_is_there_once() {
    let long = "x".repeat(100_000);
    let app = json!({
        "name": "app", "image": "app:1", "env": [{ "name": "A", "value": long }],
        "volumeMounts": [{ "name": "v", "mountPath": "/m", "subPathExpr": "$(A)".repeat(10_000) }],
    });
    let sharing = json!({ "containers": [{
        "name": "s", "image": "i:1", "shareVolumePolicy": { "type": "enabled" },
    }] });
    let before = pod(&json!({ "spec": { "containers": [app] } }));
    let after = injected(&before, &[set("a", &sharing)]);
    let env = item(&after, "containers", "s")["env"].as_array().unwrap().clone();
    assert_eq!(env.len(), 2, "the mark and the variable");
    assert!(after.to_string().len() < 3 * before.to_string().len());
}

/// The same with lists that are long: none of them is gone through once for each of its items.
#[test]
fn long_lists_are_no_reason_to_take_long() {
    let count = 5_000;
    let env: Vec<Value> =
        (0..count).map(|at| json!({ "name": format!("V{at}"), "value": "$(A)" })).collect();
    let mounts: Vec<Value> = (0..count)
        .map(|at| json!({ "name": "v", "mountPath": format!("/{at}"), "subPathExpr": format!("$(V{at})") }))
        .collect();
    let app = json!({ "name": "app", "image": "app:1", "env": env, "volumeMounts": mounts });
    let asking = json!({ "containers": [{
        "name": "s", "image": "i:1", "shareVolumePolicy": { "type": "enabled" },
        "transferEnv": [{ "sourceContainerName": "app", "envNames": ["*"] }],
    }] });
    let set = set("a", &asking);
    let after =
        injected(&pod(&json!({ "spec": { "containers": [app] } })), std::slice::from_ref(&set));
    let sidecar = item(&after, "containers", "s");
    assert_eq!(sidecar["env"].as_array().map(Vec::len), Some(count + 1));
    assert_eq!(sidecar["volumeMounts"].as_array().map(Vec::len), Some(count));
    // One that was copied, and whose items stand the other way round: it is replaced.
    let mut turned = after.clone();
    let at =
        turned["spec"]["containers"].as_array().unwrap().iter().position(|it| it["name"] == "s");
    turned["spec"]["containers"][at.unwrap()]["env"].as_array_mut().unwrap().reverse();
    let replaced = copied(&turned, &[set]);
    assert_eq!(item(&replaced, "containers", "s"), sidecar);
}
