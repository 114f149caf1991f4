//! When failed rounds are told of.

use std::fmt::Display;

use kruise_api::keys;

use crate::plan::Note;
use crate::runtime::condition::Verdict;

/// After how many failed rounds trouble is no passing one: two seconds or so.
const LASTING: u32 = 4;

/// Longest text of a verdict, in bytes. It is written with the renewal of the Lease, and one that is too long for that would
/// cost the leader its Lease.
const LONGEST: usize = 1024;

/// Rounds that failed one after another, and what was said of them.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// How many.
    pub rounds: u32,
    logged: String,
    told: String,
}

impl Trouble {
    /// Takes in how a round ended. What lasts longer than a moment is worth an event on the Lease: admission concerns the
    /// controller, not each of the thousands of objects that it looks after. So is the end of that.
    pub fn after(&mut self, problem: Option<&impl Display>) -> Option<Note> {
        let Some(problem) = problem else {
            let before = std::mem::take(self);
            let text = "webhooks are registered and answered";
            return (!before.told.is_empty())
                .then(|| Note::normal(keys::EVENT_ADMISSION_RESTORED, text));
        };
        self.rounds += 1;
        let text = problem.to_string();
        if self.logged != text {
            tracing::warn!(problem = text, "webhooks are not as they should be");
            self.logged.clone_from(&text);
        }
        if self.rounds < LASTING || self.told == text {
            return None;
        }
        self.told.clone_from(&text);
        let told = format!("the controller works without admission: {text}");
        Some(Note::warning(keys::EVENT_ADMISSION_DEGRADED, told))
    }
    /// What the controller is to say of itself; `None` while that is open.
    pub fn verdict(&self, registered: bool) -> Option<Verdict> {
        if !self.told.is_empty() {
            return Some(Verdict::degraded(keys::EVENT_ADMISSION_DEGRADED, bounded(&self.told)));
        }
        (registered && self.rounds == 0).then(Verdict::as_expected)
    }
}

fn bounded(text: &str) -> String {
    let mut bounded = text.to_owned();
    if bounded.len() > LONGEST {
        bounded.truncate(bounded.floor_char_boundary(LONGEST));
        bounded.push('…');
    }
    bounded
}
