//! Review to patch: the first line is a SidecarSet, the rest a review about a pod. No panic; a patch of a pod that the API
//! server could have sent applies, and a second look changes nothing more.
#![no_main]

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kruise_api::raw::RawJson;
use kruise_common::admission::{Admission, Request, Verdict, review};
use kruise_common::gates::FeatureGates;
use kruise_common::intern::Interner;
use kruise_common::table::Wire;
use kruise_sidecarset::announced::Announced;
use kruise_sidecarset::object::WireSet;
use kruise_sidecarset::registration::Unasked;
use kruise_sidecarset::webhook::{Caches, VALIDATE, Webhook, filled};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const PATH: &str = "/mutate-pod";

/// A webhook that knows the set, if the API server would store it.
fn webhook(set: &str) -> Option<Webhook> {
    let object: Value = serde_json::from_str(set).ok()?;
    let mut stored = filled(&object, None, |_| None).ok()?;
    stored.as_object_mut()?.insert("apiVersion".to_owned(), json!("apps.kruise.io/v1beta1"));
    let caches = Caches {
        sets: Arc::default(),
        namespaces: Arc::default(),
        revisions: Arc::default(),
        configurations: Arc::default(),
    };
    let webhook = Webhook {
        // Any annotation may be patched.
        gates: FeatureGates { sidecar_patches_allowed: true, ..FeatureGates::default() },
        caches,
        own_namespace: "kruise-system".to_owned(),
        unasked: Unasked { opt_out: true, ..Unasked::default() },
        narrow: true,
        strict: false,
        native_updates: true,
        library: Arc::default(),
        asked: Arc::default(),
        announced: Announced::default(),
        now: || Timestamp::UNIX_EPOCH,
        lot: || 0.5,
    };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": { "uid": "u", "operation": "CREATE", "object": stored },
    });
    let review = review::decode(review.to_string().as_bytes()).expect("a review");
    let Verdict::Allowed = webhook.answer(VALIDATE, &review.request)?.verdict else { return None };
    let wire: WireSet = serde_json::from_value(stored).ok()?;
    webhook.caches.sets.apply(wire.into_record(&Interner::default()));
    Some(webhook)
}

/// The pod after the patch, if there is one.
fn patched(webhook: &Webhook, request: &Request) -> Option<Value> {
    let answer = webhook.answer(PATH, request)?;
    let _ = answer.outcome();
    let Verdict::Patched(patch) = answer.verdict else { return None };
    let mut pod: Value = request.object.as_ref()?.parse().ok()?;
    // What is no pod would never get here; it must be answered, but its patch need not mean anything.
    serde_json::from_value::<Pod>(pod.clone()).ok().filter(|pod| pod.spec.is_some())?;
    let patch: json_patch::Patch = serde_json::from_slice(patch.text()).expect("operations");
    json_patch::patch(&mut pod, &patch).expect("the patch applies");
    Some(pod)
}

/// Looks at a pod twice; the pod after the patch, if there is one.
fn looks(text: &str) -> Option<Value> {
    let (set, body) = text.split_once('\n')?;
    let webhook = webhook(set)?;
    let _ = webhook.hooks();
    let review = review::decode(body.as_bytes()).ok()?;
    let after = patched(&webhook, &review.request)?;
    let object = RawJson::from_string(after.to_string()).ok();
    let again = Request { object, ..review.request };
    let answer = webhook.answer(PATH, &again).expect("an answer");
    assert_eq!(answer.verdict, Verdict::Allowed, "a second look changes nothing: {after}");
    Some(after)
}

fuzz_target!(
    // What is fuzzed has to get as far as an injection.
    init: {
        let after = looks(include_str!("../../everything.review")).expect("a patch");
        let containers = after["spec"]["containers"].as_array().map(Vec::len);
        assert_eq!(containers, Some(4), "{after}");
    },
    |data: &[u8]| {
        let _ = std::str::from_utf8(data).map(looks);
    }
);
