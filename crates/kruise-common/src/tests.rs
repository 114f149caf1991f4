//! Unit tests: `src/tests/a_b.rs` tests `src/a/b.rs`.

mod history;
#[cfg(feature = "runtime")]
mod runtime_leader;
