//! Tables: what they keep, what they ignore, and what they find.

use std::sync::Arc;

use super::support::{key, meta};
use crate::meta::Meta;
use crate::table::{Record, Table};

mod labels;
mod properties;

#[derive(Debug, PartialEq)]
struct Row(Meta);

impl Record for Row {
    fn meta(&self) -> &Meta {
        &self.0
    }
}

fn row(name: &str, uid: &str, version: u64) -> Row {
    Row(meta(name, uid, version, "owner"))
}

/// `name uid version`, of all rows in order.
fn rows(table: &Table<Row>) -> Vec<String> {
    let show =
        |row: Arc<Row>| format!("{} {} {}", row.0.key.name, row.0.uid, row.0.resource_version);
    table.keys().iter().map(|key| show(table.get(key).unwrap())).collect()
}

/// A row that belongs to groups.
#[derive(Debug, PartialEq)]
struct Grouped(Meta, Vec<Arc<str>>);

impl Record for Grouped {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn groups(&self) -> &[Arc<str>] {
        &self.1
    }
}

#[test]
fn rows_are_found_by_their_groups_of_now() {
    let table = Table::default();
    let grouped = |name: &str, version, groups: &[&str]| {
        Grouped(
            meta(name, name, version, ""),
            groups.iter().map(|group| Arc::from(*group)).collect(),
        )
    };
    let found = |group: &str| -> Vec<String> {
        table.in_group(group).iter().map(|row: &Arc<Grouped>| row.0.key.name.to_string()).collect()
    };
    table.apply(grouped("b", 1, &["x", "y"]));
    table.apply(grouped("a", 2, &["x"]));
    table.apply(grouped("c", 3, &[]));
    assert_eq!(
        (found("x"), found("y"), found("z")),
        (vec!["a".into(), "b".into()], vec!["b".into()], vec![])
    );
    table.apply(grouped("b", 4, &["z"]));
    assert_eq!((found("x"), found("y"), found("z")), (vec!["a".into()], vec![], vec!["b".into()]));
    table.remove(&meta("a", "a", 9, ""));
    assert!(found("x").is_empty());
}

/// As numbers, not as texts: 5 is older than 10.
#[test]
fn an_event_is_taken_if_it_is_newer_and_ignored_if_not() {
    let table = Table::default();
    let change = table.apply(row("a", "u", 5)).unwrap();
    assert_eq!((change.old, change.new), (None, Some(Arc::new(row("a", "u", 5)))));
    for version in [5, 4, 1] {
        assert!(table.apply(row("a", "u", version)).is_none(), "{version}");
    }
    let change = table.apply(row("a", "u", 10)).unwrap();
    assert_eq!(change.old, Some(Arc::new(row("a", "u", 5))));
    assert_eq!(rows(&table), ["a u 10"]);
    assert_eq!((table.len(), table.is_empty()), (1, false));
}

#[test]
fn versions_that_are_no_numbers_are_taken_if_they_differ() {
    let opaque = |version: &str| {
        let mut meta = meta("a", "u", 1, "");
        meta.resource_version = version.into();
        Row(meta)
    };
    let table = Table::default();
    table.apply(opaque("x9")).unwrap();
    assert!(table.apply(opaque("x9")).is_none());
    assert!(table.apply(opaque("x10")).is_some());
    assert!(table.apply(opaque("x9")).is_some());
}

#[test]
fn a_relist_marks_and_sweeps() {
    let table = Table::default();
    for name in ["a", "b", "c"] {
        table.apply(row(name, name, 1));
    }
    table.begin_sync();
    table.apply_listed(row("a", "a", 1));
    table.apply_listed(row("b", "b", 7));
    // A reply to our own write that the list does not have: it is older, or the object was deleted before.
    table.apply(row("d", "d", 9));
    let swept = table.end_sync(true);
    assert_eq!(swept.doubtful, [(key("d"), "d".into())]);
    assert_eq!(swept.changes.len(), 1);
    assert_eq!(swept.changes[0].old, Some(Arc::new(row("c", "c", 1))));
    assert!(swept.changes[0].new.is_none());
    assert_eq!(rows(&table), ["a a 1", "b b 7", "d d 9"]);
    assert_eq!(table.owned_by("owner").len(), 3);
    assert!(table.end_sync(true).changes.is_empty(), "without a relist nothing is swept");
    assert_eq!(table.len(), 3);
}

#[test]
fn a_relist_that_broke_off_sweeps_nothing_of_what_the_next_one_has() {
    let table = Table::default();
    table.apply(row("a", "a", 1));
    table.apply(row("b", "b", 1));
    table.begin_sync();
    table.apply_listed(row("a", "a", 1));
    table.begin_sync();
    table.apply_listed(row("b", "b", 1));
    table.end_sync(true);
    assert_eq!(rows(&table), ["b b 1"]);
}

#[test]
fn what_we_deleted_does_not_come_back_with_a_late_event() {
    let table = Table::default();
    table.apply(row("a", "u", 5));
    let change = table.forget(&key("a"), "u").unwrap();
    assert!(change.old.is_some() && change.new.is_none());
    assert!(table.apply(row("a", "u", 6)).is_none(), "it was under way");
    assert!(table.is_empty() && table.owned_by("owner").is_empty());
    assert!(table.remove(&meta("a", "u", 7, "")).is_none());
    // Its name may be used again, at once.
    table.forget(&key("a"), "u");
    table.apply(row("a", "v", 8)).unwrap();
    assert_eq!(rows(&table), ["a v 8"]);
}

/// The list was read before we deleted the object, and so were the events that follow it.
#[test]
fn what_we_deleted_during_a_relist_does_not_come_back_after_it() {
    let table = Table::default();
    table.apply(row("a", "u", 5));
    table.begin_sync();
    table.forget(&key("a"), "u").unwrap();
    assert!(table.apply_listed(row("a", "u", 5)).is_none());
    assert!(table.end_sync(true).changes.is_empty());
    assert!(table.apply(row("a", "u", 6)).is_none(), "an event from before the deletion");
    assert!(table.is_empty());
    table.remove(&meta("a", "u", 7, ""));
}

/// Whoever deleted it: the reply to our own last write may come after the event.
#[test]
fn a_late_reply_brings_nothing_back() {
    let table = Table::default();
    table.apply(row("a", "u", 5));
    table.remove(&meta("a", "u", 7, "owner")).unwrap();
    assert!(table.apply(row("a", "u", 6)).is_none());
    table.apply(row("b", "v", 8));
    table.begin_sync();
    table.end_sync(true);
    assert!(table.apply(row("b", "v", 9)).is_none(), "a list no longer had it");
    table.remove(&meta("c", "w", 12, ""));
    assert!(table.apply(row("c", "w", 11)).is_none(), "it was never seen");
    assert!(table.is_empty());
}

/// Under a label selector an event of its end only says that it does not bear the label now.
#[test]
fn what_lost_its_label_may_bear_it_again() {
    let table = Table::default();
    table.apply(row("a", "u", 5));
    table.remove(&meta("a", "u", 7, "owner")).unwrap();
    assert!(table.apply(row("a", "u", 9)).is_some());
    table.begin_sync();
    table.apply_listed(row("b", "v", 20));
    assert_eq!(table.end_sync(false).changes.len(), 1);
    assert!(table.apply(row("a", "u", 19)).is_none(), "from before the list");
    assert!(table.apply(row("a", "u", 21)).is_some());
}

/// Memory is bounded; what is forgotten first has been gone for longest.
#[test]
fn not_everybody_who_is_gone_is_remembered_for_ever() {
    let table: Table<Row> = Table::default();
    for number in 0..40_000 {
        table.remove(&meta("a", &format!("u{number}"), number, ""));
    }
    assert!(table.apply(row("a", "u39999", 1)).is_none());
    assert!(table.apply(row("a", "u0", 0)).is_some());
}

#[test]
fn only_the_object_that_was_meant_is_forgotten() {
    let table = Table::default();
    table.apply(row("a", "new", 5));
    assert!(table.forget(&key("a"), "old").is_none());
    assert!(table.forget(&key("b"), "other").is_none());
    assert!(table.apply(row("a", "new", 6)).is_some());
}

#[test]
fn a_deletion_does_not_hit_the_successor_of_the_same_name() {
    let table = Table::default();
    table.apply(row("a", "old", 5));
    // The reply to our creation is faster than the event of the deletion.
    let change = table.apply(row("a", "new", 9)).unwrap();
    assert_eq!(&*change.old.unwrap().0.uid, "old");
    assert!(table.remove(&meta("a", "old", 8, "")).is_none());
    assert!(table.apply(row("a", "old", 7)).is_none());
    assert_eq!(rows(&table), ["a new 9"]);
    assert!(table.remove(&meta("a", "new", 12, "")).is_some());
    assert!(table.remove(&meta("a", "new", 12, "")).is_none());
    assert!(table.is_empty());
}

#[test]
fn a_deletion_of_a_successor_that_we_never_saw_removes_the_row() {
    let table = Table::default();
    table.apply(row("a", "old", 5));
    assert!(table.remove(&meta("a", "new", 9, "")).is_some());
    assert!(table.is_empty());
}

#[test]
fn the_index_follows_the_owner() {
    let owned = |table: &Table<Row>, uid: &str| {
        table.owned_by(uid).iter().map(|row| row.0.key.name.to_string()).collect::<Vec<_>>()
    };
    let table = Table::default();
    for (name, owner) in [("b", "x"), ("a", "x"), ("c", "y"), ("d", "")] {
        table.apply(Row(meta(name, name, 1, owner)));
    }
    assert_eq!(owned(&table, "x"), ["a", "b"]);
    table.apply(Row(meta("a", "a", 2, "y")));
    table.apply(Row(meta("c", "c", 2, "")));
    assert_eq!((owned(&table, "x"), owned(&table, "y")), (vec!["b".into()], vec!["a".into()]));
    table.apply(Row(meta("d", "d", 2, "x")));
    assert_eq!(owned(&table, "x"), ["b", "d"]);
    // The index has the row as it is now.
    table.apply(Row(meta("b", "b", 3, "x")));
    assert_eq!(&*table.owned_by("x")[0].0.resource_version, "3");
    assert!(owned(&table, "nobody").is_empty() && owned(&table, "").is_empty());
}

#[test]
fn a_prefix_stays_in_its_namespace() {
    let table = Table::default();
    let put = |namespace: &str, name: &str| {
        let mut meta = meta(name, name, 1, "");
        meta.key.namespace = namespace.into();
        table.apply(Row(meta));
    };
    for name in ["web-0", "web-1", "web", "we", "web.", "wec", "api-0"] {
        put("ns", name);
    }
    put("ms", "web-9");
    put("nt", "web-9");
    let names = |prefix: &str| {
        let rows = table.with_prefix(&"ns".into(), prefix);
        rows.iter().map(|row| row.0.key.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("web-"), ["web-0", "web-1"]);
    assert_eq!(names("web"), ["web", "web-0", "web-1", "web."]);
    assert_eq!(names("").len(), 7);
    assert!(names("x").is_empty());
    assert!(table.with_prefix(&"none".into(), "").is_empty());
}

/// A row that tells something beyond its object if its name says so.
#[derive(Debug, PartialEq)]
struct Kept(Meta);

impl Record for Kept {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn outlives_its_object(&self) -> bool {
        self.0.key.name.starts_with("kept")
    }
}

#[test]
fn what_still_tells_something_stays_aside_until_it_is_buried() {
    let table = Table::default();
    let row = |name: &str, uid: &str, version| Kept(meta(name, uid, version, "owner"));
    let names = || -> Vec<String> {
        table.departed(|_| true).iter().map(|row: &Arc<Kept>| row.0.uid.to_string()).collect()
    };
    table.apply(row("kept-1", "a", 1));
    table.apply(row("other", "b", 2));
    table.apply(row("kept-2", "c", 3));
    table.apply(row("kept-2", "c", 4));
    assert_eq!(names(), [""; 0], "a change is no end");
    table.apply(row("kept-2", "d", 5));
    assert_eq!(names(), ["c"], "another object has the name");
    table.remove(&meta("kept-1", "a", 6, "owner"));
    table.begin_sync();
    table.end_sync(true);
    assert_eq!(names(), ["c", "a", "d"], "a relist that no longer has it is an end too");
    assert_eq!(table.departed(|row| *row.0.uid == *"a").len(), 1);
    table.bury(|row| *row.0.uid != *"d");
    assert_eq!(names(), ["d"]);
    for version in 10..20_000 {
        table.apply(row("kept-3", &version.to_string(), version));
    }
    assert_eq!(names().len(), 16_384, "nobody buries them on a standby: the oldest are forgotten");
    assert_eq!(names().last().unwrap(), "19998");
}
