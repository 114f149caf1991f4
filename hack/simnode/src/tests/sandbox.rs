//! A pod and its kubelet, with an API server in between that keeps what the kubelet writes.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::kubelet::{Delays, Known, Work};
use crate::wire::SimPod;

/// Containers start in 2 seconds, pods stop in 3.
pub const DELAYS: Delays =
    Delays { start: SignedDuration::from_secs(2), stop: SignedDuration::from_secs(3) };

/// The beginning.
pub const BEGIN: &str = "2026-01-01T00:00:00Z";

pub struct Sandbox {
    pub pod: Value,
    pub known: Known,
    pub now: Timestamp,
    ids: u32,
}

impl Sandbox {
    /// A pod with these containers (name and image), and what `spec` adds.
    pub fn new(containers: &[(&str, &str)], spec: &Value) -> Self {
        let containers: Vec<Value> = containers
            .iter()
            .map(|(name, image)| json!({ "name": name, "image": image }))
            .collect();
        let mut pod = json!({
            "metadata": { "name": "a", "namespace": "default", "uid": "1", "annotations": {} },
            "spec": { "nodeName": "sim-0", "restartPolicy": "Always", "containers": containers },
            "status": { "phase": "Pending" },
        });
        for (member, value) in spec.as_object().into_iter().flatten() {
            pod["spec"][member] = value.clone();
        }
        let now = BEGIN.parse().unwrap();
        let known = Known::new(&read(&pod), "10.0.0.7".to_owned(), now, &DELAYS);
        Self { pod, known, now, ids: 0 }
    }

    /// One container `app` that has started.
    pub fn running() -> Self {
        let mut sandbox = Self::new(&[("app", "example.com/app:1")], &json!({}));
        sandbox.step();
        sandbox.after(2);
        assert_eq!(sandbox.condition("Ready")["status"], "True");
        sandbox
    }

    /// The kubelet's process ends, and another starts.
    pub fn restart_kubelet(&mut self) {
        self.known = Known::new(&read(&self.pod), "10.0.0.7".to_owned(), self.now, &DELAYS);
    }

    /// One step; what it says is stored.
    pub fn step(&mut self) -> Work {
        let ids = &mut self.ids;
        let mut id = || {
            *ids += 1;
            format!("{ids}")
        };
        let work = self.known.step(&read(&self.pod), self.now, &DELAYS, &mut id);
        if let Some(status) = &work.status {
            self.store(status);
        }
        work
    }

    /// A container dies before the kubelet takes another step.
    pub fn crash(&mut self, name: &str) {
        let ids = &mut self.ids;
        let mut id = || {
            *ids += 1;
            format!("{ids}")
        };
        let status = self.known.crash(&read(&self.pod), name, self.now, &mut id);
        self.store(&status.unwrap());
    }

    /// A step `seconds` later.
    pub fn after(&mut self, seconds: i64) -> Work {
        self.now += SignedDuration::from_secs(seconds);
        self.step()
    }

    pub fn annotate(&mut self, key: &str, value: &str) {
        self.pod["metadata"]["annotations"][key] = json!(value);
    }

    pub fn set_image(&mut self, at: usize, image: &str) {
        self.pod["spec"]["containers"][at]["image"] = json!(image);
    }

    /// Somebody writes a condition.
    pub fn set_condition(&mut self, kind: &str, status: &str) {
        self.store(&json!({ "conditions": [{ "type": kind, "status": status }] }));
    }

    pub fn condition(&self, kind: &str) -> Value {
        let list = self.pod["status"]["conditions"].as_array().into_iter().flatten();
        list.into_iter().find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
    }

    pub fn container(&self, at: usize) -> &Value {
        &self.pod["status"]["containerStatuses"][at]
    }

    /// Why a container does not run.
    pub fn waits(&self, at: usize) -> &Value {
        &self.container(at)["state"]["waiting"]["reason"]
    }

    /// Strategic merge: conditions by type, all else is replaced.
    fn store(&mut self, status: &Value) {
        for (member, value) in status.as_object().unwrap() {
            if member != "conditions" {
                self.pod["status"][member] = value.clone();
                continue;
            }
            for new in value.as_array().unwrap() {
                let stored = &mut self.pod["status"]["conditions"];
                if stored.is_null() {
                    *stored = json!([]);
                }
                let list = stored.as_array_mut().unwrap();
                match list.iter_mut().find(|known| known["type"] == new["type"]) {
                    Some(known) => {
                        for (member, value) in new.as_object().unwrap() {
                            known[member] = value.clone();
                        }
                    }
                    None => list.push(new.clone()),
                }
            }
        }
    }
}

fn read(pod: &Value) -> SimPod {
    serde_json::from_value(pod.clone()).unwrap()
}
