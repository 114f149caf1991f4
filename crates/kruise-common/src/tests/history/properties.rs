//! Properties of the revision codec over generated templates: the ones that Go made, spelled anew at random.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::{is_stable, vectors};
use crate::history::{encode, semantically_equal, template_of};

/// A template that Go reads, as a user wrote it.
fn template() -> impl Strategy<Value = Value> {
    let all = vectors().into_iter();
    let stable = all.filter(|vector| vector.data.as_ref().is_some_and(|data| is_stable(data)));
    let parsed = stable.map(|vector| serde_json::from_str(&vector.template).unwrap());
    proptest::sample::select(parsed.filter(Value::is_object).collect::<Vec<Value>>())
}

/// A template as Go stores it. Quantities of 10^21 and more have lost their unit on the way.
fn stored_template() -> impl Strategy<Value = Value> {
    template().prop_map(|template| {
        let data = encode(&template.to_string()).unwrap();
        serde_json::from_str(template_of(&data).unwrap().get()).unwrap()
    })
}

/// Any JSON, of members that no Kubernetes version knows.
fn unknown() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        let member = ("(z|<|\\PC{0,3})", inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(member, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A stream of small numbers for the spelling below.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn blank(&mut self) -> &'static str {
        ["", "", " ", "\n\t"][self.below(4)]
    }
}

/// The same JSON in another order, with other blanks and other escapes.
fn respell(value: &Value, dice: &mut Dice) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| respell(item, dice)).collect();
            format!(
                "[{}{}{}]",
                dice.blank(),
                items.join(&format!(" ,{}", dice.blank())),
                dice.blank()
            )
        }
        Value::Object(members) => {
            let mut left: Vec<_> = members.iter().collect();
            let mut lines = Vec::new();
            while !left.is_empty() {
                let (key, member) = left.swap_remove(dice.below(left.len()));
                let key = respell(&Value::from(key.as_str()), dice);
                lines.push(format!(
                    "{key}{}:{}{}",
                    dice.blank(),
                    dice.blank(),
                    respell(member, dice)
                ));
            }
            format!("{{{}{}}}", dice.blank(), lines.join(","))
        }
        Value::String(text) => {
            let units = |c: char| {
                let mut buffer = [0; 2];
                let units = c.encode_utf16(&mut buffer).iter();
                units.map(|unit| format!("\\u{unit:04X}")).collect::<Vec<_>>().concat()
            };
            let character = |c: char| match dice.below(4) {
                0 => units(c),
                _ if c.is_control() || matches!(c, '"' | '\\') => units(c),
                _ => c.to_string(),
            };
            // An escape inside a quantity is not what an API server would store, and Go would refuse it.
            let plain = text.chars().any(|c| c.is_ascii_digit());
            if plain {
                value.to_string()
            } else {
                format!("\"{}\"", text.chars().map(character).collect::<String>())
            }
        }
        other => other.to_string(),
    }
}

/// Puts an unknown member into the template, its spec and its first container.
fn extend(template: &mut Value, name: &str, member: &Value) {
    for path in ["", "/spec", "/spec/containers/0"] {
        if let Some(members) = template.pointer_mut(path).and_then(Value::as_object_mut) {
            members.insert(name.to_owned(), member.clone());
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 200,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn encoding_what_was_encoded_changes_nothing(mut template in template(), member in unknown()) {
        extend(&mut template, "zNew", &member);
        let once = encode(&template.to_string()).unwrap();
        let back = template_of(&once).unwrap();
        prop_assert_eq!(encode(back.get()).unwrap(), once.clone());
        let parsed: Value = serde_json::from_str(&once).unwrap();
        prop_assert_eq!(&parsed["spec"]["template"]["zNew"], &member);
    }

    #[test]
    fn blanks_order_and_escapes_do_not_count(mut template in template(), member in unknown(), seed in any::<u64>()) {
        extend(&mut template, "aNew", &member);
        let spelled = respell(&template, &mut Dice(seed));
        prop_assert_eq!(encode(&spelled).unwrap(), encode(&template.to_string()).unwrap());
    }

    #[test]
    fn equality_is_reflexive_symmetric_and_sees_a_change(a in stored_template(), b in stored_template(), seed in any::<u64>()) {
        let data = |template: &Value| json!({ "spec": { "template": template } }).to_string();
        let spelled = format!(r#"{{"spec":{{"template":{}}}}}"#, respell(&a, &mut Dice(seed)));
        prop_assert!(semantically_equal(&data(&a), &spelled));
        prop_assert!(semantically_equal(&data(&a), &encode(&a.to_string()).unwrap()));
        prop_assert_eq!(semantically_equal(&data(&a), &data(&b)), semantically_equal(&data(&b), &data(&a)));
        let mut changed = a.clone();
        extend(&mut changed, "zNew", &json!(1));
        prop_assert!(!semantically_equal(&data(&a), &data(&changed)));
    }

    #[test]
    fn any_json_is_encoded_or_refused(mut template in template(), member in unknown(), name in "(spec|metadata|containers|volumes|name)") {
        extend(&mut template, &name, &member);
        if let Ok(once) = encode(&template.to_string()) {
            prop_assert_eq!(encode(template_of(&once).unwrap().get()).unwrap(), once);
        }
    }
}
