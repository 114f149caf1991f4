//! Numbers of jobs that are exported: how far the nodes of all open jobs are, and how long jobs took.

use jiff::Timestamp;
use kruise_common::plan::{Measure, Sample};

use crate::census::{Place, Standing};
use crate::plan::action::{Action, Ending};
use crate::snapshot::Snapshot;

/// How far the nodes of an open job are; nothing of a job that is over.
pub fn measures(snapshot: &Snapshot) -> Vec<Measure> {
    if snapshot.job.finished() {
        return Vec::new();
    }
    let census = snapshot.census();
    let count = |is: fn(&Standing) -> bool| {
        census.places.iter().filter(|place: &&Place| is(&place.standing)).count()
    };
    let (succeeded, failed) = census.results();
    let states = [
        ("waiting", count(|at| matches!(at, Standing::Waiting | Standing::Disrupted))),
        ("retrying", count(|at| matches!(at, Standing::Retrying(_)))),
        ("active", count(|at| matches!(at, Standing::Active | Standing::Ending))),
        ("ineligible", count(|at| matches!(at, Standing::Ineligible(_)))),
        ("succeeded", succeeded),
        ("failed", failed),
    ];
    let measure = |(state, count): (&'static str, usize)| Measure {
        name: "kruise_broadcastjob_nodes",
        help: "Nodes of all open jobs, by how far they are.",
        label: "state",
        value: state,
        amount: f64::from(u32::try_from(count).unwrap_or(u32::MAX)),
    };
    states.into_iter().map(measure).collect()
}

/// How long the job took that has just ended.
pub fn samples(snapshot: &Snapshot, action: &Action, now: Timestamp) -> Vec<Sample> {
    let Action::Finish(ending) = action else { return Vec::new() };
    let result = match ending {
        Ending::Complete => "completed",
        Ending::FailedPod => "failed",
        Ending::Deadline => "deadline",
    };
    vec![Sample {
        name: "kruise_broadcastjob_duration_seconds",
        help: "From the first look at a job to its end.",
        label: "result",
        value: result,
        seconds: now.duration_since(snapshot.started(now)).as_secs_f64().max(0.0),
    }]
}
