//! A table beside a server that creates, changes and deletes, whose events and answers are late, and whose watch breaks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::key::ObjectKey;
use crate::table::Change;

#[derive(Clone, Debug)]
enum Op {
    /// Somebody, or we with a reply, writes an object that belongs to this owner.
    Write {
        name: u8,
        owner: u8,
        reply: bool,
    },
    Delete {
        name: u8,
        reply: bool,
    },
    /// So many events arrive.
    Deliver(usize),
    /// The watch broke: what was on its way is lost, and a list is read.
    List,
    /// The list arrives.
    Listed,
    /// An answer that is under way arrives; they overtake each other.
    Answer(u8),
}

/// An answer to one of our writes.
#[derive(Clone, Debug)]
enum Answer {
    Stored(u8, Object),
    Gone(u8, String),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..5u8, 0..3u8, any::<bool>())
            .prop_map(|(name, owner, reply)| Op::Write { name, owner, reply }),
        2 => (0..5u8, any::<bool>()).prop_map(|(name, reply)| Op::Delete { name, reply }),
        3 => (1..4usize).prop_map(Op::Deliver),
        1 => Just(Op::List),
        1 => Just(Op::Listed),
        4 => any::<u8>().prop_map(Op::Answer),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Object {
    uid: String,
    version: u64,
    owner: String,
}

#[derive(Default)]
struct World {
    table: Table<Row>,
    stored: BTreeMap<u8, Object>,
    version: u64,
    /// Events: the object, and whether it was deleted.
    events: VecDeque<(u8, Object, bool)>,
    /// With the number of lists read when the write was sent.
    answers: Vec<(u64, Answer)>,
    list: Option<BTreeMap<u8, Object>>,
    /// The rows as told by changes only.
    told: BTreeMap<String, Meta>,
    /// UIDs that were taken out of the table because the server said that they are gone.
    dead: BTreeSet<String>,
}

fn name(number: u8) -> String {
    format!("web-{number}")
}

fn record(number: u8, object: &Object) -> Row {
    Row(meta(&name(number), &object.uid, object.version, &object.owner))
}

impl World {
    fn tell(&mut self, change: Option<Change<Row>>) {
        let Some(Change { old, new }) = change else { return };
        let meta = |row: &Option<Arc<Row>>| row.as_ref().map(|row| row.0.clone());
        let key = meta(&new).or(meta(&old)).unwrap().key.name.to_string();
        assert_eq!(self.told.get(&key), meta(&old).as_ref(), "what was before");
        match meta(&new) {
            Some(new) => self.told.insert(key, new),
            None => self.told.remove(&key),
        };
    }

    fn act(&mut self, op: &Op) {
        match *op {
            Op::Write { name, owner, reply } => {
                self.version += 1;
                let uid = self.stored.get(&name).map(|known| known.uid.clone());
                let uid = uid.unwrap_or_else(|| format!("uid-{}", self.version));
                let owner = ["", "x", "y"][usize::from(owner)].to_owned();
                let object = Object { uid, version: self.version, owner };
                self.events.push_back((name, object.clone(), false));
                if reply {
                    let answer = Answer::Stored(name, object.clone());
                    self.answers.push((self.table.lists(), answer));
                }
                self.stored.insert(name, object);
            }
            Op::Delete { name: number, reply } => {
                let Some(mut object) = self.stored.remove(&number) else { return };
                self.version += 1;
                object.version = self.version;
                self.events.push_back((number, object.clone(), true));
                if reply {
                    let answer = Answer::Gone(number, object.uid);
                    self.answers.push((self.table.lists(), answer));
                }
            }
            Op::Answer(index) => self.answer(usize::from(index)),
            Op::Deliver(most) if self.list.is_none() => {
                for _ in 0..most {
                    let Some((number, object, deleted)) = self.events.pop_front() else { return };
                    let row = record(number, &object);
                    let change = if deleted {
                        self.dead.insert(object.uid);
                        self.table.remove(&row.0)
                    } else {
                        self.table.apply(row)
                    };
                    self.tell(change);
                }
            }
            Op::List if self.list.is_none() => {
                self.table.begin_sync();
                self.events.clear();
                self.list = Some(self.stored.clone());
            }
            Op::Listed => self.listed(),
            Op::Deliver(_) | Op::List => {}
        }
        self.check();
    }

    fn answer(&mut self, index: usize) {
        if self.answers.is_empty() {
            return;
        }
        let (lists, answer) = self.answers.swap_remove(index % self.answers.len());
        if lists != self.table.lists() {
            let (Answer::Stored(number, _) | Answer::Gone(number, _)) = answer;
            let known = self.table.get(&key(&name(number)));
            let known = known.map(|row| (row.0.key.clone(), row.0.uid.clone()));
            return self.look_up(number, known);
        }
        let change = match answer {
            Answer::Stored(number, object) => self.table.apply(record(number, &object)),
            Answer::Gone(number, uid) => {
                let change = self.table.forget(&key(&name(number)), &uid);
                self.dead.insert(uid);
                change
            }
        };
        self.tell(change);
    }

    /// A live read, and what was known before.
    fn look_up(&mut self, number: u8, known: Option<(ObjectKey, Arc<str>)>) {
        let change = match (self.stored.get(&number), known) {
            (Some(object), _) => self.table.apply(record(number, object)),
            (None, Some((key, uid))) => self.table.forget(&key, &uid),
            (None, None) => None,
        };
        self.tell(change);
    }

    fn listed(&mut self) {
        let Some(list) = self.list.take() else { return };
        for (number, object) in list {
            let change = self.table.apply_listed(record(number, &object));
            self.tell(change);
        }
        let swept = self.table.end_sync(true);
        for change in swept.changes {
            self.dead.insert(change.old.as_ref().unwrap().0.uid.to_string());
            self.tell(Some(change));
        }
        for (doubtful, uid) in swept.doubtful {
            let number = (0..5).find(|number| name(*number) == *doubtful.name).unwrap();
            self.look_up(number, Some((doubtful, uid)));
        }
    }

    /// Every view shows the same rows, and nothing that is known to be gone.
    fn check(&self) {
        let rows: Vec<_> =
            self.table.keys().iter().map(|key| self.table.get(key).unwrap()).collect();
        assert_eq!(rows.len(), self.table.len());
        let told: Vec<_> = self.told.values().cloned().collect();
        assert_eq!(rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>(), told);
        assert_eq!(self.table.with_prefix(&"ns".into(), "web-"), rows);
        for row in &rows {
            assert!(!self.dead.contains(&*row.0.uid), "{} came back", row.0.uid);
        }
        for owner in ["x", "y"] {
            let owns = |row: &&Arc<Row>| row.0.controller().is_some_and(|it| &*it.uid == owner);
            let naive: Vec<_> = rows.iter().filter(owns).cloned().collect();
            assert_eq!(self.table.owned_by(owner), naive);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_never_shows_what_is_gone_and_ends_up_like_the_server(
        ops in prop::collection::vec(op(), 0..60)
    ) {
        let mut world = World::default();
        for op in &ops {
            world.act(op);
        }
        world.act(&Op::Listed);
        world.act(&Op::Deliver(usize::MAX));
        while !world.answers.is_empty() {
            world.act(&Op::Answer(0));
        }
        let stored: Vec<_> =
            world.stored.iter().map(|(number, object)| record(*number, object).0).collect();
        prop_assert_eq!(world.told.into_values().collect::<Vec<_>>(), stored);
    }
}
