//! The mark of a node in a job: ten characters that stand for the pair of their UIDs.
//!
//! It is the end of the pod's name, so the API server itself sees to it that there are never two pods of a job for a
//! node, whatever a cache says and wherever the controller died (W2, W26). And it stands in the status for a node that is
//! done: a node that is deleted and comes back under its name has another UID, another mark, and is another node.

use std::collections::BTreeSet;
use std::fmt;

/// Characters of a mark.
const LENGTH: usize = 10;
/// What they are: letters and digits that make a name of a pod.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The mark of a node in a job; 50 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark([u8; LENGTH]);

impl Mark {
    /// Characters of a mark.
    pub const LENGTH: usize = LENGTH;

    /// The mark of the node (or of a single pod) with this UID.
    pub fn of(job: &str, uid: &str) -> Self {
        let bytes = job.bytes().chain(std::iter::once(b'/')).chain(uid.bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The last bytes of a UID reach the high bits only after another stir.
        let mut rest = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        rest ^= rest >> 29;
        let mut mark = [b'a'; LENGTH];
        for place in &mut mark {
            let digit = usize::try_from(rest % 32).unwrap_or_default();
            *place = ALPHABET.get(digit).copied().unwrap_or(b'a');
            rest /= 32;
        }
        Self(mark)
    }

    /// A mark from its text.
    pub fn parse(text: &str) -> Option<Self> {
        let mark: [u8; LENGTH] = text.as_bytes().try_into().ok()?;
        mark.iter().all(|c| ALPHABET.contains(c)).then_some(Self(mark))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The number that digits of the alphabet stand for, the least first.
pub fn number(digits: &str) -> Option<u64> {
    digits.bytes().rev().try_fold(0_u64, |sum, digit| {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        sum.checked_mul(32)?.checked_add(u64::try_from(value).ok()?)
    })
}

/// The first `many` digits of a number, the least first; the largest number of so many if it has more.
pub fn digits(number: u64, many: usize) -> String {
    let most = u32::try_from(many).ok().and_then(|many| 32_u64.checked_pow(many));
    let mut rest = most.map_or(number, |most| number.min(most - 1));
    let mut digit = || {
        let value = usize::try_from(rest % 32).unwrap_or_default();
        rest /= 32;
        char::from(ALPHABET.get(value).copied().unwrap_or(b'a'))
    };
    (0..many).map(|_| digit()).collect()
}

/// A set of marks; in the status one text without anything between them, sorted.
pub type Marks = BTreeSet<Mark>;

/// The marks in a text; what is no mark is left out.
pub fn read(text: &str) -> Marks {
    let chunks = text.as_bytes().chunks(LENGTH);
    chunks.filter_map(|chunk| Mark::parse(std::str::from_utf8(chunk).ok()?)).collect()
}

/// The text of marks.
pub fn write(marks: &Marks) -> String {
    marks.iter().map(Mark::as_str).collect()
}
