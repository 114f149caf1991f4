//! The crank with a controller whose plans are made up, under a virtual clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::support::{
    Answer, Log, Seen, api, failure, key, leader_until, lines, meta, ms, now, pass, s, until, value,
};
use crate::key::ObjectKey;
use crate::kind::{Kind, POD, STATEFUL_SET};
use crate::plan::{Applied, Hold, Note, Outcome, Plan, Step};
use crate::reconciler::Reconciler;
use crate::runtime::backoff::Backoff;
use crate::runtime::leader::{Leadership, disabled};
use crate::runtime::metrics::Metrics;
use crate::runtime::queue::Queue;
use crate::runtime::recorder::recorder;
use crate::runtime::run::Crank;
use crate::runtime::writer::{Sink, Writer, WriterConfig};
use crate::write::{Operations, Write};

mod failures;
mod holds;
mod pace;

/// Waits for something.
#[derive(Clone, Debug, PartialEq)]
struct Wait(&'static str, Option<Timestamp>);

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Hold for Wait {
    fn reason(&self) -> &'static str {
        self.0
    }

    fn until(&self) -> Option<Timestamp> {
        self.1
    }
}

/// What a turn sees: its own plan, and the status that it would write.
#[derive(Clone, Default)]
struct Snapshot {
    steps: Vec<Step<u32>>,
    holds: Vec<Wait>,
    status: bool,
    urgent: bool,
    generation: i64,
}

type Observe = dyn Fn(&ObjectKey) -> Option<Snapshot> + Send + Sync;

/// Makes snapshots and remembers when it was asked.
#[derive(Clone)]
struct Fake {
    observe: Arc<Observe>,
    turns: Arc<Mutex<Vec<Instant>>>,
}

impl Reconciler for Fake {
    const NAME: &'static str = "statefulset-controller";
    const KIND: &'static Kind = &STATEFUL_SET;
    type Snapshot = Snapshot;
    type Action = u32;
    type Hold = Wait;

    fn observe(&self, key: &ObjectKey) -> Option<Snapshot> {
        self.turns.lock().unwrap().push(now());
        (self.observe)(key)
    }

    fn uid(_: &Snapshot) -> &'static str {
        "uid"
    }

    fn generation(snapshot: &Snapshot) -> i64 {
        snapshot.generation
    }

    fn plan(snapshot: &Snapshot, _: Timestamp) -> Plan<u32, Wait> {
        Plan { steps: snapshot.steps.clone(), holds: snapshot.holds.clone(), notes: Vec::new() }
    }

    fn apply(_: &Snapshot, action: &u32, _: Timestamp) -> Vec<Write> {
        let meta = meta(&format!("pod-{action}"), "u", 1, "");
        vec![Write::json(&POD, &meta, Operations::default().replace(&["spec", "x"], *action))]
    }

    fn event(_: &Snapshot, _: &u32, _: &Outcome) -> Vec<Note> {
        Vec::new()
    }

    fn status(
        snapshot: &Snapshot,
        _: &Plan<u32, Wait>,
        _: &Applied<u32>,
        _: Timestamp,
    ) -> Option<Write> {
        let meta = meta("set", "uid", 1, "");
        snapshot.status.then(|| Write::json_status(&STATEFUL_SET, &meta, Operations::default()))
    }

    fn urgent(snapshot: &Snapshot, _: &Write) -> bool {
        snapshot.urgent
    }
}

/// A crank that works.
struct Works {
    crank: Arc<Crank<Fake>>,
    log: Log,
    turns: Arc<Mutex<Vec<Instant>>>,
    began: Instant,
}

struct Ignored;

impl Sink for Ignored {
    fn stored(&self, _: &[u8]) {}
    fn lists(&self) -> u64 {
        0
    }

    fn uid(&self, _: &ObjectKey) -> Option<Arc<str>> {
        None
    }
    fn removed(&self, _: &ObjectKey, _: &str) {}
}

fn works(
    leadership: Leadership,
    observe: impl Fn(&ObjectKey) -> Option<Snapshot> + Send + Sync + 'static,
    answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
) -> Works {
    let (client, log) = api(answer);
    let metrics = Metrics::new(Fake::NAME).unwrap();
    let (recorder, _) = recorder(client.clone(), Fake::NAME, leadership.clone(), metrics.clone());
    let turns = Arc::new(Mutex::new(Vec::new()));
    let sinks = HashMap::from([("pods", Arc::new(Ignored) as Arc<dyn Sink>)]);
    let config = WriterConfig { in_flight: 200, timeout: s(5) };
    let writer = Writer::new(client, leadership.clone(), metrics.clone(), config, sinks);
    let crank = Arc::new(Crank {
        reconciler: Fake { observe: Arc::new(observe), turns: turns.clone() },
        queue: Arc::new(Queue::default()),
        writer: Arc::new(writer),
        recorder,
        leadership,
        metrics,
        backoff: Backoff { base: ms(5), max: s(30) },
        memory: Mutex::default(),
    });
    for _ in 0..2 {
        let crank = crank.clone();
        tokio::spawn(async move { crank.work().await });
    }
    Works { crank, log, turns, began: now() }
}

impl Works {
    fn add(&self) {
        self.crank.queue.add(key("set"));
    }

    /// Milliseconds after the start at which the controller looked.
    fn turns(&self) -> Vec<u128> {
        let turns = self.turns.lock().unwrap();
        turns.iter().map(|at| (*at - self.began).as_millis()).collect()
    }

    /// When requests came whose path ends so.
    fn times(&self, end: &str) -> Vec<Duration> {
        let log = self.log.lock().unwrap();
        let matching = log.iter().filter(|seen| seen.path.ends_with(end));
        matching.map(|seen| seen.at - self.began).collect()
    }

    fn holds(&self, reason: &str) -> f64 {
        let name = format!("kruise_statefulset_holds{{reason=\"{reason}\"}}");
        value(&self.crank.metrics, &name)
    }

    fn results(&self, result: &str) -> f64 {
        let labels = format!(r#"controller="statefulset-controller",result="{result}""#);
        value(&self.crank.metrics, &format!("controller_runtime_reconcile_total{{{labels}}}"))
    }
}

fn fine(_: &Seen) -> Answer {
    Answer::Json(200, json!({}))
}

fn slow(delay: Duration) -> Answer {
    Answer::After(delay, Box::new(Answer::Json(200, json!({}))))
}

#[tokio::test(start_paused = true)]
async fn a_settled_object_has_one_turn_and_no_timer() {
    let it = works(disabled(), |_| Some(Snapshot::default()), fine);
    it.add();
    pass(s(3600)).await;
    assert_eq!(it.turns(), [0]);
    assert_eq!((it.crank.queue.timers(), lines(&it.log).len()), (0, 0));
    assert!(it.results("success") > 0.5);
}

#[tokio::test(start_paused = true)]
async fn a_standby_does_nothing() {
    let stop = CancellationToken::new();
    let leadership = leader_until(stop.clone()).await;
    let plan =
        || Snapshot { steps: vec![Step::InOrder(vec![1])], status: true, ..Snapshot::default() };
    let it = works(leadership, move |_| Some(plan()), fine);
    stop.cancel();
    pass(s(1)).await;
    it.add();
    pass(s(60)).await;
    assert!(it.turns().is_empty() && lines(&it.log).is_empty());
    assert_eq!((it.crank.queue.running(), it.crank.queue.timers()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_object_has_one_turn_at_a_time_beside_others() {
    let plan = || Snapshot { steps: vec![Step::InOrder(vec![1])], ..Snapshot::default() };
    let it = works(disabled(), move |_| Some(plan()), |_| slow(s(4)));
    it.add();
    pass(s(1)).await;
    it.add();
    it.crank.queue.add(key("other"));
    pass(s(1)).await;
    assert_eq!(it.turns(), [0, 1000]);
    pass(s(30)).await;
    assert_eq!(it.turns(), [0, 1000, 4000]);
}
