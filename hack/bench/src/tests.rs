//! Unit tests: `src/tests/a.rs` tests `src/a.rs`.

mod admission;
mod audit;
mod contestant;
mod floor;
mod measure;
mod report;
mod sample;
