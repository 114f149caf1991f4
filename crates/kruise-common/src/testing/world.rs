//! A cluster in memory: stored objects, the rules of the API server that our writes rely on, kubelets, garbage collector.
//!
//! Held against a real API server by `crates/kruise-common/tests/api_world.rs`. What it does not model it refuses
//! nothing of: namespaces, quota, webhooks, and of validation all but what is in `rules`.

mod nodes;
mod rules;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simnode::kubelet::{Delays, Known};

use super::merge;
use crate::key::ObjectKey;
use crate::kind::{Kind, NODE};
use crate::write::{Category, Guard, Patch, Request, Write, WriteError};

/// A stored object's place.
type Id = (&'static Kind, ObjectKey);

/// How a volume grows when its claim asks for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Growth {
    /// Under the pod that uses it: the claim has the condition `FileSystemResizePending` for [`GROWS`].
    #[default]
    Online,
    /// When no pod uses it: until then its claim has the condition `FileSystemResizePending`.
    Offline,
    /// Not at all.
    Never,
}

/// How long a kubelet takes to grow a file system in use.
pub const GROWS: SignedDuration = SignedDuration::from_secs(3);

/// A cluster.
#[derive(Clone, Debug)]
pub struct World {
    /// The time.
    pub now: Timestamp,
    /// Delays of the kubelets.
    pub delays: Delays,
    /// How volumes grow.
    pub growth: Growth,
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
            growth: Growth::Online,
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
        let text = |object: &Value, path: &str, default: &str| {
            object.pointer(path).and_then(Value::as_str).unwrap_or(default).to_owned()
        };
        let cluster_scoped = *kind == NODE;
        let namespace = if cluster_scoped { "" } else { "default" };
        let key = ObjectKey {
            namespace: text(&object, "/metadata/namespace", namespace).into(),
            name: text(&object, "/metadata/name", "default").into(),
        };
        self.serial += 1;
        self.version += 1;
        let uid = format!("uid-{}", self.serial);
        let fresh = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.kind,
            "metadata": {
                "namespace": (!cluster_scoped).then_some(&*key.namespace),
                "uid": uid,
                "generation": 1,
                "creationTimestamp": second(self.now),
            },
        });
        fill(&mut object, &fresh);
        rules::tidy(kind, &mut object);
        if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.retain(|_, value| !value.is_null());
        }
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
        if meta(&object, "deletionTimestamp").is_some() {
            return;
        }
        let grace = rules::grace(kind, &object);
        let at = self.now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(self.now);
        set(&mut object, "deletionTimestamp", json!(second(at)));
        set(&mut object, "deletionGracePeriodSeconds", json!(grace));
        raise_generation(&mut object);
        self.store(kind, key, object);
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
                let object = rules::created(write.kind, body);
                rules::valid(write.kind, &object)
                    .or_else(|why| refuse(Category::Invalid, write, why))?;
                rules::storable(&object).or_else(|why| refuse(Category::Server, write, why))?;
                self.insert(write.kind, object);
                Ok(self.reply(write))
            }
            Request::Delete { uid, .. } | Request::Evict { uid, .. } => {
                let Some(object) = self.get(write.kind, &write.key) else {
                    return refuse(Category::NotFound, write, "not found");
                };
                if meta(object, "uid") != Some(&**uid) {
                    return refuse(Category::Conflict, write, "another UID");
                }
                if let Request::Delete { version: Some(version), .. }
                | Request::Evict { version: Some(version), .. } = &write.request
                    && meta(object, "resourceVersion") != Some(&**version)
                {
                    return refuse(Category::Conflict, write, "the object has been modified");
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
        rules::takes(write.kind, subresource, patch)
            .or_else(|(category, why)| refuse(category, write, why))?;
        let Some(old) = self.get(write.kind, &write.key).cloned() else {
            return refuse(Category::NotFound, write, "not found");
        };
        let mut new = old.clone();
        match patch {
            Patch::Json(operations) => rules::operations(&mut new, operations)
                .or_else(|why| refuse(Category::Conflict, write, &why))?,
            Patch::Strategic(change) => merge::strategic(&mut new, change),
        }
        for precondition in ["uid", "resourceVersion"] {
            if meta(&new, precondition) != meta(&old, precondition) {
                return refuse(Category::Conflict, write, "the object has been modified");
            }
        }
        let mut updated = rules::updated(write.kind, subresource, &old, new);
        rules::tidy(write.kind, &mut updated);
        let may_become = || match subresource {
            Some("resize") => rules::may_resize(&old, &updated),
            _ => rules::may_become(write.kind, &old, &updated),
        };
        rules::valid(write.kind, &updated)
            .and_then(|()| may_become())
            .or_else(|why| refuse(Category::Invalid, write, why))?;
        rules::storable(&updated).or_else(|why| refuse(Category::Server, write, why))?;
        Ok(Reply::Stored(self.store(write.kind, &write.key, updated).unwrap_or(old)))
    }

    fn reply(&self, write: &Write) -> Reply {
        self.get(write.kind, &write.key)
            .map_or(Reply::Removed, |object| Reply::Stored(object.clone()))
    }

    fn check(&self, guard: &Guard) -> Result<(), WriteError> {
        let alive = self.get(guard.kind, &guard.key).is_some_and(|object| {
            meta(object, "uid") == Some(&*guard.uid)
                && (guard.may_terminate || meta(object, "deletionTimestamp").is_none())
                && guard.generation.is_none_or(|seen| generation(object) == seen)
        });
        let text = || format!("{} {} is gone", guard.kind.kind, guard.key);
        if alive { Ok(()) } else { Err(WriteError::new(Category::Guard, text())) }
    }

    /// Stores a changed object: a no-op changes no version, and what waited only for its finalizers goes.
    /// Returns it as it is stored, or as it was when it went.
    fn store(&mut self, kind: &'static Kind, key: &ObjectKey, mut object: Value) -> Option<Value> {
        let id = (kind, key.clone());
        let old = self.objects.get(&id)?;
        rules::tidy(kind, &mut object);
        if *old == object {
            return Some(object);
        }
        if old.get("spec") != object.get("spec") {
            raise_generation(&mut object);
        }
        self.version += 1;
        set(&mut object, "resourceVersion", json!(self.version.to_string()));
        if rules::goes(&object) {
            self.objects.remove(&id);
            let uid = meta(&object, "uid").unwrap_or_default();
            self.kubelets.remove(uid);
            self.wake.remove(uid);
        } else {
            self.objects.insert(id, object.clone());
        }
        Some(object)
    }
}

fn refuse<T>(category: Category, write: &Write, why: &str) -> Result<T, WriteError> {
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

fn generation(object: &Value) -> i64 {
    object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(1)
}

fn raise_generation(object: &mut Value) {
    let next = generation(object) + 1;
    set(object, "generation", json!(next));
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

fn second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
