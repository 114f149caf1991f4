//! A namespace for one scenario and a controller process for all. Waiting is on conditions, with deadlines.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use kruise_common::testing::cluster::wait_or;
pub use kruise_common::testing::cluster::{Controller, client, wait};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::builders::{condition, injected, log, merge, mesh};

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// A namespace with pods of its own label.
pub struct Space {
    client: Client,
    /// Its name, which is also the label of its pods.
    pub name: String,
    /// In which version sets are read and written.
    version: &'static str,
}

impl Space {
    /// A fresh one.
    pub async fn new(purpose: &str, version: &'static str) -> Self {
        let purpose: String = purpose.split('_').map(|word| &word[..1]).collect();
        let name = format!("ss-{purpose}-{version}-{}", std::process::id());
        let space = Self { client: client().await, name, version };
        let namespace = json!({ "metadata": { "name": space.name } });
        let namespaces: Api<DynamicObject> =
            Api::all_with(space.client.clone(), &resource("", "v1", "Namespace"));
        namespaces.create(&PostParams::default(), &object(namespace)).await.unwrap();
        let accounts = space.api("", "v1", "ServiceAccount");
        wait("the default ServiceAccount", || async { accounts.get_opt("default").await.ok()? })
            .await;
        space
    }

    fn api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.name, &resource(group, version, kind))
    }

    fn sets(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource("apps.kruise.io", self.version, "SidecarSet"))
    }

    fn pod_api(&self) -> Api<DynamicObject> {
        self.api("", "v1", "Pod")
    }

    /// A cold set for the pods of this namespace.
    pub fn log(&self) -> Value {
        self.own(log(), "log")
    }

    /// A hot one.
    pub fn mesh(&self) -> Value {
        self.own(mesh(), "mesh")
    }

    fn own(&self, mut set: Value, suffix: &str) -> Value {
        set["apiVersion"] = json!(format!("apps.kruise.io/{}", self.version));
        set["kind"] = json!("SidecarSet");
        set["metadata"] = json!({ "name": format!("{}-{suffix}", self.name) });
        set["spec"]["selector"] = json!({ "matchLabels": { "app": self.name } });
        let spec = set["spec"].as_object_mut().unwrap();
        spec.remove("namespaceSelector");
        if self.version == "v1alpha1" {
            spec.insert("namespace".into(), json!(self.name));
        } else {
            let labels = json!({ "kubernetes.io/metadata.name": self.name });
            spec.insert("namespaceSelector".into(), json!({ "matchLabels": labels }));
        }
        set
    }

    /// Creates a set as it is stored, and returns it so.
    pub async fn create(&self, set: &Value) -> Value {
        let created =
            self.sets().create(&PostParams::default(), &object(set.clone())).await.unwrap();
        serde_json::to_value(created).unwrap()
    }

    /// Creates a pod that the sets are injected into.
    pub async fn pod(&self, name: &str, sets: &[&Value], change: &Value) {
        let mut pod = injected(name, sets);
        pod["metadata"]["namespace"] = json!(self.name);
        pod["metadata"]["labels"]["app"] = json!(self.name);
        pod["metadata"].as_object_mut().unwrap().remove("ownerReferences");
        merge(&mut pod, change);
        self.pod_api().create(&PostParams::default(), &object(pod)).await.unwrap();
    }

    /// Creates a set and so many pods, and waits until all are ready and counted.
    pub async fn running(&self, set: &Value, many: usize) -> Value {
        let set = self.create(set).await;
        for at in 0..many {
            self.pod(&format!("web-{at}"), &[&set], &json!({})).await;
        }
        self.ready(many).await;
        let name = set["metadata"]["name"].as_str().unwrap();
        let count = i64::try_from(many).unwrap();
        self.counts(name, [count, count, count, count]).await;
        set
    }

    /// Waits until so many pods are ready.
    pub async fn ready(&self, many: usize) {
        wait("ready pods", || async {
            let pods = self.pods().await;
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            (ready == many && pods.len() == many).then_some(())
        })
        .await;
    }

    /// Patches a set by merging.
    pub async fn patch(&self, set: &Value, change: Value) {
        let name = set["metadata"]["name"].as_str().unwrap();
        self.sets().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    /// Changes the set's only container.
    pub async fn container(&self, set: &Value, change: &Value) {
        let mut container = set["spec"]["containers"][0].clone();
        merge(&mut container, change);
        self.patch(set, json!({ "spec": { "containers": [container] } })).await;
    }

    /// The set as it is.
    pub async fn set(&self, name: &str) -> Value {
        serde_json::to_value(self.sets().get(name).await.unwrap()).unwrap()
    }

    /// Deletes a set.
    pub async fn delete(&self, set: &Value) {
        let name = set["metadata"]["name"].as_str().unwrap();
        self.sets().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until the status of the present spec has these counts.
    pub async fn counts(&self, set: &str, wanted: [i64; 4]) {
        let last = Mutex::new(Value::Null);
        let tell = || format!("it is {}", last.lock().unwrap());
        wait_or(&format!("{wanted:?} in {set}"), tell, || async {
            let now = self.set(set).await;
            let status = &now["status"];
            let counts = ["matchedPods", "updatedPods", "readyPods", "updatedReadyPods"]
                .map(|count| status[count].as_i64().unwrap_or(0));
            let seen = status["observedGeneration"] == now["metadata"]["generation"];
            *last.lock().unwrap() = status.clone();
            (seen && counts == wanted).then_some(())
        })
        .await;
    }

    /// Waits for counts, and that they are the same after two more turns: nothing more happens.
    pub async fn stays(&self, set: &Value, wanted: [i64; 4]) {
        let name = set["metadata"]["name"].as_str().unwrap();
        self.counts(name, wanted).await;
        let before: Vec<Value> = self.pods().await;
        for limit in [11, 12] {
            // A new generation: the controller says when it has looked at it.
            let change = json!({ "spec": { "revisionHistoryLimit": limit } });
            self.sets().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
            self.counts(name, wanted).await;
        }
        let spec = |pods: &[Value]| pods.iter().map(|pod| pod["spec"].clone()).collect::<Vec<_>>();
        assert_eq!(spec(&self.pods().await), spec(&before));
    }

    /// All pods, by name.
    pub async fn pods(&self) -> Vec<Value> {
        let list = self.pod_api().list(&ListParams::default()).await.unwrap();
        let mut pods: Vec<DynamicObject> = list.items;
        pods.sort_by_key(ResourceExt::name_any);
        pods.iter().map(|pod| serde_json::to_value(pod).unwrap()).collect()
    }

    /// Merges into a pod.
    pub async fn patch_pod(&self, name: &str, operations: Value) {
        let patch = Patch::Json::<()>(serde_json::from_value(operations).unwrap());
        self.pod_api().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until the condition of a pod says something.
    pub async fn says(&self, pod: &str, status: &str, message: &str) {
        wait(&format!("{message} in {pod}"), || async {
            let pod = serde_json::to_value(self.pod_api().get(pod).await.ok()?).unwrap();
            let says = condition(&pod, "SidecarSetUpgradable")?;
            (says == (status.to_owned(), message.to_owned())).then_some(())
        })
        .await;
    }

    /// Waits for an Event about a set.
    pub async fn event(&self, set: &Value, reason: &str, message: &str) {
        let events: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), "default", &resource("", "v1", "Event"));
        let uid = set["metadata"]["uid"].as_str().unwrap();
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        let last = Mutex::new(Vec::new());
        let tell = || format!("there are {:?}", last.lock().unwrap());
        wait_or(&format!("{reason}: {message}"), tell, || async {
            let found = events.list(&about).await.ok()?;
            let said = |it: &DynamicObject| {
                let text = |member: &str| it.data[member].as_str().unwrap_or_default().to_owned();
                (text("reason"), text("message"))
            };
            *last.lock().unwrap() = found.items.iter().map(said).collect();
            let wanted = (reason.to_owned(), message.to_owned());
            last.lock().unwrap().contains(&wanted).then_some(())
        })
        .await;
    }

    /// Revisions of a set, by number.
    pub async fn revisions(&self, set: &Value) -> Vec<Value> {
        let name = set["metadata"]["name"].as_str().unwrap();
        let all: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &resource("apps", "v1", "ControllerRevision"));
        let params = ListParams::default().labels(&format!("kruise.io/sidecarset-name={name}"));
        let list = all.list(&params).await.unwrap();
        let mut found: Vec<Value> =
            list.items.iter().map(|it| serde_json::to_value(it).unwrap()).collect();
        found.sort_by_key(|it| it["revision"].as_i64());
        found
    }

    /// Watches pods from now on: in which order their image of a container changes, and how many are not ready at once.
    pub fn watch(&self, container: &'static str) -> Seen {
        let seen: Arc<Mutex<Watched>> = Arc::default();
        let (api, into) = (self.pod_api(), seen.clone());
        let task = tokio::spawn(async move {
            let events = watcher(api, watcher::Config::default()).default_backoff();
            let mut events = std::pin::pin!(events);
            while let Ok(Some(event)) = events.try_next().await {
                let (pod, gone) = match event {
                    watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => (pod, false),
                    watcher::Event::Delete(pod) => (pod, true),
                    watcher::Event::Init => continue,
                    watcher::Event::InitDone => {
                        into.lock().unwrap().began = true;
                        continue;
                    }
                };
                let pod = serde_json::to_value(pod).unwrap();
                into.lock().unwrap().see(&pod, container, gone);
            }
        });
        Seen { seen, task }
    }
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

/// Whether the pod is ready.
pub fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|(status, _)| status == "True")
}

/// What a watch saw.
#[derive(Debug, Default)]
pub struct Watched {
    began: bool,
    images: std::collections::BTreeMap<String, String>,
    order: Vec<String>,
    down: BTreeSet<String>,
    most_down: usize,
}

impl Watched {
    fn see(&mut self, pod: &Value, container: &str, gone: bool) {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        if gone {
            self.down.remove(&name);
            return;
        }
        let image = crate::builders::image(pod, container);
        let before = self.images.insert(name.clone(), image.clone());
        if before.is_some_and(|before| before != image) {
            self.order.push(name.clone());
        }
        if is_ready(pod) {
            self.down.remove(&name)
        } else {
            self.down.insert(name)
        };
        self.most_down = self.most_down.max(self.down.len());
    }
}

/// A watch that goes on.
pub struct Seen {
    seen: Arc<Mutex<Watched>>,
    task: tokio::task::JoinHandle<()>,
}

impl Seen {
    /// Waits until it sees what is there.
    pub async fn began(&self) {
        wait("the watch", || async { self.seen.lock().unwrap().began.then_some(()) }).await;
    }

    /// Ends it: the order of updates, and how many pods were not ready at the worst moment.
    pub fn end(self) -> (Vec<String>, usize) {
        self.task.abort();
        let seen = self.seen.lock().unwrap();
        (seen.order.clone(), seen.most_down)
    }
}

/// Starts the controller with a namespace of its own for Lease and revisions.
pub async fn controller(more: &[&str]) -> Controller {
    let namespace = format!("ss-system-{}", std::process::id());
    let namespaces: Api<DynamicObject> =
        Api::all_with(client().await, &resource("", "v1", "Namespace"));
    let body = json!({ "metadata": { "name": namespace } });
    // The second one finds it there.
    let _ = namespaces.create(&PostParams::default(), &object(body)).await;
    let own = ["--leader-election-namespace", &namespace, "--revision-namespace", &namespace];
    Controller::start_with(env!("CARGO_BIN_EXE_kruise-sidecarset"), &[&own, more].concat()).await
}

/// Waits until every set had its turn.
pub async fn settled(controller: &Controller) {
    wait("turns of all sets", || async {
        let turns = controller.metric("controller_runtime_reconcile_total", "").await?;
        let depth = controller.metric("workqueue_depth", "").await?;
        (turns > 5.0 && depth < 0.5).then_some(())
    })
    .await;
}
