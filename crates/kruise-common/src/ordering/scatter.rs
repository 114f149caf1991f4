//! Spreads pods that have a label in common over the whole order (`sidecarset.md` UPD-12, `inplace.md` §16).

use std::cmp::{Reverse, min};
use std::collections::BTreeSet;

use kruise_api::shared::scatter::{EVERY_VALUE, ScatterTerm};

use crate::meta::Pairs;

/// A label with the value that a term is about.
type Label<'a> = (&'a str, &'a str);

/// Rearranges `items`, which are to be updated and come in their order, so that those of a term do not stand together.
/// `everyone` are the labels of all pods that the update is about, updated ones included; `labels` are those of an item.
pub fn scatter<T>(
    mut items: Vec<T>,
    terms: &[ScatterTerm],
    everyone: &[&Pairs],
    labels: impl Fn(&T) -> &Pairs,
) -> Vec<T> {
    let has = |item: &T, (key, value): Label<'_>| labels(item).get(key) == Some(value);
    let mut wanted = expand(terms, everyone);
    if wanted.len() > 1 {
        let many = |label: &Label<'_>| items.iter().filter(|item| has(item, *label)).count();
        wanted.retain(|label| many(label) > 0);
        wanted.sort_by_key(|label| Reverse(many(label)));
    }
    for label in wanted {
        let (key, value) = label;
        let all = everyone.iter().filter(|pairs| pairs.get(key) == Some(value)).count();
        items = spread(items, (all, everyone.len().saturating_sub(all)), |item| has(item, label));
    }
    items
}

/// The labels that the terms name, each once, a star replaced by the values that are there, in the order in which they
/// are seen.
fn expand<'a>(terms: &'a [ScatterTerm], everyone: &[&'a Pairs]) -> Vec<Label<'a>> {
    let mut seen = BTreeSet::new();
    let mut labels = Vec::new();
    for term in terms {
        let key = term.key.as_str();
        let values: Vec<&str> = if term.value == EVERY_VALUE {
            everyone.iter().filter_map(|pairs| pairs.get(key)).collect()
        } else {
            vec![&term.value]
        };
        labels.extend(values.into_iter().map(|v| (key, v)).filter(|label| seen.insert(*label)));
    }
    labels
}

/// Puts the items that match in between the others; `all` are the numbers of those that match and of the others among
/// all pods.
fn spread<T>(
    items: Vec<T>,
    (all_matching, all_others): (usize, usize),
    matches: impl Fn(&T) -> bool,
) -> Vec<T> {
    let many = items.iter().filter(|item| matches(item)).count();
    if many <= 1 || items.len() - many <= 1 {
        return items;
    }
    let (mut matching, others): (Vec<T>, Vec<T>) = items.into_iter().partition(matches);
    // The last one ends the order, so that the last group is not the only one without an end.
    let last = matching.pop();
    let (m, u) = (matching.len(), others.len());
    let (all_m, all_u) = (all_matching.saturating_sub(1).max(1), all_others.max(1));
    let (rest, groups, sizes) = if ratio(all_u, all_m) >= ratio(u, m) {
        (0, min(m, u), group(m, u))
    } else {
        // Fewer of those that match are left than others: the groups are those of all pods, and who is beyond goes first.
        let sizes = group(all_m, all_u);
        let groups = min(m / sizes.0, u / sizes.1);
        (u - groups * sizes.1, groups, sizes)
    };
    let (mut matching, mut others) = (matching.into_iter(), others.into_iter());
    let mut order: Vec<T> = others.by_ref().take(rest).collect();
    for _ in 0..groups {
        order.extend(matching.by_ref().take(sizes.0));
        order.extend(others.by_ref().take(sizes.1));
    }
    order.extend(matching.chain(others).chain(last));
    order
}

/// Sizes of the parts if `a` and `b` things are dealt out into as many groups as the smaller number has, each at least 1.
fn group(a: usize, b: usize) -> (usize, usize) {
    let groups = min(a, b).max(1);
    // Halves round up.
    let size = |count: usize| ((2 * count + groups) / (2 * groups)).max(1);
    (size(a), size(b))
}

/// Compared in single precision, as OpenKruise does.
#[expect(clippy::cast_precision_loss, reason = "single precision is what is wanted")]
fn ratio(a: usize, b: usize) -> f32 {
    a as f32 / b as f32
}
