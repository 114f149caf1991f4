//! Quantities by value; the printed forms are checked against Go in `tests/history/vectors.json`.

use proptest::prelude::*;

use crate::quantity::Quantity;

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

#[test]
fn values_are_compared_whatever_their_spelling() {
    for (a, b) in [("1", "1000m"), ("1Gi", "1024Mi"), ("0.5", "500m"), ("1e3", "1k"), ("1.5Gi", "1536Mi")] {
        assert_eq!(quantity(a), quantity(b), "{a} {b}");
    }
    assert!(quantity("1G") < quantity("1Gi"));
    assert!(quantity("-1") < quantity("0"));
    assert!(quantity("1E") > quantity("999P"));
}

#[test]
fn nonsense_is_refused() {
    for text in ["", "-", "abc", "1.2.3", "1Kii", "1 Gi", "e3", ".", "1e", "٣"] {
        assert!(Quantity::parse(text).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn printing_and_reading_keeps_the_value(number in 0u64..1 << 62, suffix in "(n|u|m||k|M|Ki|Mi|Gi|e2|e-3)") {
        let first = quantity(&format!("{number}{suffix}"));
        let printed = first.to_string();
        prop_assert_eq!(first, quantity(&printed));
        prop_assert_eq!(&printed, &quantity(&printed).to_string());
    }

    #[test]
    fn no_text_panics(text in ".{0,40}") {
        let _ = Quantity::parse(&text);
    }

    #[test]
    fn no_number_panics(text in "[+-]?[0-9]{0,60}(\\.[0-9]{0,60})?(E|Ei|n|e[+-]?[0-9]{1,12})?") {
        let _ = Quantity::parse(&text);
    }
}
