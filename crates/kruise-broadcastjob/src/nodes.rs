//! Whether a pod of the template fits a node (§10): by name, affinity, taints, cordon and resources, in this order.
//!
//! Two questions, as a DaemonSet asks them (W5, W6): may a new pod run there ([`Requirements::fits`]), and may one that is
//! there stay ([`Requirements::stays`]). Both are asked of the template, so that what admission adds to a pod (requests,
//! tolerations, sidecars) cannot make the two answers fight each other.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{
    Container, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use kruise_api::keys;
use kruise_api::shared::quantity::Quantity;
use kruise_common::node::{Node, Taint};
use serde::Deserialize;
use serde_json::Value;

/// What the template asks of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requirements {
    /// Nobody knows: everything fits, and everything stays.
    unknown: bool,
    name: Option<String>,
    selector: BTreeMap<String, String>,
    affinity: Option<Vec<NodeSelectorTerm>>,
    tolerations: Vec<Toleration>,
    /// In billionths, without those that are nothing.
    requests: BTreeMap<String, i128>,
}

/// Why a pod does not fit a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// The template names another node.
    Name,
    /// Node selector or required affinity do not match.
    Affinity,
    /// A taint is not tolerated.
    Taint {
        /// `key=value:effect`.
        taint: String,
    },
    /// The node is cordoned.
    Cordoned,
    /// Even an empty node has too little of a resource.
    Resource {
        /// Name of the resource.
        resource: String,
    },
}

impl Unfit {
    /// In one word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Name => "OtherNodeNamed",
            Self::Affinity => "AffinityMismatch",
            Self::Taint { .. } => "Tainted",
            Self::Cordoned => "Cordoned",
            Self::Resource { .. } => "InsufficientResources",
        }
    }
}

/// As OpenKruise says it (§10.1).
impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("node(s) didn't match the requested node name"),
            Self::Affinity => f.write_str("node(s) didn't match Pod's node affinity/selector"),
            Self::Taint { taint } => {
                write!(f, "node(s) had taint {{{taint}}}, that the pod didn't tolerate")
            }
            Self::Cordoned => f.write_str("node(s) were unschedulable"),
            Self::Resource { resource } if resource == "pods" => f.write_str("Too many pods"),
            Self::Resource { resource } => write!(f, "Insufficient {resource}"),
        }
    }
}

/// The members of a pod spec that decide about nodes. Those that newer versions of Kubernetes add do not get in the way.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Template {
    spec: Option<Value>,
}

impl Requirements {
    /// Those of a template that cannot be read.
    pub fn unknown() -> Self {
        Self { unknown: true, ..Self::default() }
    }

    /// What the template (as JSON) asks for, or why it cannot be read.
    pub fn of(template: &Value) -> Result<Self, String> {
        let template = Template::deserialize(template).map_err(|error| error.to_string())?;
        let mut spec = template.spec.unwrap_or_default();
        if let Some(members) = spec.as_object_mut() {
            let asked = ["nodeName", "nodeSelector", "affinity", "tolerations", "overhead"];
            let containers = ["containers", "initContainers"];
            members.retain(|name, value| {
                (asked.contains(&name.as_str()) || containers.contains(&name.as_str()))
                    && !value.is_null()
            });
            for list in containers {
                let items = members.get_mut(list).and_then(Value::as_array_mut);
                for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
                    item.retain(|name, _| {
                        ["name", "resources", "restartPolicy"].contains(&name.as_str())
                    });
                }
            }
            members.entry("containers").or_insert_with(|| Value::Array(Vec::new()));
        }
        let spec: PodSpec = match spec {
            Value::Null => PodSpec::default(),
            spec => serde_json::from_value(spec).map_err(|error| error.to_string())?,
        };
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let required = affinity.and_then(|affinity| {
            affinity.required_during_scheduling_ignored_during_execution.as_ref()
        });
        Ok(Self {
            unknown: false,
            name: spec.node_name.clone().filter(|name| !name.is_empty()),
            selector: spec.node_selector.clone().unwrap_or_default(),
            affinity: required.map(|required| required.node_selector_terms.clone()),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            requests: requests(&spec)?,
        })
    }

    /// Whether a new pod may run there.
    pub fn fits(&self, node: &Node) -> Result<(), Unfit> {
        if self.unknown {
            return Ok(());
        }
        if self.name.as_deref().is_some_and(|name| name != node.name()) {
            return Err(Unfit::Name);
        }
        if !self.selects(node) || !self.is_attracted_by(node) {
            return Err(Unfit::Affinity);
        }
        let keeps_out = |taint: &&Taint| ["NoSchedule", "NoExecute"].contains(&&*taint.effect);
        let not_tolerated = |taint: &&Taint| !self.tolerates(taint);
        if let Some(taint) = node.taints.iter().filter(keeps_out).find(not_tolerated) {
            // Kubernetes says it once more with a taint.
            let cordoned = *taint.key == *keys::TAINT_UNSCHEDULABLE;
            let tainted = || Unfit::Taint { taint: text(taint) };
            return Err(if cordoned { Unfit::Cordoned } else { tainted() });
        }
        let cordon = ("NoSchedule", keys::TAINT_UNSCHEDULABLE, "");
        if node.unschedulable && !self.tolerates_one(cordon) {
            return Err(Unfit::Cordoned);
        }
        self.has_room(node)
    }

    /// Whether a pod that is there may stay. `by_name`: it was put there without the scheduler, so that its own affinity
    /// is still the template's and holds (§11.2). The taints of a node that does not answer are left to Kubernetes, which
    /// gives every pod some time (W5).
    pub fn stays(&self, node: &Node, by_name: bool) -> Result<(), Unfit> {
        if self.unknown {
            return Ok(());
        }
        if !self.selects(node) || (by_name && !self.is_attracted_by(node)) {
            return Err(Unfit::Affinity);
        }
        let passing = [keys::TAINT_NOT_READY, keys::TAINT_UNREACHABLE];
        let drives_out =
            |taint: &&Taint| *taint.effect == *"NoExecute" && !passing.contains(&&*taint.key);
        let taint = node.taints.iter().filter(drives_out).find(|taint| !self.tolerates(taint));
        taint.map_or(Ok(()), |taint| Err(Unfit::Taint { taint: text(taint) }))
    }

    fn selects(&self, node: &Node) -> bool {
        self.selector.iter().all(|(key, value)| node.meta.labels.get(key) == Some(value))
    }

    fn is_attracted_by(&self, node: &Node) -> bool {
        self.affinity.as_ref().is_none_or(|terms| terms.iter().any(|term| matches(term, node)))
    }

    fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerates_one((&taint.effect, &taint.key, &taint.value))
    }

    fn tolerates_one(&self, (effect, key, value): (&str, &str, &str)) -> bool {
        self.tolerations.iter().any(|toleration| {
            let or_any = |wanted: &Option<String>, is: &str| {
                wanted.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted == is)
            };
            let same_value = toleration.value.as_deref().unwrap_or_default() == value;
            or_any(&toleration.effect, effect)
                && or_any(&toleration.key, key)
                && match toleration.operator.as_deref().unwrap_or_default() {
                    "Exists" => true,
                    // An empty key goes with Exists only.
                    "" | "Equal" => {
                        !toleration.key.as_deref().unwrap_or_default().is_empty() && same_value
                    }
                    _ => false,
                }
        })
    }

    /// The node counts as empty: what others use is the scheduler's business.
    fn has_room(&self, node: &Node) -> Result<(), Unfit> {
        let has = |resource: &str| {
            let amount = node.allocatable.get(resource).and_then(|text| Quantity::parse(text).ok());
            amount.map_or(0, |amount| amount.billionths())
        };
        let lacks = |resource: &str| Err(Unfit::Resource { resource: resource.to_owned() });
        if has("pods") < 1_000_000_000 {
            return lacks("pods");
        }
        match self.requests.iter().find(|(resource, amount)| **amount > has(resource)) {
            Some((resource, _)) => lacks(resource),
            None => Ok(()),
        }
    }
}

fn text(taint: &Taint) -> String {
    let Taint { key, value, effect } = taint;
    if value.is_empty() { format!("{key}:{effect}") } else { format!("{key}={value}:{effect}") }
}

/// Whether all that a term says is true; one that says nothing never is.
fn matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let name =
        |field: &NodeSelectorRequirement| (field.key == "metadata.name").then(|| node.name());
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|e| holds(e, node.meta.labels.get(&e.key)))
        && fields.iter().all(|field| {
            let known = ["In", "NotIn"].contains(&&*field.operator);
            known && name(field).is_some_and(|name| holds(field, Some(name)))
        })
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let among = value.is_some_and(|value| values.iter().any(|wanted| wanted == value));
    let compared = || {
        let [wanted] = values else { return None };
        Some(value?.parse::<i64>().ok()?.cmp(&wanted.parse::<i64>().ok()?))
    };
    match requirement.operator.as_str() {
        "In" => among,
        "NotIn" => !values.is_empty() && !among,
        "Exists" => values.is_empty() && value.is_some(),
        "DoesNotExist" => values.is_empty() && value.is_none(),
        "Gt" => compared().is_some_and(std::cmp::Ordering::is_gt),
        "Lt" => compared().is_some_and(std::cmp::Ordering::is_lt),
        _ => false,
    }
}

type Amounts = BTreeMap<String, i128>;

/// What the pod needs: all containers and sidecars together, or one init container with the sidecars that started before
/// it, whichever is more; and the overhead (§10.1). A limit without a request is one, as admission makes it (W6).
fn requests(spec: &PodSpec) -> Result<Amounts, String> {
    let mut running = Amounts::new();
    let mut peak = Amounts::new();
    for init in spec.init_containers.iter().flatten() {
        let own = of(init)?;
        if init.restart_policy.as_deref() == Some("Always") {
            add(&mut running, &own);
            raise(&mut peak, &running);
        } else {
            let mut with_sidecars = running.clone();
            add(&mut with_sidecars, &own);
            raise(&mut peak, &with_sidecars);
        }
    }
    for container in &spec.containers {
        add(&mut running, &of(container)?);
    }
    raise(&mut peak, &running);
    add(&mut peak, &amounts(spec.overhead.as_ref())?);
    peak.retain(|_, amount| *amount > 0);
    Ok(peak)
}

fn of(container: &Container) -> Result<Amounts, String> {
    let resources = container.resources.as_ref();
    let mut own = amounts(resources.and_then(|resources| resources.limits.as_ref()))?;
    own.extend(amounts(resources.and_then(|resources| resources.requests.as_ref()))?);
    Ok(own)
}

fn amounts(list: Option<&BTreeMap<String, Text>>) -> Result<Amounts, String> {
    let read = |(name, text): (&String, &Text)| {
        let quantity = Quantity::parse(&text.0).map_err(|error| format!("{name}: {error}"))?;
        Ok((name.clone(), quantity.billionths()))
    };
    list.into_iter().flatten().map(read).collect()
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let total = sum.entry(name.clone()).or_default();
        *total = total.saturating_add(*amount);
    }
}

fn raise(most: &mut Amounts, to: &Amounts) {
    for (name, amount) in to {
        let known = most.entry(name.clone()).or_default();
        *known = (*known).max(*amount);
    }
}
