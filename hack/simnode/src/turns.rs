//! Whose status is written next. A kubelet writes one status after another, whatever it has to tell: so does a
//! simulated node, while many nodes write at once.

use std::collections::{HashMap, HashSet, VecDeque};

/// Pods that wait for their node to write about them.
#[derive(Debug, Default)]
pub struct Turns {
    nodes: HashMap<String, Line>,
    /// Nodes that have something to write and are not writing.
    free: VecDeque<String>,
}

/// The pods of one node.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<String>,
    known: HashSet<String>,
    busy: bool,
}

impl Turns {
    /// There is something to do for a pod. One that waits already is not put in line twice: what is written is what it
    /// is when its turn comes.
    pub fn push(&mut self, node: &str, uid: &str) {
        let line = self.nodes.entry(node.to_owned()).or_default();
        if !line.known.insert(uid.to_owned()) {
            return;
        }
        line.waiting.push_back(uid.to_owned());
        if !line.busy && line.waiting.len() == 1 {
            self.free.push_back(node.to_owned());
        }
    }

    /// The next pod (node, UID); its node is busy until [`Turns::done`].
    pub fn pop(&mut self) -> Option<(String, String)> {
        let node = self.free.pop_front()?;
        let line = self.nodes.get_mut(&node)?;
        let uid = line.waiting.pop_front()?;
        line.known.remove(&uid);
        line.busy = true;
        Some((node, uid))
    }

    /// The node has written.
    pub fn done(&mut self, node: &str) {
        let Some(line) = self.nodes.get_mut(node) else { return };
        line.busy = false;
        if line.waiting.is_empty() {
            self.nodes.remove(node);
        } else {
            self.free.push_back(node.to_owned());
        }
    }
}
