//! One pod in an API server, with or without a kubelet that acts on it.

use jiff::{SignedDuration, Timestamp};
use kruise_common::key::ObjectKey;
use kruise_common::kind::POD;
use kruise_common::pod::Pod;
use kruise_common::testing::world::World;
use kruise_common::write::Write;
use serde_json::Value;

use super::pod::{Builder, now, read, reported};

#[derive(Clone)]
pub struct Cluster {
    pub world: World,
    key: ObjectKey,
}

impl Cluster {
    pub fn new(pod: &Builder) -> Self {
        let mut world = World::new(now());
        let key = world.insert(&POD, pod.value());
        Self { world, key }
    }

    pub fn pod(&self) -> Pod {
        read(self.world.get(&POD, &self.key).unwrap())
    }

    /// The stored object.
    pub fn value(&self) -> &Value {
        self.world.get(&POD, &self.key).unwrap()
    }

    /// Performs writes, all of which must hold.
    pub fn perform(&mut self, writes: &[Write]) {
        for write in writes {
            self.world.perform(write).unwrap();
        }
    }

    /// Changes the pod as somebody else does.
    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        self.world.edit(&POD, &self.key, change);
    }

    /// Lets the node daemon report, as after a look into every container.
    pub fn report(&mut self) {
        self.edit(|pod| {
            let report = reported(pod).to_string();
            pod["metadata"]["annotations"]["apps.kruise.io/runtime-containers-meta"] =
                report.into();
        });
    }

    /// A container dies and starts again before the kubelet sees what was changed meanwhile.
    pub fn crash(&mut self, container: &str) {
        self.world.crash(&self.key, container);
    }

    /// Lets the kubelet act for some seconds.
    pub fn run(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.world.now = later(self.world.now);
            while self.world.nodes() {}
        }
    }
}

fn later(time: Timestamp) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(1)).unwrap()
}
