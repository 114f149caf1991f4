#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test code"
)]
//! The World of the simulated tests against a real API server: the same writes must end the same way and leave the
//! same objects behind. When they differ the server is right.
//!
//! `hack/test api` brings the cluster and the CRDs.

#[path = "api_world/bodies.rs"]
mod bodies;
#[path = "api_world/claims.rs"]
mod claims;
#[path = "api_world/pair.rs"]
mod pair;
#[path = "api_world/pod_deletion.rs"]
mod pod_deletion;
#[path = "api_world/pod_owners.rs"]
mod pod_owners;
#[path = "api_world/pod_resize.rs"]
mod pod_resize;
#[path = "api_world/pod_status.rs"]
mod pod_status;
#[path = "api_world/pods.rs"]
mod pods;
#[path = "api_world/revisions.rs"]
mod revisions;
#[path = "api_world/sets.rs"]
mod sets;
#[path = "api_world/view.rs"]
mod view;
