use std::collections::BTreeSet;

use crate::mark::{Mark, Marks, read, write};

#[test]
fn a_mark_is_always_the_same_and_part_of_a_name() {
    let mark = Mark::of("job", "node");
    assert_eq!(mark, Mark::of("job", "node"));
    assert_eq!(mark.as_str().len(), Mark::LENGTH);
    assert!(mark.as_str().bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
    // Stored in statuses and names of pods: another value would run every node again.
    assert_eq!(mark.as_str(), "kozjpbzegb");
    assert_ne!(mark, Mark::of("job", "node2"));
    assert_ne!(mark, Mark::of("jo", "bnode"));
}

#[test]
fn many_nodes_have_many_marks() {
    let marks: BTreeSet<Mark> = (0..20_000).map(|n| Mark::of("job", &format!("uid-{n}"))).collect();
    assert_eq!(marks.len(), 20_000);
}

#[test]
fn a_set_of_marks_is_one_text() {
    let marks: Marks = ["a", "b", "c"].iter().map(|node| Mark::of("job", node)).collect();
    let text = write(&marks);
    assert_eq!(text.len(), 3 * Mark::LENGTH);
    assert_eq!(read(&text), marks);
    assert_eq!(read(""), Marks::new());
    // What somebody else wrote there does no harm.
    assert_eq!(read("???? and so on").len(), 0);
    assert_eq!(read(&format!("{text}abc")), marks);
    assert_eq!(read("äöüäöüäöüäöü"), Marks::new());
}
