//! Update a pod without re-creating it: pure functions from facts to patches.
//!
//! [`diff`] says whether two revisions differ only in what can change in place, [`begin`] starts an
//! update, [`progress`] says whether it is finished, [`refresh`] is the upkeep of a pod between and after
//! updates, [`lifecycle`] is the state machine of hooks. No client, no clock: time is an argument.

mod batch;
pub mod begin;
mod conditions;
pub mod diff;
mod hash;
pub mod lifecycle;
mod metadata;
pub mod progress;
pub mod refresh;
mod resize;
mod state;
mod work;

pub use resize::Resize;

#[cfg(test)]
mod tests;
