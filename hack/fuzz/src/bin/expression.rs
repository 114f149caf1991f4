//! Expressions of resources (sidecarset RES-20…RES-25): a result or an error, never a panic, never for long.
#![no_main]

use kruise_api::sidecarset::expression::{Amount, BadNumber, evaluate, variable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let name = variable(text);
    for value in [0.0, 0.5, 4e9] {
        for bad in [BadNumber::Zero, BadNumber::Error] {
            if let Ok(result) = evaluate(text, name, &Amount::Number(value), bad) {
                assert!(!result.is_negative(), "{result}");
                let _ = result.to_string();
            }
        }
    }
});
