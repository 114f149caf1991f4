//! Why nodes are not done: counters, and some of them by name (W17).

use std::collections::BTreeMap;

use kruise_api::broadcastjob::v1beta1::{BroadcastJobStatus, NodeCounts, UnfinishedNode};
use kruise_common::plan::Applied;

use super::number;
use super::refusal::Refused;
use crate::census::{Census, Place, Standing};
use crate::job_pod::JobPod;
use crate::mark::Mark;
use crate::nodes::Unfit;
use crate::plan::action::Action;

/// Most nodes in `status.unfinished`.
const UNFINISHED: usize = 20;
/// Most nodes in `status.failedNodes`.
const FAILED: usize = 50;
/// What containers wait for as long as all is well.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Writes counters and lists.
pub fn show(
    status: &mut BroadcastJobStatus,
    census: &Census,
    applied: &Applied<Action>,
    refused: &BTreeMap<Mark, Refused>,
) {
    let created =
        applied.done().filter(|action| matches!(action, Action::CreatePod { .. })).count();
    let count = |is: fn(&Place) -> bool| number(census.places.iter().filter(|p| is(p)).count());
    status.nodes = Some(NodeCounts {
        waiting: count(|place| place.standing == Standing::Waiting)
            .saturating_sub(number(created))
            .max(0),
        retrying: count(|place| matches!(place.standing, Standing::Retrying(_))),
        unscheduled: count(|place| {
            let unbound = |pod: &std::sync::Arc<JobPod>| pod.bound.is_none();
            place.standing == Standing::Active && place.pod.as_ref().is_some_and(unbound)
        }),
        terminating: count(|place| place.standing == Standing::Ending),
        ineligible: count(|place| matches!(place.standing, Standing::Ineligible(_))),
    });
    let mut troubled: Vec<(u8, UnfinishedNode)> =
        census.places.iter().filter_map(|place| trouble(place, refused.get(&place.mark))).collect();
    // By name among equals.
    troubled.sort_by_key(|(rank, _)| *rank);
    troubled.truncate(UNFINISHED);
    status.unfinished = troubled.into_iter().map(|(_, node)| node).collect();
    let failed = census.places.iter().filter(|place| place.standing == Standing::Failed);
    status.failed_nodes = failed.take(FAILED).map(|place| place.node.name().to_owned()).collect();
}

/// What keeps a node from being done, the most urgent with the lowest rank; `None` if all goes its way.
fn trouble(place: &Place, refused: Option<&Refused>) -> Option<(u8, UnfinishedNode)> {
    let entry = |rank: u8, reason: &str, message: Option<String>| {
        let node = place.node.name().to_owned();
        Some((rank, UnfinishedNode { node, reason: reason.to_owned(), message }))
    };
    match &place.standing {
        Standing::Waiting | Standing::Retrying(_) if place.pod.is_none() && refused.is_some() => {
            entry(0, "CreationRefused", refused.map(|refused| refused.message.clone()))
        }
        Standing::Active => match place.pod.as_ref().and_then(|pod| stuck(pod)) {
            Some(reason) => entry(0, &reason, None),
            None => None,
        },
        Standing::Ending => entry(1, "Terminating", None),
        Standing::Disrupted => entry(1, "Disrupted", None),
        Standing::Retrying(_) => entry(2, "Retrying", None),
        // A node that the template does not ask for is no news, and there may be thousands of them.
        Standing::Ineligible(why @ (Unfit::Name | Unfit::Affinity)) => {
            entry(4, why.reason(), Some(why.to_string()))
        }
        Standing::Ineligible(why) => entry(3, why.reason(), Some(why.to_string())),
        Standing::Waiting | Standing::Succeeded | Standing::Failed => None,
    }
}

/// Why a pod at work does not get on. The scheduler's own words change all the time, its reason does not.
fn stuck(pod: &JobPod) -> Option<String> {
    if pod.bound.is_none() {
        let refused = pod.conditions.iter().any(|condition| {
            *condition.kind == *"PodScheduled" && *condition.reason == *"Unschedulable"
        });
        return refused.then(|| "Unschedulable".to_owned());
    }
    let waiting = &*pod.waiting;
    (!waiting.is_empty() && !STARTING.contains(&waiting)).then(|| waiting.to_owned())
}
