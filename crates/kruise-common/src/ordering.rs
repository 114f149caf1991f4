//! In which order pods are touched.

pub mod priority;
pub mod scatter;
