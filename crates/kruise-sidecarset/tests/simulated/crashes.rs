//! A crash after the k-th write, and after every k-th write, of a cold and of a hot upgrade: it goes on, and the budget,
//! which one pod spends, holds.

use kruise_common::testing::drive::Fate;

use crate::properties::{Step, Story, play};

#[test]
fn a_crash_after_any_write_of_an_upgrade_still_converges() {
    for hot in [false, true] {
        let step = |tag| Step { tag, max_unavailable: 1, partition: 0 };
        // One image, one that fails, and the good one at the end: one pod of four at a time.
        let steps = vec![step(2), step(0), step(9)];
        let story = Story { hot, pods: 4, steps, fates: Vec::new() };
        for every in [false, true] {
            for crash in 0.. {
                let at = move |done: usize| {
                    if every { done % (crash + 1) == crash } else { done == crash }
                };
                let fate = move |done| if at(done) { Fate::DoneThenCrash } else { Fate::Done };
                let sim = play(&story, fate);
                // One crash after each write; a crash after each of ever more writes is soon like it.
                if crash >= sim.writes.len() || every && crash > 6 {
                    assert!(every || crash > 20, "the upgrade took some writes");
                    break;
                }
            }
        }
    }
}
