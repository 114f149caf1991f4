//! Flags of this controller.

use clap::{ArgAction, Parser};
use kruise_common::runtime::args::RuntimeArgs;

/// BroadcastJob controller (apps.kruise.io), compatible with OpenKruise v1.9.
#[derive(Clone, Debug, Parser)]
#[command(name = "kruise-broadcastjob", version)]
pub struct Args {
    /// Flags of the shared runtime.
    #[command(flatten)]
    pub runtime: RuntimeArgs,

    /// Leave it to the scheduler to bind a pod to its node; otherwise pods are created on their node, and neither
    /// quota of the node nor priorities are asked.
    #[arg(
        long,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub assign_bcj_pods_by_scheduler: bool,
}
