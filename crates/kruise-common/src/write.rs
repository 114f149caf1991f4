//! One API call as a value, with the precondition that makes it harmless when it is late.
//!
//! Built by a controller's `apply`, sent only by `runtime/writer.rs`, performed in memory by
//! `testing/world.rs`. There is no constructor for an unconditional delete or patch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::key::ObjectKey;
use crate::kind::{Kind, POD};
use crate::meta::Meta;

/// One call to the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Kind of the target.
    pub kind: &'static Kind,
    /// Target.
    pub key: ObjectKey,
    /// What is asked.
    pub request: Request,
    /// A live read that must hold right before the write.
    pub guard: Option<Guard>,
}

/// What is asked of the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// POST; the server refuses a second object of the same name.
    Create {
        /// The whole object.
        body: Value,
    },
    /// PATCH of the object or of a subresource.
    Patch {
        /// `None` for the object itself.
        subresource: Option<&'static str>,
        /// The change with its precondition.
        patch: Patch,
    },
    /// DELETE with a UID precondition.
    Delete {
        /// UID of the object that was decided upon.
        uid: Arc<str>,
        /// Its version, if it must be as it was seen.
        version: Option<Arc<str>>,
    },
    /// POST of an eviction with a UID precondition: the server refuses it while a PodDisruptionBudget is spent.
    Evict {
        /// UID of the pod that was decided upon.
        uid: Arc<str>,
        /// Its version, if it must be as it was seen.
        version: Option<Arc<str>>,
    },
}

/// The body of a PATCH.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 6902 operations that start with `test` operations.
    Json(Value),
    /// Strategic merge; carries `metadata.uid`, which the server refuses to change.
    Strategic(Value),
}

/// A live read before a write: the object must still exist under this UID (E-19, R-20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Kind of the guarding object.
    pub kind: &'static Kind,
    /// Its key.
    pub key: ObjectKey,
    /// Its UID.
    pub uid: Arc<str>,
    /// Whether it may be terminating.
    pub may_terminate: bool,
    /// Its generation, if what it asks for must be what was seen.
    pub generation: Option<i64>,
}

impl Guard {
    /// The object must be alive.
    pub fn alive(kind: &'static Kind, meta: &Meta) -> Self {
        let (key, uid) = (meta.key.clone(), meta.uid.clone());
        Self { kind, key, uid, may_terminate: false, generation: None }
    }

    /// The object must be alive, and ask for what it asked for when it was seen.
    pub fn unchanged(kind: &'static Kind, meta: &Meta) -> Self {
        Self { generation: Some(meta.generation), ..Self::alive(kind, meta) }
    }

    /// The object must be there, terminating or not.
    pub fn there(kind: &'static Kind, meta: &Meta) -> Self {
        Self { may_terminate: true, ..Self::alive(kind, meta) }
    }
}

impl Write {
    /// Creates an object; `body` carries everything but needs no namespace.
    pub fn create(kind: &'static Kind, key: ObjectKey, mut body: Value) -> Self {
        if let Some(meta) = body.get_mut("metadata").and_then(Value::as_object_mut) {
            if !key.namespace.is_empty() {
                meta.insert("namespace".into(), json!(&*key.namespace));
            }
            meta.insert("name".into(), json!(&*key.name));
        }
        Self { kind, key, request: Request::Create { body }, guard: None }
    }

    /// Deletes exactly the object that was seen.
    pub fn delete(kind: &'static Kind, meta: &Meta) -> Self {
        let request = Request::Delete { uid: meta.uid.clone(), version: None };
        Self { kind, key: meta.key.clone(), request, guard: None }
    }

    /// Deletes the object if nothing about it has changed since it was seen.
    pub fn delete_as_seen(kind: &'static Kind, meta: &Meta) -> Self {
        let version = Some(meta.resource_version.clone());
        let request = Request::Delete { uid: meta.uid.clone(), version };
        Self { kind, key: meta.key.clone(), request, guard: None }
    }

    /// Evicts exactly the pod that was seen, if its PodDisruptionBudgets allow it.
    pub fn evict(pod: &Meta) -> Self {
        let request = Request::Evict { uid: pod.uid.clone(), version: None };
        Self { kind: &POD, key: pod.key.clone(), request, guard: None }
    }

    /// [`Write::evict`], if nothing about the pod has changed since it was seen.
    pub fn evict_as_seen(pod: &Meta) -> Self {
        let version = Some(pod.resource_version.clone());
        let request = Request::Evict { uid: pod.uid.clone(), version };
        Self { kind: &POD, key: pod.key.clone(), request, guard: None }
    }

    /// Merges `change` into the object that was seen; lists merge by key.
    pub fn strategic(kind: &'static Kind, meta: &Meta, change: Value) -> Self {
        Self::strategic_on(kind, meta, None, change)
    }

    /// Like [`Write::strategic`], on the status subresource.
    pub fn strategic_status(kind: &'static Kind, meta: &Meta, change: Value) -> Self {
        Self::strategic_on(kind, meta, Some("status"), change)
    }

    fn strategic_on(
        kind: &'static Kind,
        meta: &Meta,
        subresource: Option<&'static str>,
        mut change: Value,
    ) -> Self {
        if let Some(body) = change.as_object_mut() {
            let metadata = body.entry("metadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("uid".into(), json!(&*meta.uid));
            }
        }
        let patch = Patch::Strategic(change);
        Self {
            kind,
            key: meta.key.clone(),
            request: Request::Patch { subresource, patch },
            guard: None,
        }
    }

    /// Applies JSON Patch operations to the object that was seen.
    pub fn json(kind: &'static Kind, meta: &Meta, operations: Operations) -> Self {
        Self::json_on(kind, meta, None, operations)
    }

    /// Like [`Write::json`], on the status subresource.
    pub fn json_status(kind: &'static Kind, meta: &Meta, operations: Operations) -> Self {
        Self::json_on(kind, meta, Some("status"), operations)
    }

    /// Like [`Write::json`], on the subresource that changes CPU and memory of a running pod.
    pub fn json_resize(kind: &'static Kind, meta: &Meta, operations: Operations) -> Self {
        Self::json_on(kind, meta, Some("resize"), operations)
    }

    fn json_on(
        kind: &'static Kind,
        meta: &Meta,
        subresource: Option<&'static str>,
        operations: Operations,
    ) -> Self {
        let uid = json!({"op": "test", "path": "/metadata/uid", "value": &*meta.uid});
        let all = std::iter::once(uid).chain(operations.0).collect();
        let patch = Patch::Json(Value::Array(all));
        Self {
            kind,
            key: meta.key.clone(),
            request: Request::Patch { subresource, patch },
            guard: None,
        }
    }

    /// Adds a live read that must hold right before the write.
    pub fn guarded_by(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// The verb as RBAC and metrics name it.
    pub fn verb(&self) -> &'static str {
        match self.request {
            Request::Create { .. } | Request::Evict { .. } => "create",
            Request::Patch { .. } => "patch",
            Request::Delete { .. } => "delete",
        }
    }

    /// The subresource, empty for the object itself.
    pub fn subresource(&self) -> &'static str {
        match &self.request {
            Request::Patch { subresource, .. } => subresource.unwrap_or_default(),
            Request::Create { .. } | Request::Delete { .. } => "",
            Request::Evict { .. } => "eviction",
        }
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb(), self.kind.plural)?;
        if !self.subresource().is_empty() {
            write!(f, "/{}", self.subresource())?;
        }
        write!(f, " {}", self.key)
    }
}

/// JSON Patch operations; paths are built from escaped tokens only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operations(Vec<Value>);

impl Operations {
    /// The value at `path` must equal `value`.
    pub fn test(self, path: &[&str], value: impl Into<Value>) -> Self {
        self.push("test", path, &value.into())
    }

    /// Sets the member or inserts the list item at `path`.
    pub fn add(self, path: &[&str], value: impl Into<Value>) -> Self {
        self.push("add", path, &value.into())
    }

    /// Replaces the value at `path`, which must exist.
    pub fn replace(self, path: &[&str], value: impl Into<Value>) -> Self {
        self.push("replace", path, &value.into())
    }

    /// Removes the value at `path`, which must exist.
    pub fn remove(mut self, path: &[&str]) -> Self {
        self.0.push(json!({"op": "remove", "path": pointer(path)}));
        self
    }

    /// These operations, and then `more`.
    pub fn then(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(mut self, op: &str, path: &[&str], value: &Value) -> Self {
        self.0.push(json!({"op": op, "path": pointer(path), "value": value}));
        self
    }
}

/// A JSON pointer: every token is escaped, so no user string can address another path.
fn pointer(path: &[&str]) -> String {
    path.iter().fold(String::new(), |pointer, token| {
        pointer + "/" + &token.replace('~', "~0").replace('/', "~1")
    })
}

/// Why a write did not happen; the category decides how it is retried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{category}: {message}")]
pub struct WriteError {
    /// What kind of failure.
    pub category: Category,
    /// The server's or transport's own words.
    pub message: String,
    /// The server's demand to wait, in seconds.
    pub retry_after: Option<u32>,
    /// Whether somebody on the way had too much to do, whatever became of the write: less is to be sent.
    pub overload: bool,
    /// What was to be written, set by whoever executes an action: an action may have several writes.
    pub target: Option<(&'static Kind, ObjectKey)>,
}

/// Categories of failed writes: metric label, log field and retry class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// A precondition did not hold: the object changed or was replaced. The next turn sees the newer state.
    Conflict,
    /// The name is taken.
    AlreadyExists,
    /// The target is gone.
    NotFound,
    /// The server refuses the content.
    Invalid,
    /// RBAC, quota or an admission webhook refuses.
    Forbidden,
    /// The namespace is being deleted and takes nothing new: the owner will go with it.
    NamespaceTerminating,
    /// The server asks for less (429).
    Throttled,
    /// The server failed (5xx).
    Server,
    /// No answer: the write may or may not have happened.
    Unknown,
    /// This process does not lead; nothing was sent.
    NotLeader,
    /// The guard did not hold; nothing was sent.
    Guard,
}

impl Category {
    /// The metric label and log field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::AlreadyExists => "already-exists",
            Self::NotFound => "not-found",
            Self::Invalid => "invalid",
            Self::Forbidden => "forbidden",
            Self::NamespaceTerminating => "namespace-terminating",
            Self::Throttled => "throttled",
            Self::Server => "server",
            Self::Unknown => "unknown",
            Self::NotLeader => "not-leader",
            Self::Guard => "guard",
        }
    }

    /// Whether the failure says something about the target of the write, and nothing about other targets.
    pub fn concerns_target(self) -> bool {
        matches!(
            self,
            Self::Conflict | Self::NotFound | Self::Invalid | Self::Forbidden | Self::Guard
        )
    }

    /// Whether an Event tells of the failure: what the server says about an object is news, races and standby are not.
    pub fn is_news(self) -> bool {
        matches!(self, Self::Invalid | Self::Forbidden | Self::Server)
    }

    /// Whether the failure says something about the user's object rather than about timing or the server.
    pub fn concerns_user(self) -> bool {
        matches!(self, Self::Invalid | Self::Forbidden)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl WriteError {
    /// The same, with what `write` was about.
    pub fn of(self, write: &Write) -> Self {
        Self { target: Some((write.kind, write.key.clone())), ..self }
    }

    /// How long the server asks to wait.
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after.map(|seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// An error of `category` with `message`.
    pub fn new(category: Category, message: impl Into<String>) -> Self {
        let overload = category == Category::Throttled;
        Self { category, message: message.into(), retry_after: None, overload, target: None }
    }
}
