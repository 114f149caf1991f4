//! What several kinds share on the wire.

pub mod inplace;
pub mod readiness;
