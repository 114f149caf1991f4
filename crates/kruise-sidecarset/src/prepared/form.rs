//! The text of a container as it enters a pod (INJ-12…INJ-16, HOT-1, HOT-2). What the set says of it is written once; what
//! follows from a pod is put between.

use kruise_api::keys;
use kruise_api::sidecarset::container::SidecarContainer;
use serde_json::{Map, Value, json};

use crate::containers::{twins, version_alt_key, version_key};

/// Lists that the pod adds to.
const LISTS: [&str; 3] = ["env", "volumeMounts", "volumeDevices"];

/// A sidecar in pods: one container, or two that differ in name, image and their own version variables.
#[derive(Clone, Debug)]
pub struct Form {
    shapes: Vec<Shape>,
    env: String,
    mounts: List,
    devices: List,
}

/// What one of the containers has for itself.
#[derive(Clone, Debug)]
struct Shape {
    name: String,
    /// Members but for lists, each with a comma behind it.
    head: String,
    /// Variables that come last.
    versions: String,
}

/// A list of a container.
#[derive(Clone, Debug)]
struct List {
    items: String,
    /// The value that stands there without any item.
    empty: Option<String>,
}

/// What a container gets from a pod; each item is JSON.
#[derive(Clone, Debug, Default)]
pub struct More<'a> {
    /// Variables.
    pub env: Vec<&'a str>,
    /// Mounts.
    pub mounts: Vec<&'a str>,
    /// Devices.
    pub devices: Vec<&'a str>,
    /// Resources that follow from those of the pod.
    pub resources: Option<String>,
}

impl Form {
    /// The form of a container; `core` is it without what concerns SidecarSets alone. Of init containers only those that keep
    /// running are twins (INJ-15).
    pub fn new(typed: &SidecarContainer, core: &Map<String, Value>, init: bool) -> Self {
        let follows = typed.extensions.resources_policy.is_some();
        let mut core = core.clone();
        core.retain(|member, _| !(follows && member == "resources"));
        let mut items = super::items(core.get("env")).to_vec();
        items.push(json!({ "name": keys::IS_INJECTED_ENV, "value": "true" }));
        let [_, mounts, devices] = LISTS.map(|list| List::of(core.remove(list).as_ref()));
        let shapes = if typed.is_hot() && (!init || typed.is_native()) {
            let empty = &typed.extensions.upgrade_strategy.hot_upgrade_empty_image;
            let [first, second] = twins(&typed.name);
            vec![Shape::twin(&core, first, &typed.image), Shape::twin(&core, second, empty)]
        } else {
            vec![Shape { name: typed.name.clone(), head: head(&core), versions: String::new() }]
        };
        Self { shapes, env: joined(&items), mounts, devices }
    }

    /// Whether the container is twins.
    pub fn is_pair(&self) -> bool {
        self.shapes.len() > 1
    }

    /// The names in the pod.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.shapes.iter().map(|shape| &*shape.name)
    }

    /// The containers by name, with what they get from a pod.
    pub fn texts<'a>(&'a self, more: &More<'_>) -> impl Iterator<Item = (&'a str, String)> {
        self.shapes.iter().map(move |shape| (&*shape.name, self.text(shape, more)))
    }

    fn text(&self, shape: &Shape, more: &More<'_>) -> String {
        const BESIDE: usize = 128;
        let lists = [&more.env, &more.mounts, &more.devices];
        let given: usize = lists.into_iter().flatten().map(|item| item.len() + 1).sum();
        let own = self.env.len() + self.mounts.items.len() + self.devices.items.len();
        let of_shape = shape.head.len() + shape.versions.len();
        let resources = more.resources.as_ref().map_or(0, String::len);
        let mut text = String::with_capacity(of_shape + own + given + resources + BESIDE);
        text.push('{');
        text.push_str(&shape.head);
        text.push_str(r#""env":["#);
        text.push_str(&self.env);
        for variable in &more.env {
            text.push(',');
            text.push_str(variable);
        }
        text.push_str(&shape.versions);
        text.push(']');
        self.mounts.write(&mut text, r#","volumeMounts":"#, &more.mounts);
        self.devices.write(&mut text, r#","volumeDevices":"#, &more.devices);
        if let Some(resources) = &more.resources {
            text.push_str(r#","resources":"#);
            text.push_str(resources);
        }
        text.push('}');
        text
    }
}

impl Shape {
    fn twin(core: &Map<String, Value>, name: String, image: &str) -> Self {
        let mut core = core.clone();
        core.insert("name".to_owned(), json!(name));
        core.insert("image".to_owned(), json!(image));
        let versions = [
            (keys::SIDECARSET_VERSION_ENV, version_key(&name)),
            (keys::SIDECARSET_VERSION_ALT_ENV, version_alt_key(&name)),
        ];
        let versions = versions.map(|(variable, key)| {
            let path = format!("metadata.annotations['{key}']");
            let from = json!({ "fieldRef": { "fieldPath": path } });
            json!({ "name": variable, "valueFrom": from })
        });
        Self { name, head: head(&core), versions: format!(",{}", joined(&versions)) }
    }
}

impl List {
    fn of(given: Option<&Value>) -> Self {
        let items = joined(super::items(given));
        let empty = given.filter(|_| items.is_empty()).map(Value::to_string);
        Self { items, empty }
    }

    fn write(&self, text: &mut String, member: &str, more: &[&str]) {
        if self.items.is_empty() && more.is_empty() {
            if let Some(empty) = &self.empty {
                text.push_str(member);
                text.push_str(empty);
            }
            return;
        }
        text.push_str(member);
        text.push('[');
        text.push_str(&self.items);
        for (at, item) in more.iter().enumerate() {
            if at > 0 || !self.items.is_empty() {
                text.push(',');
            }
            text.push_str(item);
        }
        text.push(']');
    }
}

/// Members, each with a comma behind it.
fn head(members: &Map<String, Value>) -> String {
    let member = |(name, value): (&String, &Value)| format!("{}:{value},", json!(name));
    members.iter().map(member).collect::<Vec<_>>().concat()
}

fn joined(items: &[Value]) -> String {
    items.iter().map(Value::to_string).collect::<Vec<_>>().join(",")
}
