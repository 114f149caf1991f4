//! The state machine of a hot upgrade (section 15): what happens to the two twins of one sidecar in one pod.
//!
//! Pure and total: every state with every combination of facts has an answer, printed by its test as a table.

use std::fmt;

use super::action::Action;
use super::hold::Hold;
use super::turn::Turn;
use crate::member::Member;
use crate::pair::Pair;
use crate::snapshot::Settings;

/// What the twins of one sidecar are to each other.
///
/// ```text
///                     the set has another image: Fill(Other)
///        +---------------------------------------------------------+
///        |                                                         v
///   +---------+   the new side is ready: Reset              +-------------+
///   |  Idle   | <------------------------------------------ |  Switching  | --+ the new side fails,
///   |         | <------------------------------------------ |             | <-+ another image: Fill(Working)
///   +---------+   the new side fails, the set is back at    +-------------+
///        ^        the image of the old side: TurnBack
///        |
///        |        Fill(Working), or TurnBack if the other side has the image
///   +---------+
///   | Vacant  |   nobody puts a pair here; pods edited by hand get out again
///   +---------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// One works, the other one is idle.
    Idle,
    /// The one that should work runs the empty image, the other one does not.
    Vacant,
    /// The new side was started, the old one still runs.
    Switching,
}

/// Which twin has the image that the set wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one that works.
    Working,
    /// Its twin.
    Other,
    /// None.
    Neither,
}

/// What else decides.
#[expect(clippy::struct_excessive_bools, reason = "facts about one pod, independent of each other")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The pod is to be updated: its hash is not the set's.
    pub outdated: bool,
    /// The twin that works is ready and carried out (HOT-15.2).
    pub working_ok: bool,
    /// So is its twin.
    pub other_ok: bool,
    /// Everything but the old side is done and ready (HOT-20, HOT-23).
    pub settled: bool,
    /// Which twin has the image that the set wants.
    pub target: Target,
}

/// One of the twins, as the map of the pod has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that works.
    Working,
    /// Its twin.
    Other,
}

/// What happens to the twins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing is to be done.
    Rest,
    /// The new side must become ready first.
    Wait,
    /// The image is there already: only the record of the pod changes (HOT-16).
    Record,
    /// This twin gets the set's image and works from now on (HOT-17).
    Fill(Side),
    /// The twin works again; the failing one gets the empty image (W-14).
    TurnBack,
    /// The old side gets the empty image (HOT-22).
    Reset,
}

/// What happens next to twins in this state.
pub fn next(state: State, facts: Facts) -> Move {
    use {Side::Other as O, Side::Working as W};
    match (state, facts.outdated) {
        (State::Switching, _) if facts.settled => Move::Reset,
        (State::Idle | State::Vacant, false) => Move::Rest,
        (State::Idle, true) => match facts.target {
            Target::Working => Move::Record,
            Target::Other | Target::Neither => Move::Fill(O),
        },
        (State::Vacant, true) => match facts.target {
            Target::Other => Move::TurnBack,
            Target::Working | Target::Neither => Move::Fill(W),
        },
        (State::Switching, outdated) => {
            let working_fails = !facts.working_ok && facts.other_ok;
            match (working_fails, facts.target, outdated) {
                // Also where OpenKruise left such a pod recorded as updated.
                (true, Target::Other, _) => Move::TurnBack,
                (_, _, false) => Move::Wait,
                (true, _, true) => Move::Fill(W),
                (false, Target::Working, true) => Move::Record,
                (false, _, true) => Move::Fill(O),
            }
        }
    }
}

impl Pair {
    /// What happens next to these twins.
    #[expect(
        clippy::fn_params_excessive_bools,
        reason = "the two facts that the pair does not know"
    )]
    pub fn next(&self, outdated: bool, settled: bool) -> Move {
        let facts = Facts {
            outdated,
            working_ok: self.working.ok,
            other_ok: self.other.ok,
            settled,
            target: self.target(),
        };
        next(self.state(), facts)
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rest => "rest",
            Self::Wait => "wait",
            Self::Record => "record",
            Self::Fill(Side::Working) => "fill working",
            Self::Fill(Side::Other) => "fill other",
            Self::TurnBack => "turn back",
            Self::Reset => "reset",
        })
    }
}

/// Moves that are due whatever the budget says: the new side works, or never will (HOT-20, HOT-21, W-14). They make pods
/// available again.
pub fn finish(turn: &mut Turn<'_>, settings: &Settings) {
    let (mut resets, mut backs) = (Vec::new(), Vec::new());
    for member in turn.snapshot.members.iter().filter(|member| !member.pairs.is_empty()) {
        let settled = member.settled(settings);
        let next = |pair: &Pair| pair.next(!member.updated, settled);
        let due = |wanted: Move| member.pairs.iter().find(|pair| next(pair) == wanted);
        let pod = member.pod.meta.key.clone();
        if due(Move::Reset).is_some() {
            if turn.may_touch(member) {
                resets.push(Action::ResetTwins { pod });
            }
        } else if member.updated && due(Move::TurnBack).is_some() {
            if turn.may_touch(member) {
                backs.push(Action::TurnBack { pod });
            }
        } else if due(Move::Wait).is_some() {
            turn.hold_pod(&member.pod, Hold::NewSideNotReady);
        }
    }
    turn.plan.each(resets);
    turn.plan.each(backs);
}

/// Whether the pod has a move that gives up a failing new side.
pub fn turns_back(member: &Member) -> bool {
    member.pairs.iter().any(|pair| pair.next(!member.updated, false) == Move::TurnBack)
}
