//! Elections under a virtual clock: one Lease in memory, and a network that does what networks do.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::support::{ms, now, pass, s, until};
use crate::runtime::condition::Verdict;
use crate::runtime::leader::{ForeignLease, LeaderConfig, Leadership, campaign, disabled};
use lease::{Link, Server};

mod foreign;
mod lease;
mod schedule;

/// The defaults of the flags.
fn config(identity: &str) -> LeaderConfig {
    LeaderConfig {
        namespace: "kruise-system".into(),
        name: "kruise-statefulset".into(),
        identity: identity.into(),
        lease_duration: s(15),
        renew_deadline: s(10),
        retry_period: s(2),
        conflict: None,
        allow_coexistence: false,
    }
}

const LEASE: &str = "kruise-system/kruise-statefulset";
const FOREIGN: &str = "kruise-system/kruise-manager";

fn foreign() -> ForeignLease {
    ForeignLease { namespace: "kruise-system".into(), name: "kruise-manager".into() }
}

/// A candidate that runs.
struct Candidate {
    leadership: Leadership,
    link: Link,
    stop: CancellationToken,
    lost: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Candidate {
    fn start(server: &Server, identity: &str) -> Self {
        Self::with(server, config(identity))
    }

    fn with(server: &Server, config: LeaderConfig) -> Self {
        let link = Link::default();
        let (stop, lost) = (CancellationToken::new(), CancellationToken::new());
        let client = link.client(server);
        let (leadership, run) = campaign(client, config, stop.clone(), lost.clone());
        let task = tokio::spawn(link.clone().freezable(run));
        Self { leadership, link, stop, lost, task }
    }

    async fn leads(&self, within: std::time::Duration) -> Instant {
        until(within, "leadership", || self.leadership.is_leader()).await;
        now()
    }
}

/// A leader that has renewed a few times, and a standby that has seen it.
async fn pair(server: &Server) -> (Candidate, Candidate) {
    let first = Candidate::start(server, "a");
    first.leads(ms(10)).await;
    let second = Candidate::start(server, "b");
    pass(s(9)).await;
    assert!(first.leadership.is_leader() && !second.leadership.is_leader());
    (first, second)
}

#[tokio::test(start_paused = true)]
async fn without_election_a_process_always_leads() {
    let leadership = disabled();
    pass(s(1_000_000)).await;
    assert!(leadership.is_leader() && leadership.enter().is_some());
    assert!(*leadership.changed().borrow());
}

#[tokio::test(start_paused = true)]
async fn the_lease_tells_who_leads_and_the_leader_stays() {
    let server = Server::default();
    let (first, second) = pair(&server).await;
    pass(s(120)).await;
    assert!(first.leadership.is_leader() && second.leadership.enter().is_none());
    let lease = server.lease(LEASE).unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "a");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 15);
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
    // One write each retry period.
    assert!((60..=66).contains(&server.version()), "{}", server.version());
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_the_successor_leads_within_a_second() {
    let server = Server::default();
    let (first, second) = pair(&server).await;
    first.stop.cancel();
    let began = now();
    let took = second.leads(s(1)).await - began;
    assert!(!first.leadership.is_leader() && !first.lost.is_cancelled(), "{took:?}");
    assert!(!*first.leadership.changed().borrow());
    assert_eq!(server.lease(LEASE).unwrap()["spec"]["leaseTransitions"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_write_under_way_before_it_releases() {
    let server = Server::default();
    let (first, second) = pair(&server).await;
    let write = first.leadership.enter().unwrap();
    first.stop.cancel();
    pass(s(3)).await;
    assert!(first.leadership.enter().is_none(), "nothing new after the stop");
    assert!(!second.leadership.is_leader(), "the write is still under way");
    drop(write);
    second.leads(s(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_with_a_write_that_never_ends_leaves_the_lease_to_expire() {
    let server = Server::default();
    let (first, second) = pair(&server).await;
    let _write = first.leadership.enter().unwrap();
    first.stop.cancel();
    let began = now();
    let took = second.leads(s(20)).await - began;
    assert!(took > s(10), "{took:?}");
    assert!(first.task.is_finished());
}

/// The request that was under way at the stop arrives between the read and the write of the release.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_overtakes_the_release_does_not_spoil_it() {
    let server = Server::default();
    let (first, second) = pair(&server).await;
    let before = server.version();
    first.link.there(ms(100));
    until(s(3), "a renewal under way", || server.pending("PUT") == 1).await;
    // The renewal arrives 100 ms after it was sent, the release reads before and writes after that.
    pass(ms(40)).await;
    first.link.there(ms(0));
    first.link.back(ms(80));
    first.stop.cancel();
    until(s(1), "the renewal", || server.version() > before).await;
    first.link.back(ms(0));
    second.leads(ms(1500)).await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_followed_after_the_lease_duration() {
    let server = Server::default();
    let (first, second) = pair(&server).await;
    first.task.abort();
    let began = now();
    let took = second.leads(s(20)).await - began;
    // P6: at most 17 s; never before the last renewal is 15 s old.
    assert!(took > s(12) && took < s(17), "{took:?}");
    assert!(!first.leadership.is_leader());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_gives_up_well_before_its_rival_starts() {
    let server = Server::default();
    for hangs in [true, false] {
        let (first, second) = pair(&server).await;
        first.link.cut(Some(hangs));
        let began = now();
        first.lost.cancelled().await;
        let end = now();
        let took = end - began;
        assert!(took > s(7) && took <= s(10), "hangs {hangs}: {took:?}");
        assert!(first.leadership.enter().is_none() && first.task.await.is_ok());
        let margin = second.leads(s(10)).await - end;
        assert!(margin >= s(4), "hangs {hangs}: {margin:?}");
        second.stop.cancel();
        second.task.await.unwrap();
    }
}

/// Others count from the renewal, so the leader may not count from its answer, which can be late.
#[tokio::test(start_paused = true)]
async fn a_late_answer_does_not_prolong_leadership() {
    let server = Server::default();
    let (first, second) = pair(&server).await;
    let before = server.version();
    first.link.set(|faults| faults.slow = Some(("PUT", s(3))));
    until(s(3), "a renewal", || server.version() > before).await;
    // Nothing more gets through; the answer is on its way.
    first.link.cut(Some(false));
    let renewed = now();
    until(s(12), "the end", || !first.leadership.is_leader()).await;
    let took = now() - renewed;
    assert!(took > s(3) && took <= s(10), "{took:?}");
    second.leads(s(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_costs_nothing() {
    let server = Server::default();
    let (first, second) = pair(&server).await;
    for _ in 0..5 {
        first.link.cut(Some(false));
        pass(s(6)).await;
        first.link.cut(None);
        pass(s(3)).await;
        assert!(first.leadership.is_leader() && !second.leadership.is_leader());
    }
}

/// A request on a connection that is dead without a word is given up in time for another one.
#[tokio::test(start_paused = true)]
async fn one_request_that_hangs_costs_nothing() {
    let server = Server::default();
    let (first, second) = pair(&server).await;
    for _ in 0..5 {
        first.link.cut(Some(true));
        pass(s(3)).await;
        first.link.cut(None);
        pass(s(10)).await;
        assert!(first.leadership.is_leader() && !second.leadership.is_leader());
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_stopped_for_a_while_does_not_lead_when_it_goes_on() {
    let server = Server::default();
    let (first, second) = pair(&server).await;
    first.link.freeze(now() + s(60));
    second.leads(s(20)).await;
    // Its tasks have seen nothing; the clock alone must tell.
    assert!(*first.leadership.changed().borrow());
    assert!(!first.leadership.is_leader() && first.leadership.enter().is_none());
    pass(s(61)).await;
    assert!(first.lost.is_cancelled());
    assert!(second.leadership.is_leader());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_noticed_by_reading() {
    let server = Server::default();
    let first = Candidate::start(&server, "a");
    first.link.lose_answers("POST");
    let took = first.leads(s(20)).await;
    assert_eq!(server.lease(LEASE).unwrap()["spec"]["leaseTransitions"], 1, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn clocks_that_are_wrong_change_nothing() {
    for skew in ["1990-01-01T00:00:00.000000Z", "2090-01-01T00:00:00.000000Z"] {
        let server = Server::default();
        let first = Candidate::start(&server, "a");
        // As if the clock of the process were decades off; it still ticks.
        first.link.skew(skew);
        first.leads(ms(10)).await;
        let second = Candidate::start(&server, "b");
        pass(s(100)).await;
        assert!(first.leadership.is_leader() && !second.leadership.is_leader(), "{skew}");
        first.task.abort();
        let began = now();
        let took = second.leads(s(20)).await - began;
        assert!(took > s(12) && took < s(17), "{skew}: {took:?}");
    }
}

/// A clock that stands still, so that every renewal writes the same record.
#[tokio::test(start_paused = true)]
async fn a_renewal_counts_even_if_it_writes_the_same_time() {
    let server = Server::default();
    let first = Candidate::start(&server, "a");
    first.link.stuck_clock();
    first.leads(ms(10)).await;
    let second = Candidate::start(&server, "b");
    for _ in 0..100 {
        pass(s(1)).await;
        assert!(first.leadership.is_leader() && !second.leadership.is_leader());
    }
}

#[tokio::test(start_paused = true)]
async fn a_longer_duration_on_the_lease_is_respected() {
    let server = Server::default();
    server.put(LEASE, "other", 40, 0);
    let first = Candidate::start(&server, "a");
    first.leads(s(60)).await;
    assert!(server.age() >= s(40) && server.age() < s(42), "{:?}", server.age());
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_free_and_one_without_holder_too() {
    for holder in ["", "-"] {
        let server = Server::default();
        server.put(LEASE, holder.trim_matches('-'), 3600, 0);
        Candidate::start(&server, "a").leads(ms(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_took_ends_the_leader_at_its_next_look() {
    let server = Server::default();
    let (first, _second) = pair(&server).await;
    server.put(LEASE, "intruder", 15, 1);
    first.lost.cancelled().await;
    assert!(!first.leadership.is_leader());
}

/// A deleted Lease says nothing of the leader, who may be writing.
#[tokio::test(start_paused = true)]
async fn a_deleted_lease_does_not_make_a_second_leader() {
    for cut in [false, true] {
        let server = Server::default();
        let (first, second) = pair(&server).await;
        first.link.cut(cut.then_some(true));
        server.delete(LEASE);
        for _ in 0..3000 {
            pass(ms(10)).await;
            let both = first.leadership.is_leader() && second.leadership.is_leader();
            assert!(!both, "two leaders, cut {cut}");
        }
        assert_eq!(second.leadership.is_leader(), cut);
        assert_eq!(first.leadership.is_leader(), !cut);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_leader_says_of_itself_comes_with_a_renewal_and_costs_none() {
    let server = Server::default();
    let leader = Candidate::start(&server, "a");
    leader.leads(ms(10)).await;
    let standby = Candidate::start(&server, "b");
    standby.leadership.report(Verdict::degraded("Other", "a standby says nothing"));
    pass(s(1)).await;
    let before = server.version();
    leader.leadership.report(Verdict::degraded("AdmissionDegraded", "no CA"));
    pass(s(10)).await;
    let said =
        server.lease(LEASE).unwrap()["metadata"]["annotations"]["kruise.io/conditions"].clone();
    assert!(said.as_str().unwrap().contains("no CA"), "{said}");
    assert_eq!(server.version() - before, 5, "renewals, one each two seconds");
}
