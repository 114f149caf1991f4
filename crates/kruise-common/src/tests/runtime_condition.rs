use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};

use crate::runtime::condition::{Verdict, annotation};

fn at(second: i64) -> Timestamp {
    Timestamp::from_millisecond(second * 1000 + 250).unwrap()
}

/// What stands there afterwards, as a list.
fn after(stored: Option<&str>, verdict: &Verdict, second: i64) -> Option<Value> {
    let text = annotation(stored, verdict, at(second))?;
    serde_json::from_str::<Vec<Condition>>(&text).expect("conditions as they are everywhere");
    Some(serde_json::from_str(&text).unwrap())
}

fn no_ca() -> Verdict {
    Verdict::degraded("AdmissionDegraded", "no CA")
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let said = |status: &str, reason: &str, message: &str, since: &str| {
        json!([{
            "type": "Degraded", "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since,
        }])
    };
    let first = after(None, &no_ca(), 0).unwrap();
    assert_eq!(first, said("True", "AdmissionDegraded", "no CA", "1970-01-01T00:00:00Z"));
    let stored = first.to_string();
    assert_eq!(after(Some(&stored), &no_ca(), 5), None, "it stands there already");
    let other = Verdict::degraded("AdmissionDegraded", "no Secret");
    let second = after(Some(&stored), &other, 7).unwrap();
    assert_eq!(second, said("True", "AdmissionDegraded", "no Secret", "1970-01-01T00:00:00Z"));
    let third = after(Some(&second.to_string()), &Verdict::as_expected(), 9).unwrap();
    assert_eq!(third, said("False", "AsExpected", "", "1970-01-01T00:00:09Z"));
}

#[test]
fn conditions_of_others_stay_and_what_cannot_be_read_is_replaced() {
    let other = json!([{
        "type": "Other", "status": "True", "reason": "Why", "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]);
    let both = after(Some(&other.to_string()), &no_ca(), 0).unwrap();
    assert_eq!((&both[0], &both[1]["type"]), (&other[0], &json!("Degraded")));
    for broken in ["", "[{", "{}", r#"[{"type": 1}]"#] {
        let repaired = after(Some(broken), &no_ca(), 0).unwrap();
        assert_eq!(repaired.as_array().map(Vec::len), Some(1), "{broken:?}");
    }
}
