//! When certificates change: a pure decision over what is stored, what is registered, and the time.
//!
//! ```text
//!            2/3 of the validity are over            both CAs are registered, and the overlap is over
//!   Serving ──────────────────────────────► Prepared ─────────────────────────────────────────► Promoted
//!   one CA      new pair, both CAs trusted            the new pair serves, both CAs trusted           │
//!      ▲                                                                                              │
//!      └──────────────────────────────── the overlap is over: the old CA goes ────────────────────────┘
//! ```
//!
//! At every moment what any replica may still serve is trusted by what any API server may still have read: a new pair is
//! served only after its CA has been registered for the overlap, an old CA is dropped only after its pair has not been
//! served for the overlap. A CA signs one certificate, and its key is thrown away at once (platform P2).

use jiff::{SignedDuration, Timestamp};

/// How long certificates live, and how long old and new stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Life of a pair.
    pub validity: SignedDuration,
    /// Time for which both CAs are trusted before, and again after, the pair changes.
    pub overlap: SignedDuration,
}

impl Schedule {
    /// A schedule whose overlap is five minutes, or a twelfth of a shorter life.
    pub fn new(validity: SignedDuration) -> Self {
        let overlap = SignedDuration::from_mins(5).min(validity / 12);
        Self { validity, overlap }
    }
}

/// How far clocks of replicas may be apart.
const SKEW: SignedDuration = SignedDuration::from_hours(24);

/// What is known of a stored pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Start of its validity.
    pub from: Timestamp,
    /// End of its validity.
    pub to: Timestamp,
}

/// What is stored, as far as the decision needs it. A pair that is broken, does not fit its key, bears the wrong names
/// or is not signed by a trusted CA does not count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The pair that is served.
    pub serving: Option<Pair>,
    /// The pair that is served next.
    pub next: Option<Pair>,
    /// How many CAs are trusted.
    pub trusted: usize,
    /// When the stage changed last.
    pub since: Option<Timestamp>,
    /// Since when all API servers are told of all that is trusted; `None` if they are not.
    pub registered: Option<Timestamp>,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before this time.
    Wait(Timestamp),
    /// Nothing before the trusted CAs are registered.
    Register,
    /// There is nothing that can be served: make a pair and serve it at once.
    Replace,
    /// Make the next pair, and trust its CA beside the old one.
    Prepare,
    /// Serve the next pair.
    Promote,
    /// Trust only the CA of the pair that is served.
    Retire,
}

/// What is to be done at `now`.
pub fn next_step(facts: &Facts, schedule: &Schedule, now: Timestamp) -> Step {
    // One that begins later was made by somebody whose clock is ahead of ours, and is in use: to take another one without an
    // overlap would do harm.
    let begun = |pair: &Pair| pair.from <= now.checked_add(SKEW).unwrap_or(now);
    let Some(serving) = facts.serving.filter(|pair| begun(pair) && now < pair.to) else {
        return Step::Replace;
    };
    let after = |from: Timestamp, wait: SignedDuration| from.checked_add(wait).unwrap_or(from);
    let overlap = |since: Timestamp| after(since.min(now), schedule.overlap);
    let overlap_over = facts.since.map_or(now, overlap);
    if let Some(next) = facts.next
        && now < next.to
    {
        // API servers hear of what is registered late, not of when it was made.
        return match facts.registered.map(|since| overlap(since).max(overlap_over)) {
            None => Step::Register,
            Some(over) if over > now => Step::Wait(over),
            Some(_) => Step::Promote,
        };
    }
    // API servers may refuse it for as long as that clock is ahead. If it is ours that is behind, one that begins earlier
    // does no harm, for it comes with an overlap.
    if serving.from > now && facts.registered.is_some() {
        return Step::Prepare;
    }
    if facts.trusted > 1 {
        return if overlap_over > now { Step::Wait(overlap_over) } else { Step::Retire };
    }
    if facts.registered.is_none() {
        return Step::Register;
    }
    // Certificates are valid from a time before they were made.
    let life = serving.to.duration_since(serving.from).min(schedule.validity);
    let renew = after(serving.to, -(life / 3));
    if renew > now { Step::Wait(renew) } else { Step::Prepare }
}
