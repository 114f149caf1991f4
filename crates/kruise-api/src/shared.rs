//! What several kinds share on the wire.

pub mod inplace;
pub mod quantity;
pub mod readiness;
pub mod template;
