//! Unit tests: `src/tests/a_b.rs` tests `src/a/b.rs`.

mod broadcastjob;
mod broadcastjob_amount;
mod broadcastjob_default;
mod broadcastjob_validate;
mod crd;
mod rules;
mod shared_inplace;
mod shared_pod_template;
mod shared_quantity;
mod shared_selector;
mod shared_template;
mod sidecarset_convert;
mod sidecarset_default;
mod sidecarset_expression;
mod sidecarset_validate;
mod statefulset;
mod statefulset_default;
mod statefulset_validate;
