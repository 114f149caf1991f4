#![expect(clippy::needless_pass_by_value, reason = "literals read better without &")]

use serde_json::{Value, json};

use super::{injected, item, pod, refused, set};

fn policy(
    mode: &str,
    regex: &str,
    expressions: Value,
) -> std::sync::Arc<crate::object::SidecarSet> {
    set(
        "a",
        &json!({ "containers": [{
        "name": "s", "image": "i", "resources": { "claims": [{ "name": "c" }] },
        "resourcesPolicy": {
            "targetContainersMode": mode, "targetContainersNameRegex": regex, "resourcesExpr": expressions,
        },
    }] }),
    )
}

/// RES-27: the second container has no limit of cpu.
fn two() -> Value {
    pod(&json!({ "spec": {
        "containers": [
            { "name": "a", "resources": { "limits": { "cpu": "200m", "memory": "1Gi" }, "requests": { "cpu": "50m" } } },
            { "name": "b", "resources": { "limits": { "memory": 1024 }, "requests": { "cpu": "100m" } } },
        ],
        "initContainers": [
            { "name": "native", "restartPolicy": "Always", "resources": { "requests": { "cpu": "1" } } },
            { "name": "plain", "resources": { "requests": { "cpu": "7" } } },
        ],
    } }))
}

fn result(mode: &str, regex: &str, expressions: Value) -> Value {
    let after = injected(&two(), &[policy(mode, regex, expressions)]);
    item(&after, "containers", "s")["resources"].clone()
}

/// RES-2, RES-4…RES-7, RES-27, CNF-26.
#[test]
fn resources_follow_those_of_the_pod() {
    let all = || {
        json!({
            "limits": { "cpu": "cpu", "memory": "memory" }, "requests": { "cpu": "cpu", "memory": "memory" },
        })
    };
    let limits = |memory: &str| json!({ "memory": memory });
    let requests = |cpu: &str| json!({ "cpu": cpu, "memory": "0" });
    assert_eq!(
        result("sum", "^[ab]$", all()),
        json!({ "limits": limits("1048577Ki"), "requests": requests("150m") }).clone()
    );
    assert_eq!(
        result("max", "^[ab]$", all()),
        json!({ "limits": limits("1Gi"), "requests": requests("100m") })
    );
    // Native sidecars of the pod count, plain init containers do not; unlimited ones take the limits away.
    assert_eq!(result("sum", ".*", all()), json!({ "requests": requests("1150m") }));
    assert_eq!(
        result("sum", "^a$", json!({ "limits": { "cpu": "", "memory": "100Mi" } })),
        json!({ "limits": limits("100Mi") })
    );
    assert_eq!(
        result("sum", ".*", json!({ "limits": { "memory": "100Mi" } })),
        json!({}),
        "RES-5, RES-7"
    );
}

/// RES-9: plain numbers.
#[test]
fn numbers_become_quantities() {
    let of = |list: &str, text: &str| {
        result("sum", "^a$", json!({ "requests": { list: text } }))["requests"][list].clone()
    };
    assert_eq!(of("cpu", "1e-3"), "1m");
    assert_eq!(of("cpu", "0.0019"), "1m");
    assert_eq!(of("memory", "1024"), "1024");
    assert_eq!(of("memory", "0.5"), "500m");
    assert_eq!(of("memory", "min(1.9, 5)+memory*0"), "1900m");
    assert_eq!(
        of("cpu", "5x"),
        "0",
        "W-34: as in OpenKruise, for policies that were admitted there"
    );
    assert_eq!(of("cpu", "max(cpu*50%, 50m)"), "50m");
}

/// RES-3, RES-10.
#[test]
fn what_cannot_be_computed_refuses_the_pod() {
    let of =
        |regex: &str, expressions: Value| refused(&two(), &[policy("sum", regex, expressions)]);
    let cpu = |text: &str| json!({ "requests": { "cpu": text } });
    let none = of("^x$", cpu("1"));
    assert_eq!(none, "sidecarset a: container s: no containers match the regex pattern \"^x$\"");
    let regex = of("(", cpu("1"));
    assert!(
        regex.contains("failed to get target containers: invalid regex pattern \"(\""),
        "{regex}"
    );
    assert_eq!(
        of("^a$", cpu("cpu*cpu")),
        "sidecarset a: container s: failed to evaluate CPU requests expression: failed to parse expression \"cpu*cpu\": \
         multiplication of two quantities"
    );
    let memory = of("^a$", json!({ "limits": { "memory": "memory-2Gi" } }));
    assert!(memory.contains("failed to evaluate memory limits expression: "), "{memory}");
    assert!(memory.ends_with("calculation result is negative: -1Gi"), "{memory}");
}

/// RES-2: containers of sets never count, twins neither, also when the webhook is asked again.
#[test]
fn sidecars_are_no_targets() {
    let mut spec = json!({ "containers": [
        { "name": "s", "image": "i", "resourcesPolicy": {
            "targetContainersMode": "sum", "targetContainersNameRegex": ".*", "resourcesExpr": { "requests": { "cpu": "cpu" } },
        } },
        {
            "name": "mesh", "image": "i", "resources": { "requests": { "cpu": "5" } },
            "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e" },
        },
    ] });
    spec["containers"][1]["resources"]["limits"] = json!({ "cpu": "9" });
    let after = injected(&two(), &[set("a", &spec)]);
    assert_eq!(item(&after, "containers", "s")["resources"]["requests"]["cpu"], "1150m");
}

/// RES-12: native sidecars and both twins.
#[test]
fn native_sidecars_and_twins_get_them() {
    let policy = json!({ "targetContainersMode": "max", "targetContainersNameRegex": "^a$", "resourcesExpr": { "limits": { "cpu": "cpu*2" } } });
    let spec = json!({
        "initContainers": [{ "name": "n", "image": "i", "restartPolicy": "Always", "resourcesPolicy": policy }],
        "containers": [{
            "name": "mesh", "image": "i", "resourcesPolicy": policy,
            "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e" },
        }],
    });
    let after = injected(&two(), &[set("a", &spec)]);
    let expected = json!({ "limits": { "cpu": "400m" } });
    assert_eq!(item(&after, "initContainers", "n")["resources"], expected);
    for twin in ["mesh-1", "mesh-2"] {
        assert_eq!(item(&after, "containers", twin)["resources"], expected);
    }
}

/// Another webhook adds a container between two looks: half of what follows from it, beside half of what followed before, would
/// be a request above the limit.
#[test]
fn resources_do_not_change_at_a_second_look() {
    let cpu = json!({ "limits": { "cpu": "cpu" }, "requests": { "cpu": "cpu" } });
    let set = policy("sum", ".*", cpu);
    let app = json!({ "name": "app", "image": "app:1", "resources": {
        "limits": { "cpu": "200m" }, "requests": { "cpu": "200m" },
    } });
    let mut once =
        injected(&pod(&json!({ "spec": { "containers": [app] } })), std::slice::from_ref(&set));
    let resources = json!({ "limits": { "cpu": "200m" }, "requests": { "cpu": "200m" } });
    assert_eq!(item(&once, "containers", "s")["resources"], resources);
    let added =
        json!({ "name": "proxy", "image": "p:1", "resources": { "requests": { "cpu": "100m" } } });
    once["spec"]["containers"].as_array_mut().unwrap().push(added);
    assert_eq!(injected(&once, &[set]), once);
}

/// An autoscaler raises a request between two looks: what would follow from it now is asked by nobody.
#[test]
fn a_policy_that_has_its_result_refuses_nothing_at_a_second_look() {
    let set = policy("sum", ".*", json!({ "requests": { "memory": "1Gi-memory" } }));
    let memory = |size: &str| json!({ "name": "app", "image": "app:1", "resources": { "requests": { "memory": size } } });
    let own = pod(&json!({ "spec": { "containers": [memory("256Mi")] } }));
    let mut once = injected(&own, std::slice::from_ref(&set));
    assert_eq!(item(&once, "containers", "s")["resources"]["requests"]["memory"], "768Mi");
    let containers = once["spec"]["containers"].as_array_mut().unwrap();
    *containers.iter_mut().find(|container| container["name"] == "app").unwrap() = memory("2Gi");
    assert_eq!(injected(&once, &[set]), once);
}

/// RES-2, INJ-15: of plain init containers there are no twins, so a container with the name of one is the pod's own.
#[test]
fn a_plain_init_container_has_no_twins() {
    let hot = json!({
        "name": "mesh", "image": "i:1", "upgradeStrategy": { "upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e" },
    });
    let policy = json!({
        "targetContainersMode": "sum", "targetContainersNameRegex": ".*", "resourcesExpr": { "requests": { "cpu": "cpu" } },
    });
    let sidecar = json!({ "name": "s", "image": "i:1", "resourcesPolicy": policy });
    let set = set("a", &json!({ "initContainers": [hot], "containers": [sidecar] }));
    let own = pod(&json!({ "spec": { "containers": [
        { "name": "mesh-1", "image": "app:1", "resources": { "requests": { "cpu": "200m" } } },
    ] } }));
    let after = injected(&own, &[set]);
    assert_eq!(item(&after, "containers", "s")["resources"]["requests"]["cpu"], "200m");
}
