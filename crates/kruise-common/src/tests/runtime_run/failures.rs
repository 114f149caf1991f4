//! Turns that fail: what still happens in them, and when the next comes.

use super::*;

/// Answers pods by the last number of their name.
fn refusing(number: u32, code: u16, times: u32) -> impl Fn(&Seen) -> Answer + Send + Sync {
    let left = Mutex::new(times);
    move |request| {
        let mut left = left.lock().unwrap();
        if request.method == "PATCH"
            && request.path.ends_with(&format!("pod-{number}"))
            && *left > 0
        {
            *left -= 1;
            return failure(code, "Test");
        }
        Answer::Json(200, json!({}))
    }
}

fn plan(steps: Vec<Step<u32>>) -> impl Fn(&ObjectKey) -> Option<Snapshot> + Send + Sync {
    move |_| Some(Snapshot { steps: steps.clone(), status: true, ..Snapshot::default() })
}

fn silent(steps: Vec<Step<u32>>) -> impl Fn(&ObjectKey) -> Option<Snapshot> + Send + Sync {
    move |_| Some(Snapshot { steps: steps.clone(), ..Snapshot::default() })
}

fn pods(log: &Log) -> Vec<String> {
    let patches = lines(log).into_iter().filter(|line| line.starts_with("PATCH"));
    patches.filter_map(|line| line.split("/pods/").nth(1).map(str::to_owned)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_failed_action_ends_the_plan_but_not_the_status() {
    let steps = vec![Step::InOrder(vec![1, 2, 3]), Step::Burst(vec![4])];
    let it = works(disabled(), plan(steps), refusing(2, 403, 1));
    it.add();
    pass(ms(2)).await;
    assert_eq!(pods(&it.log), ["pod-1", "pod-2"]);
    assert_eq!(it.times("/status").len(), 1);
    pass(ms(10)).await;
    assert_eq!(pods(&it.log)[2..], ["pod-1", "pod-2", "pod-3", "pod-4"]);
    assert!(it.results("error") > 0.5);
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_a_burst_lets_those_in_flight_end_and_starts_nothing() {
    let it = works(disabled(), silent(vec![Step::Burst((1..=20).collect())]), |request| {
        let answer = if request.path.ends_with("/pod-3") {
            failure(403, "Forbidden")
        } else {
            Answer::Json(200, json!({}))
        };
        Answer::After(ms(if request.path.ends_with("/pod-2") { 50 } else { 10 }), Box::new(answer))
    });
    it.add();
    pass(ms(59)).await;
    assert_eq!(pods(&it.log), ["pod-1", "pod-2", "pod-3"]);
    assert_eq!(it.turns().len(), 1, "the turn waits for the answer to pod-2");
    pass(ms(20)).await;
    assert_eq!(it.turns().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_wait_longer_and_a_success_makes_them_forgotten() {
    let left = Arc::new(Mutex::new(6));
    let failures = left.clone();
    let it = works(disabled(), silent(vec![Step::InOrder(vec![1])]), move |request| {
        let mut left = failures.lock().unwrap();
        if request.path.ends_with("pod-1") && *left > 0 {
            *left -= 1;
            return failure(403, "Forbidden");
        }
        Answer::Json(200, json!({}))
    });
    it.add();
    pass(ms(800)).await;
    let turns = it.turns();
    let gaps: Vec<_> = turns.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 6, "{gaps:?}");
    for (gap, wanted) in gaps.iter().zip([5, 10, 20, 40, 80, 160]) {
        // A tenth of jitter, and the grain of the clock.
        assert!((wanted..=wanted + wanted / 10 + 1).contains(gap), "{gaps:?}");
    }
    *left.lock().unwrap() = 1;
    pass(s(5)).await;
    let before = it.turns().len();
    it.add();
    pass(ms(8)).await;
    assert_eq!(it.turns().len(), before + 2, "the first delay again");
}

#[tokio::test(start_paused = true)]
async fn a_demand_to_wait_is_longer_than_the_backoff() {
    let it = works(disabled(), silent(vec![Step::InOrder(vec![1])]), |request| {
        if request.path.ends_with("pod-1") {
            return Answer::Text(429, "Too many requests", 4);
        }
        Answer::Json(200, json!({}))
    });
    it.add();
    pass(s(7)).await;
    let times = it.times("pod-1");
    assert_eq!(times.len(), 2, "{times:?}");
    assert!(times[1] >= s(4) && times[1] < ms(4100), "{times:?}");
    assert!(it.turns()[1] >= 4000, "nothing is decided before it can be done");
}

/// A proxy in maintenance asks for an hour: the object has time limits of its own all the same (L2).
#[tokio::test(start_paused = true)]
async fn nobody_is_left_alone_for_an_hour() {
    let it = works(disabled(), silent(vec![Step::InOrder(vec![1])]), |request| {
        if request.path.ends_with("pod-1") {
            return Answer::Text(429, "Too many requests", 3600);
        }
        Answer::Json(200, json!({}))
    });
    it.add();
    pass(s(65)).await;
    let times = it.times("pod-1");
    assert_eq!(times.len(), 3, "{times:?}");
    assert!(times[1] >= s(30) && times[1] < s(32), "{times:?}");
}

/// An object whose hold ends so long after each of its turns, and one of whose writes is refused for good.
#[expect(clippy::disallowed_methods, reason = "a hold ends by the real clock")]
fn refused_beside_a_hold(milliseconds: i64) -> Works {
    let steps = vec![Step::InOrder(vec![1])];
    let observe = move |_: &ObjectKey| {
        let until = Timestamp::now().checked_add(SignedDuration::from_millis(milliseconds));
        let holds = vec![Wait("Grace", until.ok()), Wait("Event", None)];
        Some(Snapshot { steps: steps.clone(), holds, ..Snapshot::default() })
    };
    works(disabled(), observe, |_| failure(403, "Forbidden"))
}

fn gaps(it: &Works) -> Vec<u128> {
    it.turns().windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// One target that refuses does not keep a grace period of another from being noticed.
#[tokio::test(start_paused = true)]
async fn a_failed_turn_does_not_forget_when_its_holds_end() {
    let it = refused_beside_a_hold(3000);
    it.add();
    pass(s(60)).await;
    // The backoff alone is longer from the eleventh failure on.
    assert!(it.turns().len() > 20, "{:?}", gaps(&it));
    assert!(gaps(&it).iter().all(|gap| *gap <= 3100), "{:?}", gaps(&it));
}

/// Nor do holds, over or ending again and again, defeat the backoff.
#[tokio::test(start_paused = true)]
async fn holds_that_end_all_the_time_do_not_defeat_the_backoff() {
    let it = refused_beside_a_hold(100);
    it.add();
    pass(s(20)).await;
    let gaps = gaps(&it);
    assert!(gaps.iter().skip(9).all(|gap| *gap >= 1000), "{gaps:?}");
    let it = refused_beside_a_hold(-60_000);
    it.add();
    pass(s(20)).await;
    assert!(it.turns().len() <= 13, "{:?}", it.turns());
}

/// The status that waits for its time is not put off by what was refused.
#[tokio::test(start_paused = true)]
async fn a_failed_turn_does_not_forget_its_status() {
    let it = works(disabled(), plan(vec![Step::InOrder(vec![1])]), |request| {
        let refused = request.path.ends_with("pod-1");
        if refused { failure(403, "Forbidden") } else { Answer::Json(200, json!({})) }
    });
    it.add();
    pass(s(60)).await;
    // Two events: the first turn writes the status, the second one comes too early for that.
    for _ in 0..2 {
        it.add();
        pass(ms(100)).await;
    }
    let before = it.times("/status").len();
    pass(s(2)).await;
    assert_eq!(it.times("/status").len(), before + 1, "{:?}", it.times("/status"));
}

#[tokio::test(start_paused = true)]
async fn in_a_namespace_that_is_being_deleted_nothing_is_tried_again_and_again() {
    let it = works(disabled(), silent(vec![Step::InOrder(vec![1])]), |request| {
        if request.path.ends_with("pod-1") {
            let details = json!({"causes": [{"reason": "NamespaceTerminating"}]});
            let status =
                json!({"kind": "Status", "code": 403, "reason": "Forbidden", "details": details});
            return Answer::Json(403, status);
        }
        Answer::Json(200, json!({}))
    });
    it.add();
    pass(s(119)).await;
    assert_eq!(it.times("pod-1").len(), 2, "once, and once more after a minute");
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_is_looked_up_before_the_next_turn() {
    let first = Mutex::new(true);
    let it = works(disabled(), plan(vec![Step::InOrder(vec![1])]), move |request| {
        if request.path.ends_with("pod-1") && request.method == "PATCH" {
            let silent = std::mem::take(&mut *first.lock().unwrap());
            return if silent { Answer::Silent } else { Answer::Json(200, json!({})) };
        }
        Answer::Json(200, json!({}))
    });
    it.add();
    pass(s(6)).await;
    let pods: Vec<_> = lines(&it.log).into_iter().filter(|line| line.contains("pod-1")).collect();
    let path = "/api/v1/namespaces/ns/pods/pod-1";
    assert_eq!(pods, [format!("PATCH {path}"), format!("GET {path}"), format!("PATCH {path}")]);
    assert_eq!(it.turns().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_turn_without_the_look() {
    let it = works(disabled(), plan(vec![Step::InOrder(vec![1])]), |request| {
        match request.method.as_str() {
            "PATCH" if request.path.ends_with("pod-1") => Answer::Broken,
            "GET" => failure(500, "InternalError"),
            _ => Answer::Json(200, json!({})),
        }
    });
    it.add();
    pass(s(3)).await;
    assert_eq!(it.turns().len(), 1);
    assert!(lines(&it.log).iter().filter(|line| line.starts_with("GET")).count() > 3);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_fails_is_tried_again_but_not_more_often() {
    let it = works(disabled(), plan(Vec::new()), |_| failure(500, "InternalError"));
    it.add();
    pass(ms(4500)).await;
    let times = it.times("/status");
    assert!((3..=5).contains(&times.len()), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] >= pair[0] + s(1)), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_status_of_an_object_that_is_gone_is_no_failure() {
    let it = works(disabled(), plan(Vec::new()), |_| failure(404, "NotFound"));
    it.add();
    pass(s(10)).await;
    assert!(it.results("error") < 0.5);
    assert_eq!(it.turns().len(), 1);
}

/// A process that is told to stop in the middle of a plan.
#[tokio::test(start_paused = true)]
async fn leadership_that_ends_in_the_middle_of_a_turn_ends_its_writes() {
    let stop = CancellationToken::new();
    let leadership = leader_until(stop.clone()).await;
    let steps = vec![Step::InOrder((1..=9).collect())];
    let it = works(leadership, plan(steps), |_| slow(ms(100)));
    it.add();
    until(s(1), "three writes", || it.log.lock().unwrap().len() == 3).await;
    stop.cancel();
    pass(s(30)).await;
    assert_eq!(lines(&it.log).len(), 3, "{:?}", lines(&it.log));
}

/// What one target refuses is no reason to leave the others.
#[tokio::test(start_paused = true)]
async fn of_each_the_refused_one_holds_up_nobody() {
    let steps = vec![Step::Each((1..=4).collect()), Step::InOrder(vec![9])];
    let it = works(disabled(), silent(steps), |request| {
        if request.path.ends_with("/pod-1") { failure(403, "Forbidden") } else { fine(request) }
    });
    it.add();
    pass(ms(1)).await;
    assert_eq!(pods(&it.log), ["pod-1", "pod-2", "pod-3", "pod-4", "pod-9"]);
    assert!(it.results("error") > 0.5, "the turn failed nevertheless");
}

#[tokio::test(start_paused = true)]
async fn of_each_a_failing_server_ends_the_step() {
    let it = works(disabled(), silent(vec![Step::Each((1..=4).collect())]), |request| {
        if request.path.ends_with("/pod-1") { failure(500, "InternalError") } else { fine(request) }
    });
    it.add();
    pass(ms(1)).await;
    assert_eq!(pods(&it.log), ["pod-1"]);
}

/// What one refuses is not what another refuses; what everybody refuses is not asked of everybody at once.
#[tokio::test(start_paused = true)]
async fn tries_pass_those_that_refuse_and_end_when_all_do() {
    let refusing = |refuse: fn(&str) -> bool| {
        let steps = vec![Step::Tries((1..=40).collect()), Step::InOrder(vec![99])];
        works(disabled(), silent(steps), move |request| {
            if refuse(&request.path) { failure(403, "Forbidden") } else { fine(request) }
        })
    };
    let some = refusing(|path| path.ends_with("/pod-1") || path.ends_with("/pod-7"));
    some.add();
    pass(ms(1)).await;
    let asked = pods(&some.log);
    assert_eq!((asked.len(), asked.last().map(String::as_str)), (41, Some("pod-99")));
    let all = refusing(|_| true);
    all.add();
    pass(ms(1)).await;
    let asked = pods(&all.log);
    assert_eq!(asked.len(), 12, "one after another, ten more than were done at most");
    assert_eq!(
        asked.last().map(String::as_str),
        Some("pod-99"),
        "what comes after is another matter"
    );
}
