//! Sets that are about to be stored. Pods are asked about for them before they are: whoever creates a set and its pods in
//! one breath finds the pods injected.
//!
//! Whoever accepts a set announces it to all other replicas, in an annotation of the webhook configuration
//! ([`Admission::announces`](kruise_common::admission::Admission::announces)): one of them registers the hooks, and any may be
//! asked about a pod before it sees the set.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_api::sidecarset::v1beta1::SidecarSetSpec;
use serde::{Deserialize, Serialize};

use crate::choose::Newcomer;
use crate::matching::{Matcher, Reach};

/// How long a set is asked for that is not seen stored.
const KEPT: SignedDuration = SignedDuration::from_secs(10);
/// How long API servers take to ask by hooks that are seen registered: each hears of them by a watch of its own.
const SPREAD: SignedDuration = SignedDuration::from_millis(150);
/// For how long pods wait for a set that they are asked about for: it is stored by then, or something else refused it.
const STORED: SignedDuration = SignedDuration::from_secs(2);
/// How many sets are announced at the same time, and bytes of what is said of them; further ones are asked for once they are
/// stored.
const MOST: (usize, usize) = (64, 16 << 10);

/// Which pods a set is about.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct About {
    /// Name of the set.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    selector: Option<LabelSelector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_selector: Option<LabelSelector>,
}

impl About {
    /// What a spec says; `None` if its pods are not asked about.
    pub fn new(name: &str, spec: &SidecarSetSpec) -> Option<Self> {
        let injects = !spec.injection_strategy.paused && spec.selector.is_some();
        injects.then(|| Self {
            name: name.to_owned(),
            selector: spec.selector.clone(),
            namespace: spec.namespace.clone(),
            namespace_selector: spec.namespace_selector.clone(),
        })
    }

    /// As much of a spec as it says.
    fn spec(&self) -> SidecarSetSpec {
        SidecarSetSpec {
            selector: self.selector.clone(),
            namespace: self.namespace.clone(),
            namespace_selector: self.namespace_selector.clone(),
            ..SidecarSetSpec::default()
        }
    }

    /// Kept until `until`. Nothing, if it cannot be used: a selector that the API server refuses would take the hooks of all
    /// sets with it (platform P1).
    fn entry(self, until: Timestamp, heard: bool) -> Option<Entry> {
        let matcher = Matcher::new(&self.spec()).ok()?;
        Some(Entry { about: self, matcher, until, said: until, stage: Stage::New, heard })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// No hooks were made with it.
    New,
    /// Hooks were made with it.
    Offered,
    /// They are registered since then.
    Registered(Timestamp),
    /// The set was seen stored, and speaks for itself. Remembered so that the announcement is not heard once more.
    Stored,
}

#[derive(Debug)]
struct Entry {
    about: About,
    matcher: Matcher,
    until: Timestamp,
    /// Until when whoever announced it said; of two announcements of a set the later one counts.
    said: Timestamp,
    stage: Stage,
    /// Another replica announced it.
    heard: bool,
}

/// An announcement on its way to another replica.
#[derive(Deserialize, Serialize)]
struct Message {
    until: Timestamp,
    set: About,
}

/// Sets that are about to be stored.
#[derive(Debug, Default)]
pub struct Announced {
    entries: Mutex<Vec<Entry>>,
}

impl Announced {
    /// Takes in a set that is about to be stored; whether there is nothing to wait for: its pods are asked about, or never
    /// will be.
    pub fn announce(&self, about: About, now: Timestamp) -> bool {
        let mut entries = self.alive(now);
        let known = |entry: &&Entry| entry.about == about && entry.stage != Stage::Stored;
        if let Some(known) = entries.iter().find(known) {
            return matches!(known.stage, Stage::Registered(since) if now >= after(since, SPREAD));
        }
        // What was announced of the set before is overtaken.
        entries.retain(|entry| entry.about.name != about.name);
        let Some(entry) = about.entry(later(now), false) else { return true };
        if waiting(&entries).count() < MOST.0 {
            entries.push(entry);
        }
        false
    }

    /// Sets that are seen as they were announced are not waited for any more: what is stored later says more.
    pub fn arrived(&self, stored: impl Fn(&About) -> bool) {
        for entry in &mut *self.lock() {
            if entry.stage != Stage::Stored && stored(&entry.about) {
                entry.stage = Stage::Stored;
            }
        }
    }

    /// When the next set is not waited for any more.
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        waiting(&self.alive(now)).map(|entry| entry.until).min()
    }

    /// Whether a set that is about to be stored is about a pod.
    pub fn awaits(&self, pod: &Newcomer<'_>, now: Timestamp) -> bool {
        waiting(&self.alive(now)).any(|entry| {
            if matches!(entry.stage, Stage::Registered(since) if now >= after(since, STORED)) {
                return false;
            }
            let reach = || entry.matcher.reach(pod.namespace, pod.namespace_labels);
            entry.matcher.selects(pod.labels) && reach() != Reach::Outside
        })
    }

    /// What hooks that are made now have to be about besides stored sets.
    pub fn offer(&self, now: Timestamp) -> Vec<SidecarSetSpec> {
        let mut entries = self.alive(now);
        for entry in &mut *entries {
            entry.stage = entry.stage.max(Stage::Offered);
        }
        waiting(&entries).map(|entry| entry.about.spec()).collect()
    }

    /// The hooks that were made last are registered.
    pub fn registered(&self, now: Timestamp) {
        for entry in &mut *self.lock() {
            if entry.stage == Stage::Offered {
                entry.stage = Stage::Registered(now);
            }
        }
    }

    /// What other replicas have to be told: also once hooks are registered, for the last one may not have heard yet.
    pub fn message(&self, now: Timestamp) -> Option<String> {
        let entries = self.alive(now);
        let own = waiting(&entries).filter(|it| !it.heard);
        let message = |it: &Entry| Message { until: it.until, set: it.about.clone() };
        let mut room = MOST.1;
        let own = own.filter_map(|it| serde_json::to_string(&message(it)).ok()).filter(|text| {
            let fits = text.len() < room;
            room -= if fits { text.len() } else { 0 };
            fits
        });
        let own: Vec<String> = own.collect();
        (!own.is_empty()).then(|| format!("[{}]", own.join(",")))
    }

    /// Takes in what another replica tells; what cannot be read or used is passed over.
    pub fn hear(&self, text: &str, now: Timestamp) {
        let messages: Vec<Message> = serde_json::from_str(text).unwrap_or_default();
        let mut entries = self.alive(now);
        for Message { until: said, set } in messages {
            let until = said.min(later(now));
            // What was announced later, of the same set, says more.
            let known = |it: &Entry| it.about.name == set.name && it.said >= said;
            let full = waiting(&entries).count() >= MOST.0;
            if until <= now || full || entries.iter().any(known) {
                continue;
            }
            entries.retain(|entry| entry.about.name != set.name);
            entries.extend(set.entry(until, true).map(|entry| Entry { said, ..entry }));
        }
    }

    fn alive(&self, now: Timestamp) -> MutexGuard<'_, Vec<Entry>> {
        let mut entries = self.lock();
        entries.retain(|entry| entry.until > now);
        entries
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those that are not seen stored yet.
fn waiting(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.stage != Stage::Stored)
}

fn later(now: Timestamp) -> Timestamp {
    after(now, KEPT)
}

fn after(time: Timestamp, wait: SignedDuration) -> Timestamp {
    time.checked_add(wait).unwrap_or(time)
}
