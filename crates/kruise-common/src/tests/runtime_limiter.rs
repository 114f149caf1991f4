//! The window of writes under way, under a virtual clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::support::{ms, now, pass, s};
use crate::runtime::limiter::{Limiter, Patience, Slot};

async fn fill(limiter: &Limiter) -> Vec<Slot<'_>> {
    let mut slots = Vec::new();
    while let Some(slot) = limiter.enter().now_or_never() {
        slots.push(slot);
    }
    pass(ms(10)).await;
    slots
}

fn window(limiter: &Limiter, wanted: f64) {
    assert!((limiter.window() - wanted).abs() < 1e-9, "{} is not {wanted}", limiter.window());
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_window_is_under_way() {
    let limiter = Limiter::new(3);
    let mut slots = fill(&limiter).await;
    assert_eq!((slots.len(), limiter.in_flight()), (3, 3));
    slots.pop();
    assert_eq!(limiter.in_flight(), 2);
    slots.push(limiter.enter().await);
    assert!(limiter.enter().now_or_never().is_none());
    let none = Limiter::new(0);
    assert_eq!(fill(&none).await.len(), 1, "a window of nothing would be a stall for ever");
}

#[tokio::test(start_paused = true)]
async fn the_window_halves_once_per_round_trip_and_never_below_one() {
    let limiter = Limiter::new(64);
    for wanted in [32.0, 16.0, 8.0, 4.0, 2.0, 1.0, 1.0] {
        let slots = fill(&limiter).await;
        assert!(slots.len() <= 64);
        // All of them were sent before the first answer: one halving.
        for slot in &slots {
            slot.throttled(None);
        }
        window(&limiter, wanted);
        drop(slots);
        pass(ms(10)).await;
    }
    assert_eq!(fill(&limiter).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_successes_makes_room_for_one_more_up_to_the_most() {
    let limiter = Limiter::new(8);
    for slot in &fill(&limiter).await {
        slot.succeeded();
    }
    window(&limiter, 8.0);
    limiter.enter().await.throttled(None);
    window(&limiter, 4.0);
    for least in [4.8, 5.6, 6.5] {
        for slot in &fill(&limiter).await {
            slot.succeeded();
        }
        let window = limiter.window();
        assert!(window > least && window <= least + 0.6, "{window} after {least}");
    }
    for _ in 0..100 {
        limiter.enter().await.succeeded();
    }
    window(&limiter, 8.0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_until_the_time_that_the_server_asked_for() {
    let limiter = Limiter::new(4);
    let began = now();
    let slots = fill(&limiter).await;
    slots[0].throttled(Some(s(5)));
    // A shorter demand does not shorten the pause.
    slots[1].throttled(Some(s(1)));
    drop(slots);
    let _slot = limiter.enter().await;
    assert_eq!(now() - began, s(5) + ms(10));
}

#[tokio::test(start_paused = true)]
async fn nonsense_demands_are_cut() {
    let limiter = Limiter::new(4);
    let began = now();
    limiter.enter().await.throttled(Some(s(1_000_000)));
    let _slot = limiter.enter().await;
    assert_eq!(now() - began, s(30));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_use_a_window_that_grew() {
    let limiter = Arc::new(Limiter::new(8));
    for _ in 0..4 {
        limiter.enter().await.throttled(None);
        pass(ms(10)).await;
    }
    window(&limiter, 1.0);
    let most = Arc::new(AtomicUsize::new(0));
    let tasks = (0..40).map(|_| {
        let (limiter, most) = (limiter.clone(), most.clone());
        tokio::spawn(async move {
            let slot = limiter.enter().await;
            most.fetch_max(limiter.in_flight(), Ordering::SeqCst);
            pass(ms(10)).await;
            slot.succeeded();
        })
    });
    futures::future::join_all(tasks).await;
    // Nobody came later who could have used the room instead.
    assert!(most.load(Ordering::SeqCst) >= 6, "only {most:?} at once");
}

#[tokio::test(start_paused = true)]
async fn everybody_gets_through_whatever_the_server_says() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let most = random.random_range(1..20);
        let limiter = Arc::new(Limiter::new(most));
        let tasks: Vec<_> = (0..60)
            .map(|_| {
                let (limiter, seed) = (limiter.clone(), random.random());
                tokio::spawn(async move {
                    let mut random = StdRng::seed_from_u64(seed);
                    pass(ms(random.random_range(0..300))).await;
                    let slot = limiter.enter().await;
                    assert!(limiter.in_flight() <= usize::try_from(most).unwrap());
                    pass(ms(random.random_range(1..50))).await;
                    match random.random_range(0..4) {
                        0 => slot.throttled(None),
                        1 => slot.throttled(Some(s(random.random_range(0..3)))),
                        _ => slot.succeeded(),
                    }
                    assert!(limiter.window() >= 1.0 && limiter.window() <= f64::from(most));
                })
            })
            .collect();
        let all = tokio::time::timeout(s(600), futures::future::join_all(tasks)).await;
        assert!(all.unwrap().iter().all(Result::is_ok), "seed {seed}");
        assert_eq!(limiter.in_flight(), 0);
    }
}

/// What was decided long ago is not sent, and who gives up keeps nobody else from a slot.
#[tokio::test(start_paused = true)]
async fn patience_ends_with_time_or_with_the_first_that_failed() {
    let limiter = Arc::new(Limiter::new(1));
    let slot = limiter.enter().await;
    let patience = |seconds| Patience::of(s(seconds));
    let began = now();
    assert!(limiter.enter_within(&patience(3)).await.is_none());
    assert_eq!(now() - began, s(3));
    let lost = patience(60);
    lost.lost.cancel();
    assert!(limiter.enter_within(&lost).await.is_none(), "at once");
    assert_eq!(now() - began, s(3));
    // The one that is told of the free slot waits for the pause, and gives up in it.
    slot.throttled(Some(s(5)));
    let (short, long) = (limiter.clone(), limiter.clone());
    let short_one = tokio::spawn(async move { short.enter_within(&patience(4)).await.is_some() });
    pass(ms(1)).await;
    let long_one = tokio::spawn(async move { long.enter_within(&patience(20)).await.is_some() });
    pass(ms(1)).await;
    drop(slot);
    assert!(!short_one.await.unwrap());
    assert!(long_one.await.unwrap());
    assert_eq!((now() - began).as_secs(), 8, "when the pause is over");
}
