//! The queue against a naive model, and many workers against the clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Add(u8),
    After(u8, u64),
    Take,
    /// Ends the turn that began longest ago.
    Done,
    /// Ends it, and leaves its object alone for a while.
    Rest(u64),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..4u8).prop_map(Op::Add),
        3 => (0..4u8, 0..50u64).prop_map(|(name, delay)| Op::After(name, delay)),
        4 => Just(Op::Take),
        2 => Just(Op::Done),
        2 => (0..50u64).prop_map(Op::Rest),
        2 => (0..30u64).prop_map(Op::Pass),
    ]
}

#[derive(Default)]
struct Model {
    ready: VecDeque<u8>,
    running: VecDeque<u8>,
    again: BTreeSet<u8>,
    rests: BTreeMap<u8, u64>,
    timers: BTreeMap<u8, u64>,
    time: u64,
}

impl Model {
    fn add(&mut self, name: u8) {
        if self.running.contains(&name) || self.rests.contains_key(&name) {
            self.again.insert(name);
        } else if !self.ready.contains(&name) {
            self.ready.push_back(name);
        }
    }

    fn due(&self, of: &BTreeMap<u8, u64>) -> Vec<u8> {
        let mut due: Vec<_> = of.iter().map(|(name, at)| (*at, *name)).collect();
        due.retain(|(at, _)| *at <= self.time);
        due.sort_unstable();
        due.into_iter().map(|(_, name)| name).collect()
    }

    /// The clock is looked at when somebody asks for an object.
    fn take(&mut self) -> Option<u8> {
        for name in self.due(&self.rests) {
            self.rests.remove(&name);
            self.wake(name);
        }
        for name in self.due(&self.timers) {
            self.timers.remove(&name);
            self.add(name);
        }
        let name = self.ready.pop_front()?;
        self.running.push_back(name);
        Some(name)
    }

    fn rest(&mut self, rest: u64) -> Option<u8> {
        let name = self.running.pop_front()?;
        if rest == 0 {
            self.wake(name);
        } else {
            self.rests.insert(name, self.time + rest);
        }
        Some(name)
    }

    fn wake(&mut self, name: u8) {
        if self.again.remove(&name) {
            self.add(name);
        }
    }
}

async fn compare(ops: Vec<Op>) {
    let (queue, mut model) = (Queue::default(), Model::default());
    for op in ops {
        match op {
            Op::Add(name) => {
                queue.add(key(&name.to_string()));
                model.add(name);
            }
            Op::After(name, delay) => {
                queue.add_after(key(&name.to_string()), ms(delay));
                let at = model.time + delay;
                model.timers.entry(name).and_modify(|known| *known = at.min(*known)).or_insert(at);
            }
            Op::Take => assert_eq!(take(&queue), model.take().map(|name| name.to_string())),
            Op::Done => {
                if let Some(name) = model.rest(0) {
                    queue.done(&key(&name.to_string()));
                }
            }
            Op::Rest(rest) => {
                if let Some(name) = model.rest(rest) {
                    queue.rest(&key(&name.to_string()), now() + ms(rest));
                }
            }
            Op::Pass(time) => {
                tokio::time::advance(ms(time)).await;
                model.time += time;
            }
        }
        assert_eq!(queue.depth(), model.ready.len());
        assert_eq!(queue.running(), model.running.len());
        assert_eq!(queue.timers(), model.timers.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_does_what_the_model_does(ops in prop::collection::vec(op(), 0..60)) {
        let mut clock = tokio::runtime::Builder::new_current_thread();
        clock.enable_time().start_paused(true).build().unwrap().block_on(compare(ops));
    }
}

/// What workers did, and what they were asked for.
#[derive(Default)]
struct Seen {
    running: BTreeSet<String>,
    /// When the last turn of each object began.
    began: BTreeMap<String, Instant>,
    asked: BTreeMap<String, Instant>,
    timers: BTreeMap<String, Instant>,
}

impl Seen {
    /// Sets a timer, unless one is past: whether the queue has looked at it yet cannot be told from outside.
    fn set(&mut self, queue: &Queue, name: &str, delay: Duration) {
        self.prune();
        let at = now() + delay;
        let known = self.timers.entry(name.to_owned()).or_insert(at);
        if *known > now() {
            // An earlier point wins.
            *known = at.min(*known);
            queue.add_after(key(name), delay);
        }
    }

    /// Forgets what was answered with a turn.
    fn prune(&mut self) {
        let open =
            |name: &String, at: &mut Instant| self.began.get(name).is_none_or(|began| *began < *at);
        self.asked.retain(open);
        self.timers.retain(open);
    }

    /// An object that should have had a turn before `due`.
    fn waits(&self, due: Instant) -> Option<&String> {
        let all = self.asked.iter().chain(&self.timers);
        let late = |(name, at): &(&String, &Instant)| **at < due && !self.running.contains(*name);
        all.filter(late).map(|(name, _)| name).next()
    }
}

async fn work(queue: Arc<Queue>, all: Arc<Mutex<Seen>>, chance: u64) {
    let mut random = StdRng::seed_from_u64(chance);
    while let Some(turn) = queue.next().await {
        let name = turn.key.name.to_string();
        {
            let mut seen = all.lock().unwrap();
            assert!(seen.running.insert(name.clone()), "two turns of {name} at once");
            seen.began.insert(name.clone(), now());
        }
        pass(ms(random.random_range(0..200))).await;
        if random.random_bool(0.3) {
            let delay = ms(random.random_range(1..100));
            all.lock().unwrap().set(&queue, &name, delay);
        }
        all.lock().unwrap().running.remove(&name);
        queue.done(&turn.key);
    }
}

/// No worker idles while an object is ready or a timer is past.
#[tokio::test(start_paused = true)]
async fn no_wakeup_is_lost_with_several_workers() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let workers = random.random_range(1..=4);
        let queue = Arc::new(Queue::default());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let tasks: Vec<_> = (0..workers)
            .map(|_| tokio::spawn(work(queue.clone(), seen.clone(), random.random())))
            .collect();
        for _ in 0..150 {
            let name = random.random_range(0..6).to_string();
            match random.random_range(0..5) {
                0 | 1 => {
                    queue.add(key(&name));
                    seen.lock().unwrap().asked.insert(name, now());
                }
                2 | 3 => {
                    let delay = ms(random.random_range(1..300));
                    seen.lock().unwrap().set(&queue, &name, delay);
                }
                _ => pass(ms(random.random_range(1..80))).await,
            }
            pass(ms(random.random_range(0..3))).await;
            // The virtual clock has whole milliseconds.
            let due = now() - ms(2);
            let mut seen = seen.lock().unwrap();
            seen.prune();
            if seen.running.len() < workers {
                let waits = seen.waits(due);
                assert!(waits.is_none(), "seed {seed}: {waits:?} waits beside an idle worker");
            }
        }
        queue.close();
        assert!(futures::future::join_all(tasks).await.iter().all(Result::is_ok), "seed {seed}");
    }
}
