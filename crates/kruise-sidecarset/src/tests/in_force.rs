//! Which hashes of a set count (HSH-1, platform §18.7.4).

use std::sync::Arc;

use kruise_common::revision::Revision;
use serde_json::{Value, json};

use super::captured;
use crate::hash::{Hashes, hashes};
use crate::in_force::in_force;
use crate::recorded::Library;

fn spec(tag: usize, args: &[&str]) -> Value {
    json!({ "containers": [{ "name": "log", "image": format!("log:{tag}"), "args": args }] })
}

fn computed(spec: &Value) -> Hashes {
    hashes(&serde_json::from_value(spec.clone()).unwrap()).unwrap()
}

fn said(full: &str, without_image: &str) -> Hashes {
    Hashes { full: full.to_owned(), without_image: without_image.to_owned() }
}

/// The revision of that number, which records a spec and bears hashes.
fn revision(number: i64, spec: &Value, hashes: &Hashes) -> Arc<Revision> {
    let owner = json!({ "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "name": "log", "uid": "own", "controller": true });
    let object = json!({
        "metadata": {
            "name": format!("log-{number}"), "uid": number.to_string(), "ownerReferences": [owner],
            "annotations": {
                "kruise.io/sidecarset-hash": hashes.full,
                "kruise.io/sidecarset-hash-without-image": hashes.without_image,
            },
        },
        "revision": number, "data": { "spec": spec },
    });
    Arc::new(captured::revision(&object.to_string()))
}

fn counts(stated: &Hashes, now: &Value, revisions: &[Arc<Revision>]) -> Hashes {
    let known = || revisions.to_vec();
    in_force((Some(stated), &computed(now)), "own", known, &Library::default())
}

#[test]
fn hashes_of_another_way_of_hashing_count_while_nothing_contradicts_them() {
    let (one, two, foreign) = (spec(1, &[]), spec(2, &[]), said("full", "bare"));
    assert_eq!(counts(&foreign, &one, &[]), foreign, "there is no revision");
    let known = revision(1, &one, &foreign);
    assert_eq!(counts(&foreign, &one, std::slice::from_ref(&known)), foreign, "it vouches");
    // Whoever stored the next spec hashes in that way too.
    let next = said("next", "bare");
    assert_eq!(counts(&next, &two, &[known]), next);
}

#[test]
fn hashes_of_an_earlier_spec_do_not_count() {
    let (one, two, args) = (spec(1, &[]), spec(2, &[]), spec(1, &["-v"]));
    let own = computed(&one);
    let first = revision(1, &one, &own);
    assert_eq!(counts(&own, &two, std::slice::from_ref(&first)), computed(&two));
    assert_eq!(counts(&own, &args, std::slice::from_ref(&first)), computed(&args));
    // Also when the revision that bore them was dropped.
    let second = revision(2, &two, &computed(&two));
    assert_eq!(counts(&own, &two, std::slice::from_ref(&second)), computed(&two));
    assert_eq!(counts(&own, &args, std::slice::from_ref(&second)), computed(&args));
    // And back.
    assert_eq!(counts(&own, &one, &[first, second]), own);
}

/// Only the image changed: what else is hashed is still what the other way of hashing says, and pods can be updated.
#[test]
fn each_of_the_two_hashes_counts_for_itself() {
    let (one, two, foreign) = (spec(1, &[]), spec(2, &[]), said("full", "bare"));
    let first = revision(1, &one, &foreign);
    let mixed = counts(&foreign, &two, std::slice::from_ref(&first));
    assert_eq!(mixed, said(&computed(&two).full, "bare"));
    let second = revision(2, &two, &mixed);
    assert_eq!(counts(&foreign, &two, &[first, second.clone()]), mixed);
    assert_eq!(counts(&foreign, &two, &[second]), mixed);
}

#[test]
fn revisions_of_another_set_of_that_name_say_nothing() {
    let (one, two) = (spec(1, &[]), spec(2, &[]));
    let stated = computed(&one);
    let known = || vec![revision(1, &one, &stated)];
    let hashes = in_force((Some(&stated), &computed(&two)), "new", known, &Library::default());
    assert_eq!(hashes, stated);
}
