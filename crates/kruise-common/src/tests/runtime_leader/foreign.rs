//! OpenKruise's own Lease (18.4): a manager that is alive keeps us from acting, unless the flag says otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::*;

fn guarded(identity: &str) -> LeaderConfig {
    LeaderConfig { conflict: Some(foreign()), ..config(identity) }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the Lease of a manager that is alive is recent by the real clock"
)]
fn clock(back: i64) -> Timestamp {
    Timestamp::now().checked_sub(SignedDuration::from_secs(back)).unwrap()
}

/// A manager that renews every two seconds as long as the flag is set.
fn manager(server: &Server, behind: i64) -> Arc<AtomicBool> {
    let alive = Arc::new(AtomicBool::new(true));
    let (server, going_on) = (server.clone(), alive.clone());
    let mut time = clock(behind);
    server.put_at_time(FOREIGN, "manager-0", 15, &time.to_string());
    tokio::spawn(async move {
        loop {
            pass(s(2)).await;
            if !going_on.load(Ordering::SeqCst) {
                return;
            }
            time = time.checked_add(SignedDuration::from_micros(1)).unwrap();
            server.put_at_time(FOREIGN, "manager-0", 15, &time.to_string());
        }
    });
    alive
}

#[tokio::test(start_paused = true)]
async fn a_living_manager_keeps_us_standing_by_until_it_is_silent_for_its_duration() {
    let server = Server::default();
    let alive = manager(&server, 0);
    let first = Candidate::with(&server, guarded("a"));
    for _ in 0..60 {
        pass(s(1)).await;
        assert!(!first.leadership.is_leader());
        assert_eq!(first.leadership.standby_reason().unwrap().holder, "manager-0");
    }
    assert_eq!(server.lease(LEASE), None, "not even a campaign");
    alive.store(false, Ordering::SeqCst);
    let began = now();
    let took = first.leads(s(20)).await - began;
    assert!(took > s(12) && took < s(18), "{took:?}");
    assert_eq!(first.leadership.standby_reason(), None);
}

/// The metric `kruise_conflict` is set by who listens.
#[tokio::test(start_paused = true)]
async fn a_change_of_the_reason_is_told_once() {
    let server = Server::default();
    let alive = manager(&server, 0);
    let first = Candidate::with(&server, guarded("a"));
    let mut changes = first.leadership.changed();
    pass(s(1)).await;
    assert!(changes.has_changed().unwrap() && !*changes.borrow_and_update());
    pass(s(30)).await;
    assert!(!changes.has_changed().unwrap());
    alive.store(false, Ordering::SeqCst);
    first.leads(s(20)).await;
    assert!(*changes.borrow_and_update());
}

#[tokio::test(start_paused = true)]
async fn coexistence_can_be_allowed() {
    let server = Server::default();
    let _alive = manager(&server, 0);
    let config = LeaderConfig { allow_coexistence: true, ..guarded("a") };
    let first = Candidate::with(&server, config);
    first.leads(ms(10)).await;
    pass(s(30)).await;
    assert!(first.leadership.is_leader());
    assert_eq!(first.leadership.standby_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn a_lease_left_behind_or_released_or_absent_does_not_hold_us_up() {
    let server = Server::default();
    let old = clock(3600).to_string();
    for prepare in 0..3 {
        match prepare {
            0 => {}
            1 => server.put_at_time(FOREIGN, "manager-0", 15, &old),
            _ => server.put_at_time(FOREIGN, "", 15, &clock(0).to_string()),
        }
        let first = Candidate::with(&server, guarded("a"));
        first.leads(ms(10)).await;
        pass(s(20)).await;
        assert!(first.leadership.is_leader(), "{prepare}");
        first.stop.cancel();
        first.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_starts_ends_our_leadership() {
    let server = Server::default();
    let first = Candidate::with(&server, guarded("a"));
    first.leads(ms(10)).await;
    let _alive = manager(&server, 0);
    pass(s(3)).await;
    assert!(first.lost.is_cancelled() && !first.leadership.is_leader());
    assert_eq!(first.leadership.standby_reason().unwrap().holder, "manager-0");
}

/// At first sight it looks left behind; its renewals tell that it is not.
#[tokio::test(start_paused = true)]
async fn a_manager_whose_clock_is_behind_is_noticed_at_its_first_renewal() {
    let server = Server::default();
    let _alive = manager(&server, 3600);
    let first = Candidate::with(&server, guarded("a"));
    pass(s(5)).await;
    assert!(first.lost.is_cancelled() && !first.leadership.is_leader());
    let second = Candidate::with(&server, guarded("b"));
    pass(s(5)).await;
    assert!(!second.leadership.is_leader());
}

#[tokio::test(start_paused = true)]
async fn one_failed_look_at_a_living_manager_does_not_make_us_lead() {
    let server = Server::default();
    let _alive = manager(&server, 0);
    let first = Candidate::with(&server, guarded("a"));
    for code in [500, 429, 503] {
        pass(s(10)).await;
        first.link.set(|faults| faults.refuse = Some(("/kruise-manager", code, 2)));
        for _ in 0..500 {
            pass(ms(10)).await;
            assert!(!first.leadership.is_leader(), "{code}");
        }
    }
    assert_eq!(server.lease(LEASE), None);
}

#[tokio::test(start_paused = true)]
async fn one_failed_look_at_a_lease_left_behind_does_not_end_our_leadership() {
    let server = Server::default();
    server.put_at_time(FOREIGN, "manager-0", 15, &clock(3600).to_string());
    let first = Candidate::with(&server, guarded("a"));
    first.leads(ms(10)).await;
    pass(s(20)).await;
    first.link.set(|faults| faults.refuse = Some(("/kruise-manager", 500, 1)));
    pass(s(20)).await;
    assert!(!first.lost.is_cancelled() && first.leadership.is_leader());
}

/// Without permission to read it nobody can know; the role of the chart has it.
#[tokio::test(start_paused = true)]
async fn a_lease_that_we_may_not_read_counts_as_absent() {
    let server = Server::default();
    let _alive = manager(&server, 0);
    let first = Candidate::with(&server, guarded("a"));
    first.link.set(|faults| faults.refuse = Some(("/kruise-manager", 403, usize::MAX)));
    first.leads(ms(10)).await;
    pass(s(30)).await;
    assert!(first.leadership.is_leader());
}
