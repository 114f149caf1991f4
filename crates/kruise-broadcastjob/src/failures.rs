//! What is known of nodes that are tried again, or whose pod is being ended.
//!
//! In the status one text of 32 characters for each such node: when an image cannot be pulled, all nodes of a cluster are
//! among them at the same moment, and the object has to stay storable (W16).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::mark::{self, Mark};

/// Most nodes of which failures are kept, 640 kB. What fails while there is no room is not tried again.
pub const MOST: usize = 20_000;
/// Characters of a count, of a time and of a whole entry.
const COUNT: usize = 4;
const TIME: usize = 7;
const ENTRY: usize = 2 * Mark::LENGTH + COUNT + TIME + 1;
/// The last character of an entry.
const STOPPED: u8 = b's';
const ENDED: u8 = b'e';

/// The failures of a node so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How many.
    pub count: i32,
    /// When the last one was seen.
    pub time: Timestamp,
    /// The mark of the pod that failed last.
    pub pod: Mark,
    /// Whether the controller itself ended that pod, because of its restarts.
    pub stopped: bool,
}

/// Failures by the mark of their node.
pub type Failures = BTreeMap<Mark, Failure>;

/// The failures in a text; what is none is left out.
pub fn read(text: &str) -> Failures {
    text.as_bytes().chunks(ENTRY).filter_map(entry).collect()
}

fn entry(bytes: &[u8]) -> Option<(Mark, Failure)> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() == ENTRY)?;
    let (node, rest) = text.split_at_checked(Mark::LENGTH)?;
    let (pod, rest) = rest.split_at_checked(Mark::LENGTH)?;
    let (count, rest) = rest.split_at_checked(COUNT)?;
    let (time, end) = rest.split_at_checked(TIME)?;
    let failure = Failure {
        count: i32::try_from(mark::number(count)?).ok()?,
        time: Timestamp::from_second(i64::try_from(mark::number(time)?).ok()?).ok()?,
        pod: Mark::parse(pod)?,
        stopped: end.bytes().next() == Some(STOPPED),
    };
    Some((Mark::parse(node)?, failure))
}

/// The text of failures.
pub fn write(failures: &Failures) -> String {
    let mut text = String::with_capacity(failures.len().saturating_mul(ENTRY));
    for (node, failure) in failures {
        text.push_str(node.as_str());
        text.push_str(failure.pod.as_str());
        text.push_str(&mark::digits(u64::try_from(failure.count).unwrap_or(0), COUNT));
        text.push_str(&mark::digits(u64::try_from(failure.time.as_second()).unwrap_or(0), TIME));
        text.push(char::from(if failure.stopped { STOPPED } else { ENDED }));
    }
    text
}

/// At most `most` of them, those first that were `stored` before.
pub fn bounded(failures: Failures, stored: &Failures, most: usize) -> Failures {
    if failures.len() <= most {
        return failures;
    }
    let (known, new): (Vec<_>, Vec<_>) =
        failures.into_iter().partition(|(node, _)| stored.contains_key(node));
    known.into_iter().chain(new).take(most).collect()
}
