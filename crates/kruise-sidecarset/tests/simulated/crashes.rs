//! A crash after every k-th write of a cold and of a hot upgrade: it goes on, and the budget holds.

use kruise_common::testing::drive::Fate;

use crate::properties::{Step, Story, play};

#[test]
fn a_crash_after_any_write_of_an_upgrade_still_converges() {
    for hot in [false, true] {
        let step = |tag| Step { tag, max_unavailable: 2, partition: 0 };
        // One image, one that fails, and the good one at the end.
        let story = Story { hot, pods: 2, steps: vec![step(2), step(0)], fates: Vec::new() };
        for crash in 0.. {
            let sim = play(
                &story,
                move |done| {
                    if done == crash { Fate::DoneThenCrash } else { Fate::Done }
                },
            );
            if crash >= sim.writes.len() {
                assert!(crash > 10, "the upgrade took some writes");
                break;
            }
        }
    }
}
