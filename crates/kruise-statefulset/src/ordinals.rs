//! Which ordinals a set has: start, reserved ordinals as intervals, rank of an ordinal.
//!
//! Reserved ordinals are kept as intervals, so a range of millions costs one entry (O-9).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Why the ordinals of a set cannot be determined; nothing is done to its pods then (W-20).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrdinals {
    /// An entry of `reserveOrdinals` is not a number ≥ 0 or a range `a-b` with a ≤ b.
    #[error("{value}: must be an ordinal of at least 0 or a range \"a-b\" with a ≤ b")]
    Reserved {
        /// Index of the entry.
        index: usize,
        /// The entry as written.
        value: String,
    },
    /// The start is negative.
    #[error("{0}: must be at least 0")]
    Start(i32),
    /// The highest ordinal does not fit 32 bits.
    #[error("{0} replicas above the reserved ordinals exceed the largest ordinal 2147483647")]
    TooMany(i32),
}

/// The ordinals of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordinals {
    /// Every ordinal of the set, as ascending disjoint inclusive intervals.
    taken: Vec<(i32, i32)>,
}

impl Ordinals {
    /// The first `replicas` numbers from `start` upward that are not reserved (O-3).
    pub fn new(
        start: i32,
        reserved: &[IntOrString],
        replicas: i32,
    ) -> Result<Self, InvalidOrdinals> {
        if start < 0 {
            return Err(InvalidOrdinals::Start(start));
        }
        let mut free_from = i64::from(start);
        let mut left = i64::from(replicas.max(0));
        let mut taken = Vec::new();
        for (low, high) in intervals(reserved)? {
            if i64::from(high) < free_from {
                continue;
            }
            let room = (i64::from(low) - free_from).max(0).min(left);
            take(&mut taken, free_from, room, replicas)?;
            left -= room;
            free_from = i64::from(high) + 1;
            if left == 0 {
                break;
            }
        }
        take(&mut taken, free_from, left, replicas)?;
        Ok(Self { taken })
    }

    /// All ordinals, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i32> + '_ {
        self.taken.iter().flat_map(|(low, high)| *low..=*high)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.rank(i32::MAX).saturating_add(usize::from(self.contains(i32::MAX)))
    }

    /// How many of them are below `ordinal`.
    pub fn rank(&self, ordinal: i32) -> usize {
        let below = |(low, high): &(i32, i32)| {
            (i64::from(*high).min(i64::from(ordinal) - 1) - i64::from(*low) + 1).max(0)
        };
        usize::try_from(self.taken.iter().map(below).sum::<i64>()).unwrap_or(usize::MAX)
    }

    /// Whether the set has this ordinal.
    pub fn contains(&self, ordinal: i32) -> bool {
        self.taken.iter().any(|(low, high)| (*low..=*high).contains(&ordinal))
    }
}

fn take(
    taken: &mut Vec<(i32, i32)>,
    from: i64,
    count: i64,
    replicas: i32,
) -> Result<(), InvalidOrdinals> {
    if count == 0 {
        return Ok(());
    }
    let too_many = |_| InvalidOrdinals::TooMany(replicas);
    let low = i32::try_from(from).map_err(too_many)?;
    let high = i32::try_from(from + count - 1).map_err(too_many)?;
    taken.push((low, high));
    Ok(())
}

/// The reserved intervals, ascending by their lower end; they may overlap.
fn intervals(reserved: &[IntOrString]) -> Result<Vec<(i32, i32)>, InvalidOrdinals> {
    let mut intervals = Vec::with_capacity(reserved.len());
    for (index, entry) in reserved.iter().enumerate() {
        let interval = match entry {
            IntOrString::Int(ordinal) if *ordinal >= 0 => Some((*ordinal, *ordinal)),
            IntOrString::Int(_) => None,
            IntOrString::String(range) => parse_range(range),
        };
        let value = || match entry {
            IntOrString::Int(ordinal) => ordinal.to_string(),
            IntOrString::String(range) => format!("{range:?}"),
        };
        intervals
            .push(interval.ok_or_else(|| InvalidOrdinals::Reserved { index, value: value() })?);
    }
    intervals.sort_unstable();
    Ok(intervals)
}

fn parse_range(range: &str) -> Option<(i32, i32)> {
    let (low, high) = range.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(low) || !digits(high) {
        return None;
    }
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high).then_some((low, high))
}
