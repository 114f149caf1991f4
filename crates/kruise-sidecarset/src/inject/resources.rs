//! Resources that follow from those of the pod's own containers (RES-1…RES-12).

use std::collections::BTreeSet;

use kruise_api::sidecarset::container::{ResourceExprs, ResourcesPolicy};
use kruise_api::sidecarset::expression::{
    Amount, BadNumber, ExpressionError, Measure, evaluate, variable,
};
use regex::bytes::Regex;
use serde_json::{Map, Value, json};

use super::{List, Pod};

/// The JSON of the resources of a sidecar with a policy; it has no others.
pub(super) fn resources(
    pod: &Pod<'_>,
    policy: &ResourcesPolicy,
    targets: &Result<Regex, String>,
) -> Result<String, String> {
    let pattern = &policy.target_containers_name_regex;
    let regex = targets.as_ref().map_err(|why| {
        format!("failed to get target containers: invalid regex pattern {pattern:?}: {why}")
    })?;
    let sidecars: BTreeSet<&str> = pod.chosen.iter().flat_map(|set| set.prepared.names()).collect();
    let natives = pod.list(List::Init).iter().filter(|container| container.is_native());
    let own = natives
        .chain(pod.list(List::Plain))
        .filter(|container| !sidecars.contains(container.name()))
        .filter(|container| regex.is_match(container.name().as_bytes()));
    let own = own.map(|container| match container.resources {
        Some(resources) => serde_json::from_str(resources.get()).map_err(|why| why.to_string()),
        None => Ok(Value::Null),
    });
    let own: Vec<Value> = own.collect::<Result<_, String>>()?;
    if own.is_empty() {
        return Err(format!("no containers match the regex pattern {pattern:?}"));
    }
    let mut resources = Map::new();
    for (list, expressions) in
        [("limits", &policy.resources_expr.limits), ("requests", &policy.resources_expr.requests)]
    {
        let Some(expressions) = expressions else { continue };
        let amounts = amounts(&own, list, expressions, &policy.target_containers_mode)?;
        if !amounts.is_empty() {
            resources.insert(list.to_owned(), Value::Object(amounts));
        }
    }
    Ok(Value::Object(resources).to_string())
}

fn amounts(
    own: &[Value],
    list: &str,
    expressions: &ResourceExprs,
    mode: &str,
) -> Result<Map<String, Value>, String> {
    let mut amounts = Map::new();
    for (resource, called, text) in
        [("cpu", "CPU", &expressions.cpu), ("memory", "memory", &expressions.memory)]
    {
        if text.is_empty() {
            continue;
        }
        let wrong = |error: ExpressionError| {
            format!(
                "failed to evaluate {called} {list} expression: failed to parse expression {text:?}: {error}"
            )
        };
        // RES-5: beside an unlimited container there is no limit to follow.
        let Some(total) = aggregate(own, list, resource, mode).map_err(wrong)? else { continue };
        let amount = value(text, total).map_err(wrong)?;
        amounts.insert(resource.to_owned(), json!(amount.quantity().to_string()));
    }
    Ok(amounts)
}

/// RES-8, RES-9.
fn value(text: &str, total: Measure) -> Result<Measure, ExpressionError> {
    let variable = variable(text);
    match evaluate(text, variable, &Amount::Quantity(total), BadNumber::Zero)? {
        Amount::Quantity(measure) => Ok(measure),
        Amount::Number(number) if variable == "memory" => Measure::units(number),
        Amount::Number(number) => Measure::thousandths(number * 1000.0),
    }
}

/// RES-4: `None` for a limit that not every container has.
fn aggregate(
    own: &[Value],
    list: &str,
    resource: &str,
    mode: &str,
) -> Result<Option<Measure>, ExpressionError> {
    let mut total = Measure::ZERO;
    for resources in own {
        let amount = resources.pointer(&format!("/{list}/{resource}"));
        let amount = match amount {
            None | Some(Value::Null) if list == "limits" => return Ok(None),
            None | Some(Value::Null) => Measure::ZERO,
            Some(Value::String(text)) => Measure::parse(text)?,
            Some(other) => Measure::parse(&other.to_string())?,
        };
        total = if mode == "max" { total.max(amount) } else { total.plus(amount)? };
    }
    Ok(Some(total))
}
