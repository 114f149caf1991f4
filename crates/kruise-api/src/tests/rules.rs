//! Examples for every rule of validation, in `tests/golden/rules`: the unit tests ask the functions about them, the API
//! tests of the controllers ask a real API server (`kruise_common::testing::admission`).

use std::path::Path;

use serde_json::Value;

/// The examples of a kind.
pub struct Rules(Value);

impl Rules {
    /// Those in the file `name.json`.
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rules");
        let text = std::fs::read_to_string(path.join(format!("{name}.json"))).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    /// An object that breaks no rule, with changes; a member that is `null` goes.
    pub fn object(&self, change: &Value) -> Value {
        let mut object = self.0["base"].clone();
        merge(&mut object, change);
        object
    }

    /// Asks about the examples of a rule: nothing is said about those to be accepted, all reasons about the others.
    pub fn check(&self, rule: &str, problems: impl Fn(&Value) -> Vec<String>) {
        let examples = &self.0["rules"][rule];
        let list = |name: &str| examples[name].as_array().unwrap();
        assert!(!list("accepted").is_empty() && !list("refused").is_empty(), "{rule}: one of each");
        for change in list("accepted") {
            assert_eq!(problems(&self.object(change)), [""; 0], "{rule}: {change}");
        }
        for example in list("refused") {
            let said = problems(&self.object(&example["change"]));
            assert_eq!(said, texts(&example["because"]), "{rule}: {example}");
        }
    }

    /// The same about changes of a stored object; a reason is a part of what is said.
    pub fn check_changes(&self, rule: &str, problems: impl Fn(&Value, &Value) -> Vec<String>) {
        for example in self.0["changes"][rule].as_array().unwrap() {
            let (from, to) = (self.object(&example["from"]), self.object(&example["to"]));
            let (said, because) = (problems(&from, &to), texts(&example["because"]));
            assert_eq!(said.len(), because.len(), "{rule}: {example}: {said:?}");
            let both = said.iter().zip(&because);
            assert!(both.clone().all(|(said, why)| said.contains(why)), "{rule}: {said:?}");
        }
    }

    /// Whether every rule of the file is among those.
    pub fn are_all(&self, checked: &[&str]) {
        for list in ["rules", "changes"] {
            for rule in self.0[list].as_object().into_iter().flatten().map(|(rule, _)| rule) {
                assert!(checked.contains(&rule.as_str()), "{rule} is not checked");
            }
        }
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Merges a change into an object; a member that is `null` goes.
pub fn merge(target: &mut Value, change: &Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (member, value) in change {
                if value.is_null() {
                    target.remove(member);
                } else {
                    merge(target.entry(member).or_insert(Value::Null), value);
                }
            }
        }
        (target, change) => *target = change.clone(),
    }
}
