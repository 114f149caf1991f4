use proptest::prelude::*;

use crate::sidecarset::expression::{
    Amount, BadNumber, ExpressionError, Measure, evaluate, variable,
};

fn quantity(text: &str) -> Amount {
    Amount::Quantity(Measure::parse(text).unwrap())
}

fn value(text: &str, aggregate: &Amount) -> String {
    match evaluate(text, variable(text), aggregate, BadNumber::Zero) {
        Ok(value) => value.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

/// RES-26.
#[test]
fn vectors() {
    for (text, aggregate, expected) in [
        ("max(cpu*50%, 50m)", "200m", "100m"),
        ("max(cpu*50%, 50m)", "50m", "50m"),
        ("0.5*memory+max(0,memory-2Gi)", "8Gi", "10Gi"),
        ("max(memory*20%+100Mi,200Mi)", "1000Mi", "300Mi"),
        ("memory*15%", "500Mi", "75Mi"),
        ("cpu*30%+50m", "300m", "140m"),
        ("max(40m,20)", "0", "20"),
        ("1Gi+100Mi", "0", "1124Mi"),
        ("1.5Gi*2", "0", "3Gi"),
        ("10--5", "0", "15"),
        ("20+-10+5", "0", "15"),
        ("1e-3", "0", "0.001"),
        ("min(max(max(max(0.5,0.5*cpu),cpu-1.0),cpu-1.0),3.0)", "500m", "500m"),
        ("100m*0.29", "0", "28m"),
        ("2+3*4", "0", "14"),
        ("50%*200", "0", "100"),
        ("MEMORY * 2", "1Gi", "2Gi"),
        ("Max(1, 2)", "0", "2"),
        ("(1+2)*-(3-5)", "0", "6"),
        ("7/2", "0", "3.5"),
        ("1Gi/4", "0", "256Mi"),
        ("cpu-1.5", "2", "500m"),
        ("memory*0", "1Gi", "0"),
        ("1Ki+0.5", "0", "1024500m"),
    ] {
        assert_eq!(value(text, &quantity(aggregate)), expected, "{text} @{aggregate}");
    }
}

/// RES-21…RES-23.
#[test]
fn errors() {
    let syntax = |column| format!("error: parse error: syntax error at line 1, col {column}");
    for (text, expected) in [
        ("40m*2m", "error: multiplication of two quantities".to_owned()),
        ("10/0", "error: division by zero".to_owned()),
        ("10/1m", "error: division by quantity".to_owned()),
        ("max(1)", "error: max function requires exactly 2 arguments, got 1".to_owned()),
        ("MIN(1)", "error: min function requires exactly 2 arguments, got 1".to_owned()),
        ("foo(1,2)", "error: unknown function: foo".to_owned()),
        ("Foo", "error: undefined variable: foo".to_owned()),
        ("memory_2", "error: undefined variable: memory_2".to_owned()),
        ("100m-200m", "error: calculation result is negative: -100m".to_owned()),
        ("1-2", "error: calculation result is negative: -1".to_owned()),
        ("5%%", syntax(4)),
        ("1e3e2", syntax(6)),
        ("1.5.5", syntax(6)),
        ("1eKi", syntax(5)),
        ("+1", syntax(2)),
        (" ", syntax(2)),
        ("(1", syntax(3)),
        ("max(1,2,3)", syntax(9)),
        ("max()", syntax(6)),
        ("1 2", syntax(4)),
        ("1 ? 2", syntax(4)),
        ("1\n+*", "error: parse error: syntax error at line 2, col 3".to_owned()),
        // The first problem counts.
        ("10/0 +", "error: division by zero".to_owned()),
        ("1 + ) 10/0", syntax(6)),
        ("1e3m", "error: \"1e3m\" is not a quantity such as 500m, 1.5 or 2Gi".to_owned()),
        (
            "99999999999999999999999999999999P",
            "error: \"99999999999999999999999999999999P\" is out of range".replace('"', ""),
        ),
        ("1m*1e300", "error: 1".to_owned() + &"0".repeat(300) + " is out of range"),
    ] {
        assert_eq!(value(text, &quantity("1")), expected, "{text}");
    }
}

/// W-34: what OpenKruise silently takes for 0.
#[test]
fn literals_that_are_no_numbers() {
    for text in ["100u", "5x", "1E", "1e", ".", "5%m", "5%5"] {
        let of = |bad| evaluate(text, "cpu", &quantity("1"), bad);
        assert_eq!(of(BadNumber::Zero), Ok(Amount::Number(0.0)), "{text}");
        assert_eq!(of(BadNumber::Error), Err(ExpressionError::InvalidNumber(text.to_owned())));
    }
}

#[test]
fn large_expressions_are_refused() {
    let of = |text: &str| evaluate(text, "cpu", &quantity("1"), BadNumber::Zero);
    let nested = |depth: usize| "(".repeat(depth) + "1" + &")".repeat(depth);
    assert!(of(&nested(60)).is_ok());
    assert_eq!(of(&nested(70)), Err(ExpressionError::TooLarge));
    assert_eq!(of(&"-".repeat(3000)), Err(ExpressionError::TooLarge));
    assert!(of(&("1".to_owned() + &"+1".repeat(2000))).is_ok());
    assert_eq!(of(&("1".to_owned() + &"+1".repeat(3000))), Err(ExpressionError::TooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// Whatever the text, there is an answer, and it is never below zero.
    #[test]
    fn any_text_has_an_answer(text in "[-+*/(),.%0-9a-zA-Z \n]{0,40}|(max|min|cpu|memory|1Gi|50%|[-+*/(),]){0,30}|\\PC{0,30}") {
        for bad in [BadNumber::Zero, BadNumber::Error] {
            if let Ok(value) = evaluate(&text, variable(&text), &quantity("1500Mi"), bad) {
                prop_assert!(!value.is_negative());
            }
        }
    }

    /// Sums of quantities are exact, whatever their units.
    #[test]
    fn sums_are_exact(a in 0_u32.., b in 0_u32..) {
        let text = format!("{a}Ki+{b}m");
        let sum = evaluate(&text, "cpu", &quantity("0"), BadNumber::Error).unwrap();
        let exact = i128::from(a) * 1024 * 1_000_000_000 + i128::from(b) * 1_000_000;
        let Amount::Quantity(sum) = sum else { panic!("{sum}") };
        prop_assert_eq!(sum.quantity().nanos(), Some(exact));
    }
}

/// More cases on demand: `PROPTEST_CASES=1000000 cargo test -p kruise-api any_text`.
fn cases() -> u32 {
    ProptestConfig::default().cases.max(2000)
}
