//! From an int-or-percent to a number of pods, and a budget that says when it is spent.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Why an int-or-percent cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is neither a number nor a percentage such as \"10%\"")]
pub struct InvalidAmount {
    /// The value as written.
    pub value: String,
}

/// `amount` of `total`: percentages round down with integer arithmetic, and the result is at least 1
/// (F-11, F-21, RU-4).
pub fn at_least_one(amount: &IntOrString, total: i32) -> Result<usize, InvalidAmount> {
    let count = match amount {
        IntOrString::Int(count) => i64::from(*count),
        IntOrString::String(text) => percent(text)? * i64::from(total.max(0)) / 100,
    };
    Ok(usize::try_from(count).unwrap_or(0).max(1))
}

/// `amount` of `total`: percentages round up, and the result may be 0 (`sidecarset.md` UPD-21).
pub fn rounded_up(amount: &IntOrString, total: usize) -> Result<usize, InvalidAmount> {
    let count = match amount {
        IntOrString::Int(count) => i64::from(*count),
        IntOrString::String(text) => {
            let total = i64::try_from(total).unwrap_or(i64::MAX);
            (percent(text)?.saturating_mul(total)).saturating_add(99) / 100
        }
    };
    Ok(usize::try_from(count).unwrap_or(0))
}

/// How many of `total` stay old: as [`rounded_up`], but a percentage that comes to all of several without being 100 % leaves
/// one to be updated (`sidecarset.md` UPD-20).
pub fn partition(amount: &IntOrString, total: usize) -> Result<usize, InvalidAmount> {
    let kept = rounded_up(amount, total)?;
    let all = match amount {
        IntOrString::Int(_) => true,
        IntOrString::String(text) => text == "100%",
    };
    Ok(if kept == total && total > 1 && !all { total - 1 } else { kept.min(total) })
}

fn percent(text: &str) -> Result<i64, InvalidAmount> {
    let invalid = || InvalidAmount { value: text.to_owned() };
    let digits = text.strip_suffix('%').ok_or_else(invalid)?;
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(invalid());
    }
    // More digits than fit mean all pods, like every percentage above 100.
    Ok(digits.parse::<u32>().map_or(i64::from(u32::MAX), i64::from))
}

/// How many more pods may become unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Unavailable pods, those made so in this turn included.
    pub unavailable: usize,
    /// How many may be unavailable.
    pub allowed: usize,
}

impl Budget {
    /// Whether nobody else may become unavailable.
    pub fn spent(&self) -> bool {
        self.unavailable >= self.allowed
    }
}
