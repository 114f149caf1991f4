//! `--feature-gates` (platform §11).

use crate::gates::{FeatureGates, InvalidGate};

fn on(text: &str) -> Vec<&'static str> {
    let gates: FeatureGates = text.parse().unwrap();
    gates.list().into_iter().filter_map(|(name, on)| on.then_some(name)).collect()
}

const DEFAULT: [&str; 5] = [
    "StatefulSetAutoDeletePVC",
    "PodIndexLabel",
    "InPlaceUpdateEnvFromMetadata",
    "KruiseDaemon",
    "PodWebhook",
];

#[test]
fn the_defaults_are_those_of_openkruise() {
    assert_eq!(on(""), DEFAULT);
    assert_eq!(on(" , ,"), DEFAULT);
    assert_eq!(FeatureGates::default().list().len(), 16);
}

#[test]
fn gates_are_set_one_by_one() {
    assert_eq!(
        on("StatefulSetAutoDeletePVC=false, PodIndexLabel = false")[0],
        "InPlaceUpdateEnvFromMetadata"
    );
    assert!(on("StatefulSetStartOrdinal=true").contains(&"StatefulSetStartOrdinal"));
    assert_eq!(on("PodIndexLabel=false,PodIndexLabel=true"), DEFAULT, "the last one counts");
}

#[test]
fn whole_stages_act_first_wherever_they_stand() {
    let all = on("AllAlpha=true,AllBeta=true");
    assert_eq!(all.len(), 16);
    let protected = "ResourcesDeletionProtection";
    assert!(on("AllBeta=true").contains(&protected) && !on("AllAlpha=true").contains(&protected));
    let but_one = on("StatefulSetStartOrdinal=false,AllAlpha=true");
    assert!(!but_one.contains(&"StatefulSetStartOrdinal") && but_one.len() == 14);
    assert_eq!(on("AllBeta=false"), [""; 0]);
    assert_eq!(on("AllAlpha=false"), DEFAULT);
}

#[test]
fn gates_force_others_off() {
    let gates = on(
        "KruiseDaemon=false,PreDownloadImageForInPlaceUpdate=true,InPlaceUpdateEnvFromMetadata=true",
    );
    assert_eq!(gates, ["StatefulSetAutoDeletePVC", "PodIndexLabel", "PodWebhook"]);
    assert!(
        !on("PodWebhook=false,KruisePodReadinessGate=true").contains(&"KruisePodReadinessGate")
    );
}

#[test]
fn a_flag_line_of_openkruise_can_be_kept() {
    assert_eq!(
        on("ImagePullJobGate=true,SidecarTerminator=true,EnablePodProbeMarkerOnServerless=false"),
        DEFAULT
    );
}

#[test]
fn mistakes_are_errors() {
    let error = |text: &str| text.parse::<FeatureGates>().unwrap_err();
    assert_eq!(error("PodIndexlabel=true"), InvalidGate::Unknown("PodIndexlabel".into()));
    for text in [
        "PodIndexLabel",
        "PodIndexLabel=",
        "PodIndexLabel=1",
        "PodIndexLabel=True",
        "PodIndexLabel=true=true",
    ] {
        assert_eq!(error(text), InvalidGate::Malformed(text.into()));
    }
    assert!(matches!(error("=true"), InvalidGate::Unknown(_)));
}

#[cfg(feature = "testing")]
#[test]
fn the_page_about_gates_is_true() {
    for (name, on) in FeatureGates::default().list() {
        crate::testing::pages::lists_gate(name, on);
    }
}
