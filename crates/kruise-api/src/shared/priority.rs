//! Rules of an update's order, the same for all workloads.

use super::field::FieldError;
use super::labels::{check_selector, selects_all};
use crate::statefulset::v1beta1::{PriorityStrategy, WeightPriority};

/// Problems of a priority strategy at `path` (statefulset V-19…V-22, sidecarset VAL-28).
pub fn check_priorities(path: &str, strategy: &PriorityStrategy) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse = |rule: String| errors.push(FieldError::required(path, rule));
    if !strategy.weight_priority.is_empty() && !strategy.order_priority.is_empty() {
        refuse("only one of weightPriority and orderPriority can be used".to_owned());
    }
    for WeightPriority { weight, match_selector } in &strategy.weight_priority {
        if !(0..=100).contains(weight) {
            refuse("weight must be valid number in the range 1-100".to_owned());
        }
        if selects_all(match_selector) {
            refuse("selector can not be empty".to_owned());
        } else if let Some(problem) = check_selector("matchSelector", match_selector).first() {
            refuse(format!("invalid selector {problem}"));
        }
    }
    for term in &strategy.order_priority {
        if term.ordered_key.is_empty() {
            refuse("order key can not be empty".to_owned());
        }
    }
    errors
}
