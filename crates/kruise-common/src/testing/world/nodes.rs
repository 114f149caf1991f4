//! What goes on in the cluster beside the API server: scheduler, volumes, kubelets, garbage collector.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use simnode::kubelet::Known;
use simnode::wire::SimPod;

use super::{GROWS, Growth, World, meta, rules, second, set};
use crate::key::ObjectKey;
use crate::kind::{CLAIM, Kind, NODE, POD};
use crate::testing::merge;

impl World {
    /// Lets scheduler, volumes, kubelets and garbage collector act at the present time; says whether anything changed.
    pub fn nodes(&mut self) -> bool {
        let before = self.version;
        let objects = self.objects.len();
        self.bind_claims();
        let pods: Vec<ObjectKey> = self.keys(&POD);
        let nodes: BTreeSet<String> =
            self.keys(&NODE).iter().map(|node| node.name.to_string()).collect();
        for key in pods {
            self.run_pod(&key, &nodes);
        }
        self.collect_garbage();
        self.protect_claims();
        before != self.version || objects != self.objects.len()
    }

    /// Lets terminating claims go that no pod on a node uses, as the controller that protects them does.
    pub fn protect_claims(&mut self) {
        let used = self.used_claims();
        for key in self.keys(&CLAIM).into_iter().filter(|key| !used.contains(key)) {
            self.edit(&CLAIM, &key, |claim| {
                if meta(claim, "deletionTimestamp").is_none() {
                    return;
                }
                if let Some(list) =
                    claim.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut)
                {
                    list.retain(|finalizer| finalizer != rules::PROTECTION);
                }
            });
        }
    }

    /// Lets a container die and start again before its kubelet sees anything that was changed since it last acted.
    pub fn crash(&mut self, key: &ObjectKey, container: &str) {
        let Some(mut object) = self.get(&POD, key).cloned() else { return };
        let Ok(pod) = serde_json::from_value::<SimPod>(object.clone()) else { return };
        let (now, serial) = (self.now, &mut self.serial);
        let Some(kubelet) = self.kubelets.get_mut(pod.uid()) else { return };
        let status = kubelet.crash(&pod, container, now, &mut || {
            *serial += 1;
            format!("container-{serial}")
        });
        if let Some(status) = status {
            merge::strategic(&mut object, &json!({ "status": status }));
            self.store(&POD, key, object);
        }
    }

    /// When a kubelet will act by itself.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let growing = self.list(&CLAIM).filter_map(|claim| grows(claim, self.growth));
        self.wake.values().copied().chain(growing).filter(|at| *at > self.now).min()
    }

    fn keys(&self, kind: &'static Kind) -> Vec<ObjectKey> {
        self.objects.keys().filter(|(k, _)| *k == kind).map(|(_, key)| key.clone()).collect()
    }

    fn bind_claims(&mut self) {
        let used = self.used_claims();
        let (now, growth) = (self.now, self.growth);
        for key in self.keys(&CLAIM) {
            let in_use = used.contains(&key);
            self.edit(&CLAIM, &key, |claim| {
                let size = claim.pointer("/spec/resources/requests").cloned().unwrap_or_default();
                let bound = claim.pointer("/status/phase") == Some(&json!("Bound"));
                let before = claim.pointer("/status/capacity").cloned();
                // Bound when its pod has a node, as the claims of a class with `WaitForFirstConsumer` are.
                if !bound && !in_use {
                    return;
                }
                if bound && (before.as_ref() == Some(&size) || growth == Growth::Never) {
                    return;
                }
                let status =
                    if !bound || !in_use || grows(claim, growth).is_some_and(|at| at <= now) {
                        json!({ "phase": "Bound", "capacity": size })
                    } else if claim.pointer("/status/conditions").is_some() {
                        return;
                    } else {
                        let pending = json!({
                            "type": "FileSystemResizePending", "status": "True",
                            "lastTransitionTime": second(now),
                        });
                        json!({ "phase": "Bound", "capacity": before, "conditions": [pending] })
                    };
                if let Some(claim) = claim.as_object_mut() {
                    claim.insert("status".into(), status);
                }
            });
        }
    }

    /// Claims that pods on a node use.
    fn used_claims(&self) -> BTreeSet<ObjectKey> {
        self.objects
            .iter()
            .filter(|((kind, _), pod)| *kind == &POD && pod.pointer("/spec/nodeName").is_some())
            .flat_map(|((_, key), pod)| claims_of(pod).map(|name| key.sibling(name)))
            .collect()
    }

    /// A cluster without Node objects has one node that takes every pod.
    fn run_pod(&mut self, key: &ObjectKey, nodes: &BTreeSet<String>) {
        let Some(mut object) = self.get(&POD, key).cloned() else { return };
        let exists = |node: &str| nodes.is_empty() || nodes.contains(node);
        if object.pointer("/spec/nodeName").is_none() {
            let terminating = meta(&object, "deletionTimestamp").is_some();
            if terminating || !self.claims_serve(&object, key) {
                return;
            }
            let node = pinned(&object).unwrap_or("node-0").to_owned();
            if !exists(&node) {
                return;
            }
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                spec.insert("nodeName".into(), json!(node));
            }
        }
        if !object.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(exists) {
            // Nobody is there to run or to end it: the pod garbage collector takes it away.
            set(&mut object, "deletionTimestamp", json!(second(self.now)));
            set(&mut object, "deletionGracePeriodSeconds", json!(0));
            self.store(&POD, key, object);
            return;
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
        if work.gone {
            // Nothing is left to wait for; finalizers may still hold it.
            set(&mut object, "deletionGracePeriodSeconds", json!(0));
        }
        if let Some(status) = work.status {
            merge::strategic(&mut object, &json!({ "status": status }));
        }
        self.store(&POD, key, object);
    }

    /// No scheduler binds a pod to a claim that is missing or goes.
    fn claims_serve(&self, pod: &Value, key: &ObjectKey) -> bool {
        let stays = |claim: &Value| meta(claim, "deletionTimestamp").is_none();
        claims_of(pod).all(|name| self.get(&CLAIM, &key.sibling(name)).is_some_and(stays))
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

/// When the file system of a claim will have grown under its pod.
fn grows(claim: &Value, growth: Growth) -> Option<Timestamp> {
    let since = claim.pointer("/status/conditions/0/lastTransitionTime").and_then(Value::as_str)?;
    let since = since.parse::<Timestamp>().ok().filter(|_| growth == Growth::Online)?;
    since.checked_add(GROWS).ok()
}

/// The only node on which a pod may run.
fn pinned(pod: &Value) -> Option<&str> {
    let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    pod.pointer(terms)?.pointer("/0/matchFields/0/values/0")?.as_str()
}

/// Names of the claims that a pod uses.
fn claims_of(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
    volumes.into_iter().flatten().filter_map(|volume| {
        volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str)
    })
}
