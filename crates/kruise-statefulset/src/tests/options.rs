//! Options by annotation: read, or refused with place, value and rule.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_api::statefulset::v1beta1::InPlaceUpdateStrategy;

use crate::options::{Options, Prefetch};

fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let full = |key: &str| format!("apps.kruise.io/{key}");
    pairs.iter().map(|(key, value)| (full(key), (*value).to_owned())).collect()
}

fn read(key: &str, value: &str, replicas: i32) -> Result<Options, String> {
    Options::read(&annotations(&[(key, value)]), replicas).map_err(|invalid| invalid.to_string())
}

#[test]
fn a_set_without_annotations_has_no_options() {
    assert_eq!(Options::read(&BTreeMap::new(), 3), Ok(Options::default()));
}

#[test]
fn a_percentage_of_pods_stays_rounded_up_but_never_all_of_them() {
    let kept =
        |percent: &str, replicas| read("partition-percent", percent, replicas).unwrap().partition;
    assert_eq!(kept("30%", 10), Some(3));
    assert_eq!(kept("31%", 10), Some(4));
    assert_eq!(kept("0%", 10), Some(0));
    assert_eq!(kept("95%", 10), Some(9), "one goes first");
    assert_eq!(kept("100%", 10), Some(10));
    assert_eq!(kept("50%", 1), Some(1));
    assert_eq!(kept("50%", 0), Some(0));
}

#[test]
fn numbers_are_read() {
    let more =
        |amount: &str| read("ordered-max-unavailable", amount, 10).unwrap().ordered_max_unavailable;
    assert_eq!((more("3"), more("25%"), more("1%")), (Some(3), Some(2), Some(1)));
    assert_eq!(read("progress-deadline-seconds", "600", 1).unwrap().progress_deadline, Some(600));
    assert!(read("recover-stuck-rollout", "true", 1).unwrap().recover_stuck);
    assert!(!read("recover-stuck-rollout", "false", 1).unwrap().recover_stuck);
    let scatter = read("scatter-strategy", r#"[{"key":"zone","value":"*"}]"#, 1).unwrap().scatter;
    assert_eq!((scatter[0].key.as_str(), scatter[0].value.as_str()), ("zone", "*"));
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    for (key, value, says) in [
        ("partition-percent", "30", "must be a percentage"),
        ("partition-percent", "101%", "must be a percentage"),
        ("partition-percent", "-1%", "must be a percentage"),
        ("partition-percent", "+50%", "must be a percentage"),
        ("ordered-max-unavailable", "0", "must be a number of at least 1"),
        ("ordered-max-unavailable", "some", "must be a number of at least 1"),
        ("progress-deadline-seconds", "0", "must be a number of seconds"),
        ("progress-deadline-seconds", "10m", "must be a number of seconds"),
        ("recover-stuck-rollout", "yes", "must be \"true\" or \"false\""),
        ("scatter-strategy", "zone", "must be a JSON list"),
    ] {
        let error = read(key, value, 10).unwrap_err();
        let place = format!("metadata.annotations[apps.kruise.io/{key}]: {value:?}: ");
        assert!(error.starts_with(&place) && error.contains(says), "{error}");
    }
}

/// PD-9, W-35: annotations first, then the spec; what cannot be read counts as absent.
#[test]
fn pulling_ahead_takes_annotations_before_the_spec() {
    let spec = InPlaceUpdateStrategy {
        image_pre_download_parallelism: Some(IntOrString::String("20%".to_owned())),
        image_pre_download_timeout_seconds: Some(60),
        image_pre_download_min_updated_ready_pods: Some(2),
        ..InPlaceUpdateStrategy::default()
    };
    let read = |pairs: &[(&str, &str)], spec: Option<&InPlaceUpdateStrategy>| {
        let Prefetch { parallelism, timeout_seconds, min_updated_ready } =
            Prefetch::read(&annotations(pairs), spec, 10);
        (parallelism, timeout_seconds, min_updated_ready)
    };
    let all = [
        ("image-predownload-parallelism", "4"),
        ("image-predownload-timeout-seconds", "120"),
        ("image-predownload-min-updated-ready-pods", "25%"),
    ];
    assert_eq!(read(&[], None), (IntOrString::Int(1), 300, 0));
    assert_eq!(read(&[], Some(&spec)), (IntOrString::String("20%".to_owned()), 60, 2));
    assert_eq!(read(&all, Some(&spec)), (IntOrString::Int(4), 120, 3));
    let nonsense = all.map(|(key, _)| (key, "x"));
    assert_eq!(read(&nonsense, None), (IntOrString::Int(1), 300, 0));
}
