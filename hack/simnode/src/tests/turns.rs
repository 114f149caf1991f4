//! Who writes next.

use crate::turns::Turns;

fn pop(turns: &mut Turns) -> Option<String> {
    turns.pop().map(|(node, uid)| format!("{node}/{uid}"))
}

#[test]
fn a_node_writes_one_after_another_and_nodes_write_at_once() {
    let mut turns = Turns::default();
    for (node, uid) in [("a", "1"), ("a", "2"), ("b", "3")] {
        turns.push(node, uid);
    }
    assert_eq!(pop(&mut turns).as_deref(), Some("a/1"));
    assert_eq!(pop(&mut turns).as_deref(), Some("b/3"));
    assert_eq!(pop(&mut turns), None, "both nodes are busy");
    turns.done("a");
    assert_eq!(pop(&mut turns).as_deref(), Some("a/2"));
    turns.done("a");
    turns.done("b");
    assert_eq!(pop(&mut turns), None, "all is written");
}

#[test]
fn news_of_a_pod_that_waits_is_written_once_and_news_of_one_being_written_once_more() {
    let mut turns = Turns::default();
    turns.push("a", "1");
    turns.push("a", "1");
    assert_eq!(pop(&mut turns).as_deref(), Some("a/1"));
    turns.push("a", "1");
    turns.push("a", "1");
    assert_eq!(pop(&mut turns), None, "never two writes at once about one pod");
    turns.done("a");
    assert_eq!(pop(&mut turns).as_deref(), Some("a/1"));
    turns.done("a");
    assert_eq!(pop(&mut turns), None);
}
