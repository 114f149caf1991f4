#![allow(
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "test code: what goes wrong ends the test"
)]
//! Properties over generated stories. `CASES` (or proptest's own `PROPTEST_CASES`) asks for more of them, `SEED` repeats a
//! run; both are printed.

use std::io::Write as _;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Plays `cases` stories, or as many as the environment asks for; a failure says how to repeat it.
pub fn check<S: Strategy>(name: &str, cases: u32, stories: &S, play: impl Fn(S::Value)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("SEED").unwrap_or_else(rand::random);
    let asked = number("CASES").or_else(|| number("PROPTEST_CASES"));
    let cases = asked.and_then(|cases| u32::try_from(cases).ok()).unwrap_or(cases);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    // Not by `println!`, which the harness keeps back where a test passes: a story that passed may be worth repeating.
    let _ = writeln!(std::io::stderr(), "{name}: {cases} cases, SEED={seed}");
    let result = runner.run(stories, |story| {
        play(story);
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{name}: repeat with SEED={seed} CASES={cases}\n{failure}");
    }
}
