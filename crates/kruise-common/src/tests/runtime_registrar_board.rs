//! What replicas tell each other in annotations of a webhook configuration.

use std::cell::RefCell;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::support::now;
use crate::runtime::registrar::board::Board;

const ONE: &str = "kruise.io/announced-00000001";
const TWO: &str = "kruise.io/announced-00000002";

fn stored(version: u64, annotations: &[(&str, &str)]) -> ObjectMeta {
    let pairs = annotations.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    ObjectMeta {
        resource_version: Some(version.to_string()),
        annotations: Some(pairs.collect()),
        ..ObjectMeta::default()
    }
}

fn annotations(patch: Option<Value>) -> Value {
    patch.map_or(Value::Null, |patch| patch["metadata"]["annotations"].clone())
}

#[test]
fn each_replica_writes_under_its_own_key_and_reads_the_others() {
    let mut board = Board::of(1);
    let meta = stored(5, &[(ONE, "mine"), (TWO, "yours"), ("kruise.io/installed-by", "x")]);
    let heard = RefCell::new(Vec::new());
    let over = board.read(&meta, now(), |text| heard.borrow_mut().push(text.to_owned()));
    assert_eq!((heard.into_inner(), over.len()), (vec!["yours".to_owned()], 0));
    assert_eq!(board.post(&meta, Some("mine"), Vec::new()), None);
    assert_eq!(annotations(board.post(&meta, Some("new"), Vec::new())), json!({ ONE: "new" }));
    assert_eq!(annotations(board.post(&meta, None, Vec::new())), json!({ ONE: null }));
}

#[test]
fn what_was_written_is_not_written_again_before_it_is_seen() {
    let mut board = Board::of(1);
    board.posted(Some("mine".to_owned()), &stored(9, &[]));
    assert_eq!(board.post(&stored(8, &[]), Some("mine"), Vec::new()), None);
    let lost = board.post(&stored(9, &[]), Some("mine"), Vec::new());
    assert_eq!(annotations(lost), json!({ ONE: "mine" }), "somebody made the configuration anew");
}

/// By our own clock: others may be wrong.
#[test]
fn what_nobody_changes_is_taken_away_as_it_was_read() {
    let (mut board, start) = (Board::of(1), now());
    let read = |board: &mut Board, text: &str, seconds| {
        board.read(&stored(5, &[(TWO, text)]), start + Duration::from_secs(seconds), |_| ())
    };
    assert_eq!(read(&mut board, "first", 0), [""; 0]);
    assert_eq!(read(&mut board, "long ago", 119), [""; 0]);
    assert_eq!(read(&mut board, "long ago", 238), [""; 0], "two minutes are not over");
    let over = read(&mut board, "long ago", 239);
    let meta = stored(5, &[(TWO, "long ago")]);
    let patch = board.post(&meta, None, over).unwrap();
    let wanted = json!({ "metadata": { "resourceVersion": "5", "annotations": { TWO: null } } });
    assert_eq!(patch, wanted);
}
