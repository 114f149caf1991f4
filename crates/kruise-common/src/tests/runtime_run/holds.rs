//! Why objects wait: metric, timer, and nothing left behind.

use super::*;

#[expect(clippy::disallowed_methods, reason = "a hold ends by the real clock")]
fn ends_in(seconds: i64) -> Timestamp {
    Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_knows_its_end_gets_a_timer() {
    let until = Some(ends_in(30));
    let later = Some(ends_in(900));
    let it = works(
        disabled(),
        move |_| {
            let holds = vec![Wait("Later", later), Wait("Minute", until), Wait("Event", None)];
            Some(Snapshot { holds, ..Snapshot::default() })
        },
        fine,
    );
    it.add();
    pass(s(31)).await;
    let turns = it.turns();
    // The real clock went on a little between the two reads.
    assert!(turns.len() >= 2 && (29_000..=30_100).contains(&turns[1]), "{turns:?}");
    assert!(it.results("requeue_after") > 0.5);
}

/// L3: whatever waits is looked at within a minute, also if it waits for an event that never comes, or for a time that
/// a wrong clock has put days away.
#[tokio::test(start_paused = true)]
async fn whatever_waits_is_looked_at_every_minute() {
    for end in [None, Some(ends_in(86_400))] {
        let holds = move || vec![Wait("Event", end)];
        let it = works(
            disabled(),
            move |_| Some(Snapshot { holds: holds(), ..Snapshot::default() }),
            fine,
        );
        it.add();
        pass(s(601)).await;
        assert_eq!((it.turns().len(), it.crank.queue.timers()), (11, 1), "{end:?}");
        assert!(lines(&it.log).is_empty(), "a look costs no request");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_is_over_does_not_spin() {
    let past = Some(ends_in(-60));
    let it = works(
        disabled(),
        move |_| Some(Snapshot { holds: vec![Wait("Past", past)], ..Snapshot::default() }),
        fine,
    );
    it.add();
    pass(ms(10_500)).await;
    assert_eq!(it.turns().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn the_metric_counts_objects_by_reason_and_forgets_those_that_are_gone() {
    let holds = Arc::new(Mutex::new(HashMap::from([
        ("a", Some(vec!["Budget", "Budget", "Pod"])),
        ("b", Some(vec!["Budget"])),
    ])));
    let observed = holds.clone();
    let it = works(
        disabled(),
        move |key| {
            let reasons = observed.lock().unwrap().get(&*key.name).cloned().flatten()?;
            let holds = reasons.into_iter().map(|reason| Wait(reason, None)).collect();
            Some(Snapshot { holds, ..Snapshot::default() })
        },
        fine,
    );
    let mut expect = Vec::new();
    for (change, wanted) in [
        (None, (2, 1)),
        (Some(("a", Some(vec!["Budget"]))), (2, 0)),
        (Some(("b", Some(vec!["Pod"]))), (1, 1)),
        (Some(("a", None)), (0, 1)),
        (Some(("b", Some(vec![]))), (0, 0)),
        (Some(("b", None)), (0, 0)),
    ] {
        if let Some((name, value)) = change {
            holds.lock().unwrap().insert(name, value);
        }
        // Twice: what stays the same is not counted again.
        for name in ["a", "b", "a", "b"] {
            it.crank.queue.add(key(name));
            pass(ms(1)).await;
        }
        expect.push((f64::from(wanted.0), f64::from(wanted.1)));
        let found = (it.holds("Budget"), it.holds("Pod"));
        let wanted = expect[expect.len() - 1];
        assert!(
            (found.0 - wanted.0).abs() < 0.1 && (found.1 - wanted.1).abs() < 0.1,
            "{found:?} is not {wanted:?}"
        );
    }
    assert!(it.crank.memory.lock().unwrap().is_empty(), "nothing is remembered of what is gone");
}

/// What waits on and on is told from a rollout that waits for another pod after every write, and from what comes and goes.
#[tokio::test(start_paused = true)]
async fn the_longest_wait_begins_anew_with_everything_that_is_done() {
    let works_on = Arc::new(Mutex::new(false));
    let busy = works_on.clone();
    let it = works(
        disabled(),
        move |key| {
            let mut holds = vec![Wait("Pod", None)];
            let mut steps = Vec::new();
            if &*key.name == "busy" {
                holds = vec![Wait("Budget", None)];
                steps.extend(busy.lock().unwrap().then_some(Step::InOrder(vec![1])));
            }
            Some(Snapshot { steps, holds, ..Snapshot::default() })
        },
        fine,
    );
    let waits = || {
        let waits = it.crank.longest_waits();
        ["Pod", "Budget"].map(|reason| waits.get(reason).map(Duration::as_secs))
    };
    for name in ["stuck", "busy"] {
        it.crank.queue.add(key(name));
    }
    pass(s(600)).await;
    assert_eq!(waits(), [Some(600), Some(600)]);
    *works_on.lock().unwrap() = true;
    it.crank.queue.add(key("busy"));
    pass(ms(1)).await;
    *works_on.lock().unwrap() = false;
    pass(s(30)).await;
    assert_eq!(waits(), [Some(630), Some(30)]);
}
