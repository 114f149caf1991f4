//! How fast a turn goes, and how often it tells.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn busy() -> Snapshot {
    Snapshot { status: true, ..Snapshot::default() }
}

#[tokio::test(start_paused = true)]
async fn the_status_is_written_once_a_second_and_the_last_word_is_not_lost() {
    let it = works(disabled(), |_| Some(busy()), fine);
    for _ in 0..50 {
        it.add();
        pass(ms(100)).await;
    }
    pass(s(20)).await;
    let times = it.times("/status");
    // The last event came at 4.9 s.
    assert_eq!(times, [0, 1, 2, 3, 4, 5].map(s));
}

/// What nothing else remembers is written whenever it is known.
#[tokio::test(start_paused = true)]
async fn an_urgent_status_does_not_wait_for_its_second() {
    let urgent = Arc::new(Mutex::new(false));
    let asked = urgent.clone();
    let observe = move |_: &ObjectKey| Some(Snapshot { urgent: *asked.lock().unwrap(), ..busy() });
    let it = works(disabled(), observe, fine);
    for urgent_now in [false, false, true, false] {
        *urgent.lock().unwrap() = urgent_now;
        it.add();
        pass(ms(100)).await;
    }
    assert_eq!(it.times("/status"), [0, 200].map(ms));
    pass(s(2)).await;
    assert_eq!(it.times("/status"), [0, 200, 1200].map(ms), "a second after the last one");
}

#[tokio::test(start_paused = true)]
async fn two_objects_do_not_share_the_second() {
    let it = works(disabled(), |_| Some(busy()), fine);
    it.add();
    it.crank.queue.add(key("other"));
    pass(ms(10)).await;
    assert_eq!(it.times("/status").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_burst_starts_slowly() {
    let actions = || (0..25).collect();
    let it = works(
        disabled(),
        move |_| Some(Snapshot { steps: vec![Step::Burst(actions())], ..Snapshot::default() }),
        |_| slow(ms(10)),
    );
    it.add();
    pass(ms(49)).await;
    let mut rounds: BTreeMap<u128, usize> = BTreeMap::new();
    for time in it.times("") {
        *rounds.entry(time.as_millis() / 10).or_default() += 1;
    }
    assert_eq!(rounds.into_values().collect::<Vec<_>>(), [1, 2, 4, 8, 10]);
}

/// How many actions of the first round of a turn of ten were sent, after a first turn and what came between: time, and
/// perhaps another generation.
async fn first_round(idle: Duration, changed: bool) -> usize {
    let turn = Arc::new(AtomicU32::new(0));
    let seen = turn.clone();
    let it = works(
        disabled(),
        move |_| {
            let from = seen.fetch_add(1, Ordering::SeqCst) * 10;
            let steps = vec![Step::Burst((from..from + 10).collect())];
            let generation = if changed { i64::from(from) } else { 1 };
            let steps = if from < 20 { steps } else { vec![] };
            Some(Snapshot { steps, generation, ..Snapshot::default() })
        },
        |_| slow(ms(10)),
    );
    it.add();
    pass(idle).await;
    let before = it.times("").len();
    it.add();
    pass(ms(5)).await;
    it.times("").len() - before
}

#[tokio::test(start_paused = true)]
async fn a_turn_goes_on_as_wide_as_the_last_one_unless_that_is_long_past_or_of_another_generation()
{
    assert_eq!(first_round(s(1), false).await, 10);
    assert_eq!(first_round(s(61), false).await, 1);
    assert_eq!(first_round(s(1), true).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_burst_has_a_limit() {
    let most = Arc::new(Mutex::new(0));
    let seen = most.clone();
    let answers = Arc::new(Mutex::new(Vec::<Instant>::new()));
    let it = works(
        disabled(),
        |_| Some(Snapshot { steps: vec![Step::Burst((0..900).collect())], ..Snapshot::default() }),
        move |_| {
            let mut answers = answers.lock().unwrap();
            answers.retain(|at| *at > now());
            answers.push(now() + ms(50));
            let mut most = seen.lock().unwrap();
            *most = answers.len().max(*most);
            slow(ms(50))
        },
    );
    it.add();
    pass(ms(950)).await;
    assert_eq!(*most.lock().unwrap(), 64);
}

#[tokio::test(start_paused = true)]
async fn actions_in_order_go_one_by_one() {
    let it = works(
        disabled(),
        |_| Some(Snapshot { steps: vec![Step::InOrder(vec![1, 2, 3])], ..Snapshot::default() }),
        |_| slow(ms(10)),
    );
    it.add();
    pass(s(2)).await;
    assert_eq!(it.times("")[..3], [ms(0), ms(10), ms(20)]);
    assert_eq!(lines(&it.log)[2], "PATCH /api/v1/namespaces/ns/pods/pod-3");
}

/// A turn starts actions for a tenth of a second if deciding took no time; what is left is decided anew, at once, and the status goes on.
#[tokio::test(start_paused = true)]
async fn a_long_plan_is_cut_into_turns() {
    let done = Arc::new(AtomicU32::new(0));
    let counted = done.clone();
    let it = works(
        disabled(),
        move |_| {
            let left: Vec<u32> = (done.load(Ordering::SeqCst)..350).collect();
            let steps = if left.is_empty() { Vec::new() } else { vec![Step::InOrder(left)] };
            Some(Snapshot { status: !steps.is_empty(), steps, ..Snapshot::default() })
        },
        move |request| {
            if request.path.contains("/pods/") {
                counted.fetch_add(1, Ordering::SeqCst);
                return slow(ms(10));
            }
            Answer::Json(200, json!({}))
        },
    );
    it.add();
    pass(s(10)).await;
    let turns = it.turns();
    assert_eq!(turns.len(), 36, "{turns:?}");
    assert!(
        turns[..35].windows(2).all(|pair| (100..=110).contains(&(pair[1] - pair[0]))),
        "{turns:?}"
    );
    let names: Vec<_> = lines(&it.log).into_iter().filter(|line| line.contains("pods")).collect();
    assert_eq!(names.len(), 350, "each once");
    let gaps = it.times("").windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap();
    assert!(gaps <= ms(20), "no pause between turns: {gaps:?}");
    assert!(it.times("/status").len() >= 3);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_took_the_whole_turn_is_its_last() {
    let done = Arc::new(AtomicU32::new(0));
    let counted = done.clone();
    let it = works(
        disabled(),
        move |_| {
            let left = done.load(Ordering::SeqCst)..3;
            let steps = left.map(|action| Step::InOrder(vec![action])).collect();
            Some(Snapshot { steps, ..Snapshot::default() })
        },
        move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            slow(s(2))
        },
    );
    it.add();
    pass(s(10)).await;
    let turns = it.turns();
    assert!(turns.len() >= 3, "decided anew before each: {turns:?}");
    assert_eq!(it.times("").len(), 3);
}

/// S6, C.3: what was decided does not leave once the server has time for it, whatever the owner wants by then.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_is_decided_anew() {
    let wanted = Arc::new(Mutex::new(true));
    let asked = wanted.clone();
    let observe = move |key: &ObjectKey| {
        let actions = if &*key.name == "other" { 100..101 } else { 0..8 };
        let steps = asked.lock().unwrap().then(|| Step::Burst(actions.collect()));
        Some(Snapshot { steps: steps.into_iter().collect(), ..Snapshot::default() })
    };
    let it = works(disabled(), observe, |seen| {
        if seen.path.ends_with("pod-100") { Answer::Text(429, "wait", 20) } else { fine(seen) }
    });
    it.crank.queue.add(key("other"));
    pass(ms(10)).await;
    it.add();
    pass(s(10)).await;
    let waits = it.turns().len();
    assert!((3..=8).contains(&waits), "{waits} turns that came to nothing");
    *wanted.lock().unwrap() = false;
    pass(s(60)).await;
    let sent: Vec<_> = (0..8).flat_map(|at| it.times(&format!("pod-{at}"))).collect();
    assert!(sent.is_empty(), "{sent:?}");
    assert_eq!(it.crank.queue.running(), 0);
}
