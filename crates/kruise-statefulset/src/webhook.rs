//! Admission of Advanced StatefulSets (statefulset §2): defaulting, validation, deletion protection.
//!
//! The rules are in `kruise-api/src/statefulset`; here is which of them a request asks for, and what the stored object
//! excuses: a rule that the stored object breaks in the same way is no reason to refuse a change elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use kruise_api::keys;
use kruise_api::raw::RawJson;
use kruise_api::shared::field::{FieldError, Problem};
use kruise_api::shared::pod_template::check_template;
use kruise_api::statefulset::default::{DefaultingGates, default_object};
use kruise_api::statefulset::v1beta1::StatefulSetSpec;
use kruise_api::statefulset::validate::{
    ClaimChange, claim_changes, claims_begin_to_follow, stricter, validate, validate_update,
};
use kruise_common::admission::registration::{Hook, Phase};
use kruise_common::admission::{Admission, Answer, Operation, Request};
use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::storage_class::StorageClass;
use kruise_common::table::Table;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::object::Set;
use crate::options::Options;
use crate::ordinals::Ordinals;

/// Where defaults are asked for (H-1).
pub const MUTATE: &str = "/mutate-apps-kruise-io-statefulset";
/// Where validation is asked for (H-1).
pub const VALIDATE: &str = "/validate-apps-kruise-io-statefulset";

/// Members of the spec that v1alpha1 cannot express: a PUT through it clears them (platform P17).
const NEWER: [&str; 6] = [
    "lifecycle",
    "ordinals",
    "persistentVolumeClaimRetentionPolicy",
    "reserveOrdinals",
    "scaleStrategy",
    "volumeClaimUpdateStrategy",
];

/// What leaves room for the hash of a revision in a label.
const LONGEST_NAME: usize = 52;
/// Longest value of a label, and longest host name.
const LONGEST_LABEL: usize = 63;

/// Answers reviews about sets.
#[derive(Debug)]
pub struct Webhook {
    /// Feature gates.
    pub gates: FeatureGates,
    /// The stored sets.
    pub sets: Arc<Table<Set>>,
    /// Storage classes, if claims may follow their templates.
    pub classes: Option<Arc<Table<StorageClass>>>,
}

/// A set as far as the rules look at it.
#[derive(Deserialize)]
struct Object {
    #[serde(rename = "apiVersion", default)]
    api_version: String,
    #[serde(default)]
    metadata: Annotated,
    #[serde(default)]
    spec: StatefulSetSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotated {
    annotations: Option<BTreeMap<String, String>>,
}

impl Object {
    /// Options by annotation that cannot be read: the controller would touch no pod.
    fn options(&self) -> Vec<FieldError> {
        let annotations = self.metadata.annotations.clone().unwrap_or_default();
        let read = Options::read(&annotations, self.spec.replicas.unwrap_or(1));
        let error = read.err().map(|invalid| FieldError {
            path: invalid.field,
            problem: Problem::Forbidden,
            detail: invalid.problem,
        });
        error.into_iter().collect()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Labelled {
    metadata: Metadata,
    spec: Replicas,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    labels: Option<BTreeMap<String, String>>,
    deletion_timestamp: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Replicas {
    replicas: Option<i64>,
}

impl Admission for Webhook {
    fn paths(&self) -> &'static [&'static str] {
        &[MUTATE, VALIDATE]
    }

    fn hooks(&self) -> Vec<Hook> {
        let hook = |name, phase, path| Hook::of(name, phase, path, &["statefulsets"]);
        let mut hooks = vec![
            hook("mstatefulset.kb.io", Phase::Mutating, MUTATE),
            hook("vstatefulset.kb.io", Phase::Validating, VALIDATE),
        ];
        if self.gates.deletion_protection {
            // Only protected objects: nobody else's deletion depends on us (platform P1).
            let protected = json!({
                "matchExpressions": [{ "key": keys::DELETE_PROTECTION, "operator": "Exists" }],
            });
            hooks.push(Hook {
                operations: &["DELETE"],
                object_selector: Some(protected),
                ..hook("vstatefulsetdeletion.kb.io", Phase::Validating, VALIDATE)
            });
        }
        hooks
    }

    fn answer(&self, path: &str, request: &Request) -> Option<Answer> {
        // Writes to /scale and /status are not asked about (H-3); whoever asks all the same gets no rule applied.
        let about_object = request.subresource.is_empty();
        match path {
            MUTATE if about_object => Some(self.fill(request)),
            VALIDATE if about_object => Some(self.judge(request)),
            MUTATE | VALIDATE => Some(Answer::allowed()),
            _ => None,
        }
    }
}

impl Webhook {
    fn fill(&self, request: &Request) -> Answer {
        let Some(object) = &request.object else { return Answer::allowed() };
        // What is not of the right form is refused before anything is made of it (H-2).
        if let Err(answer) = decode(object, "object") {
            return answer;
        }
        let before: Value = match object.parse() {
            Ok(value) => value,
            Err(error) => return Answer::unreadable(format!("object: {error}")),
        };
        let old: Option<Value> = request.old.as_ref().and_then(|old| old.parse().ok());
        let mut after = before.clone();
        default_object(&mut after, old.as_ref(), &defaulting(&self.gates));
        Answer::changed(&before, &after)
    }

    fn judge(&self, request: &Request) -> Answer {
        match request.operation {
            Operation::Create | Operation::Update => self.judge_change(request),
            Operation::Delete => self.judge_deletion(request),
            Operation::Connect => Answer::allowed(),
        }
    }

    fn judge_change(&self, request: &Request) -> Answer {
        let Some(object) = &request.object else { return Answer::allowed() };
        let new = match decode(object, "object") {
            Ok(new) => new,
            Err(answer) => return answer,
        };
        // A stored object that cannot be read excuses nothing and forbids nothing.
        let old = request.old.as_ref().and_then(|old| decode(old, "oldObject").ok());
        let Some(old) = old else {
            let mut errors = [validate(&new.spec), stricter(&new.spec), new.options()].concat();
            errors.extend(self.too_long(request, &new.spec));
            let unusable = unusable(&new.spec, &errors);
            let warnings = odd_name(request).into_iter().chain(unusable);
            return Answer::checked(&errors).with_warnings(warnings);
        };
        let mut errors = validate_update(&old.spec, &new.spec);
        errors.extend(stricter(&new.spec).into_iter().chain(new.options()));
        let known = [validate(&old.spec), stricter(&old.spec), old.options()].concat();
        errors.retain(|error| !known.contains(error));
        if self.gates.resize_claims {
            let (problems, changes) = claim_changes(&old.spec, &new.spec);
            errors.extend(problems);
            errors.extend(changes.iter().filter_map(|change| self.cannot_grow(change)));
        }
        let changed = new.spec.template != old.spec.template;
        let unusable = changed.then(|| unusable(&new.spec, &errors)).into_iter().flatten();
        let warnings = self.losses(request, &new).into_iter().chain(unusable);
        let warnings = warnings.chain(self.cannot_follow(&old.spec, &new.spec));
        Answer::checked(&errors).with_warnings(warnings)
    }

    /// U-11: whether the storage class lets volumes grow. Unset counts as no, as it does when claims are to grow (W-13).
    fn cannot_grow(&self, change: &ClaimChange) -> Option<FieldError> {
        let classes = self.classes.as_ref()?;
        let path = format!(
            "spec.volumeClaimTemplates[{}].spec.resources.requests.storage",
            change.template
        );
        let class = match &change.class {
            Some(name) => match classes.get(&ObjectKey::new("", name.as_str())) {
                Some(class) => class,
                None => return Some(FieldError::invalid(path, name.as_str(), "can not get sc")),
            },
            // Without any default class nobody knows: the claim will tell.
            None => default_class(classes)?,
        };
        let rule =
            format!("storage class {} does not support volume expansion", class.meta.key.name);
        (!class.expandable).then(|| FieldError::forbidden(path, rule))
    }

    /// U-7b: claims begin to follow templates that change in the same request. It is accepted, and the controller reports
    /// what it cannot do; whoever asks is told at once.
    fn cannot_follow(&self, old: &StatefulSetSpec, new: &StatefulSetSpec) -> Vec<String> {
        if !self.gates.resize_claims {
            return Vec::new();
        }
        let (problems, changes) = claims_begin_to_follow(old, new);
        let stuck = changes.iter().filter_map(|change| self.cannot_grow(change));
        let told = problems.into_iter().chain(stuck);
        told.map(|problem| format!("claims will not follow: {problem}")).collect()
    }

    /// W-27: pods carry their name as label and host name. A set whose highest pod cannot is refused when it is new; later
    /// it may have been scaled to more digits, and must stay editable.
    fn too_long(&self, request: &Request, spec: &StatefulSetSpec) -> Option<FieldError> {
        let start =
            spec.ordinals.as_ref().filter(|_| self.gates.start_ordinal).map_or(0, |o| o.start);
        let ordinals =
            Ordinals::new(start, &spec.reserve_ordinals, spec.replicas.unwrap_or(1)).ok()?;
        let highest = ordinals.iter().next_back().unwrap_or(start);
        let most = LONGEST_LABEL.saturating_sub(1 + highest.to_string().len());
        let rule = format!(
            "must be no more than {most} characters: pods up to ordinal {highest} bear it as label"
        );
        let long = request.name.len() > most;
        long.then(|| FieldError::invalid("metadata.name", request.name.as_str(), rule))
    }

    /// What the stored set has and the older version cannot say.
    fn losses(&self, request: &Request, new: &Object) -> Option<String> {
        if !new.api_version.ends_with("/v1alpha1") {
            return None;
        }
        let key = ObjectKey::new(request.namespace.as_str(), request.name.as_str());
        let stored = self.sets.get(&key)?;
        let spec = serde_json::to_value(stored.spec.as_ref().ok()?).ok()?;
        let has = |member: &&&str| spec.get(**member).is_some_and(|value| !is_nothing(value));
        let lost: Vec<&str> = NEWER.iter().filter(has).copied().collect();
        if lost.is_empty() {
            return None;
        }
        let lost = lost.join(", ");
        Some(format!(
            "{}/v1alpha1 cannot express spec.{{{lost}}}: a full replacement clears them; use v1beta1",
            keys::GROUP
        ))
    }

    /// U-13.
    fn judge_deletion(&self, request: &Request) -> Answer {
        let old: Option<Labelled> = request.old.as_ref().and_then(|old| old.parse().ok());
        let Some(old) = old.filter(|_| self.gates.deletion_protection) else {
            return Answer::allowed();
        };
        let deleting = old.metadata.deletion_timestamp.is_some();
        let labels = old.metadata.labels.unwrap_or_default();
        let level = labels.get(keys::DELETE_PROTECTION).map(String::as_str).unwrap_or_default();
        // The API server fills an absent number with 1 only through our own defaulting.
        let replicas = old.spec.replicas.unwrap_or(1);
        let rule =
            format!("forbidden by ResourcesProtectionDeletion for {}", keys::DELETE_PROTECTION);
        match level {
            _ if deleting => Answer::allowed(),
            "Always" => Answer::forbidden(format!("{rule}=Always")),
            "Cascading" if replicas > 0 => {
                Answer::forbidden(format!("{rule}=Cascading and replicas {replicas}>0"))
            }
            _ => Answer::allowed(),
        }
    }
}

/// K-15: what the API server will refuse in every pod of this template. OpenKruise admits such a set, so it is not refused;
/// whoever applies it is told at once instead of by the first pod.
fn unusable(spec: &StatefulSetSpec, errors: &[FieldError]) -> Vec<String> {
    let template: Value = spec.template.parse().unwrap_or_default();
    let mut problems = check_template("spec.template", &template);
    // Labels and annotations have rules of their own (V-27).
    problems.retain(|problem| problem.path.starts_with("spec.template.spec"));
    problems.retain(|problem| !errors.iter().any(|error| error.path == problem.path));
    problems.iter().map(|problem| format!("pods cannot be created: {problem}")).collect()
}

/// W-27: names that are allowed and will make trouble: revisions carry theirs as label, pods as host name.
fn odd_name(request: &Request) -> Vec<String> {
    let long = request.name.len() > LONGEST_NAME;
    let long = long.then(|| {
        format!(
            "metadata.name: longer than {LONGEST_NAME} characters: names of pods and revisions may not fit their labels"
        )
    });
    let dotted = request.name.contains('.').then(|| {
        "metadata.name: has a dot: pods cannot be created, for their name is their host name"
            .to_owned()
    });
    long.into_iter().chain(dotted).collect()
}

/// The default class; of several the newest.
fn default_class(classes: &Table<StorageClass>) -> Option<Arc<StorageClass>> {
    let all = classes.keys().into_iter().filter_map(|key| classes.get(&key));
    all.filter(|class| class.default).max_by_key(|class| class.meta.created)
}

fn decode(object: &RawJson, what: &str) -> Result<Object, Answer> {
    object.parse().map_err(|error| Answer::unreadable(format!("{what}: {error}")))
}

/// Nothing, or what means the same as nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        // The defaults of what v1alpha1 cannot express.
        Value::String(text) => ["Retain", "OnDelete"].contains(&text.as_str()),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn defaulting(gates: &FeatureGates) -> DefaultingGates {
    DefaultingGates {
        auto_delete_claims: gates.auto_delete_claims,
        resize_claims: gates.resize_claims,
        template_no_defaults: gates.template_no_defaults,
        default_host_ports: gates.default_host_ports,
    }
}
