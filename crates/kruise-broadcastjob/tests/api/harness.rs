//! A namespace and nodes for one test, and a controller process for it. Waiting is on conditions, with deadlines.

use std::cell::RefCell;

use clap::Parser;
use kruise_common::testing::cluster;
pub use kruise_common::testing::cluster::{Controller, wait, wait_or};
use kruise_common::testing::relay::Relay;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams,
};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use simnode::options::Options;
use simnode::simulation::Simulation;

/// Label by which the nodes of a test are told apart.
pub const LABEL: &str = "test.kruise.dev/space";

/// A namespace with simulated nodes of its own.
pub struct Space {
    client: Client,
    pub name: String,
    nodes: usize,
    simulation: Simulation,
}

impl Space {
    /// A fresh one.
    pub async fn new(purpose: &str, nodes: usize) -> Self {
        let cluster::Space { client, name } = cluster::Space::new(purpose).await;
        let flags = [
            "simnode",
            "--nodes",
            &nodes.to_string(),
            "--prefix",
            &name,
            "--start-delay-ms",
            "300",
        ];
        let simulation =
            Simulation::start(client.clone(), Options::parse_from(flags)).await.unwrap();
        let space = Self { client, name, nodes, simulation };
        for index in 0..nodes {
            let labels = json!({ "metadata": { "labels": { LABEL: space.name } } });
            space.change_node(index, labels).await;
        }
        // A new node is tainted until the node lifecycle controller has seen that it is ready.
        wait("nodes without taints", || async {
            let label = format!("{LABEL}={}", space.name);
            let list = space.nodes().list(&ListParams::default().labels(&label)).await.ok()?;
            let free = |node: &k8s_openapi::api::core::v1::Node| {
                node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).is_none_or(Vec::is_empty)
            };
            let free = list.items.iter().filter(|node| free(node)).count();
            (free == nodes).then_some(())
        })
        .await;
        space
    }

    /// Ends its nodes; pods and jobs go with the namespace.
    pub async fn end(self) {
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let _ = namespaces.delete(&self.name, &DeleteParams::default()).await;
        let nodes = self.nodes();
        for index in 0..self.nodes {
            let _ = nodes.delete(&self.node(index), &DeleteParams::default()).await;
        }
        self.simulation.stop().await;
    }

    /// The cluster.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    fn api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.name, &resource)
    }

    fn nodes(&self) -> Api<k8s_openapi::api::core::v1::Node> {
        Api::all(self.client.clone())
    }

    /// Jobs in a version.
    pub fn jobs(&self, version: &str) -> Api<DynamicObject> {
        self.api("apps.kruise.io", version, "BroadcastJob")
    }

    /// Name of a node.
    pub fn node(&self, index: usize) -> String {
        format!("{}-{index}", self.name)
    }

    /// Merges into a node.
    pub async fn change_node(&self, index: usize, change: Value) {
        let patch = Patch::Merge(change);
        self.nodes().patch(&self.node(index), &PatchParams::default(), &patch).await.unwrap();
    }

    /// Deletes a node and, if asked to, registers another under its name.
    pub async fn lose_node(&self, index: usize, renew: bool) {
        let name = self.node(index);
        let mut node = self.nodes().get(&name).await.unwrap();
        self.nodes().delete(&name, &DeleteParams::default()).await.unwrap();
        if !renew {
            return;
        }
        node.metadata = ObjectMeta {
            name: Some(name.clone()),
            labels: node.metadata.labels.clone(),
            ..ObjectMeta::default()
        };
        let status = json!({ "status": node.status });
        self.nodes().create(&PostParams::default(), &node).await.unwrap();
        let patch = Patch::Strategic(status);
        self.nodes().patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// A job `clean` for the nodes of this space whose pods end as the image's tag says.
    pub fn job(&self, tag: &str, change: &Value) -> Value {
        let mut job = json!({
            "apiVersion": "apps.kruise.io/v1beta1",
            "kind": "BroadcastJob",
            "metadata": { "name": "clean" },
            "spec": {
                "template": {
                    "metadata": { "labels": { "app": "clean" } },
                    "spec": {
                        "restartPolicy": "Never",
                        "terminationGracePeriodSeconds": 1,
                        "nodeSelector": { LABEL: self.name },
                        "containers": [{ "name": "c", "image": format!("example.com/clean:{tag}") }],
                    },
                },
            },
        });
        json_patch::merge(&mut job["spec"], change);
        job
    }

    /// Creates a job.
    pub async fn create(&self, job: Value) -> Value {
        let version = job["apiVersion"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let job: DynamicObject = serde_json::from_value(job).unwrap();
        let stored = self.jobs(&version).create(&PostParams::default(), &job).await.unwrap();
        serde_json::to_value(stored).unwrap()
    }

    /// Has the API server refuse every pod of the job whose affinity names this node, until the returned policy is
    /// lifted. Returns its name.
    pub async fn refuse_pods_for(&self, index: usize) -> String {
        let name = format!("{}-refuses", self.name);
        let pin = "object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].values[0]";
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": self.name } },
                    "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
                },
                "validations": [{
                    "expression": format!("{pin} != '{}'", self.node(index)),
                    "message": "not on this node",
                }],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": name },
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        });
        self.policies("Policy").create(&PostParams::default(), &read(policy)).await.unwrap();
        self.policies("PolicyBinding")
            .create(&PostParams::default(), &read(binding))
            .await
            .unwrap();
        let probe = || {
            let pins =
                [json!({ "key": "metadata.name", "operator": "In", "values": [self.node(index)] })];
            let required = json!({ "nodeSelectorTerms": [{ "matchFields": pins }] });
            let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } });
            read(json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "probe" },
                "spec": { "affinity": affinity, "containers": [{ "name": "c", "image": "example.com/clean:exit-0" }] },
            }))
        };
        let asked = PostParams { dry_run: true, ..PostParams::default() };
        wait("the policy to be kept", || async {
            self.api("", "v1", "Pod").create(&asked, &probe()).await.is_err().then_some(())
        })
        .await;
        name
    }

    /// Lifts a policy.
    pub async fn lift(&self, policy: &str) {
        self.policies("PolicyBinding").delete(policy, &DeleteParams::default()).await.unwrap();
        self.policies("Policy").delete(policy, &DeleteParams::default()).await.unwrap();
    }

    fn policies(&self, kind: &str) -> Api<DynamicObject> {
        let kind = format!("ValidatingAdmission{kind}");
        let group = "admissionregistration.k8s.io";
        let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", &kind));
        resource.plural = resource.plural.replace("policys", "policies");
        Api::all_with(self.client.clone(), &resource)
    }

    /// Stores an object as it was captured elsewhere, its status included; its owner gets a UID here, so references to
    /// it are those of `owner`.
    pub async fn restore(&self, version: &str, mut object: Value, owner: Option<&Value>) -> Value {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let status = object["status"].take();
        let meta = &object["metadata"];
        let mut kept = json!({ "name": meta["name"], "labels": meta["labels"], "annotations": meta["annotations"] });
        if let Some(owner) = owner {
            kept["labels"]["broadcastjob-controller-uid"] = owner["metadata"]["uid"].clone();
            let mut references = meta["ownerReferences"].clone();
            references[0]["uid"] = owner["metadata"]["uid"].clone();
            kept["ownerReferences"] = references;
        }
        object["metadata"] = kept;
        let (group, api) = if kind == "Pod" {
            ("", "v1".to_owned())
        } else {
            ("apps.kruise.io", format!("apps.kruise.io/{version}"))
        };
        object["apiVersion"] = json!(api);
        let api = self.api(group, version, &kind);
        let stored = api.create(&PostParams::default(), &read(object)).await.unwrap();
        let patch = Patch::Merge(json!({ "status": status }));
        let stored =
            api.patch_status(&stored.name_any(), &PatchParams::default(), &patch).await.unwrap();
        serde_json::to_value(stored).unwrap()
    }

    /// Merges into the job `clean`.
    pub async fn change(&self, change: Value) {
        let patch = Patch::Merge(change);
        self.jobs("v1beta1").patch("clean", &PatchParams::default(), &patch).await.unwrap();
    }

    /// Deletes the job `clean` and waits until its pods are gone too.
    pub async fn remove_job(&self) {
        self.jobs("v1beta1").delete("clean", &DeleteParams::default()).await.unwrap();
        wait("the pods to go", || async { self.pods().await.is_empty().then_some(()) }).await;
    }

    /// The status of the job `clean`; nothing if it is gone.
    pub async fn status(&self) -> Value {
        let job = self.jobs("v1beta1").get_opt("clean").await.unwrap();
        job.map(|job| job.data["status"].clone()).unwrap_or_default()
    }

    /// Waits until the status has these members.
    pub async fn shows(&self, expected: Value) {
        let last = RefCell::new(Value::Null);
        let same = |status: &Value| {
            expected.as_object().unwrap().iter().all(|(name, value)| status[name] == *value)
        };
        let tell = || format!("it is {}", last.borrow());
        wait_or(&format!("the status {expected}"), tell, || async {
            let status = self.status().await;
            let shown = same(&status).then_some(());
            last.replace(status);
            shown
        })
        .await;
    }

    /// All pods, by name.
    pub async fn pods(&self) -> Vec<Value> {
        let list = self.api("", "v1", "Pod").list(&ListParams::default()).await.unwrap();
        let mut pods: Vec<DynamicObject> = list.items;
        pods.sort_by_key(ResourceExt::name_any);
        pods.iter().map(|pod| serde_json::to_value(pod).unwrap()).collect()
    }

    /// Waits until that many pods run.
    pub async fn running(&self, many: usize) -> Vec<Value> {
        wait(&format!("{many} running pods"), || async {
            let pods = self.pods().await;
            let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
            (running == many).then_some(pods)
        })
        .await
    }

    /// The pods on a node.
    pub async fn pods_on(&self, index: usize) -> Vec<Value> {
        let node = self.node(index);
        self.pods().await.into_iter().filter(|pod| pod["spec"]["nodeName"] == node).collect()
    }

    /// Sets the phase of a pod, as its kubelet does (R3).
    pub async fn end_pod(&self, pod: &Value, phase: &str) {
        let patch = Patch::Merge(json!({ "status": { "phase": phase } }));
        let name = pod["metadata"]["name"].as_str().unwrap();
        let pods = self.api("", "v1", "Pod");
        pods.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Deletes a pod as a user does.
    pub async fn delete_pod(&self, pod: &Value) {
        let name = pod["metadata"]["name"].as_str().unwrap();
        self.api("", "v1", "Pod").delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits for an event about the job.
    pub async fn event(&self, reason: &str) -> String {
        let events = self.api("", "v1", "Event");
        let params =
            ListParams::default().fields(&format!("involvedObject.name=clean,reason={reason}"));
        wait(&format!("the event {reason}"), || async {
            let list = events.list(&params).await.ok()?;
            Some(list.items.first()?.data["message"].as_str()?.to_owned())
        })
        .await
    }
}

fn read(object: Value) -> DynamicObject {
    serde_json::from_value(object).unwrap()
}

/// Starts a controller for the namespace.
pub async fn controller(space: &Space) -> Controller {
    let flags = ["--namespace", &space.name, "--enable-leader-election=false"];
    Controller::start_with(env!("CARGO_BIN_EXE_kruise-broadcastjob"), &flags).await
}

/// The same, behind a relay.
pub async fn controller_behind(space: &Space, relay: &Relay) -> Controller {
    let flag = relay.flag();
    let flags = ["--namespace", &space.name, "--enable-leader-election=false", &flag];
    Controller::start_with(env!("CARGO_BIN_EXE_kruise-broadcastjob"), &flags).await
}
