//! What a set asks for by annotations: options that OpenKruise does not have, and those of image pre-download (PD-9).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_api::keys;
use kruise_api::shared::scatter::ScatterTerm;
use kruise_api::statefulset::v1beta1::InPlaceUpdateStrategy;
use kruise_common::budget;

use crate::snapshot::Invalid;

/// The options of a set. What cannot be read is refused: an unreadable partition taken for none would update every pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Pods that stay on the old revision, by percentage.
    pub partition: Option<usize>,
    /// Pods that an ordered update may leave unavailable (K-1).
    pub ordered_max_unavailable: Option<usize>,
    /// Whether an ordered update replaces broken pods of an old revision by itself (W-4).
    pub recover_stuck: bool,
    /// Seconds without progress after which a rollout counts as failed.
    pub progress_deadline: Option<i64>,
    /// How an unordered update is spread.
    pub scatter: Vec<ScatterTerm>,
}

type Annotations = BTreeMap<String, String>;

impl Options {
    /// Reads the annotations of a set with that many replicas.
    pub fn read(annotations: &Annotations, replicas: i32) -> Result<Self, Invalid> {
        let of = |key: &'static str| annotations.get(key).map(|text| (key, text.trim()));
        Ok(Self {
            partition: of(keys::PARTITION_PERCENT)
                .map(|(key, text)| kept(key, text, replicas))
                .transpose()?,
            ordered_max_unavailable: of(keys::ORDERED_MAX_UNAVAILABLE)
                .map(|(key, text)| amount(key, text, replicas))
                .transpose()?,
            recover_stuck: match of(keys::RECOVER_STUCK_ROLLOUT) {
                None | Some((_, "false")) => false,
                Some((_, "true")) => true,
                Some((key, text)) => {
                    return Err(invalid(key, text, "must be \"true\" or \"false\""));
                }
            },
            progress_deadline: of(keys::PROGRESS_DEADLINE)
                .map(|(key, text)| seconds(key, text))
                .transpose()?,
            scatter: of(keys::SCATTER_STRATEGY).map_or(Ok(Vec::new()), |(key, text)| {
                let rule = "must be a JSON list of {\"key\", \"value\"}";
                serde_json::from_str(text).map_err(|_| invalid(key, text, rule))
            })?,
        })
    }
}

fn invalid(key: &str, text: &str, rule: &str) -> Invalid {
    Invalid { field: format!("metadata.annotations[{key}]"), problem: format!("{text:?}: {rule}") }
}

/// Rounded up; but a percentage below 100 % never keeps all of several pods back.
fn kept(key: &str, text: &str, replicas: i32) -> Result<usize, Invalid> {
    let rule = "must be a percentage from \"0%\" to \"100%\"";
    let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let percent = digits.and_then(|digits| digits.parse::<u8>().ok());
    let percent = percent.filter(|percent| *percent <= 100);
    let percent = percent.ok_or_else(|| invalid(key, text, rule))?;
    let replicas = usize::try_from(replicas).unwrap_or_default();
    let kept = (usize::from(percent) * replicas).div_ceil(100);
    Ok(if kept == replicas && replicas > 1 && percent < 100 { kept - 1 } else { kept })
}

fn amount(key: &str, text: &str, replicas: i32) -> Result<usize, Invalid> {
    let amount = match text.parse::<i32>() {
        Ok(number) => IntOrString::Int(number),
        Err(_) => IntOrString::String(text.to_owned()),
    };
    let rule = "must be a number of at least 1 or a percentage such as \"10%\"";
    match (&amount, budget::at_least_one(&amount, replicas)) {
        (IntOrString::Int(..1), _) | (_, Err(_)) => Err(invalid(key, text, rule)),
        (_, Ok(count)) => Ok(count),
    }
}

fn seconds(key: &str, text: &str) -> Result<i64, Invalid> {
    let seconds = text.parse::<i32>().ok().filter(|seconds| *seconds > 0);
    seconds
        .map(i64::from)
        .ok_or_else(|| invalid(key, text, "must be a number of seconds, at least 1"))
}

/// How images are pulled ahead (PD-2, PD-9): annotations first, then the spec (F-32…F-34), which OpenKruise ignores
/// (W-35). What cannot be read counts as absent, for nothing depends on it but speed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefetch {
    /// Nodes that pull at the same time: a number or a percentage.
    pub parallelism: IntOrString,
    /// Seconds that pulling on one node may take.
    pub timeout_seconds: i32,
    /// Updated, ready pods that must be there first.
    pub min_updated_ready: i32,
}

impl Prefetch {
    /// Reads the settings of a set.
    pub fn read(
        annotations: &Annotations,
        strategy: Option<&InPlaceUpdateStrategy>,
        replicas: i32,
    ) -> Self {
        let number =
            |key: &str| annotations.get(key).and_then(|text| text.trim().parse::<i32>().ok());
        let parallelism = number(keys::PREDOWNLOAD_PARALLELISM).filter(|number| *number > 0);
        let parallelism = parallelism.map(IntOrString::Int);
        let least =
            annotations.get(keys::PREDOWNLOAD_MIN_READY).and_then(|text| share(text, replicas));
        let timeout = number(keys::PREDOWNLOAD_TIMEOUT).filter(|seconds| *seconds > 0);
        Self {
            parallelism: parallelism
                .or_else(|| strategy?.image_pre_download_parallelism.clone())
                .unwrap_or(IntOrString::Int(1)),
            timeout_seconds: timeout
                .or_else(|| strategy?.image_pre_download_timeout_seconds)
                .unwrap_or(300),
            min_updated_ready: least
                .or_else(|| strategy?.image_pre_download_min_updated_ready_pods)
                .unwrap_or(0),
        }
    }
}

/// A number, or a percentage of the replicas, rounded up.
fn share(text: &str, replicas: i32) -> Option<i32> {
    let text = text.trim();
    let Some(percent) = text.strip_suffix('%') else { return text.parse().ok() };
    let percent = i64::from(percent.parse::<u16>().ok()?);
    i32::try_from((percent * i64::from(replicas.max(0)) + 99) / 100).ok()
}
