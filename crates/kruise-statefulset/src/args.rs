//! Flags of this controller.

use clap::Parser;
use kruise_common::runtime::args::RuntimeArgs;

/// Advanced StatefulSet controller (apps.kruise.io), compatible with OpenKruise v1.9.
#[derive(Clone, Debug, Parser)]
#[command(name = "kruise-statefulset", version)]
pub struct Args {
    /// Flags of the shared runtime.
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}
