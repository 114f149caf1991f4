//! What a watch told of one pod, in words that two nodes can have in common.

use std::fmt;

use serde_json::Value;

/// The statuses of a pod, one after the other: in full, and what is compared of them.
pub struct Sequence {
    full: Vec<String>,
    settled: Vec<String>,
}

impl Sequence {
    /// Of what a watch told.
    pub fn of(seen: &[Option<Value>]) -> Self {
        let mut ids = Vec::new();
        let mut full: Vec<String> = seen
            .iter()
            .map(|pod| pod.as_ref().map_or_else(|| "gone".to_owned(), |pod| line(pod, &mut ids)))
            .collect();
        full.dedup();
        let mut settled: Vec<String> = seen
            .iter()
            .filter_map(|pod| pod.as_ref().map_or_else(|| Some("gone".to_owned()), settled))
            .collect();
        settled.dedup();
        Self { full, settled }
    }

    /// What has to be the same on every node: the statuses between which a pod stays until something happens to it. How
    /// many of those in between are seen is a matter of time, also on one node.
    pub fn settled(&self) -> &[String] {
        &self.settled
    }
}

/// A status in which nothing is under way; the image counts while it runs, restarts while nothing fails.
fn settled(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    let phase = text(status, "phase");
    let ended = ["Succeeded", "Failed"].contains(&phase);
    let going = pod["metadata"]["deletionTimestamp"].is_string();
    if going || status["containerStatuses"].is_null() {
        return (going && !ended).then(|| "to be deleted".to_owned());
    }
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    let containers: Option<Vec<String>> = list("containerStatuses").iter().map(rests).collect();
    let ready = list("conditions").into_iter().find(|condition| condition["type"] == "Ready");
    let ready = ready.as_ref().map(condition).unwrap_or_default();
    let only = containers?.join(" ");
    // A container that only ends runs for a moment before.
    (ended || !only.contains(":exit-")).then(|| format!("{phase} {ready} {only}"))
}

fn rests(status: &Value) -> Option<String> {
    let (name, state) = (text(status, "name"), &status["state"]);
    let tag = text(status, "image").rsplit(':').next().unwrap_or_default();
    let waits = text(&state["waiting"], "reason");
    if state["running"].is_object() && status["ready"] == true && tag != "crash" {
        let limit = &status["resources"]["limits"]["cpu"];
        return Some(format!("{name}:{tag} restarts {} limit {limit}", status["restartCount"]));
    }
    if state["terminated"].is_object() && tag.starts_with("exit-") {
        return Some(format!("{name}:{tag} ended with {}", state["terminated"]["exitCode"]));
    }
    ["ImagePullBackOff", "CrashLoopBackOff"].contains(&waits).then(|| format!("{name} {waits}"))
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.full.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn line(pod: &Value, ids: &mut Vec<String>) -> String {
    let status = &pod["status"];
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    let mut conditions: Vec<String> = list("conditions").iter().map(condition).collect();
    conditions.sort();
    let containers: Vec<String> =
        list("containerStatuses").iter().map(|status| container(status, ids)).collect();
    let ends = if pod["metadata"]["deletionTimestamp"].is_null() { "" } else { " deleted" };
    let ip = if status["podIP"].is_string() { " ip" } else { "" };
    format!(
        "{}{ends}{ip} g{}/{} {} | {} | {}",
        text(status, "phase"),
        status["observedGeneration"],
        pod["metadata"]["generation"],
        text(status, "reason"),
        conditions.join(" "),
        containers.join(" ")
    )
}

fn condition(condition: &Value) -> String {
    let (kind, status, reason) =
        (text(condition, "type"), text(condition, "status"), text(condition, "reason"));
    let on = if status == "True" { '+' } else { '-' };
    format!("{on}{kind}({reason})")
}

/// IDs are told by when they were first seen.
fn id(value: &str, ids: &mut Vec<String>) -> String {
    if value.is_empty() {
        return "none".to_owned();
    }
    let at = ids.iter().position(|known| known == value).unwrap_or_else(|| {
        ids.push(value.to_owned());
        ids.len() - 1
    });
    format!("#{at}")
}

fn container(status: &Value, ids: &mut Vec<String>) -> String {
    let tag = text(status, "image").rsplit(':').next().unwrap_or_default();
    let image = if text(status, "imageID").is_empty() { "" } else { "+id" };
    format!(
        "{}[{tag}{image} {} {} ready={} started={} restarts={} last={} limits={}]",
        text(status, "name"),
        id(text(status, "containerID"), ids),
        state(&status["state"], ids),
        status["ready"],
        status["started"],
        status["restartCount"],
        state(&status["lastState"], ids),
        status["resources"]["limits"]["cpu"],
    )
}

fn state(state: &Value, ids: &mut Vec<String>) -> String {
    let Some((kind, facts)) = state.as_object().and_then(|members| members.iter().next()) else {
        return "none".to_owned();
    };
    match kind.as_str() {
        "terminated" => format!(
            "terminated({} {} {})",
            text(facts, "reason"),
            facts["exitCode"],
            id(text(facts, "containerID"), ids)
        ),
        _ => format!("{kind}({})", text(facts, "reason")),
    }
}
