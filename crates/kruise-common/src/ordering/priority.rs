//! Order by weights or by a label's number (`statefulset.md` PO-4…PO-6, `inplace.md` §16).

use std::cmp::Reverse;

use kruise_api::statefulset::v1beta1::PriorityStrategy;

use crate::meta::Pairs;
use kruise_api::shared::selector::Selector;

/// Sorts stably by `strategy`; who goes first comes first. `labels` are those of an item.
pub fn sort<T>(items: &mut [T], strategy: &PriorityStrategy, labels: impl Fn(&T) -> &Pairs) {
    if !strategy.weight_priority.is_empty() {
        let terms: Vec<(i64, Selector)> = strategy
            .weight_priority
            .iter()
            // Terms that cannot be read are skipped (PO-4).
            .filter_map(|term| {
                let selector = Selector::new(&term.match_selector).ok()?;
                Some((i64::from(term.weight), selector))
            })
            .collect();
        items.sort_by_key(|item| {
            let matching = terms.iter().filter(|(_, selector)| selector.matches(labels(item)));
            Reverse(matching.map(|(weight, _)| weight).sum::<i64>())
        });
    } else if !strategy.order_priority.is_empty() {
        items.sort_by_key(|item| {
            let keys = strategy.order_priority.iter().enumerate();
            let found = keys.filter_map(|(level, term)| {
                let value = labels(item).get(&term.ordered_key)?;
                Some((i64::try_from(level).unwrap_or(i64::MAX), trailing_number(value)))
            });
            // Without any of the keys a pod goes first: level -1, as in OpenKruise (PO-5).
            let (level, number) = found.into_iter().next().unwrap_or((-1, 0));
            (level, Reverse(number))
        });
    }
}

/// The decimal integer at the end of a label value; 0 if there is none or it does not fit.
fn trailing_number(value: &str) -> i64 {
    let digits = value.bytes().rev().take_while(u8::is_ascii_digit).count();
    value.get(value.len() - digits..).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
