//! Feature gates (platform §11): one typed value, parsed once from `--feature-gates`.

use std::str::FromStr;

macro_rules! gates {
    ($( $(#[$doc:meta])* $field:ident: $name:literal, $stage:ident, $default:literal; )*) => {
        /// The gates that our controllers know; names, stages and defaults are those of OpenKruise v1.9.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct FeatureGates { $( $(#[$doc])* pub $field: bool, )* }

        impl Default for FeatureGates {
            fn default() -> Self { Self { $( $field: $default, )* } }
        }

        impl FeatureGates {
            fn set(&mut self, name: &str, on: bool) -> bool {
                match name {
                    $( $name => self.$field = on, )*
                    "AllAlpha" => { $( if Stage::$stage == Stage::Alpha { self.$field = on; } )* }
                    "AllBeta" => { $( if Stage::$stage == Stage::Beta { self.$field = on; } )* }
                    _ => return false,
                }
                true
            }

            /// Every gate with its value, in the order of the specification.
            pub fn list(&self) -> Vec<(&'static str, bool)> { vec![ $( ($name, self.$field), )* ] }
        }
    };
}

#[derive(PartialEq)]
enum Stage {
    Alpha,
    Beta,
}

gates! {
    /// PVC owner references per retention policy.
    auto_delete_claims: "StatefulSetAutoDeletePVC", Beta, true;
    /// `apps.kubernetes.io/pod-index` on pods.
    pod_index_label: "PodIndexLabel", Beta, true;
    /// Env from metadata is updated in place.
    env_from_metadata: "InPlaceUpdateEnvFromMetadata", Beta, true;
    /// The node daemon of OpenKruise may be there.
    kruise_daemon: "KruiseDaemon", Beta, true;
    /// Pod admission.
    pod_webhook: "PodWebhook", Beta, true;
    /// `ordinals.start` is honoured.
    start_ordinal: "StatefulSetStartOrdinal", Alpha, false;
    /// Claims are resized.
    resize_claims: "StatefulSetAutoResizePVCGate", Alpha, false;
    /// CPU and memory change in place.
    vertical_scaling: "InPlaceWorkloadVerticalScaling", Alpha, false;
    /// Images are pulled ahead of in-place updates.
    predownload_image: "PreDownloadImageForInPlaceUpdate", Alpha, false;
    /// `PreparingUpdate` counts as updated in unordered updates.
    preparing_update_as_update: "PreparingUpdateAsUpdate", Alpha, false;
    /// No pod defaults are written into templates.
    template_no_defaults: "TemplateNoDefaults", Alpha, false;
    /// Deletion protection by label.
    deletion_protection: "ResourcesDeletionProtection", Beta, false;
    /// Host ports of hostNetwork pods are defaulted.
    default_host_ports: "DefaultHostNetworkHostPortsInPodTemplates", Alpha, false;
    /// The `KruisePodReady` gate is on all pods.
    pod_readiness_gate: "KruisePodReadinessGate", Alpha, false;
    /// Without a whitelist, a SidecarSet may patch any annotation of pods (WL-3).
    sidecar_patches_allowed: "SidecarSetPatchPodMetadataDefaultsAllowed", Alpha, false;
    /// Injected containers are sorted by name over all SidecarSets (INJ-49).
    sorted_sidecars: "EnableSortSidecarContainerByName", Alpha, false;
}

/// Gates of OpenKruise that none of our controllers needs: accepted, without effect, so that a flag line can be kept.
const ACCEPTED: [&str; 19] = [
    "DaemonWatchingPod",
    "InPlacePodVerticalScaling",
    "ImagePullJobGate",
    "SidecarTerminator",
    "PodUnavailableBudgetDeleteGate",
    "PodUnavailableBudgetUpdateGate",
    "WorkloadSpread",
    "PodProbeMarkerGate",
    "DeletionProtectionForCRDCascadingGate",
    "EnableExternalCerts",
    "ForceDeleteTimeoutExpectationGate",
    "CloneSetShortHash",
    "CloneSetPartitionRollback",
    "CloneSetEventHandlerOptimization",
    "ResourceDistributionGate",
    "PreDownloadImageForDaemonSetUpdate",
    "EnhancedLivenessProbe",
    "RecreatePodWhenChangeVCTInCloneSetGate",
    "EnablePodProbeMarkerOnServerless",
];

/// Why a gate list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGate {
    /// An entry is not `Name=true` or `Name=false`.
    #[error("{0:?} is not of the form Name=true or Name=false")]
    Malformed(String),
    /// Nobody knows this gate.
    #[error("unknown feature gate {0:?}")]
    Unknown(String),
}

impl FromStr for FeatureGates {
    type Err = InvalidGate;

    /// Reads `A=true,B=false`; `AllAlpha` and `AllBeta` act first, whatever their place, as in Kubernetes.
    fn from_str(text: &str) -> Result<Self, InvalidGate> {
        let mut gates = Self::default();
        let mut entries = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let malformed = || InvalidGate::Malformed(entry.to_owned());
            let (name, value) = entry.split_once('=').ok_or_else(malformed)?;
            entries.push((name.trim(), value.trim().parse::<bool>().map_err(|_| malformed())?));
        }
        let (all, single): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(name, _)| ["AllAlpha", "AllBeta"].contains(name));
        for (name, on) in all.into_iter().chain(single) {
            if !gates.set(name, on) && !ACCEPTED.contains(&name) {
                return Err(InvalidGate::Unknown(name.to_owned()));
            }
        }
        Ok(gates.consistent())
    }
}

impl FeatureGates {
    /// Gates that force others off (G table of statefulset §3).
    fn consistent(mut self) -> Self {
        if !self.kruise_daemon {
            self.predownload_image = false;
            self.env_from_metadata = false;
        }
        if !self.pod_webhook {
            self.pod_readiness_gate = false;
            self.sidecar_patches_allowed = false;
        }
        self
    }
}
