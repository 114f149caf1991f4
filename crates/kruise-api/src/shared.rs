//! What several kinds share on the wire.

pub mod field;
pub mod inplace;
pub mod labels;
pub mod pod_template;
pub mod priority;
pub mod quantity;
pub mod readiness;
pub mod scatter;
pub mod selector;
pub mod template;
