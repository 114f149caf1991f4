//! Unit tests: `src/tests/a_b.rs` tests `src/a/b.rs`.

mod admission;
mod admission_rotation;
mod budget;
#[cfg(feature = "runtime")]
mod doctor;
mod gates;
mod history;
mod intern;
mod key;
mod meta;
mod moment;
mod node;
mod ordering_priority;
mod ordering_scatter;
mod plan;
mod pod;
mod pod_wire;
mod refusal;
#[cfg(feature = "runtime")]
mod runtime_args;
#[cfg(feature = "runtime")]
mod runtime_backoff;
#[cfg(feature = "runtime")]
mod runtime_certs;
#[cfg(feature = "runtime")]
mod runtime_condition;
#[cfg(feature = "runtime")]
mod runtime_leader;
#[cfg(feature = "runtime")]
mod runtime_limiter;
#[cfg(feature = "runtime")]
mod runtime_metrics;
#[cfg(feature = "runtime")]
mod runtime_queue;
#[cfg(feature = "runtime")]
mod runtime_recorder;
#[cfg(feature = "runtime")]
mod runtime_registrar_board;
#[cfg(feature = "runtime")]
mod runtime_registrar_trouble;
#[cfg(feature = "runtime")]
mod runtime_run;
#[cfg(feature = "runtime")]
mod runtime_watch;
#[cfg(feature = "runtime")]
mod runtime_watch_streak;
#[cfg(feature = "runtime")]
mod runtime_webhook;
#[cfg(feature = "runtime")]
mod runtime_writer;
mod support;
mod table;
mod write;
