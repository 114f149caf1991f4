//! The wire vocabulary of OpenKruise: what travels between users, controllers and the API server.
//!
//! Types, keys, defaulting, CRDs. No behaviour beyond that.

pub mod broadcastjob;
pub mod crd;
mod go;
pub mod keys;
pub mod raw;
pub mod shared;
pub mod sidecarset;
pub mod statefulset;

#[cfg(test)]
mod tests;
