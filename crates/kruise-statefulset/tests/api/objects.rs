//! What tests do to objects other than sets, and what they wait for.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::harness::{Space, wait};

/// A pod's ordinal.
pub fn ordinal(pod: &Value) -> i32 {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    name.rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(-1)
}

/// When a pod was created; whole seconds.
pub fn created(pod: &Value) -> Timestamp {
    pod["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap()
}

/// Since when a pod is ready; whole seconds.
pub fn ready_since(pod: &Value) -> Timestamp {
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
    ready["lastTransitionTime"].as_str().unwrap().parse().unwrap()
}

/// UIDs of objects, in their order.
pub fn uids(objects: &[Value]) -> Vec<Value> {
    objects.iter().map(|object| object["metadata"]["uid"].clone()).collect()
}

/// Whether a condition is true.
pub fn is_true(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True")
}

/// Whether a pod is ready and stays.
pub fn is_up(pod: &Value) -> bool {
    is_true(pod, "Ready") && pod["metadata"]["deletionTimestamp"].is_null()
}

/// The image of a pod's first container.
pub fn image(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

impl Space {
    fn core(&self, kind: &str) -> Api<DynamicObject> {
        self.api("", "v1", kind)
    }

    /// A set as it is now.
    pub async fn set(&self, name: &str) -> Value {
        serde_json::to_value(self.sets().get(name).await.unwrap()).unwrap()
    }

    /// A pod, if it is there.
    pub async fn pod(&self, name: &str) -> Option<Value> {
        let pod = self.core("Pod").get_opt(name).await.unwrap();
        pod.map(|pod| serde_json::to_value(pod).unwrap())
    }

    /// Waits until the pods are as wanted; a failure shows them.
    pub async fn pods_are(&self, what: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let seen = std::cell::RefCell::new(Vec::new());
        let tell = || {
            let line = |pod: &Value| {
                let meta = &pod["metadata"];
                format!(
                    "{} {} {} up: {} labels: {}",
                    meta["name"],
                    pod["status"]["phase"],
                    image(pod),
                    is_up(pod),
                    meta["labels"]
                )
            };
            seen.borrow().iter().map(line).collect::<Vec<_>>().join("\n")
        };
        wait(what, tell, || async {
            let pods = self.pods().await;
            let answer = holds(&pods).then(|| pods.clone());
            *seen.borrow_mut() = pods;
            answer
        })
        .await
    }

    /// Waits until these ordinals, and no others, are up.
    pub async fn ordinals_are(&self, wanted: &[i32]) -> Vec<Value> {
        let wanted: BTreeSet<i32> = wanted.iter().copied().collect();
        self.pods_are(&format!("ordinals {wanted:?}"), |pods| {
            pods.iter().all(is_up) && pods.iter().map(ordinal).collect::<BTreeSet<_>>() == wanted
        })
        .await
    }

    /// Waits until the status is as wanted; a failure shows it.
    pub async fn status_is(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let seen = std::cell::RefCell::new(Value::Null);
        wait(
            what,
            || seen.borrow().to_string(),
            || async {
                let set = self.set(name).await;
                let status = set["status"].clone();
                *seen.borrow_mut() = status.clone();
                let observed = status["observedGeneration"] == set["metadata"]["generation"];
                (observed && holds(&status)).then_some(status)
            },
        )
        .await
    }

    /// Merges `change` into a set, as an owner does.
    pub async fn merge(&self, name: &str, change: Value) {
        let patch = Patch::Merge(change);
        self.sets().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Merges `change` into a pod.
    pub async fn merge_pod(&self, name: &str, change: Value) {
        let patch = Patch::Merge(change);
        self.core("Pod").patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Changes the image of a pod behind its controller's back.
    pub async fn set_pod_image(&self, name: &str, image: &str) {
        let operation =
            json!([{ "op": "replace", "path": "/spec/containers/0/image", "value": image }]);
        let patch = Patch::Json::<()>(serde_json::from_value(operation).unwrap());
        self.core("Pod").patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Asks for the deletion of a pod, a claim …
    pub async fn delete(&self, kind: &str, name: &str) {
        self.core(kind).delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Deletes a set and leaves its pods.
    pub async fn orphan(&self, name: &str) {
        self.sets().delete(name, &DeleteParams::orphan()).await.unwrap();
        self.gone(name).await;
    }

    /// Deletes a set, its pods first.
    pub async fn delete_set(&self, name: &str) {
        self.sets().delete(name, &DeleteParams::foreground()).await.unwrap();
        self.gone(name).await;
    }

    async fn gone(&self, name: &str) {
        wait("the end of the set", String::new, || async {
            self.sets().get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
    }

    /// The scale subresource.
    pub async fn scale(&self, name: &str) -> Value {
        serde_json::to_value(self.sets().get_scale(name).await.unwrap()).unwrap()
    }

    /// Writes the scale subresource without a resource version, as `kubectl scale` does.
    pub async fn set_scale(&self, name: &str, replicas: i32) {
        let body = json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": { "name": name, "namespace": self.name() }, "spec": { "replicas": replicas },
        });
        let scale = serde_json::from_value(body).unwrap();
        self.sets().replace_scale(name, &PostParams::default(), &scale).await.unwrap();
    }

    /// Claims by name.
    pub async fn claims(&self) -> Vec<Value> {
        let list = self.core("PersistentVolumeClaim").list(&ListParams::default()).await.unwrap();
        let mut claims: Vec<DynamicObject> = list.items;
        claims.sort_by_key(ResourceExt::name_any);
        claims.iter().map(|claim| serde_json::to_value(claim).unwrap()).collect()
    }

    /// Waits until exactly these claims are there.
    pub async fn claims_are(&self, wanted: &[&str]) -> Vec<Value> {
        let seen = std::cell::RefCell::new(Vec::<Value>::new());
        let tell = || {
            let line = |claim: &Value| claim["metadata"].to_string();
            seen.borrow().iter().map(line).collect::<Vec<_>>().join("\n")
        };
        wait(&format!("claims {wanted:?}"), tell, || async {
            let claims = self.claims().await;
            let right = claims.iter().map(|claim| &claim["metadata"]["name"]).eq(wanted);
            seen.borrow_mut().clone_from(&claims);
            right.then_some(claims)
        })
        .await
    }

    /// Lets the volume of a claim have grown as asked, as the storage driver's resizer does.
    pub async fn grow(&self, name: &str) {
        let claims = self.core("PersistentVolumeClaim");
        let claim = claims.get(name).await.unwrap();
        let size = claim.data["spec"]["resources"]["requests"]["storage"].clone();
        let volume = claim.data["spec"]["volumeName"].as_str().unwrap_or_default().to_owned();
        let spec = Patch::Merge(json!({ "spec": { "capacity": { "storage": size } } }));
        self.cluster("", "v1", "PersistentVolume")
            .patch(&volume, &PatchParams::default(), &spec)
            .await
            .unwrap();
        let status = Patch::Merge(json!({ "status": { "capacity": { "storage": size } } }));
        claims.patch_status(name, &PatchParams::default(), &status).await.unwrap();
    }

    /// A storage class of this space's own, provisioned by the control plane.
    pub async fn class(&self, name: &str, expands: bool) -> String {
        let name = format!("{}-{name}", self.name());
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": { "name": name }, "provisioner": "kubernetes.io/host-path",
            "allowVolumeExpansion": expands,
        });
        let class: DynamicObject = serde_json::from_value(class).unwrap();
        let classes = self.cluster("storage.k8s.io", "v1", "StorageClass");
        classes.create(&PostParams::default(), &class).await.unwrap();
        name
    }
}
