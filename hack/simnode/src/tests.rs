//! Unit tests: `src/tests/a.rs` tests `src/a.rs`.

mod kubelet;
mod options;
mod sandbox;
mod turns;
mod wire;
