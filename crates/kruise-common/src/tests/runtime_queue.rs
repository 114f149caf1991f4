//! The work queue under a virtual clock.

use std::sync::Arc;

use futures::FutureExt;

use super::support::{key, ms, now, pass, s};
use crate::runtime::queue::{Load, Queue};

mod properties;

/// The next object, if there is one now.
fn take(queue: &Queue) -> Option<String> {
    queue.next().now_or_never().flatten().map(|turn| turn.key.name.to_string())
}

#[tokio::test(start_paused = true)]
async fn requests_for_one_object_merge_and_objects_come_in_order() {
    let queue = Queue::default();
    for name in ["b", "a", "b", "a", "c"] {
        queue.add(key(name));
    }
    assert_eq!(queue.depth(), 3);
    pass(s(2)).await;
    let turn = queue.next().await.unwrap();
    assert_eq!((&*turn.key.name, turn.waited), ("b", s(2)));
    assert_eq!(
        [take(&queue), take(&queue), take(&queue)],
        [Some("a".into()), Some("c".into()), None]
    );
    assert_eq!((queue.depth(), queue.running()), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn an_object_has_one_turn_at_a_time_and_one_more_if_it_was_asked_for_meanwhile() {
    let queue = Queue::default();
    queue.add(key("a"));
    assert_eq!(take(&queue).as_deref(), Some("a"));
    queue.add(key("a"));
    queue.add(key("a"));
    assert_eq!((take(&queue), queue.depth()), (None, 0));
    queue.add(key("b"));
    assert_eq!(take(&queue).as_deref(), Some("b"), "others are not held up");
    queue.done(&key("a"));
    assert_eq!(take(&queue).as_deref(), Some("a"));
    queue.done(&key("a"));
    assert_eq!(take(&queue), None);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_rests_has_its_next_turn_afterwards_and_wakes_who_waits() {
    let queue = Arc::new(Queue::default());
    queue.add(key("a"));
    queue.next().await.unwrap();
    queue.add(key("a"));
    let began = now();
    queue.rest(&key("a"), began + s(3));
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await.unwrap() }
    });
    pass(s(1)).await;
    queue.add(key("a"));
    queue.add_after(key("a"), s(1));
    assert_eq!((queue.depth(), queue.running()), (0, 0));
    let turn = waiting.await.unwrap();
    assert_eq!((&*turn.key.name, now() - began), ("a", s(3)));
    queue.rest(&turn.key, now() + s(3));
    let more = tokio::time::timeout(s(100), queue.next()).await;
    assert!(more.is_err(), "one turn for all that was asked for, none for the rest itself");
}

#[tokio::test(start_paused = true)]
async fn the_load_counts_turns_asked_for_once_and_tells_how_old_those_under_way_are() {
    let queue = Queue::default();
    for name in ["a", "a", "b", "c"] {
        queue.add(key(name));
    }
    take(&queue);
    pass(s(2)).await;
    take(&queue);
    for _ in 0..2 {
        queue.add(key("a"));
    }
    pass(s(1)).await;
    let load = Load { waiting: 1, running: 2, added: 4, unfinished: s(4), longest: s(3) };
    assert_eq!(queue.load(), load);
    queue.done(&key("a"));
    let load = Load { waiting: 2, running: 1, added: 4, unfinished: s(1), longest: s(1) };
    assert_eq!(
        queue.load(),
        load,
        "what was asked for meanwhile waits now, and is not counted again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_timer_keeps_the_earliest_point() {
    let queue = Queue::default();
    let began = now();
    for seconds in [10, 5, 7, 20] {
        queue.add_after(key("a"), s(seconds));
    }
    assert_eq!(queue.timers(), 1);
    queue.next().await.unwrap();
    assert_eq!(now() - began, s(5));
    queue.done(&key("a"));
    let more = tokio::time::timeout(s(100), queue.next()).await;
    assert!(more.is_err(), "the later points were forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_fires_during_the_turn_gives_another_one() {
    let queue = Queue::default();
    queue.add(key("a"));
    queue.next().await.unwrap();
    queue.add_after(key("a"), s(1));
    pass(s(2)).await;
    assert_eq!((take(&queue), queue.timers()), (None, 0));
    queue.done(&key("a"));
    assert_eq!(take(&queue).as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_timer_wakes_who_waits_for_a_later_one() {
    let queue = Arc::new(Queue::default());
    let began = now();
    queue.add_after(key("late"), s(100));
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await.unwrap().key }
    });
    pass(s(1)).await;
    queue.add_after(key("soon"), s(1));
    assert_eq!(waiting.await.unwrap(), key("soon"));
    assert_eq!(now() - began, s(2));
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_gives_nothing_and_lets_nobody_wait() {
    let queue = Arc::new(Queue::default());
    let workers: Vec<_> = (0..5)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.next().await.is_none() })
        })
        .collect();
    queue.add_after(key("a"), s(1000));
    pass(ms(1)).await;
    queue.close();
    queue.add(key("b"));
    let ended = tokio::time::timeout(s(1), futures::future::join_all(workers)).await.unwrap();
    assert!(ended.into_iter().all(|none| none.unwrap()));
    assert!(queue.next().await.is_none(), "not even what is ready");
}

#[tokio::test(start_paused = true)]
async fn many_requests_at_once_wake_all_workers() {
    let queue = Arc::new(Queue::default());
    for _ in 0..8 {
        let queue = queue.clone();
        tokio::spawn(async move {
            while let Some(turn) = queue.next().await {
                pass(s(1)).await;
                queue.done(&turn.key);
            }
        });
    }
    pass(ms(1)).await;
    for name in 0..16 {
        queue.add(key(&name.to_string()));
    }
    pass(ms(1)).await;
    assert_eq!((queue.running(), queue.depth()), (8, 8));
    pass(s(1)).await;
    assert_eq!((queue.running(), queue.depth()), (8, 0));
    pass(s(1)).await;
    assert_eq!(queue.running(), 0);
}
