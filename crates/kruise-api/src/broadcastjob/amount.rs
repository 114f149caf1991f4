//! What a number or percentage of nodes means (broadcastjob.md §13).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Why an amount means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    /// It is less than nothing.
    #[error("must be greater than or equal to 0")]
    Negative,
    /// It is no number.
    #[error("must be a number or a percentage (e.g. 5 or '10%')")]
    Unreadable,
}

/// `amount` of `total`. Any text is a percentage, with or without its sign, and rounds up: `"5"` is 5 % too.
pub fn of(amount: &IntOrString, total: usize) -> Result<usize, InvalidAmount> {
    let count = match amount {
        IntOrString::Int(count) => i64::from(*count),
        IntOrString::String(text) => {
            let percent: i32 =
                text.replace('%', "").parse().map_err(|_| InvalidAmount::Unreadable)?;
            let parts = i64::from(percent).saturating_mul(i64::try_from(total).unwrap_or(i64::MAX));
            // Negative stays negative.
            if parts < 0 { -1 } else { parts.saturating_add(99) / 100 }
        }
    };
    usize::try_from(count).map_err(|_| InvalidAmount::Negative)
}

/// Whether it is a text without `%`, which many take for a number.
pub fn is_misleading(amount: &IntOrString) -> bool {
    matches!(amount, IntOrString::String(text) if !text.contains('%'))
}
