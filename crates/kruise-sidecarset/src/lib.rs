//! SidecarSets: containers added to pods at admission, and their images updated in place.
//!
//! Nouns at the root hold facts about one thing; what is decided at admission is under `inject/`.

pub mod auditor;
pub mod choose;
pub mod configuration;
pub mod containers;
pub mod hash;
pub mod inject;
pub mod matching;
pub mod namespace;
pub mod object;
pub mod prepared;
pub mod registration;
pub mod revision;
mod schema;
pub mod stored;
pub mod webhook;

#[cfg(test)]
mod tests;
