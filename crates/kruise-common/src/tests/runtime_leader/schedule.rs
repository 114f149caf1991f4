//! Random schedules: processes that are cut off, delayed, stopped, killed and restarted, and the one rule that counts.

use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

/// Longest write. Longer ones may outlive the Lease; then only their preconditions help.
const WRITE: u64 = 3000;

/// Processes that ever ran, with the planned ends of their writes.
#[derive(Clone, Default)]
struct All(Arc<Mutex<Vec<Process>>>);

struct Process {
    candidate: Candidate,
    writes: Arc<Mutex<Vec<Instant>>>,
    killed: bool,
}

impl All {
    /// Never two leaders, and none beside a write that is under way elsewhere.
    fn check(&self, story: &str) -> usize {
        let all = self.0.lock().unwrap();
        let leads =
            |process: &&Process| !process.killed && process.candidate.leadership.enter().is_some();
        let leaders = all.iter().filter(leads).count();
        assert!(leaders <= 1, "{leaders} leaders at once; {story}");
        if leaders == 1 {
            let others = all.iter().filter(|process| !leads(process));
            for other in others {
                let late = other.writes.lock().unwrap().iter().any(|end| *end > now());
                assert!(!late, "a leader beside a write under way; {story}");
            }
        }
        leaders
    }

    /// Starts a process that writes whenever it may, and checks whenever it begins to lead.
    fn start(&self, server: &Server, identity: &str, seed: u64, story: &str) -> usize {
        let candidate = Candidate::start(server, identity);
        let writes = Arc::new(Mutex::new(Vec::new()));
        let (leadership, run) = (candidate.leadership.clone(), candidate.task.abort_handle());
        let (ends, mut random) = (writes.clone(), StdRng::seed_from_u64(seed));
        let writing = async move {
            while !run.is_finished() {
                if let Some(guard) = leadership.enter() {
                    let end = now() + ms(random.random_range(1..WRITE));
                    ends.lock().unwrap().push(end);
                    tokio::time::sleep_until(end).await;
                    drop(guard);
                }
                pass(ms(random.random_range(1..400))).await;
            }
        };
        tokio::spawn(candidate.link.clone().freezable(writing));
        let mut changes = candidate.leadership.changed();
        let (all, story) = (self.clone(), story.to_owned());
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                all.check(&story);
            }
        });
        let mut all = self.0.lock().unwrap();
        all.push(Process { candidate, writes, killed: false });
        all.len() - 1
    }

    fn with<T>(&self, index: usize, act: impl FnOnce(&mut Process) -> T) -> T {
        act(&mut self.0.lock().unwrap()[index])
    }
}

/// One fault, or its end.
fn strike(all: &All, index: usize, random: &mut StdRng) {
    all.with(index, |process| {
        let link = &process.candidate.link;
        match random.random_range(0..9) {
            0 => link.cut(Some(true)),
            1 => link.cut(Some(false)),
            2 | 3 => link.cut(None),
            4 => link.freeze(now() + ms(random.random_range(100..30_000))),
            5 => link.chaos(random.random_range(0.0..0.6), 3000, random.random()),
            6 => link.heal(),
            7 => process.candidate.stop.cancel(),
            _ => {
                process.killed = true;
                process.candidate.task.abort();
            }
        }
    });
}

/// How often leadership went to another process.
async fn run(seed: u64) -> usize {
    let story = format!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let server = Server::default();
    let all = All::default();
    let slots = random.random_range(2..=3);
    let mut running: Vec<usize> = Vec::new();
    let mut count = 0;
    let mut begin = |all: &All, random: &mut StdRng| {
        count += 1;
        all.start(&server, &format!("p{count}"), random.random(), &story)
    };
    for _ in 0..slots {
        running.push(begin(&all, &mut random));
    }
    for _ in 0..100 {
        let pause = now() + ms(random.random_range(50..2500));
        while now() < pause {
            pass(ms(25)).await;
            all.check(&story);
        }
        let slot = random.random_range(0..slots);
        strike(&all, running[slot], &mut random);
        for slot in &mut running {
            let ended = all.with(*slot, |process| process.candidate.task.is_finished());
            if ended && random.random_bool(0.3) {
                *slot = begin(&all, &mut random);
            }
        }
    }
    // Whatever happened: when all is well again somebody leads, after the longest stop and one Lease.
    for slot in &mut running {
        all.with(*slot, |process| process.candidate.link.heal());
        if all.with(*slot, |process| process.candidate.task.is_finished() || process.killed) {
            *slot = begin(&all, &mut random);
        }
    }
    begin(&all, &mut random);
    pass(s(60)).await;
    assert_eq!(all.check(&story), 1, "nobody leads; {story}");
    let lease = server.lease(LEASE).unwrap();
    usize::try_from(lease["spec"]["leaseTransitions"].as_u64().unwrap()).unwrap()
}

#[test]
fn never_two_leaders_whatever_happens() {
    let mut transitions = 0;
    for seed in 0..SEEDS {
        // Each seed in a runtime of its own: what it left running ends with it.
        let mut clock = tokio::runtime::Builder::new_current_thread();
        let runtime = clock.enable_time().start_paused(true).build().unwrap();
        transitions += runtime.block_on(run(seed));
    }
    assert!(transitions > 60, "only {transitions}: the schedules are too tame");
}

const SEEDS: u64 = 24;
