//! What an update has to do to the containers of a pod: that of the change, and what an earlier, unfinished update has
//! not done yet (W7).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kruise_api::shared::inplace::{GraceState, UpdateState};
use kruise_common::pod::Pod;
use serde_json::Value;

use crate::diff::{Change, EnvMetadata, MetadataChange};
use crate::metadata;
use crate::resize::{self, Resize};
use crate::state::{grace_state, update_state};

/// What is to change, by container.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Work {
    /// Images.
    pub images: BTreeMap<String, String>,
    /// Metadata that env reads.
    pub env: BTreeMap<String, EnvMetadata>,
    /// CPU and memory.
    pub resources: BTreeMap<String, Resize>,
}

/// What there is to do to `pod`: its metadata, and its containers.
pub(crate) fn pending(pod: &Pod, change: &Change, now: Timestamp) -> (MetadataChange, Work) {
    let grace = grace_state(pod).ok().flatten().unwrap_or_default();
    let state = update_state(pod).ok().flatten().unwrap_or_default();
    let mut work = Work::waiting(&grace);
    let unsent = state.container_resources.iter();
    let unsent = unsent
        .filter_map(|(name, asked)| Some((name, resize::unsent(pod, name, asked, Some(now))?)));
    work.resources.extend(unsent.map(|(name, resize)| (name.clone(), resize)));
    work.extend(Work::next(&state));
    let mut metadata = metadata::read_patch(&grace.meta_data_patch).unwrap_or_default();
    for read in change.env.values() {
        metadata.labels.retain(|key, _| !read.labels.contains_key(key));
        metadata.annotations.retain(|key, _| !read.annotations.contains_key(key));
    }
    let newer = &change.metadata;
    for read in work.env.values_mut() {
        read.labels.retain(|key, _| !newer.labels.contains_key(key));
        read.annotations.retain(|key, _| !newer.annotations.contains_key(key));
    }
    metadata.labels.extend(newer.labels.clone());
    metadata.annotations.extend(newer.annotations.clone());
    let (added, removed) = (&newer.finalizers_added, &newer.finalizers_removed);
    supersede(&mut metadata.finalizers_added, added, removed);
    supersede(&mut metadata.finalizers_removed, removed, added);
    work.extend(Work {
        images: change.images.clone(),
        env: change.env.clone(),
        resources: change.resources.clone(),
    });
    work.fit(pod, &mut metadata);
    (metadata, work)
}

/// Adds what is `new` to a list and takes out what is `undone`.
fn supersede(list: &mut Vec<String>, new: &[String], undone: &[String]) {
    list.retain(|item| !undone.contains(item) && !new.contains(item));
    list.extend_from_slice(new);
}

impl Work {
    /// What waits for the end of a grace period.
    pub fn waiting(grace: &GraceState) -> Self {
        Self {
            images: grace.container_images.clone(),
            env: read(&grace.container_ref_metadata, metadata::read_by_env),
            resources: read(&grace.container_resources, Resize::read),
        }
    }

    /// What waits for the next batches.
    pub fn next(state: &UpdateState) -> Self {
        Self {
            images: state.next_container_images.clone(),
            env: read(&state.next_container_ref_metadata, metadata::read_by_env),
            resources: read(&state.next_container_resources, Resize::read),
        }
    }

    /// Takes over newer work.
    fn extend(&mut self, newer: Self) {
        self.images.extend(newer.images);
        for (name, read) in newer.env {
            let known = self.env.entry(name).or_default();
            known.labels.extend(read.labels);
            known.annotations.extend(read.annotations);
        }
        for (name, resize) in newer.resources {
            self.resources.entry(name).or_default().extend(&resize);
        }
    }

    /// Drops images that the pod has, for which nothing would restart, and containers that it lacks; what env of those
    /// reads is metadata of the pod nevertheless.
    pub fn fit(&mut self, pod: &Pod, metadata: &mut MetadataChange) {
        self.images.retain(|name, image| {
            pod.container(name).is_some_and(|(_, container)| *container.image != **image)
        });
        self.resources.retain(|name, resize| pod.container(name).is_some() && !resize.is_empty());
        let value = |(key, value): (&String, &String)| (key.clone(), Some(value.clone()));
        self.env.retain(|name, read| {
            let there = pod.container(name).is_some();
            if !there {
                metadata.labels.extend(read.labels.iter().map(value));
                metadata.annotations.extend(read.annotations.iter().map(value));
            }
            there && !read.is_empty()
        });
    }

    /// Whether a container is restarted, by the kubelet or the node daemon.
    pub fn restarts(&self, pod: &Pod) -> bool {
        let resized = |(name, resize): (&String, &Resize)| {
            pod.container(name)
                .is_some_and(|(_, container)| resize.clone().not_set(container).restarts(container))
        };
        !self.images.is_empty() || !self.env.is_empty() || self.resources.iter().any(resized)
    }

    /// Splits off the next batch (§6.3, §6.4): containers without a launch priority and those of the highest, and with a
    /// container all that read the same metadata, which is the pod's.
    pub fn split(&mut self, pod: &Pod) -> (BTreeSet<String>, Self) {
        let all: BTreeSet<String> = self
            .images
            .keys()
            .chain(self.env.keys())
            .chain(self.resources.keys())
            .cloned()
            .collect();
        let priority =
            |name: &str| pod.container(name).and_then(|(_, container)| container.priority);
        let highest = all.iter().filter_map(|name| priority(name)).max();
        let (mut batch, mut rest): (BTreeSet<_>, BTreeSet<_>) = all
            .into_iter()
            .partition(|name| priority(name).is_none_or(|priority| Some(priority) == highest));
        loop {
            let shares =
                |name: &&String| batch.iter().any(|in_it| self.share_metadata(in_it, name));
            let joining: Vec<String> = rest.iter().filter(shares).cloned().collect();
            if joining.is_empty() {
                break;
            }
            rest.retain(|name| !joining.contains(name));
            batch.extend(joining);
        }
        let now = Self {
            images: split_off(&mut self.images, &batch),
            env: split_off(&mut self.env, &batch),
            resources: split_off(&mut self.resources, &batch),
        };
        (batch, now)
    }

    fn share_metadata(&self, a: &str, b: &str) -> bool {
        let (Some(a), Some(b)) = (self.env.get(a), self.env.get(b)) else { return false };
        a.labels.keys().any(|key| b.labels.contains_key(key))
            || a.annotations.keys().any(|key| b.annotations.contains_key(key))
    }
}

fn split_off<V>(map: &mut BTreeMap<String, V>, names: &BTreeSet<String>) -> BTreeMap<String, V> {
    let (now, later) = std::mem::take(map).into_iter().partition(|(name, _)| names.contains(name));
    *map = later;
    now
}

fn read<V>(map: &BTreeMap<String, Value>, one: impl Fn(&Value) -> V) -> BTreeMap<String, V> {
    map.iter().map(|(name, value)| (name.clone(), one(value))).collect()
}

/// The values of a map as an annotation holds them.
pub(crate) fn values<V>(
    map: &BTreeMap<String, V>,
    one: impl Fn(&V) -> Value,
) -> BTreeMap<String, Value> {
    map.iter().map(|(name, value)| (name.clone(), one(value))).collect()
}
