//! The state machine of a hot upgrade as a table: every state with every combination of facts.

use std::fmt::Write as _;
use std::path::Path;

use crate::plan::hot_upgrade::{Facts, Move, Side, State, Target, next};

fn all() -> Vec<(State, Facts)> {
    let both = [false, true];
    let mut all = Vec::new();
    for state in [State::Idle, State::Vacant, State::Switching] {
        for outdated in both {
            for target in [Target::Working, Target::Other, Target::Neither] {
                for working_ok in both {
                    for other_ok in both {
                        for settled in both {
                            let facts = Facts { outdated, working_ok, other_ok, settled, target };
                            all.push((state, facts));
                        }
                    }
                }
            }
        }
    }
    all
}

/// Accepted with `ACCEPT=1`, and reviewed as behaviour.
#[test]
fn the_whole_table() {
    let mut table =
        String::from("state      pod       set's image in  working  other   rest     -> move\n");
    for (state, facts) in all() {
        let word = |on: bool, yes: &'static str, no: &'static str| if on { yes } else { no };
        let line = format!(
            "{:<10} {:<9} {:<15} {:<8} {:<7} {:<8} -> {}",
            format!("{state:?}"),
            word(facts.outdated, "outdated", "updated"),
            format!("{:?}", facts.target),
            word(facts.working_ok, "ok", "fails"),
            word(facts.other_ok, "ok", "fails"),
            word(facts.settled, "settled", "not yet"),
            next(state, facts),
        );
        writeln!(table, "{line}").unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hot-upgrade.txt");
    if std::env::var_os("ACCEPT").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), table);
}

/// HOT-30: whatever fails, a side that serves is not taken down for another image.
#[test]
fn a_side_that_alone_serves_is_never_filled() {
    for (state, facts) in all().into_iter().filter(|(state, _)| *state == State::Switching) {
        let alone = |side: Side| match side {
            Side::Working => facts.working_ok && !facts.other_ok,
            Side::Other => facts.other_ok && !facts.working_ok,
        };
        if let Move::Fill(side) = next(state, facts) {
            assert!(!alone(side), "{facts:?}");
        }
        let turned = next(state, facts) == Move::TurnBack;
        assert!(!turned || facts.other_ok, "only a side that works takes over: {facts:?}");
    }
}

/// HOT-8, HOT-20: the old side is emptied only when everything else is settled.
#[test]
fn nothing_is_reset_before_the_new_side_works() {
    for (state, facts) in all() {
        let reset = next(state, facts) == Move::Reset;
        assert_eq!(reset, state == State::Switching && facts.settled, "{state:?} {facts:?}");
    }
}
