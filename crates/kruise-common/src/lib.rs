//! What at least two kruise controllers share. Each file is named by the noun it owns.
//!
//! Without the `runtime` feature everything here is pure: no async, no client, no clock.
//! With it comes the shell ([`runtime`]): caches fed by watches, the crank, the only writer.

pub mod admission;
pub mod budget;
pub mod claim;
#[cfg(feature = "runtime")]
pub mod doctor;
pub mod gates;
pub mod history;
pub mod intern;
pub mod key;
pub mod kind;
pub mod meta;
pub mod moment;
pub mod node;
pub mod ordering;
pub mod plan;
pub mod pod;
pub mod reconciler;
pub mod refusal;
pub mod revision;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod storage_class;
pub mod table;
#[cfg(feature = "testing")]
pub mod testing;
pub mod write;

#[cfg(test)]
mod tests;
