//! Admission of BroadcastJobs (§6, §7): defaulting and validation.
//!
//! The rules are in `kruise-api/src/broadcastjob`; what the stored object breaks in the same way is no reason to refuse a
//! change elsewhere, and what is allowed and probably not meant is warned of.

use kruise_api::broadcastjob::default::{DefaultingGates, default_object};
use kruise_api::broadcastjob::v1beta1::BroadcastJobSpec;
use kruise_api::broadcastjob::validate::{validate, warnings};
use kruise_api::raw::RawJson;
use kruise_common::admission::registration::{Hook, Phase};
use kruise_common::admission::{Admission, Answer, Operation, Request};
use kruise_common::gates::FeatureGates;
use serde::Deserialize;
use serde_json::Value;

/// Where defaults are asked for.
pub const MUTATE: &str = "/mutate-apps-kruise-io-broadcastjob";
/// Where validation is asked for.
pub const VALIDATE: &str = "/validate-apps-kruise-io-broadcastjob";

/// Answers reviews about jobs.
#[derive(Debug)]
pub struct Webhook {
    /// Feature gates.
    pub gates: FeatureGates,
}

/// A job as far as it must be of the right form.
#[derive(Deserialize)]
struct Object {
    #[serde(rename = "spec", default)]
    _spec: BroadcastJobSpec,
}

impl Admission for Webhook {
    fn paths(&self) -> &'static [&'static str] {
        &[MUTATE, VALIDATE]
    }

    fn hooks(&self) -> Vec<Hook> {
        let hook = |name, phase, path| Hook::of(name, phase, path, &["broadcastjobs"]);
        vec![
            hook("mbroadcastjob.kb.io", Phase::Mutating, MUTATE),
            hook("vbroadcastjob.kb.io", Phase::Validating, VALIDATE),
        ]
    }

    fn answer(&self, path: &str, request: &Request) -> Option<Answer> {
        // Nobody is asked about writes to the status; whoever asks all the same gets no rule applied.
        let about_object = request.subresource.is_empty();
        match path {
            MUTATE if about_object => Some(self.fill(request)),
            VALIDATE if about_object => Some(judge(request)),
            MUTATE | VALIDATE => Some(Answer::allowed()),
            _ => None,
        }
    }
}

impl Webhook {
    fn fill(&self, request: &Request) -> Answer {
        let before = match read(request.object.as_ref()) {
            Ok(Some(object)) => object,
            Ok(None) => return Answer::allowed(),
            Err(answer) => return answer,
        };
        let old = stored(request);
        let mut after = before.clone();
        let gates = DefaultingGates {
            template_no_defaults: self.gates.template_no_defaults,
            default_host_ports: self.gates.default_host_ports,
        };
        default_object(&mut after, old.as_ref(), &gates);
        Answer::changed(&before, &after)
    }
}

fn judge(request: &Request) -> Answer {
    match request.operation {
        Operation::Create | Operation::Update => {}
        Operation::Delete | Operation::Connect => return Answer::allowed(),
    }
    match read(request.object.as_ref()) {
        Ok(Some(object)) => {
            let old = stored(request);
            let warnings = warnings(&object, old.as_ref());
            Answer::checked(&validate(&object, old.as_ref())).with_warnings(warnings)
        }
        Ok(None) => Answer::allowed(),
        Err(answer) => answer,
    }
}

/// A stored object that cannot be read excuses nothing and forbids nothing.
fn stored(request: &Request) -> Option<Value> {
    request.old.as_ref().and_then(|old| old.parse().ok())
}

/// The object, if it is one of the right form.
fn read(object: Option<&RawJson>) -> Result<Option<Value>, Answer> {
    let Some(object) = object else { return Ok(None) };
    let unreadable = |error| Answer::unreadable(format!("object: {error}"));
    object.parse::<Object>().map_err(unreadable)?;
    object.parse().map(Some).map_err(unreadable)
}
