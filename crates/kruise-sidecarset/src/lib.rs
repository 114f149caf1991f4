//! SidecarSets: containers added to pods at admission, and their images updated in place.
//!
//! Nouns at the root hold facts about one thing; what is decided at admission is under `inject/`.

pub mod announced;
pub mod apply;
pub mod args;
pub mod asked;
pub mod auditor;
pub mod choose;
pub mod configuration;
pub mod containers;
pub mod controller;
pub mod events;
pub mod evicted;
pub mod gauges;
pub mod hash;
pub mod history_home;
pub mod in_force;
pub mod incoming;
pub mod inject;
pub mod inplace;
pub mod matching;
pub mod member;
pub mod namespace;
pub mod object;
pub mod observe;
pub mod pair;
pub mod plan;
pub mod prepared;
pub mod recorded;
pub mod registered;
pub mod registration;
pub mod revision;
pub mod roster;
mod schema;
pub mod snapshot;
pub mod status;
pub mod stored;
pub mod watch;
pub mod webhook;

#[cfg(test)]
mod tests;
