//! Unit tests: `src/tests/a.rs` tests `src/a.rs`.
