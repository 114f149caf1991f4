//! What a watch told of one pod, in words that two nodes can have in common.

use std::fmt;

use serde_json::Value;

/// One status, reduced to what is compared.
pub type View = fn(&[String]) -> Vec<String>;

/// The statuses of a pod, one after the other.
pub struct Sequence(Vec<String>);

/// Every status, as it is.
pub fn everything(lines: &[String]) -> Vec<String> {
    lines.to_vec()
}

impl Sequence {
    /// Of what a watch told.
    pub fn of(seen: &[Option<Value>]) -> Self {
        let mut ids = Vec::new();
        let lines = seen.iter().map(|pod| match pod {
            Some(pod) => line(pod, &mut ids),
            None => "gone".to_owned(),
        });
        let mut lines: Vec<String> = lines.collect();
        lines.dedup();
        Self(lines)
    }

    /// In a view.
    pub fn seen(&self, view: View) -> Vec<String> {
        let mut lines = view(&self.0);
        lines.dedup();
        lines
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "  {line}"))
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
