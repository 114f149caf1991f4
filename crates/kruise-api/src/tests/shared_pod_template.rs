use serde_json::{Value, json};

use crate::shared::pod_template::check_template;

fn said(change: &Value) -> Vec<String> {
    let mut spec = json!({ "containers": [{ "name": "c", "image": "c:1" }] });
    for (member, value) in change.as_object().unwrap() {
        spec[member] = value.clone();
    }
    let errors = check_template("t", &json!({ "spec": spec }));
    errors.iter().map(ToString::to_string).collect()
}

fn container(change: &Value) -> Vec<String> {
    let mut container = json!({ "name": "c", "image": "c:1" });
    for (member, value) in change.as_object().unwrap() {
        container[member] = value.clone();
    }
    said(&json!({ "containers": [container] }))
}

const NOTHING: [&str; 0] = [];

#[test]
fn containers_have_a_name_of_their_own_and_an_image() {
    assert_eq!(said(&json!({})), NOTHING);
    assert_eq!(said(&json!({ "containers": [] })), ["t.spec.containers: Required value"]);
    let dns = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    assert_eq!(
        said(&json!({
            "containers": [{ "name": "A", "image": "" }, { "name": "b", "image": " b" }, { "image": "c" }],
            "initContainers": [{ "name": "b", "image": "b", "imagePullPolicy": "Sometimes" }],
        })),
        [
            format!("t.spec.containers[0].name: Invalid value: \"A\": {dns}"),
            "t.spec.containers[0].image: Required value".to_owned(),
            "t.spec.containers[1].image: Invalid value: \" b\": must not have leading or trailing whitespace".to_owned(),
            "t.spec.containers[2].name: Required value".to_owned(),
            "t.spec.initContainers[0].name: Duplicate value: \"b\"".to_owned(),
            "t.spec.initContainers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"".to_owned(),
        ]
    );
}

#[test]
fn ports_and_env_are_well_formed() {
    let good = json!({
        "ports": [{ "name": "http", "containerPort": 80 }, { "containerPort": 443, "protocol": "UDP", "hostPort": 443 }],
        "env": [{ "name": "A.b-c", "value": "1" }, { "name": "B", "valueFrom": { "fieldRef": {} } }],
    });
    assert_eq!(container(&good), NOTHING);
    let bad = json!({
        "ports": [{ "name": "a" }, { "name": "a", "containerPort": 70000, "hostPort": -1, "protocol": "X" }],
        "env": [{}, { "name": "a=b" }, { "name": "c", "valueFrom": {} },
            { "name": "d", "value": "1", "valueFrom": { "fieldRef": {} } },
            { "name": "e", "valueFrom": { "fieldRef": {}, "secretKeyRef": {} } }],
    });
    let at = "t.spec.containers[0]";
    assert_eq!(
        container(&bad),
        [
            format!("{at}.ports[0].containerPort: Required value"),
            format!("{at}.ports[1].name: Duplicate value: \"a\""),
            format!(
                "{at}.ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"
            ),
            format!(
                "{at}.ports[1].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive"
            ),
            format!(
                "{at}.ports[1].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\""
            ),
            format!("{at}.env[0].name: Required value"),
            format!(
                "{at}.env[1].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='"
            ),
            format!(
                "{at}.env[2].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
            ),
            format!(
                "{at}.env[3].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"
            ),
            format!(
                "{at}.env[4].valueFrom: Invalid value: \"\": may not have more than one field specified at a time"
            ),
        ]
    );
}

#[test]
fn resources_are_quantities_within_their_limits() {
    let resources = |limits: Value, requests: Value| {
        container(&json!({ "resources": { "limits": limits, "requests": requests } }))
    };
    assert_eq!(resources(json!({ "cpu": 1 }), json!({ "cpu": "1000m" })), NOTHING);
    let at = "t.spec.containers[0].resources";
    assert_eq!(
        resources(json!({ "cpu": "1", "memory": "x" }), json!({ "cpu": "2", "storage": "-1" })),
        [
            format!(
                "{at}.limits[memory]: Invalid value: \"x\": \"x\" is not a quantity such as 500m, 1.5 or 2Gi"
            ),
            format!(
                "{at}.requests[storage]: Invalid value: \"-1\": must be greater than or equal to 0"
            ),
            format!(
                "{at}.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"
            ),
        ]
    );
}

#[test]
fn probes_have_one_handler() {
    assert_eq!(container(&json!({ "livenessProbe": { "exec": {}, "periodSeconds": 3 } })), NOTHING);
    let at = "t.spec.containers[0]";
    assert_eq!(
        container(&json!({
            "livenessProbe": {}, "readinessProbe": { "exec": {}, "tcpSocket": {}, "periodSeconds": -1 },
        })),
        [
            format!("{at}.livenessProbe: Required value: must specify a handler type"),
            format!(
                "{at}.readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"
            ),
            format!(
                "{at}.readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0"
            ),
        ]
    );
}

#[test]
fn mounts_name_volumes_that_are_there() {
    let with = |volumes: Value, mounts: Value| {
        said(&json!({
            "volumes": volumes, "containers": [{ "name": "c", "image": "c", "volumeMounts": mounts }],
        }))
    };
    assert_eq!(
        with(json!([{ "name": "a", "emptyDir": {} }]), json!([{ "name": "a", "mountPath": "/a" }])),
        NOTHING
    );
    let at = "t.spec.containers[0].volumeMounts";
    assert_eq!(
        with(
            json!([{ "name": "a", "emptyDir": {}, "secret": {} }, { "name": "a" }]),
            json!([{ "name": "b", "mountPath": "/a" }, { "name": "a", "mountPath": "/a" }, {}])
        ),
        [
            "t.spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type"
                .to_owned(),
            "t.spec.volumes[1].name: Duplicate value: \"a\"".to_owned(),
            format!("{at}[0].name: Not found: \"b\""),
            format!("{at}[1].mountPath: Invalid value: \"/a\": must be unique"),
            format!("{at}[2].name: Required value"),
            format!("{at}[2].mountPath: Required value"),
        ]
    );
}

#[test]
fn scheduling_terms_are_well_formed() {
    let affinity = |terms: Value| {
        said(&json!({ "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms },
        } } }))
    };
    let good = json!([
        { "matchExpressions": [{ "key": "a", "operator": "In", "values": ["1"] }, { "key": "b", "operator": "Gt", "values": ["1"] }] },
        { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n"] }] },
    ]);
    assert_eq!(affinity(good), NOTHING);
    let at = "t.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    assert_eq!(
        affinity(json!([])),
        [format!("{at}: Required value: must have at least one node selector term")]
    );
    let bad = json!([{
        "matchExpressions": [
            { "key": "a", "operator": "In" }, { "key": "b", "operator": "Exists", "values": ["1"] },
            { "key": "c", "operator": "Lt", "values": [] }, { "key": "d d", "operator": "Is" },
        ],
        "matchFields": [{ "key": "metadata.uid", "operator": "In", "values": [] }, { "key": "metadata.name", "operator": "Gt" }],
    }]);
    let name = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    assert_eq!(
        affinity(bad),
        [
            format!(
                "{at}[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
            ),
            format!(
                "{at}[0].matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            ),
            format!(
                "{at}[0].matchExpressions[2].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'"
            ),
            format!(
                "{at}[0].matchExpressions[3].operator: Invalid value: \"Is\": not a valid selector operator"
            ),
            format!("{at}[0].matchExpressions[3].key: Invalid value: \"d d\": {name}"),
            format!(
                "{at}[0].matchFields[0].values: Required value: must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            ),
            format!(
                "{at}[0].matchFields[0].key: Invalid value: \"metadata.uid\": not a valid field selector key"
            ),
            format!(
                "{at}[0].matchFields[1].operator: Invalid value: \"Gt\": not a valid selector operator"
            ),
        ]
    );
    assert_eq!(
        said(&json!({ "nodeSelector": { "a b": "1" } })),
        [format!("t.spec.nodeSelector: Invalid value: \"a b\": {name}")]
    );
}

#[test]
fn tolerations_are_well_formed() {
    let good = json!([{ "operator": "Exists" }, { "key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5 }]);
    assert_eq!(said(&json!({ "tolerations": good })), NOTHING);
    let at = "t.spec.tolerations";
    assert_eq!(
        said(&json!({ "tolerations": [
            {}, { "key": "a", "operator": "Exists", "value": "b" }, { "key": "a", "operator": "Near" },
            { "key": "a", "effect": "Never", "tolerationSeconds": 1 },
        ] })),
        [
            format!(
                "{at}[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\""
            ),
            format!(
                "{at}[1].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'"
            ),
            format!(
                "{at}[2].operator: Unsupported value: \"Near\": supported values: \"Equal\", \"Exists\""
            ),
            format!(
                "{at}[3].effect: Invalid value: \"Never\": effect must be 'NoExecute' when `tolerationSeconds` is set"
            ),
            format!(
                "{at}[3].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""
            ),
        ]
    );
}

#[test]
fn the_pod_itself_is_checked() {
    assert_eq!(said(&json!({ "restartPolicy": "Never", "activeDeadlineSeconds": 1 })), NOTHING);
    assert_eq!(
        said(&json!({
            "restartPolicy": "Sometimes", "dnsPolicy": "Any", "activeDeadlineSeconds": 0,
            "terminationGracePeriodSeconds": -1, "ephemeralContainers": [{}],
        })),
        [
            "t.spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            "t.spec.dnsPolicy: Unsupported value: \"Any\": supported values: \"ClusterFirstWithHostNet\", \"ClusterFirst\", \"Default\", \"None\"",
            "t.spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
            "t.spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0",
            "t.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template",
        ]
    );
}

#[test]
fn nonsense_does_not_panic() {
    for spec in
        [json!(1), json!({ "containers": 1 }), json!({ "containers": [1], "volumes": ["x"] })]
    {
        assert!(!check_template("t", &json!({ "spec": spec })).is_empty());
    }
}
