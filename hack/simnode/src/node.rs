//! The Node objects and their Leases.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::options::Options;

/// Registers all nodes, ready; nodes that exist are made ready again.
pub async fn register(client: &Client, options: &Options) -> kube::Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    for name in options.names() {
        let node: Node =
            serde_json::from_value(node(&name, options)).map_err(kube::Error::SerdeError)?;
        match api.create(&PostParams::default(), &node).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error),
        }
        let status = json!({ "status": status(options) });
        api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(&status)).await?;
    }
    renew(client, options).await
}

/// Renews the Lease of every node; a node whose object was deleted is not brought back.
pub async fn renew(client: &Client, options: &Options) -> kube::Result<()> {
    let api: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    for name in options.names() {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": name },
            "spec": {
                "holderIdentity": name,
                "leaseDurationSeconds": 40,
                "renewTime": MicroTime(Timestamp::now()),
            },
        });
        api.patch(&name, &PatchParams::apply("simnode").force(), &Patch::Apply(&lease)).await?;
    }
    Ok(())
}

/// Deletes all nodes.
pub async fn remove(client: &Client, options: &Options) -> kube::Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    for name in options.names() {
        match api.delete(&name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn node(name: &str, options: &Options) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "sim.kruise.dev/simulated": "true",
        }},
        "spec": {},
        "status": status(options),
    })
}

fn status(options: &Options) -> Value {
    let amounts = json!({
        "cpu": "1000", "memory": "4Ti", "ephemeral-storage": "4Ti", "pods": options.pods.to_string(),
    });
    let now = Timestamp::now().to_string();
    let condition = |kind: &str, on: bool, reason: &str| {
        json!({
            "type": kind, "status": if on { "True" } else { "False" }, "reason": reason,
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        })
    };
    json!({
        "capacity": amounts,
        "allocatable": amounts,
        "conditions": [
            condition("Ready", true, "KubeletReady"),
            condition("MemoryPressure", false, "KubeletHasSufficientMemory"),
            condition("DiskPressure", false, "KubeletHasNoDiskPressure"),
            condition("PIDPressure", false, "KubeletHasSufficientPID"),
        ],
        "addresses": [{ "type": "InternalIP", "address": "10.0.0.1" }],
        "nodeInfo": {
            "architecture": "amd64", "operatingSystem": "linux", "osImage": "simulated",
            "kernelVersion": "0", "machineID": "", "systemUUID": "", "bootID": "",
            "kubeletVersion": "v1.34.4", "kubeProxyVersion": "", "containerRuntimeVersion": "simulated://1",
        },
    })
}
