//! For which sets the API server is known to ask.

use std::sync::Arc;

use serde_json::json;

use super::inject::set;
use crate::asked::Asked;
use crate::object::SidecarSet;

fn named(name: &str) -> Arc<SidecarSet> {
    let mut set = SidecarSet::clone(&set(name, &json!({ "containers": [] })));
    set.meta.uid = Arc::from(name);
    Arc::new(set)
}

#[test]
fn a_set_is_asked_for_once_the_hooks_made_with_it_are_registered() {
    let asked = Asked::default();
    assert!(asked.about("a"), "nobody registers anything");
    asked.offer(&[named("a")]);
    assert!(!asked.about("a"));
    asked.registered();
    assert!(asked.about("a") && !asked.about("b"));
    // Another set: until its hooks are registered those of before are.
    asked.offer(&[named("a"), named("b")]);
    assert!(asked.about("a") && !asked.about("b"));
    asked.registered();
    assert!(asked.about("a") && asked.about("b"));
}
