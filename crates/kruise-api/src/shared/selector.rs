//! A LabelSelector as a matcher and in its printed form.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Labels that can be looked up by key.
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// A selector that can be evaluated; built once per object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Requirement {
    key: String,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Equals(String),
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
}

/// Why a selector cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// It has no requirement, so it would match everything.
    #[error("empty selector")]
    Empty,
    /// An expression is malformed.
    #[error("matchExpressions[{index}]: {problem}")]
    Expression {
        /// Index of the expression.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl Selector {
    /// The matcher of `selector`; an empty one is an error.
    pub fn new(selector: &LabelSelector) -> Result<Self, InvalidSelector> {
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push(Requirement { key: key.clone(), rule: Rule::Equals(value.clone()) });
        }
        for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
            let mut values = expression.values.clone().unwrap_or_default();
            values.sort();
            let problem =
                |problem: &str| InvalidSelector::Expression { index, problem: problem.to_owned() };
            let rule = match (expression.operator.as_str(), values.is_empty()) {
                ("In", false) => Rule::In(values),
                ("NotIn", false) => Rule::NotIn(values),
                ("In" | "NotIn", true) => return Err(problem("values: must not be empty")),
                ("Exists", true) => Rule::Exists,
                ("DoesNotExist", true) => Rule::Missing,
                ("Exists" | "DoesNotExist", false) => {
                    return Err(problem("values: must be empty"));
                }
                (other, _) => {
                    return Err(problem(&format!(
                        "operator: {other:?} is not In, NotIn, Exists or DoesNotExist"
                    )));
                }
            };
            requirements.push(Requirement { key: expression.key.clone(), rule });
        }
        if requirements.is_empty() {
            return Err(InvalidSelector::Empty);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
    }

    /// Keys of the labels that it looks at, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.requirements.iter().map(|requirement| requirement.key.as_str())
    }

    /// Labels without which nothing matches, sorted by key: each with the values of which it must have one, or without if
    /// any value will do.
    pub fn required(&self) -> impl Iterator<Item = (&str, Option<&[String]>)> {
        self.requirements.iter().filter_map(|Requirement { key, rule }| match rule {
            Rule::Equals(value) => Some((key.as_str(), Some(std::slice::from_ref(value)))),
            Rule::In(values) => Some((key.as_str(), Some(values.as_slice()))),
            Rule::Exists => Some((key.as_str(), None)),
            Rule::NotIn(_) | Rule::Missing => None,
        })
    }

    /// Whether labels satisfy every requirement.
    pub fn matches(&self, labels: &impl Labels) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.label(&requirement.key);
            match &requirement.rule {
                Rule::Equals(wanted) => value == Some(wanted),
                Rule::In(values) => value.is_some_and(|v| values.iter().any(|wanted| wanted == v)),
                Rule::NotIn(values) => {
                    value.is_none_or(|v| values.iter().all(|unwanted| unwanted != v))
                }
                Rule::Exists => value.is_some(),
                Rule::Missing => value.is_none(),
            }
        })
    }
}

/// The form of `status.labelSelector` (19.1): sorted by key, `k=v`, `k in (a,b)`, `k notin (a,b)`, `k`, `!k`.
impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, Requirement { key, rule }) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match rule {
                Rule::Equals(value) => write!(f, "{key}={value}")?,
                Rule::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                Rule::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Rule::Exists => write!(f, "{key}")?,
                Rule::Missing => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}
