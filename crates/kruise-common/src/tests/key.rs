//! Names of objects, and where they are in URLs.

use crate::key::ObjectKey;
use crate::kind::{CONTROLLER_REVISION, POD, STATEFUL_SET};

#[test]
fn keys_are_ordered_by_namespace_first() {
    let mut keys = [ObjectKey::new("b", "a"), ObjectKey::new("a", "z"), ObjectKey::new("a", "b")];
    keys.sort();
    let shown: Vec<_> = keys.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["a/b", "a/z", "b/a"]);
    assert_eq!(ObjectKey::new("", "node").to_string(), "node");
    assert_eq!(keys[0].sibling("c"), ObjectKey::new("a", "c"));
}

#[test]
fn kinds_know_their_urls() {
    assert_eq!(POD.path("ns"), "/api/v1/namespaces/ns/pods");
    assert_eq!(POD.path(""), "/api/v1/pods");
    assert_eq!(STATEFUL_SET.path("ns"), "/apis/apps.kruise.io/v1beta1/namespaces/ns/statefulsets");
    assert_eq!(CONTROLLER_REVISION.path(""), "/apis/apps/v1/controllerrevisions");
    assert_eq!(
        (POD.api_version(), STATEFUL_SET.api_version()),
        ("v1".into(), "apps.kruise.io/v1beta1".into())
    );
}
