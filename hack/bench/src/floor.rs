//! The floor: how long the writes of a bench would take at the raw rates of this server. Arithmetic only.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Writes by what they cost; a number per pod or in total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Writes {
    /// Pods created.
    pub create: f64,
    /// Pods bound to a node.
    pub bind: f64,
    /// Patches of `pods/status`.
    pub status: f64,
    /// Patches of pods.
    pub patch: f64,
    /// Deletions of pods.
    pub delete: f64,
}

/// Raw rates of the API server, writes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Creates of pods.
    pub create: f64,
    /// Bindings.
    pub bind: f64,
    /// Patches of `pods/status`.
    pub status: f64,
    /// Patches of pods.
    pub patch: f64,
    /// Deletions of pods.
    pub delete: f64,
}

/// Shortest time for a bench, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Floor {
    /// With the writes of the simulated nodes.
    pub all: f64,
    /// With the contestant's own writes only.
    pub own: f64,
}

impl Writes {
    /// Sum of all writes.
    pub fn total(&self) -> f64 {
        self.create + self.bind + self.status + self.patch + self.delete
    }

    /// Seconds that they take at these rates; a rate that was not measured (0) costs nothing.
    pub fn seconds(&self, rates: &Rates) -> f64 {
        let cost = |writes: f64, rate: f64| if rate > 0.0 { writes / rate } else { 0.0 };
        cost(self.create, rates.create)
            + cost(self.bind, rates.bind)
            + cost(self.status, rates.status)
            + cost(self.patch, rates.patch)
            + cost(self.delete, rates.delete)
    }
}

/// Floor for `size` pods with `own` writes each by the contestant and `nodes` writes in total by the nodes.
pub fn floor(rates: &Rates, size: u32, (own, nodes): (&Writes, &Writes), delay: Duration) -> Floor {
    let own = f64::from(size) * own.seconds(rates) + delay.as_secs_f64();
    Floor { all: own + nodes.seconds(rates), own }
}
