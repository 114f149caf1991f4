//! Sharing of equal values.

use std::sync::Arc;

use crate::intern::Interner;

#[test]
fn equal_values_are_one() {
    let interner = Interner::default();
    assert!(Arc::ptr_eq(&interner.get("a"), &interner.get("a")));
    let kept = interner.get("a");
    assert!(Arc::ptr_eq(&kept, &interner.get("a")));
    assert_eq!(&*interner.get(""), "");
    let (one, two) = (interner.list(["a", "b"]), interner.list(["a", "b"]));
    assert!(Arc::ptr_eq(&one, &two) && Arc::ptr_eq(&one[0], &kept));
    assert_ne!(interner.list(["b", "a"]), one);
    assert_eq!(interner.texts(), 3);
}

#[test]
fn what_nobody_uses_is_dropped_and_what_is_used_stays_shared() {
    let interner = Interner::default();
    let kept: Vec<_> = (0..100).map(|number| interner.get(&format!("kept-{number}"))).collect();
    for number in 0..50_000 {
        interner.get(&format!("pod-{number}"));
    }
    assert!(interner.texts() <= 1025, "{} texts", interner.texts());
    for (number, text) in kept.iter().enumerate() {
        assert!(Arc::ptr_eq(text, &interner.get(&format!("kept-{number}"))));
    }
}
