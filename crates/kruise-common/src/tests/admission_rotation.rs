//! Rotation of certificates: whatever is late, nobody meets a certificate that he does not trust.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::admission::rotation::{Facts, Pair, Schedule, Step, next_step};

const VALIDITY: i64 = 12 * 3600;

fn schedule() -> Schedule {
    Schedule::new(SignedDuration::from_secs(VALIDITY))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000_000 + second).unwrap()
}

fn pair(from: i64) -> Pair {
    Pair { from: at(from), to: at(from + VALIDITY) }
}

fn steady(from: i64) -> Facts {
    Facts {
        serving: Some(pair(from)),
        next: None,
        trusted: 1,
        since: Some(at(from)),
        registered: Some(at(from)),
    }
}

#[test]
fn nothing_is_served_before_there_is_a_pair() {
    let none = Facts { serving: None, next: None, trusted: 0, since: None, registered: None };
    assert_eq!(next_step(&none, &schedule(), at(0)), Step::Replace);
    assert_eq!(next_step(&steady(0), &schedule(), at(VALIDITY)), Step::Replace, "expired");
    let days = 2 * 24 * 60 * 60;
    assert_eq!(next_step(&steady(days), &schedule(), at(0)), Step::Replace, "not valid yet");
    // Valid from a time before it was made, when it was valid for longer.
    let backdated =
        Facts { serving: Some(Pair { from: at(-3600), to: at(VALIDITY) }), ..steady(0) };
    let due = Step::Wait(at(VALIDITY / 3 * 2));
    assert_eq!(next_step(&backdated, &schedule(), at(0)), due);
}

/// API servers refuse it until it begins, which may be in hours; or it is our clock that is behind, and they do not.
#[test]
fn a_pair_of_a_clock_that_is_ahead_is_followed_by_another_one_after_the_overlap() {
    let hours = 6 * 3600;
    let ahead = Facts { since: Some(at(hours)), registered: Some(at(0)), ..steady(hours) };
    assert_eq!(next_step(&ahead, &schedule(), at(0)), Step::Prepare);
    let midway = Facts { trusted: 2, ..ahead };
    assert_eq!(next_step(&midway, &schedule(), at(0)), Step::Prepare, "in its own overlap too");
    let unknown = Facts { registered: None, ..ahead };
    assert_eq!(next_step(&unknown, &schedule(), at(0)), Step::Register);
    let overlap = schedule().overlap.as_secs();
    let prepared = Facts { next: Some(pair(0)), trusted: 2, since: Some(at(0)), ..ahead };
    assert_eq!(next_step(&prepared, &schedule(), at(1)), Step::Wait(at(overlap)));
    assert_eq!(next_step(&prepared, &schedule(), at(overlap)), Step::Promote);
    // Whose clock is right has nothing against what the other made.
    let promoted = Facts { since: Some(at(overlap)), ..steady(0) };
    let due = Step::Wait(at(VALIDITY / 3 * 2));
    assert_eq!(next_step(&promoted, &schedule(), at(hours)), due);
}

#[test]
fn a_pair_is_renewed_after_two_thirds_of_its_life() {
    let due = VALIDITY / 3 * 2;
    assert_eq!(next_step(&steady(0), &schedule(), at(due - 1)), Step::Wait(at(due)));
    assert_eq!(next_step(&steady(0), &schedule(), at(due)), Step::Prepare);
    let unknown = Facts { registered: None, ..steady(0) };
    assert_eq!(next_step(&unknown, &schedule(), at(due)), Step::Register, "one thing at a time");
}

#[test]
fn a_next_pair_is_served_only_after_its_ca_was_registered_for_the_overlap() {
    let overlap = schedule().overlap.as_secs();
    let prepared = Facts { next: Some(pair(50)), trusted: 2, since: Some(at(50)), ..steady(0) };
    let early = Facts { registered: None, ..prepared };
    assert_eq!(next_step(&early, &schedule(), at(50 + overlap)), Step::Register);
    let wait = Step::Wait(at(50 + overlap));
    assert_eq!(next_step(&prepared, &schedule(), at(51)), wait);
    assert_eq!(next_step(&prepared, &schedule(), at(50 + overlap)), Step::Promote);
    let late = Facts { registered: Some(at(50 + overlap)), ..prepared };
    let wait = Step::Wait(at(50 + 2 * overlap));
    assert_eq!(next_step(&late, &schedule(), at(50 + overlap)), wait, "it counts from then on");
    let stale = Facts { next: Some(pair(-VALIDITY)), ..prepared };
    assert_eq!(
        next_step(&stale, &schedule(), at(50 + overlap)),
        Step::Retire,
        "an expired one goes"
    );
}

#[test]
fn the_old_ca_goes_after_the_overlap() {
    let overlap = schedule().overlap.as_secs();
    let promoted = Facts { trusted: 2, since: Some(at(60)), ..steady(50) };
    assert_eq!(next_step(&promoted, &schedule(), at(61)), Step::Wait(at(60 + overlap)));
    assert_eq!(next_step(&promoted, &schedule(), at(60 + overlap)), Step::Retire);
    let future = Facts { since: Some(at(5000)), ..promoted };
    let wait = next_step(&future, &schedule(), at(61));
    assert_eq!(wait, Step::Wait(at(61 + overlap)), "a clock that went back does not wait for ever");
}

/// What a cluster knows: certificates are numbers, a bundle is the list of those whose CA is trusted.
#[derive(Clone, Debug)]
struct Cluster {
    stored: (usize, Option<usize>, Vec<usize>),
    pairs: Vec<Pair>,
    since: Timestamp,
    registered: Vec<usize>,
    registered_since: Timestamp,
    /// Bundle as each API server has read it, and pair as each replica serves it, with the time of reading.
    servers: Vec<Vec<usize>>,
    replicas: Vec<usize>,
}

impl Cluster {
    /// The leader acts; it may be `able` to register or not.
    fn act(&mut self, now: Timestamp, schedule: &Schedule, able: bool) {
        let facts = Facts {
            serving: self.pairs.get(self.stored.0).copied(),
            next: self.stored.1.map(|next| self.pairs[next]),
            trusted: self.stored.2.len(),
            since: Some(self.since),
            registered: (self.registered == self.stored.2).then_some(self.registered_since),
        };
        let mut made = || {
            let to = now.checked_add(schedule.validity).unwrap();
            self.pairs.push(Pair { from: now, to });
            self.pairs.len() - 1
        };
        match next_step(&facts, schedule, now) {
            Step::Wait(until) => {
                assert!(until > now, "a wait that is over is a hot loop");
                return;
            }
            Step::Register => {
                if able {
                    self.registered = self.stored.2.clone();
                    self.registered_since = now;
                }
                return;
            }
            Step::Replace => {
                let new = made();
                self.stored = (new, None, vec![new]);
            }
            Step::Prepare => {
                let new = made();
                self.stored.1 = Some(new);
                self.stored.2.insert(0, new);
            }
            Step::Promote => {
                self.stored.0 = self.stored.1.take().unwrap();
            }
            Step::Retire => self.stored.2 = vec![self.stored.0],
        }
        self.since = now;
    }
}

proptest! {
    /// The leader acts at random moments, and cannot register for longer than the overlap once; API servers and replicas read what there is at random moments, but never later
    /// than half an overlap. Then every replica is trusted by every API server, and what is served is valid.
    #[test]
    fn every_replica_is_trusted_by_every_api_server_at_every_moment(
        moments in prop::collection::vec((1_i64..120, 0_usize..6), 200..900),
        outage in 0_i64..40_000,
    ) {
        let schedule = schedule();
        let first = pair(0);
        let mut cluster = Cluster {
            stored: (0, None, vec![0]),
            pairs: vec![first],
            since: at(0),
            registered: vec![0],
            registered_since: at(0),
            servers: vec![vec![0]; 3],
            replicas: vec![0; 3],
        };
        let lag = schedule.overlap.as_secs() / 2;
        let mut read = [0_i64; 6];
        let mut second = 0;
        for (wait, who) in moments {
            second += wait;
            let now = at(second);
            cluster.act(now, &schedule, !(outage..outage + 1000).contains(&second));
            for (index, read) in read.iter_mut().enumerate() {
                if index == who || second - *read > lag - 120 {
                    *read = second;
                    match index {
                        0..3 => cluster.servers[index] = cluster.registered.clone(),
                        _ => cluster.replicas[index - 3] = cluster.stored.0,
                    }
                }
            }
            for replica in &cluster.replicas {
                let pair = cluster.pairs[*replica];
                prop_assert!(pair.from <= now && now < pair.to, "valid");
                for server in &cluster.servers {
                    prop_assert!(server.contains(replica), "{server:?} trusts {replica} at {second}");
                }
            }
        }
    }
}
