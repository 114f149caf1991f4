//! Admission of pods and SidecarSets (sidecarset §7, §9, §10): pure answers from what the caches hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kruise_api::keys;
use kruise_api::sidecarset::v1beta1::SidecarSetSpec;
use kruise_api::sidecarset::validate::{Candidate, Surroundings, Whitelist, unmergeable, validate};
use kruise_api::sidecarset::{convert, default};
use kruise_common::admission::registration::{Hook, Phase};
use kruise_common::admission::{Admission, Answer, Operation, Request, Verdict};
use kruise_common::gates::FeatureGates;
use kruise_common::key::ObjectKey;
use kruise_common::revision::Revision;
use kruise_common::table::Table;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::announced::{About, Announced};
use crate::asked::Asked;
use crate::choose::{Chance, Newcomer, Offer, Refusal, choose};
use crate::configuration::Configuration;
use crate::hash::{Hashes, raw_hashes};
use crate::in_force::in_force;
use crate::incoming::{Incoming, Metadata};
use crate::inject::{Injection, Settings, inject};
use crate::namespace::Namespace;
use crate::object::SidecarSet;
use crate::recorded::Library;
use crate::registration::{PODS, Unasked, pod_hook};
use crate::revision;
use crate::stored::stored;

/// Where defaults of sets are asked for (WHK-7).
pub const MUTATE: &str = "/mutate-apps-kruise-io-sidecarset";
/// Where validation of sets is asked for (WHK-7).
pub const VALIDATE: &str = "/validate-apps-kruise-io-sidecarset";

/// What who stores a set is told if nobody registered hooks for it in time.
const UNREGISTERED: &str = "the API server does not ask about pods of this SidecarSet yet: those created before it does are not injected";

/// Answers reviews about pods and sets.
#[derive(Debug)]
pub struct Webhook {
    /// Feature gates.
    pub gates: FeatureGates,
    /// What is in the cluster.
    pub caches: Caches,
    /// Namespace of the Lease, where the ConfigMap of settings is.
    pub own_namespace: String,
    /// Pods that are never asked about.
    pub unasked: Unasked,
    /// Only pods that some set can match are asked about.
    pub narrow: bool,
    /// A pod is refused if a container of its own has the name of a sidecar (W-15).
    pub strict: bool,
    /// Images of native sidecars are changed in running pods, so sets with such may roll out (30.9.4).
    pub native_updates: bool,
    /// Recorded revisions that were read before.
    pub library: Arc<Library>,
    /// For which sets the API server is known to ask.
    pub asked: Arc<Asked>,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// Sets that are about to be stored.
    pub announced: Announced,
    /// A number from 0 to 1 (REV-7).
    pub lot: fn() -> f64,
}

/// What is in the cluster.
#[derive(Clone, Debug)]
pub struct Caches {
    /// The sets.
    pub sets: Arc<Table<SidecarSet>>,
    /// The namespaces.
    pub namespaces: Arc<Table<Namespace>>,
    /// The revisions of sets.
    pub revisions: Arc<Table<Revision>>,
    /// The ConfigMaps of the controller's namespace.
    pub configurations: Arc<Table<Configuration>>,
}

/// A set as far as rules look at it.
#[derive(Deserialize)]
struct Object {
    #[serde(rename = "apiVersion", default)]
    api_version: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    spec: SidecarSetSpec,
}

impl Admission for Webhook {
    fn paths(&self) -> &'static [&'static str] {
        &[PODS, MUTATE, VALIDATE]
    }

    fn hooks(&self) -> Vec<Hook> {
        let hook = |name, phase, path| Hook::of(name, phase, path, &["sidecarsets"]);
        let mut hooks = vec![
            hook("msidecarset.kb.io", Phase::Mutating, MUTATE),
            hook("vsidecarset.kb.io", Phase::Validating, VALIDATE),
        ];
        if let Some(judge) = hooks.last_mut() {
            // A set that it accepts is asked for.
            judge.acts = self.narrow;
        }
        self.forget_arrived();
        let sets = self.caches.sets.rows();
        let announced = self.announced.offer((self.now)());
        self.asked.offer(&sets);
        hooks.extend(pod_hook(&sets, &announced, &self.unasked, self.narrow));
        hooks
    }

    fn registered(&self) {
        self.asked.registered();
        self.announced.registered((self.now)());
    }

    fn due(&self) -> Option<Timestamp> {
        self.announced.due((self.now)())
    }

    fn announces(&self) -> Option<String> {
        self.announced.message((self.now)())
    }

    fn hears(&self, text: &str) {
        self.announced.hear(text, (self.now)());
    }

    fn answer(&self, path: &str, request: &Request) -> Option<Answer> {
        let changes = matches!(request.operation, Operation::Create | Operation::Update);
        let concerned = request.subresource.is_empty() && changes;
        match path {
            PODS | MUTATE | VALIDATE if !concerned => Some(Answer::allowed()),
            PODS => Some(self.pod(request)),
            MUTATE => Some(self.fill(request)),
            VALIDATE => Some(self.judge(request)),
            _ => None,
        }
    }
}

impl Webhook {
    /// WHK-10…WHK-16. Pods are only injected when they are created (WHK-14).
    fn pod(&self, request: &Request) -> Answer {
        let Some(object) = &request.object else { return Answer::allowed() };
        if request.operation != Operation::Create || !self.gates.pod_webhook {
            return Answer::allowed();
        }
        let incoming = match Incoming::read(object.get()) {
            Ok(incoming) => incoming,
            Err(error) => return refused(&Refusal::unreadable(&error)),
        };
        let (meta, none) = (incoming.metadata(), BTreeMap::new());
        let annotations = meta.annotations.as_ref().unwrap_or(&none);
        if incoming.inactive() || annotations.contains_key(keys::MIRROR_POD) {
            return Answer::allowed().with_outcome("skipped");
        }
        let given = [meta.namespace.as_deref().unwrap_or_default(), &request.namespace];
        let namespace = given.into_iter().find(|name| !name.is_empty()).unwrap_or("default");
        let name = meta.name.as_deref().filter(|name| !name.is_empty());
        let known = self.caches.namespaces.get(&ObjectKey::new("", namespace));
        let pod = Newcomer {
            labels: meta.labels.as_ref().unwrap_or(&none),
            annotations,
            namespace,
            namespace_labels: known.as_ref().map(|known| &known.meta.labels),
        };
        let lot = self.lot;
        // A pod that bears its name comes back under it: it gets what it had (W-9).
        let chance = |set: &str, revision: &str| match name {
            Some(name) => share(&[set, revision, namespace, name]),
            None => lot(),
        };
        // Asked before the sets are looked at: one that arrives in between is found the next time.
        let awaits = self.awaits(&pod);
        match self.injection(&incoming, &pod, &chance) {
            Ok(injection) if awaits => told(injection).for_now(),
            Ok(injection) => told(injection),
            Err(refusal) => {
                let answer = refused(&refusal);
                let transient = matches!(refusal, Refusal::UnknownNamespace { .. });
                if transient { answer.for_now() } else { answer }
            }
        }
    }

    /// Whether a set that was just accepted, and is on its way here, is about the pod.
    fn awaits(&self, pod: &Newcomer<'_>) -> bool {
        self.forget_arrived();
        self.announced.awaits(pod, (self.now)())
    }

    /// Sets that were announced and are stored speak for themselves.
    fn forget_arrived(&self) {
        self.announced.arrived(|about: &About| {
            let set = self.caches.sets.get(&ObjectKey::new("", about.name.as_str()));
            let content = set.as_ref().and_then(|set| set.content.as_ref().ok());
            content.and_then(|content| About::new(&about.name, &content.spec)).as_ref()
                == Some(about)
        });
    }

    fn injection(
        &self,
        incoming: &Incoming<'_>,
        pod: &Newcomer<'_>,
        chance: Chance<'_>,
    ) -> Result<Injection, Refusal> {
        let now = (self.now)();
        let revisions = |set: &str| self.revisions(set);
        let labels = pod.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let sets = self.caches.sets.selecting(labels);
        let offer = Offer {
            sets: &sets,
            revisions: &revisions,
            library: &self.library,
            opt_out: self.unasked.opt_out,
            chance,
            now,
        };
        let chosen = choose(pod, &offer)?;
        if chosen.is_empty() {
            return Ok(Injection::default());
        }
        let settings = Settings { now, sorted: self.gates.sorted_sidecars, strict: self.strict };
        inject(incoming, &chosen, settings)
    }

    /// Revisions that bear the set's name.
    fn revisions(&self, set: &str) -> Vec<Arc<Revision>> {
        self.caches.revisions.in_group(set)
    }

    /// Defaults, spelling and hashes of a set (§7, §8).
    fn fill(&self, request: &Request) -> Answer {
        let Some(object) = &request.object else { return Answer::allowed() };
        if leaves(request) {
            return Answer::allowed();
        }
        if let Err(answer) = decode(object) {
            return answer;
        }
        let before: Value = match object.parse() {
            Ok(value) => value,
            Err(error) => return Answer::unreadable(format!("sidecarset: {error}")),
        };
        let old: Option<Value> = request.old.as_ref().and_then(|old| old.parse().ok());
        match filled(&before, old.as_ref(), |new| self.kept(old.as_ref()?, new)) {
            Ok(after) => Answer::changed(&before, &after).with_warnings(overruled(&before)),
            Err(problem) => Answer::unreadable(format!("sidecarset: {problem}")),
        }
    }

    /// The hashes that count for the stored set, as far as what is hashed does not change: running pods carry them, whoever
    /// computed them (platform §18.7.4).
    pub(crate) fn kept(&self, old: &Value, new: &Hashes) -> Option<Hashes> {
        let meta = old.get("metadata")?;
        let annotations: BTreeMap<String, String> =
            serde_json::from_value(meta.get("annotations")?.clone()).ok()?;
        let stated = Hashes::recorded(&annotations)?;
        let computed = raw_hashes(old.get("spec")?.as_object()?).ok()?;
        let text = |member: &str| meta.get(member).and_then(Value::as_str).unwrap_or_default();
        let revisions = || self.revisions(text("name"));
        let counts = in_force((Some(&stated), &computed), text("uid"), revisions, &self.library);
        let one = |of: fn(&Hashes) -> &String| {
            of(if of(&computed) == of(new) { &counts } else { new }).clone()
        };
        Some(Hashes { full: one(|it| &it.full), without_image: one(|it| &it.without_image) })
    }

    /// Rules of a set (VAL-1…VAL-75).
    fn judge(&self, request: &Request) -> Answer {
        let Some(object) = &request.object else { return Answer::allowed() };
        if leaves(request) {
            return Answer::allowed();
        }
        let new = match decode(object) {
            Ok(new) => new,
            Err(answer) => return answer,
        };
        let old = request.old.as_ref().and_then(|old| decode(old).ok());
        let rows = self.caches.sets.rows();
        let none = BTreeMap::new();
        let name = new.metadata.name.clone().unwrap_or_default();
        let other = |set: &'_ Arc<SidecarSet>| set.name() != name && set.content.is_ok();
        let others = rows.iter().filter(|set| other(set)).filter_map(|set| {
            let content = set.content.as_ref().ok()?;
            let (name, annotations) = (set.name(), &set.annotations);
            Some(Candidate { name, labels: &none, annotations, spec: &content.spec })
        });
        let key = ObjectKey::new(self.own_namespace.as_str(), keys::CONFIGURATION);
        let settings = self.caches.configurations.get(&key);
        let whitelist = Whitelist {
            text: settings.as_ref().and_then(|settings| settings.whitelist.as_deref()),
            allowed_by_default: self.gates.sidecar_patches_allowed,
        };
        let around = Surroundings {
            others: others.collect(),
            unusable_revision: self.unusable_revision(&name, &new.spec),
            whitelist,
            native_updates: self.native_updates,
        };
        let before = old.as_ref().map(|old| old.candidate(&name, &none));
        let answer =
            Answer::checked(&validate(&new.candidate(&name, &none), before.as_ref(), &around));
        let answer = answer.with_warnings(unmergeable(&new.spec));
        let about = About::new(&name, &new.spec);
        let news = about
            .filter(|it| Some(it) != old.and_then(|old| About::new(&name, &old.spec)).as_ref());
        match news {
            Some(about) if answer.is_allowed() && !request.dry_run => self.announce(about, answer),
            _ => answer,
        }
    }

    /// Thinks the answer over until pods are asked about for the set: they may be created the moment that it is stored.
    fn announce(&self, about: About, answer: Answer) -> Answer {
        if !self.narrow || self.unasked.all || !self.asked.is_kept() {
            return answer;
        }
        if self.announced.announce(about, (self.now)()) {
            return answer;
        }
        answer.for_now().with_warnings([UNREGISTERED.to_owned()])
    }

    /// VAL-24.
    fn unusable_revision(&self, set: &str, spec: &SidecarSetSpec) -> Option<String> {
        let wanted = spec.injection_strategy.revision.as_ref()?;
        let (name, version) = (wanted.revision_name.as_deref(), wanted.custom_version.as_deref());
        if name.is_none() && version.is_none() {
            return None;
        }
        let revisions = self.revisions(set);
        let found = revision::find(set, name, version, &revisions);
        let read = found.and_then(|found| self.library.recorded(found));
        read.err().map(|why| why.to_string())
    }
}

impl Object {
    fn candidate<'a>(&'a self, name: &'a str, none: &'a BTreeMap<String, String>) -> Candidate<'a> {
        let labels = self.metadata.labels.as_ref().unwrap_or(none);
        let annotations = self.metadata.annotations.as_ref().unwrap_or(none);
        Candidate { name, labels, annotations, spec: &self.spec }
    }
}

/// The answer that an injection is; the words are those of the metric (W-50).
fn told(injection: Injection) -> Answer {
    let Injection { patch, warnings, sets, recorded } = injection;
    let outcome = match (sets.is_empty(), patch.is_empty(), recorded) {
        (true, _, _) => "not-matched",
        (_, true, _) => "unchanged",
        (_, _, false) => "injected",
        (_, _, true) => "injected-recorded",
    };
    let verdict = if patch.is_empty() { Verdict::Allowed } else { Verdict::Patched(patch) };
    let audit = (!sets.is_empty()).then(|| ("sidecarsets", sets.join(",")));
    let audit = audit.into_iter().collect();
    Answer { verdict, warnings, outcome: Some(outcome), audit, ..Answer::default() }
}

/// The answer that a refusal is.
fn refused(refusal: &Refusal) -> Answer {
    let text = refusal.to_string();
    let answer = match refusal {
        Refusal::Unreadable(_) => Answer::unreadable(text),
        _ => Answer::forbidden(text),
    };
    answer.with_outcome(refusal.outcome())
}

/// Whether a set that is being deleted is as it was, or nobody can read it before or after: it must be able to lose its
/// finalizers. Of a new set the API server forgets a time of deletion later on.
fn leaves(request: &Request) -> bool {
    #[derive(Deserialize)]
    struct Ending {
        metadata: Metadata,
        #[serde(default)]
        spec: Value,
    }
    let (Some(new), Some(old)) = (&request.object, &request.old) else { return false };
    let Ok(before) = old.parse::<Ending>() else { return false };
    if before.metadata.deletion_timestamp.is_none() {
        return false;
    }
    let same = new.parse::<Ending>().is_ok_and(|after| after.spec == before.spec);
    same || (decode(old).is_err() && decode(new).is_err())
}

/// Reads a set; 400 if it is none (DEF-22).
fn decode(raw: &kruise_api::raw::RawJson) -> Result<Object, Answer> {
    let object: Object =
        raw.parse().map_err(|error| Answer::unreadable(format!("sidecarset: {error}")))?;
    let version = object.api_version.rsplit('/').next().unwrap_or_default();
    // The API server always names one.
    if ["", "v1alpha1", "v1beta1"].contains(&version) {
        Ok(object)
    } else {
        Err(Answer::unreadable(format!("unsupported version: {version}")))
    }
}

/// A selector of namespaces that a namespace beside it replaces (CNV-4).
fn overruled(object: &Value) -> Option<String> {
    let namespace = object.pointer("/spec/namespace")?.as_str().filter(|name| !name.is_empty())?;
    let selector = object.pointer("/spec/namespaceSelector").filter(|given| !given.is_null())?;
    let same = json!({ "matchLabels": { keys::NAMESPACE_NAME: namespace } });
    let text = format!(
        "spec.namespaceSelector: {selector} is replaced by spec.namespace: only one of them can be given"
    );
    (*selector != same).then_some(text)
}

/// A set as it is to be stored; `old` is the stored one on an update, and `kept` says which hashes of it go on instead of
/// the new ones.
pub fn filled(
    object: &Value,
    old: Option<&Value>,
    kept: impl FnOnce(&Hashes) -> Option<Hashes>,
) -> Result<Value, String> {
    let mut after = object.clone();
    default::default_object(&mut after);
    convert::align(&mut after, old);
    let none = Map::new();
    let spec = after.get("spec").and_then(Value::as_object).unwrap_or(&none);
    let hashes = raw_hashes(spec).map_err(|error| format!("spec{error}"))?;
    let hashes = kept(&hashes).unwrap_or(hashes);
    if let Some(spec) = after.get_mut("spec") {
        *spec = stored(spec).map_err(|error| format!("spec{error}"))?;
    }
    annotate(&mut after, &hashes);
    Ok(after)
}

fn annotate(object: &mut Value, hashes: &Hashes) {
    let Some(object) = object.as_object_mut() else { return };
    let meta = object.entry("metadata").or_insert_with(|| json!({}));
    let Some(meta) = meta.as_object_mut() else { return };
    let annotations = meta.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    let Some(annotations) = annotations.as_object_mut() else { return };
    let hashes = hashes.annotations();
    annotations.extend(hashes.map(|(key, hash)| (key.to_owned(), json!(hash))));
}

/// A number from 0 to 1 that is the same for the same words.
fn share(words: &[&str]) -> f64 {
    let text = words.join("\n");
    let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The upper bits are the well mixed ones; 32 of them are exact in a double.
    let upper = u32::try_from((sum ^ (sum >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32);
    f64::from(upper.unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
}
