//! One scenario: a namespace, and what it does to objects and waits for.

use std::sync::Mutex;
use std::time::Instant;

use kruise_common::testing::cluster::{self, Space, wait, wait_or};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::{collect, shell};

/// A scenario that plays.
#[derive(Clone)]
pub struct Case {
    /// Its namespace.
    pub space: Space,
}

/// Plays a scenario in a namespace of its own. If it fails, what tells why is in `target/e2e/NAME`.
pub async fn play<F>(name: &str, scenario: impl FnOnce(Case) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let case = Case { space: Space::new(name).await };
    let began = Instant::now();
    let played = tokio::spawn(scenario(case.clone())).await;
    if played.is_err() {
        collect::everything(name, &case.space.name).await;
    }
    if std::env::var_os("KRUISE_E2E_KEEP").is_none() {
        case.remove().await;
    }
    match played {
        Ok(()) => println!("{name}: {} s", began.elapsed().as_secs()),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl Case {
    /// Objects of a kind in the core group.
    pub fn core(&self, kind: &str) -> Api<DynamicObject> {
        self.space.api("", "v1", kind)
    }

    /// The Advanced StatefulSets.
    pub fn sets(&self) -> Api<DynamicObject> {
        self.space.workloads("v1beta1", "StatefulSet")
    }

    /// The broadcast jobs.
    pub fn jobs(&self) -> Api<DynamicObject> {
        self.space.workloads("v1beta1", "BroadcastJob")
    }

    /// The SidecarSets of the cluster; those of a scenario bear the name of its namespace.
    pub fn sidecar_sets(&self) -> Api<DynamicObject> {
        self.space.cluster(kruise_api::keys::GROUP, "v1beta1", "SidecarSet")
    }

    /// Creates an object.
    pub async fn create(&self, api: &Api<DynamicObject>, object: Value) -> Value {
        let created = cluster::create(api, object).await.unwrap();
        serde_json::to_value(created).unwrap()
    }

    /// Creates a set and waits until it has arrived.
    pub async fn run(&self, set: Value) {
        let name = set["metadata"]["name"].as_str().unwrap().to_owned();
        self.create(&self.sets(), set).await;
        self.rolled_out(&name).await;
    }

    /// Merges a change into an object.
    pub async fn merge(&self, api: &Api<DynamicObject>, name: &str, change: Value) {
        api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    /// Merges a change into a strategic-merge kind, so that lists of containers merge by name.
    pub async fn strategic(&self, api: &Api<DynamicObject>, name: &str, change: Value) {
        api.patch(name, &PatchParams::default(), &Patch::Strategic(change)).await.unwrap();
    }

    /// Replaces something of a set's template.
    pub async fn set_image(&self, set: &str, container: usize, image: &str) {
        let path = format!("/spec/template/spec/containers/{container}/image");
        let change = json!([{ "op": "replace", "path": path, "value": image }]);
        cluster::patch(&self.sets(), set, change).await.unwrap();
    }

    /// Waits until a set has arrived at its spec.
    pub async fn rolled_out(&self, name: &str) {
        let last = Mutex::new(Value::Null);
        let tell = || last.lock().unwrap().to_string();
        wait_or(&format!("the rollout of {name}"), tell, || async {
            let set = self.sets().get(name).await.ok()?;
            let (spec, status) = (&set.data["spec"], &set.data["status"]);
            *last.lock().unwrap() = status.clone();
            let counts = ["replicas", "readyReplicas", "updatedReplicas"];
            let done = status["observedGeneration"] == json!(set.metadata.generation)
                && status["currentRevision"] == status["updateRevision"]
                && counts.iter().all(|count| status[*count] == spec["replicas"]);
            done.then_some(())
        })
        .await;
    }

    /// Waits until an object satisfies something.
    pub async fn until(
        &self,
        what: &str,
        api: &Api<DynamicObject>,
        name: &str,
        is: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Value {
        let last = Mutex::new(Value::Null);
        let tell = || last.lock().unwrap().to_string();
        wait_or(&format!("{name}: {what}"), tell, || async {
            let object = serde_json::to_value(api.get_opt(name).await.ok()??).unwrap();
            *last.lock().unwrap() = object["status"].clone();
            is(&object).then_some(object)
        })
        .await
    }

    /// Waits until the pods satisfy something.
    pub async fn pods(
        &self,
        what: &str,
        are: impl Fn(&[Value]) -> bool + Send + Sync,
    ) -> Vec<Value> {
        let last = Mutex::new(Vec::new());
        let tell = || {
            let line = |pod: &Value| format!("{} {}", pod["metadata"]["name"], pod["status"]);
            last.lock().unwrap().iter().map(line).collect::<Vec<_>>().join("\n")
        };
        wait_or(what, tell, || async {
            let pods = self.space.pods().await;
            last.lock().unwrap().clone_from(&pods);
            are(&pods).then_some(pods)
        })
        .await
    }

    /// A pod as it is.
    pub async fn pod(&self, name: &str) -> Value {
        serde_json::to_value(self.core("Pod").get(name).await.unwrap()).unwrap()
    }

    /// Deletes an object.
    pub async fn delete(&self, api: &Api<DynamicObject>, name: &str) {
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until an object is gone.
    pub async fn gone(&self, api: &Api<DynamicObject>, name: &str) {
        wait(&format!("the end of {name}"), || async {
            api.get_opt(name).await.ok()?.is_none().then_some(())
        })
        .await;
    }

    /// Runs a script in a container and returns what it prints.
    pub async fn sh(&self, pod: &str, container: &str, script: &str) -> String {
        let arguments = ["exec", "-n", &self.space.name, pod, "-c", container, "--", "sh", "-c"];
        shell::kubectl(&[&arguments, &[script][..]].concat()).await
    }

    /// Runs a script in a container that an update may end in the middle of it.
    pub async fn sh_while_it_lives(&self, pod: &str, container: &str, script: &str) {
        let arguments = ["exec", "-n", &self.space.name, pod, "-c", container, "--", "sh", "-c"];
        shell::tried(&[&arguments, &[script][..]].concat()).await;
    }

    async fn remove(&self) {
        let names = self.sidecar_sets().list(&kube::api::ListParams::default()).await;
        for set in names.map(|list| list.items).unwrap_or_default() {
            let name = set.metadata.name.unwrap_or_default();
            if name.starts_with(&self.space.name) {
                let _ = self.sidecar_sets().delete(&name, &DeleteParams::default()).await;
            }
        }
        let namespaces = self.space.cluster("", "v1", "Namespace");
        let _ = namespaces.delete(&self.space.name, &DeleteParams::default()).await;
    }
}
