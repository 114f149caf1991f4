//! What several kinds share on the wire.

pub mod field;
pub mod inplace;
pub mod labels;
pub mod priority;
pub mod quantity;
pub mod readiness;
pub mod selector;
pub mod template;
