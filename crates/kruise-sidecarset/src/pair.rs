//! The two containers of a hot sidecar in a pod (section 15): which one works, and what runs in them.

use std::sync::Arc;

use kruise_common::pod::{Container, ContainerStatus, Pod};

use crate::containers::{version_key, working_and_other};
use crate::plan::hot_upgrade::{State, Target};
use crate::snapshot::Sidecar;

/// The twins of a hot sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Index of the sidecar in the set's containers.
    pub sidecar: String,
    /// The twin that works: the new side while an upgrade runs.
    pub working: Twin,
    /// Its twin: the old side while an upgrade runs, else the idle one.
    pub other: Twin,
    /// The image that the set wants to work.
    pub wanted: String,
    /// The image of a twin that does not work.
    pub empty: String,
}

/// One of two twins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    /// Name of the container.
    pub name: Arc<str>,
    /// Its image.
    pub image: Arc<str>,
    /// Whether it is ready and runs what it was last told to.
    pub ok: bool,
    /// Its version as annotated; 0 says that it does not work.
    pub version: Option<u64>,
}

impl Pair {
    /// The twins in `pod`, or `None` if one is missing (STA-2); `working` is what the map says.
    pub fn new(
        pod: &Pod,
        sidecar: &Sidecar,
        (empty, working): (&str, &str),
        done: &impl Fn(&Container, &ContainerStatus) -> bool,
    ) -> Option<Self> {
        let [working, other] = working_and_other(&sidecar.name, Some(working));
        let twin = |name: &str| {
            let (_, container) = pod.container(name)?;
            let status = pod.status(name).map(|(_, status)| status);
            let version = pod.annotations.get(&version_key(name));
            Some(Twin {
                name: container.name.clone(),
                image: container.image.clone(),
                ok: status.is_some_and(|status| status.ready && done(container, status)),
                version: version.and_then(|version| version.parse().ok()),
            })
        };
        Some(Self {
            sidecar: sidecar.name.clone(),
            working: twin(&working)?,
            other: twin(&other)?,
            wanted: sidecar.image.clone(),
            empty: empty.to_owned(),
        })
    }

    /// What the twins are to each other. A twin of version 0 does not work, whatever image it runs: after a change of the
    /// empty image the old one stays (W-13).
    pub fn state(&self) -> State {
        let idle = |twin: &Twin| *twin.image == *self.empty || twin.version == Some(0);
        if idle(&self.other) {
            State::Idle
        } else if *self.working.image == *self.empty {
            State::Vacant
        } else {
            State::Switching
        }
    }

    /// Which twin has the image that the set wants.
    pub fn target(&self) -> Target {
        if *self.working.image == *self.wanted {
            Target::Working
        } else if *self.other.image == *self.wanted {
            Target::Other
        } else {
            Target::Neither
        }
    }

    /// Whether the idle twin is idle (STA-10a).
    pub fn rests(&self) -> bool {
        self.empty.is_empty() || self.state() == State::Idle
    }
}
