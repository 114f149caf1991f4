//! Flags of this controller.

use clap::Parser;
use kruise_common::runtime::args::RuntimeArgs;

use crate::snapshot::Options;

/// SidecarSet controller (apps.kruise.io), compatible with OpenKruise v1.9.
#[derive(Clone, Debug, Parser)]
#[command(name = "kruise-sidecarset", version)]
pub struct Args {
    /// Flags of the shared runtime.
    #[command(flatten)]
    pub runtime: RuntimeArgs,

    /// Flags of the roll-out.
    #[command(flatten)]
    pub rollout: RolloutArgs,

    /// Be asked only about pods that some SidecarSet can match. What is asked about follows the SidecarSets a moment later;
    /// with false every new pod is asked about, as in OpenKruise.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub narrow_pod_webhook: bool,

    /// Refuse a pod if a container of its own has the name of a sidecar, instead of replacing that container with a warning
    /// as OpenKruise does silently.
    #[arg(long)]
    pub refuse_replaced_containers: bool,

    /// Let pods do without sidecars by the annotation kruise.io/sidecarset-skip: names of SidecarSets, or * for all. Whoever
    /// may create pods then decides about their sidecars.
    #[arg(long)]
    pub allow_pod_opt_out: bool,
}

/// Flags of the roll-out.
#[derive(clap::Args, Clone, Debug)]
pub struct RolloutArgs {
    /// Namespace of the ControllerRevisions; empty means that of the Lease, or kruise-system if OpenKruise left revisions
    /// there and there are none in that of the Lease.
    #[arg(long, default_value = "")]
    pub revision_namespace: String,

    /// Change images of native sidecars in running pods; needs Kubernetes 1.33 on every node.
    #[arg(long)]
    pub update_native_sidecars: bool,

    /// Let the status of SidecarSets of type NotUpdate follow the readiness of pods; OpenKruise leaves it as it was when
    /// the last pod was made.
    #[arg(long)]
    pub refresh_notupdate_status: bool,
}

impl RolloutArgs {
    /// What they say.
    pub fn options(&self) -> Options {
        Options {
            native_updates: self.update_native_sidecars,
            refresh_not_update: self.refresh_notupdate_status,
        }
    }
}
