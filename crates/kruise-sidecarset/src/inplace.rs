//! One PATCH that changes the sidecars of a running pod (section 20): images and annotations, nothing else.
//!
//! It tests exactly what was decided upon: the images that it replaces, the annotations that it rewrites, the containers
//! whose restart it will wait for. Whatever else somebody writes to the pod at the same time, a kubelet or a workload
//! that updates its own containers, does not disturb it, and is not disturbed (platform §18.6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kruise_api::keys;
use kruise_api::shared::inplace::LastStatus;
use kruise_common::history::schema::{Kind as K, Members, Omit as O};
use kruise_common::history::{Form, encode_value};
use kruise_common::kind::POD;
use kruise_common::moment::Moment;
use kruise_common::pod::{Container, ContainerStatus, Phase, Pod};
use kruise_common::write::{Operations, Write};
use kruise_inplace::progress::{evidence, settle};
use serde_json::{Map, Value, json};

use crate::containers::{self, Entries, Entry, version_alt_key, version_key};
use crate::inject::metadata::patch_all;
use crate::member::{self, Member, injected, native, native_status, state};
use crate::pair::{Pair, Twin};
use crate::plan::hot_upgrade::{Move, Side};
use crate::snapshot::{Settings, Upgrade};

/// Where containers of a kind, and their statuses, stand in a pod.
#[derive(Clone, Copy)]
struct Lists {
    containers: &'static str,
    statuses: &'static str,
}

const PLAIN: Lists = Lists { containers: "containers", statuses: "containerStatuses" };
const NATIVE: Lists = Lists { containers: "initContainers", statuses: "initContainerStatuses" };

/// A rewrite of one pod that is being put together.
pub struct Rewrite<'a> {
    member: &'a Member,
    settings: &'a Settings,
    revision: &'a Arc<str>,
    version: u64,
    now: Timestamp,
    tests: Operations,
    changes: Operations,
    /// Containers that get another image, with what is recorded of them as they are now.
    replaced: BTreeMap<String, LastStatus>,
    /// Containers that stay as they are, with what is recorded of them now.
    settled: BTreeMap<Arc<str>, LastStatus>,
    working: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl<'a> Rewrite<'a> {
    /// Nothing changed yet; `revision` is the name of the set's revision, `version` the resource version of the set.
    pub fn new(
        member: &'a Member,
        settings: &'a Settings,
        (revision, version): (&'a Arc<str>, u64),
        now: Timestamp,
    ) -> Self {
        Self {
            member,
            settings,
            revision,
            version,
            now: Timestamp::from_second(now.as_second()).unwrap_or(now),
            tests: Operations::default(),
            changes: Operations::default(),
            replaced: BTreeMap::new(),
            settled: BTreeMap::new(),
            working: containers::working(&member.pod.annotations).unwrap_or_default(),
            annotations: BTreeMap::new(),
        }
    }

    /// Brings the pod to the set's images (INP-2…INP-7).
    pub fn update(mut self) -> Write {
        for sidecar in &self.settings.sidecars {
            match sidecar.upgrade {
                Upgrade::Cold => self.image(&sidecar.name, &sidecar.image),
                Upgrade::Native => self.native_image(&sidecar.name, &sidecar.image),
                Upgrade::Hot(_) => {}
            }
        }
        for pair in &self.member.pairs {
            match pair.next(true, false) {
                Move::Fill(Side::Working) => self.fill(pair, &pair.working, &pair.other),
                Move::Fill(Side::Other) => self.fill(pair, &pair.other, &pair.working),
                Move::TurnBack => self.give_up(pair),
                Move::Rest | Move::Wait | Move::Record | Move::Reset => {}
            }
        }
        self.record();
        self.patch_metadata();
        self.expect_down();
        self.finish()
    }

    /// A pod that does not serve costs nothing (UPD-24), so it must be as it was seen.
    fn expect_down(&mut self) {
        let pod = &self.member.pod;
        if pod.ready() || self.settings.cautious {
            return;
        }
        let tests = std::mem::take(&mut self.tests);
        let ready = pod.conditions.iter().enumerate().find(|(_, known)| *known.kind == *"Ready");
        self.tests = match (pod.phase, ready) {
            (Phase::Running, Some((at, ready))) => {
                let at = at.to_string();
                let path = |member| ["status", "conditions", &at, member];
                let tests = tests.test(&path("type"), "Ready");
                // Who serves needs no reason.
                match &*ready.reason {
                    "" => tests.test(&path("status"), "False"),
                    reason => tests.test(&path("reason"), reason),
                }
            }
            (Phase::Pending, _) => tests.test(&["status", "phase"], "Pending"),
            _ => tests.test(&["metadata", "resourceVersion"], &*pod.meta.resource_version),
        };
    }

    /// Refreshes the annotations that the set gives to pods (INP-7). What cannot be merged is left: the pod runs already.
    fn patch_metadata(&mut self) {
        if self.settings.patches.is_empty() {
            return;
        }
        let before = self.member.pod.annotations.to_map();
        let mut after = before.clone();
        if patch_all(&mut after, &self.settings.patches).is_err() {
            return;
        }
        let changed = after.into_iter().filter(|(key, value)| before.get(key) != Some(value));
        for (key, value) in changed {
            self.annotations.entry(key).or_insert(value);
        }
    }

    /// Gives the old sides of finished hot upgrades the empty image (HOT-22).
    pub fn reset(mut self) -> Write {
        for pair in &self.member.pairs {
            if pair.next(!self.member.updated, true) == Move::Reset {
                self.image(&pair.other.name, &pair.empty);
                self.annotate(version_key(&pair.other.name), "0".to_owned());
                self.annotate(version_alt_key(&pair.working.name), "0".to_owned());
            }
        }
        self.finish()
    }

    /// Gives up new sides that fail although the set wants the image of the old one.
    pub fn turn_back(mut self) -> Write {
        for pair in &self.member.pairs {
            if pair.next(!self.member.updated, false) == Move::TurnBack {
                self.give_up(pair);
            }
        }
        self.finish()
    }

    /// Containers that stay at an image overtaken run the wanted one, of which the runtime knows another name: that is
    /// written down, for no event will tell (inplace W27).
    pub fn settle(mut self) -> Write {
        let (member, now) = (self.member, self.now);
        let pod = &member.pod;
        let recorded = state(pod, &self.settings.name).and_then(|it| it.last_container_statuses);
        let mut recorded = recorded.unwrap_or_default();
        let due = member.overtaken.iter().filter(|(_, until)| *until <= now);
        for (name, _) in due {
            let native = native_status(pod, name).map(|status| (NATIVE, status));
            let status = pod.status(name).map(|status| (PLAIN, status)).or(native);
            if let Some((lists, status)) = status
                && let Some(mut last) = recorded.remove(&**name)
            {
                settle(status.1, &mut last, now);
                self.settled.insert(name.clone(), last);
                self.expect(lists, status);
            }
        }
        self.finish()
    }

    /// HOT-17. The version is that of the set, but never one that the sidecar has seen already (W-17).
    fn fill(&mut self, pair: &Pair, chosen: &Twin, twin: &Twin) {
        let seen = chosen.version.max(twin.version).unwrap_or(0);
        let version = self.version.max(seen.saturating_add(1)).to_string();
        let alt = self.member.pod.annotations.get(&version_key(&twin.name)).unwrap_or("0");
        self.image(&chosen.name, &pair.wanted);
        self.working.insert(pair.sidecar.clone(), chosen.name.to_string());
        self.annotate(version_alt_key(&chosen.name), alt.to_owned());
        self.annotate(version_key(&chosen.name), version.clone());
        self.annotate(version_alt_key(&twin.name), version);
    }

    /// The twin works again, the failing one is idle, and both versions say so (W-14).
    fn give_up(&mut self, pair: &Pair) {
        self.image(&pair.working.name, &pair.empty);
        self.working.insert(pair.sidecar.clone(), pair.other.name.to_string());
        self.annotate(version_key(&pair.working.name), "0".to_owned());
        self.annotate(version_alt_key(&pair.other.name), "0".to_owned());
    }

    fn annotate(&mut self, key: String, value: String) {
        self.annotations.insert(key, value);
    }

    /// Another image for a container; nothing if it has it.
    fn image(&mut self, name: &str, image: &str) {
        let pod = &self.member.pod;
        if let Some(container) = pod.container(name) {
            self.replace(PLAIN, container, (pod.status(name), image));
        }
    }

    /// Another image for a native sidecar; nothing if it has it.
    fn native_image(&mut self, name: &str, image: &str) {
        let pod = &self.member.pod;
        if let Some(container) = native(pod, name) {
            self.replace(NATIVE, container, (native_status(pod, name), image));
        }
    }

    fn replace(
        &mut self,
        lists: Lists,
        (at, container): (usize, &'a Container),
        (status, image): (Option<(usize, &'a ContainerStatus)>, &str),
    ) {
        if *container.image == *image {
            return;
        }
        let (pod, at) = (&self.member.pod, at.to_string());
        let path = |member| ["spec", lists.containers, &at, member];
        let tests = std::mem::take(&mut self.tests);
        self.tests =
            tests.test(&path("name"), &*container.name).test(&path("image"), &*container.image);
        let changes = std::mem::take(&mut self.changes);
        self.changes = changes.replace(&path("image"), image);
        if let Some(status) = status {
            self.expect(lists, status);
        }
        let earlier = member::state(pod, &self.settings.name);
        let before =
            status.map(|(_, status)| evidence(pod, (container, status), image, earlier.as_ref()));
        self.replaced.insert(container.name.to_string(), before.unwrap_or_default());
    }

    /// The container is the one that was seen: its restart is going to be told by its ID.
    fn expect(&mut self, lists: Lists, (at, status): (usize, &ContainerStatus)) {
        let id = ["status", lists.statuses, &at.to_string(), "containerID"];
        let known = Some(&*status.container_id).filter(|id| !id.is_empty());
        self.tests = std::mem::take(&mut self.tests).test(&id, known);
    }

    /// The record that the pod has the set's hash (INP-5). A record in the older form is brought into the newer one.
    fn record(&mut self) {
        let annotations = &self.member.pod.annotations;
        let own = Entry {
            updated: self.now,
            hash: self.settings.hashes.full.clone(),
            set: self.settings.name.to_string(),
            sidecars: self.settings.listed.clone(),
            revision: self.revision.to_string(),
        };
        let mut entries =
            Entries::parse(annotations.get(keys::SIDECARSET_HASH)).unwrap_or_default();
        entries.set(own);
        if let Ok(text) = entries.encode() {
            self.annotate(keys::SIDECARSET_HASH.to_owned(), text);
        }
        let without_image = annotations.get(keys::SIDECARSET_HASH_WITHOUT_IMAGE);
        if without_image.is_some_and(is_legacy)
            && let Ok(Ok(text)) = Entries::parse(without_image).map(|entries| entries.encode())
        {
            self.annotate(keys::SIDECARSET_HASH_WITHOUT_IMAGE.to_owned(), text);
        }
    }

    /// The whole patch: tests first, then images and annotations.
    fn finish(mut self) -> Write {
        let annotations = &self.member.pod.annotations;
        if let Some(state) = self.state() {
            self.annotations.insert(keys::SIDECARSET_INPLACE_UPDATE_STATE.to_owned(), state);
        }
        if !self.member.pairs.is_empty() {
            let text = containers::working_text(&self.working);
            if self.working != containers::working(annotations).unwrap_or_default() {
                self.annotations.insert(keys::SIDECARSET_WORKING_CONTAINER.to_owned(), text);
            }
        }
        let (mut tests, mut changes) = (self.tests, self.changes);
        for (key, value) in self.annotations {
            let old = annotations.get(&key);
            if old == Some(&*value) {
                continue;
            }
            let path = ["metadata", "annotations", &key];
            tests = tests.test(&path, old);
            changes = changes.add(&path, value);
        }
        Write::json(&POD, &self.member.pod.meta, tests.then(changes))
    }

    /// The state of in-place updates of all sets, with what ran before in the containers that change (INP-20). Records of
    /// other sets stay as they are; of ours what is no container of the set any more goes (W-23). One that nobody can read says
    /// nothing, and keeps ours from being written no more.
    fn state(&self) -> Option<String> {
        let text = self.member.pod.annotations.get(keys::SIDECARSET_INPLACE_UPDATE_STATE);
        let states: Option<Map<String, Value>> =
            text.and_then(|text| serde_json::from_str(text).ok());
        let mut states = states.unwrap_or_default();
        states.retain(|_, it| encode_value(&K::Struct(STATE), it, Form::Declared).is_ok());
        let mut own = match states.remove(&*self.settings.name) {
            Some(Value::Object(own)) => own,
            _ => Map::new(),
        };
        let mut last = match own.remove("lastContainerStatuses") {
            Some(Value::Object(last)) => last,
            _ => Map::new(),
        };
        last.retain(|name, _| self.names().any(|known| known == *name));
        // Of what settles the time is that of the update that is recorded.
        if !self.replaced.is_empty() || !own.contains_key("updateTimestamp") {
            let ended = self.member.told_by_time(self.settings);
            last.retain(|name, _| !ended.contains(&**name));
            own.insert("updateTimestamp".into(), json!(self.now.to_string()));
        }
        last.extend(self.replaced.iter().map(|(name, before)| (name.clone(), json!(before))));
        for (name, settled) in &self.settled {
            last.insert(name.to_string(), json!(settled));
        }
        if self.settled.is_empty() {
            own.insert("revision".into(), json!(self.settings.hashes.full));
        }
        own.insert("lastContainerStatuses".into(), Value::Object(last));
        states.insert(self.settings.name.to_string(), Value::Object(own));
        encode_value(&K::Map(&K::Struct(STATE)), &Value::Object(states), Form::Declared).ok()
    }

    /// Names of the set's containers in the pod.
    fn names(&self) -> impl Iterator<Item = String> {
        self.settings.sidecars.iter().flat_map(|sidecar| match sidecar.upgrade {
            Upgrade::Hot(_) => containers::twins(&sidecar.name).to_vec(),
            Upgrade::Cold | Upgrade::Native => vec![sidecar.name.clone()],
        })
    }
}

const STATE: Members = &[
    ("revision", K::String, O::Never),
    ("updateTimestamp", K::Time, O::Never),
    ("lastContainerStatuses", K::Map(&K::Struct(LAST)), O::Never),
];

const LAST: Members = &[
    ("imageID", K::String, O::Empty),
    ("containerID", K::String, O::Empty),
    ("superseded", K::String, O::Empty),
    ("mayStay", K::Bool, O::Empty),
    ("madeFrom", K::String, O::Empty),
    ("staysSince", K::String, O::Empty),
];

/// Whether an annotation has records in the older form (INJ-62).
fn is_legacy(text: &str) -> bool {
    let entries: Option<Map<String, Value>> = serde_json::from_str(text).ok();
    entries.is_some_and(|entries| entries.values().any(Value::is_string))
}

/// Says in the condition of the pod whether `set` can update it, or nothing of it (CND-2, CND-3); sets that are `silent`
/// have no say. Where the condition is there, exactly it is replaced, so that two sets cannot undo each other; where it is
/// not, the kubelet's conditions stay.
pub fn mark(
    pod: &Pod,
    (set, upgradable): (&str, Option<bool>),
    silent: &BTreeSet<Arc<str>>,
    now: Timestamp,
) -> Write {
    let kind = keys::SIDECARSET_UPGRADABLE;
    let known = pod.conditions.iter().enumerate().find(|(_, known)| *known.kind == *kind);
    let message = known.and_then(|(_, known)| known.message.as_deref());
    let mut said: BTreeMap<String, bool> =
        message.and_then(|message| serde_json::from_str(message).ok()).unwrap_or_default();
    // A set whose containers are not in the pod has no say any more.
    said.retain(|name, _| injected(pod, name) && !silent.contains(name.as_str()) && name != set);
    said.extend(upgradable.map(|upgradable| (set.to_owned(), upgradable)));
    let all = !said.values().any(|upgradable| !upgradable);
    let text = encode_value(&K::Map(&K::Bool), &json!(said), Form::Declared).unwrap_or_default();
    let kept = known.filter(|(_, known)| known.status == all).and_then(|(_, known)| known.since);
    let since = kept.map_or(now, Moment::timestamp);
    let condition = json!({
        "type": kind,
        "status": if all { "True" } else { "False" },
        "reason": if all { keys::ALL_SIDECARSET_UPGRADABLE } else { keys::UPDATE_IMMUTABLE_FIELD },
        "message": text,
        "lastTransitionTime": Timestamp::from_second(since.as_second()).unwrap_or(since).to_string(),
    });
    let Some((at, _)) = known else {
        let change = json!({ "status": { "conditions": [condition] } });
        return Write::strategic_status(&POD, &pod.meta, change);
    };
    let at = at.to_string();
    let operations = Operations::default()
        .test(&["status", "conditions", &at, "type"], kind)
        .test(&["status", "conditions", &at, "message"], message)
        .replace(&["status", "conditions", &at], condition);
    Write::json_status(&POD, &pod.meta, operations)
}
