//! The simulated cluster that the tests of all controllers share (feature `testing`): an API server in memory that
//! performs [`Write`](crate::write::Write) values, kubelets, a garbage collector, and the crank without its waiting.
//!
//! Not here: anything a controller needs to work. `crates/*/tests/api*.rs` compare it with a real API server.

#[cfg(feature = "runtime")]
pub mod admission;
#[cfg(feature = "runtime")]
pub mod cluster;
pub mod drive;
#[cfg(feature = "runtime")]
pub mod load;
mod merge;
pub mod mirror;
pub mod pages;
#[cfg(feature = "runtime")]
pub mod ports;
pub mod property;
#[cfg(feature = "runtime")]
pub mod relay;
pub mod world;
