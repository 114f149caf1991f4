//! Who uses up the budget of an update: replicas that do not serve, and those that serve and hold it all the same.

use std::collections::BTreeSet;

use super::resize;
use super::turn::Turn;

/// Replicas that use up the budget (RU-5).
#[derive(Debug, Default)]
pub struct Unavailable {
    /// They do not serve, are missing, or something is about to happen to them.
    down: BTreeSet<i32>,
    /// They serve, but their update is not finished, a claim grows, or their update was refused a moment ago.
    holding: BTreeSet<i32>,
}

impl Unavailable {
    /// Finds them, and says why they are.
    pub fn of(turn: &mut Turn<'_>) -> Self {
        let mut all = Self::default();
        for ordinal in turn.settings.ordinals.iter() {
            let Some(pod) = turn.snapshot.pods.get(&ordinal) else {
                all.down.insert(ordinal);
                continue;
            };
            let refused = turn.refused(ordinal, pod);
            let (kind, hold) = match turn.unavailable(ordinal, pod) {
                Some(hold) if !turn.serves(ordinal, pod) => (&mut all.down, hold),
                Some(hold) if refused.is_none() && turn.superseded(ordinal, pod) => {
                    turn.explain(ordinal, hold);
                    continue;
                }
                Some(hold) => (&mut all.holding, hold),
                None => match resize::growing(turn, ordinal, pod).or_else(|| refused.clone()) {
                    Some(hold) => (&mut all.holding, hold),
                    None => continue,
                },
            };
            // Whatever else is so: nothing but time ends it, and somebody should know.
            if let Some(refused) = refused {
                turn.explained.insert(ordinal);
                turn.hold(refused);
            }
            kind.insert(ordinal);
            turn.explain(ordinal, hold);
        }
        all
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.down.len() + self.holding.len()
    }

    /// Whether taking the replica down must wait. One that is down costs nothing (RU-8); one that serves takes its own place
    /// in the budget if it holds one, but never makes more than `allowed` be down (AC-3).
    pub fn forbids(&self, ordinal: i32, allowed: usize) -> bool {
        let spent = if self.holding.contains(&ordinal) { self.down.len() } else { self.count() };
        !self.down.contains(&ordinal) && spent >= allowed
    }

    /// Whether taking the replica down would have to wait, did it serve after all.
    pub fn only_down(&self, ordinal: i32, allowed: usize) -> bool {
        self.down.contains(&ordinal) && self.count() > allowed
    }

    /// The replica serves on, and holds its place for a while.
    pub fn hold(&mut self, ordinal: i32) {
        if !self.down.contains(&ordinal) {
            self.holding.insert(ordinal);
        }
    }

    /// The replica is taken down in this turn.
    pub fn take(&mut self, ordinal: i32) {
        self.holding.remove(&ordinal);
        self.down.insert(ordinal);
    }
}
