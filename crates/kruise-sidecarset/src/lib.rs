//! SidecarSets: containers added to pods at admission, and their images updated in place.
//!
//! Nouns at the root hold facts about one thing; what is decided at admission is under `inject/`.

pub mod containers;
pub mod hash;
pub mod matching;
pub mod namespace;
pub mod object;
pub mod revision;
mod schema;
pub mod stored;

#[cfg(test)]
mod tests;
