//! Nodes whose pods are refused at present, and what the server says.

use std::collections::BTreeMap;

use kruise_common::plan::{Applied, Outcome};
use kruise_common::refusal::Refusal;

use crate::mark::Mark;
use crate::plan::action::Action;
use crate::snapshot::Snapshot;

/// Most characters of what a server says.
const TEXT: usize = 500;

/// Why the pod of a node is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In one word.
    pub reason: &'static str,
    /// In the server's words, which may be many.
    pub message: String,
}

/// Those that were refused in this turn or before and not created since.
pub fn known(snapshot: &Snapshot, applied: &Applied<Action>) -> BTreeMap<Mark, Refused> {
    let said = |reason, message: &str| Refused { reason, message: brief(message) };
    // A server that fails once is no news.
    let lasts = |refusal: &Refusal| refusal.category.concerns_user() || refusal.times > 1;
    let before = snapshot.refused.iter().filter(|(_, refusal)| lasts(refusal));
    let mut known: BTreeMap<Mark, Refused> =
        before.map(|(mark, r)| (*mark, said(r.category.as_str(), &r.message))).collect();
    for (action, outcome) in &applied.outcomes {
        let Action::CreatePod { mark, .. } = action else { continue };
        match outcome {
            Outcome::Failed(error) if error.category.concerns_user() => {
                known.insert(*mark, said(error.category.as_str(), &error.message));
            }
            Outcome::Done => {
                known.remove(mark);
            }
            Outcome::Failed(_) | Outcome::NotAttempted => {}
        }
    }
    known
}

fn brief(text: &str) -> String {
    text.chars().take(TEXT).collect()
}
