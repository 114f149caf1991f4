//! A cluster in memory: stored objects, the rules of the API server that our writes rely on, kubelets, garbage collector.
//!
//! Checked against a real API server by the API tests; what it does not model (admission, quota, watches) it refuses
//! nothing of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simnode::kubelet::{Delays, Known};
use simnode::wire::SimPod;

use super::merge;
use crate::key::ObjectKey;
use crate::kind::{CLAIM, Kind, POD};
use crate::write::{Category, Guard, Patch, Request, Write, WriteError};

/// A stored object's place.
type Id = (&'static Kind, ObjectKey);

/// A cluster.
#[derive(Clone, Debug)]
pub struct World {
    /// The time.
    pub now: Timestamp,
    /// Delays of the kubelets.
    pub delays: Delays,
    objects: BTreeMap<Id, Value>,
    kubelets: BTreeMap<String, Known>,
    wake: BTreeMap<String, Timestamp>,
    version: u64,
    serial: u64,
}

/// What the API server answers to a write.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The object as it is stored now.
    Stored(Value),
    /// It is gone.
    Removed,
}

impl World {
    /// An empty cluster at `now`; containers take a second to start and to stop.
    pub fn new(now: Timestamp) -> Self {
        let second = SignedDuration::from_secs(1);
        Self {
            now,
            delays: Delays { start: second, stop: second },
            objects: BTreeMap::new(),
            kubelets: BTreeMap::new(),
            wake: BTreeMap::new(),
            version: 0,
            serial: 0,
        }
    }

    /// An object.
    pub fn get(&self, kind: &'static Kind, key: &ObjectKey) -> Option<&Value> {
        self.objects.get(&(kind, key.clone()))
    }

    /// All objects of a kind, by key.
    pub fn list(&self, kind: &'static Kind) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |((k, _), _)| *k == kind).map(|(_, object)| object)
    }

    /// Stores an object as a user creates it, or as another cluster had it: members that are there stay.
    pub fn insert(&mut self, kind: &'static Kind, mut object: Value) -> ObjectKey {
        let text = |object: &Value, path: &str| {
            object.pointer(path).and_then(Value::as_str).unwrap_or("default").to_owned()
        };
        let key = ObjectKey {
            namespace: text(&object, "/metadata/namespace").into(),
            name: text(&object, "/metadata/name").into(),
        };
        self.serial += 1;
        self.version += 1;
        let uid = format!("uid-{}", self.serial);
        let fresh = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.kind,
            "metadata": {
                "namespace": &*key.namespace,
                "uid": uid,
                "generation": 1,
                "creationTimestamp": second(self.now),
            },
        });
        fill(&mut object, &fresh);
        set(&mut object, "resourceVersion", json!(self.version.to_string()));
        self.objects.insert((kind, key.clone()), object);
        key
    }

    /// Changes an object as a user or another component does; a changed spec raises the generation.
    pub fn edit(&mut self, kind: &'static Kind, key: &ObjectKey, change: impl FnOnce(&mut Value)) {
        if let Some(mut object) = self.get(kind, key).cloned() {
            change(&mut object);
            self.store(kind, key, object);
        }
    }

    /// Asks for the deletion of an object, as a user does.
    pub fn delete(&mut self, kind: &'static Kind, key: &ObjectKey) {
        let Some(mut object) = self.get(kind, key).cloned() else { return };
        let held = object.pointer("/metadata/finalizers").and_then(Value::as_array);
        let held = held.is_some_and(|list| !list.is_empty());
        let bound = object.pointer("/spec/nodeName").is_some();
        if held || (*kind == POD && bound) {
            if object.pointer("/metadata/deletionTimestamp").is_none() {
                let grace = object.pointer("/spec/terminationGracePeriodSeconds").cloned();
                set(&mut object, "deletionTimestamp", json!(second(self.now)));
                set(&mut object, "deletionGracePeriodSeconds", grace.unwrap_or(json!(30)));
                self.store(kind, key, object);
            }
        } else {
            self.objects.remove(&(kind, key.clone()));
        }
    }

    /// Performs a write as the API server does.
    pub fn perform(&mut self, write: &Write) -> Result<Reply, WriteError> {
        if let Some(guard) = &write.guard {
            self.check(guard)?;
        }
        match &write.request {
            Request::Create { body } => {
                if self.get(write.kind, &write.key).is_some() {
                    return refuse(Category::AlreadyExists, write, "already exists");
                }
                let key = self.insert(write.kind, body.clone());
                if *write.kind == POD {
                    self.edit(write.kind, &key, |pod| {
                        fill(pod, &json!({"status": {"phase": "Pending"}}));
                    });
                }
                Ok(self.reply(write))
            }
            Request::Delete { uid } => {
                let Some(object) = self.get(write.kind, &write.key) else {
                    return refuse(Category::NotFound, write, "not found");
                };
                if meta(object, "uid") != Some(&**uid) {
                    return refuse(Category::Conflict, write, "another UID");
                }
                self.delete(write.kind, &write.key);
                Ok(self.reply(write))
            }
            Request::Patch { subresource, patch } => self.patch(write, *subresource, patch),
        }
    }

    fn patch(
        &mut self,
        write: &Write,
        subresource: Option<&'static str>,
        patch: &Patch,
    ) -> Result<Reply, WriteError> {
        let Some(old) = self.get(write.kind, &write.key).cloned() else {
            return refuse(Category::NotFound, write, "not found");
        };
        let mut new = old.clone();
        match patch {
            Patch::Json(operations) => {
                let operations: json_patch::Patch = serde_json::from_value(operations.clone())
                    .map_err(|error| WriteError::new(Category::Invalid, error.to_string()))?;
                json_patch::patch(&mut new, &operations)
                    .map_err(|error| WriteError::new(Category::Conflict, error.to_string()))?;
            }
            Patch::Strategic(change) => merge::strategic(&mut new, change),
        }
        for precondition in ["uid", "resourceVersion"] {
            if meta(&new, precondition) != meta(&old, precondition) {
                return refuse(Category::Conflict, write, "the object has been modified");
            }
        }
        let merged = match subresource {
            None => with_member(new, "status", &old),
            // The status of a pod carries its labels and annotations along; other kinds take nothing but the status.
            Some(_) if *write.kind == POD => with_member(new, "spec", &old),
            Some(_) => with_member(old.clone(), "status", &new),
        };
        if *write.kind == POD && subresource.is_none() && !pod_spec_may_become(&old, &merged) {
            return refuse(
                Category::Invalid,
                write,
                "pod updates may not change fields other than images",
            );
        }
        self.store(write.kind, &write.key, merged);
        Ok(self.reply(write))
    }

    fn reply(&self, write: &Write) -> Reply {
        self.get(write.kind, &write.key)
            .map_or(Reply::Removed, |object| Reply::Stored(object.clone()))
    }

    fn check(&self, guard: &Guard) -> Result<(), WriteError> {
        let alive = self.get(guard.kind, &guard.key).is_some_and(|object| {
            meta(object, "uid") == Some(&*guard.uid) && meta(object, "deletionTimestamp").is_none()
        });
        let text = || format!("{} {} is gone", guard.kind.kind, guard.key);
        if alive { Ok(()) } else { Err(WriteError::new(Category::Guard, text())) }
    }

    /// Stores a changed object: a no-op changes no version, and what waited only for its finalizers goes.
    fn store(&mut self, kind: &'static Kind, key: &ObjectKey, mut object: Value) {
        let id = (kind, key.clone());
        let Some(old) = self.objects.get(&id) else { return };
        if *old == object {
            return;
        }
        if old.get("spec") != object.get("spec") {
            let generation = old.pointer("/metadata/generation").and_then(Value::as_i64);
            set(&mut object, "generation", json!(generation.unwrap_or(1) + 1));
        }
        self.version += 1;
        set(&mut object, "resourceVersion", json!(self.version.to_string()));
        let free = object.pointer("/metadata/finalizers").and_then(Value::as_array);
        let free = free.is_none_or(Vec::is_empty);
        if free && *kind != POD && meta(&object, "deletionTimestamp").is_some() {
            self.objects.remove(&id);
        } else {
            self.objects.insert(id, object);
        }
    }

    /// Lets scheduler, volumes, kubelets and garbage collector act at the present time; says whether anything changed.
    pub fn nodes(&mut self) -> bool {
        let before = self.version;
        let objects = self.objects.len();
        self.bind_claims();
        let pods: Vec<ObjectKey> = self.keys(&POD);
        for key in pods {
            self.run_pod(&key);
        }
        self.collect_garbage();
        before != self.version || objects != self.objects.len()
    }

    /// When a kubelet will act by itself.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.wake.values().copied().filter(|at| *at > self.now).min()
    }

    fn keys(&self, kind: &'static Kind) -> Vec<ObjectKey> {
        self.objects.keys().filter(|(k, _)| *k == kind).map(|(_, key)| key.clone()).collect()
    }

    fn bind_claims(&mut self) {
        for key in self.keys(&CLAIM) {
            self.edit(&CLAIM, &key, |claim| {
                let size = claim.pointer("/spec/resources/requests").cloned().unwrap_or_default();
                if let Some(claim) = claim.as_object_mut() {
                    claim.insert("status".into(), json!({ "phase": "Bound", "capacity": size }));
                }
            });
        }
    }

    fn run_pod(&mut self, key: &ObjectKey) {
        let Some(mut object) = self.get(&POD, key).cloned() else { return };
        if object.pointer("/spec/nodeName").is_none() {
            if !self.claims_exist(&object, key) {
                return;
            }
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                spec.insert("nodeName".into(), json!("node-0"));
            }
        }
        let Ok(pod) = serde_json::from_value::<SimPod>(object.clone()) else { return };
        let uid = pod.uid().to_owned();
        let (now, delays) = (self.now, self.delays);
        let serial = &mut self.serial;
        let kubelet = self.kubelets.entry(uid.clone()).or_insert_with(|| {
            *serial += 1;
            Known::new(&pod, format!("10.1.0.{serial}"), now, &delays)
        });
        let work = kubelet.step(&pod, now, &delays, &mut || {
            *serial += 1;
            format!("container-{serial}")
        });
        match work.wake {
            Some(at) => self.wake.insert(uid.clone(), at),
            None => self.wake.remove(&uid),
        };
        let held = object.pointer("/metadata/finalizers").and_then(Value::as_array);
        if work.gone && held.is_none_or(Vec::is_empty) {
            self.objects.remove(&(&POD, key.clone()));
            self.kubelets.remove(&uid);
            self.wake.remove(&uid);
            return;
        }
        if let Some(status) = work.status {
            merge::strategic(&mut object, &json!({ "status": status }));
        }
        self.store(&POD, key, object);
    }

    fn claims_exist(&self, pod: &Value, key: &ObjectKey) -> bool {
        let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
        let names = volumes.into_iter().flatten().filter_map(|volume| {
            volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str)
        });
        names.into_iter().all(|name| self.get(&CLAIM, &key.sibling(name)).is_some())
    }

    /// Objects all of whose owners are gone go.
    fn collect_garbage(&mut self) {
        let alive: BTreeSet<&str> =
            self.objects.values().filter_map(|object| meta(object, "uid")).collect();
        let orphaned = |object: &Value| {
            let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            owners.is_some_and(|owners| {
                let mut uids = owners.iter().filter_map(|owner| owner.get("uid")?.as_str());
                !owners.is_empty() && uids.all(|uid| !alive.contains(uid))
            })
        };
        let garbage = self.objects.iter().filter(|(_, object)| orphaned(object));
        for (kind, key) in garbage.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.delete(kind, &key);
        }
    }
}

fn refuse(category: Category, write: &Write, why: &str) -> Result<Reply, WriteError> {
    Err(WriteError::new(category, format!("{write}: {why}")))
}

/// A text of the metadata.
fn meta<'a>(object: &'a Value, member: &str) -> Option<&'a str> {
    object.get("metadata")?.get(member)?.as_str()
}

fn set(object: &mut Value, member: &str, value: Value) {
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.insert(member.to_owned(), value);
    }
}

/// Adds what is missing.
fn fill(object: &mut Value, more: &Value) {
    match (object, more) {
        (Value::Object(object), Value::Object(more)) => {
            for (name, value) in more {
                fill(object.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (object, more) if object.is_null() => object.clone_from(more),
        _ => {}
    }
}

/// `object` with a member as `from` has it.
fn with_member(mut object: Value, member: &str, from: &Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        match from.get(member) {
            Some(value) => members.insert(member.to_owned(), value.clone()),
            None => members.remove(member),
        };
    }
    object
}

/// Pods only take new images.
fn pod_spec_may_become(old: &Value, new: &Value) -> bool {
    let without_images = |pod: &Value| {
        let mut spec = pod.get("spec").cloned().unwrap_or_default();
        for list in ["containers", "initContainers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
                container.remove("image");
            }
        }
        spec
    };
    without_images(old) == without_images(new)
}

fn second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
