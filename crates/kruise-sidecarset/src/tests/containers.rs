use std::collections::BTreeMap;

use serde_json::json;

use super::captured;
use crate::containers::{
    Entries, Entry, injected_sets, listed, twins, working, working_and_other, working_text,
};

type Pairs = BTreeMap<String, String>;

fn annotations(path: &std::path::Path) -> Pairs {
    serde_json::from_value(captured::json(path)["metadata"]["annotations"].clone()).unwrap()
}

/// INJ-50, INJ-60: what OpenKruise wrote is read and written again byte for byte.
#[test]
fn captured_annotations_go_there_and_back() {
    let mut seen = 0;
    for path in captured::files("pods.") {
        let annotations = annotations(&path);
        for key in ["kruise.io/sidecarset-hash", "kruise.io/sidecarset-hash-without-image"] {
            let Some(text) = annotations.get(key) else { continue };
            assert_eq!(Entries::parse(Some(text)).unwrap().encode().unwrap(), *text);
            seen += 1;
        }
        for set in injected_sets(&annotations) {
            let entries =
                Entries::parse(annotations.get("kruise.io/sidecarset-hash").map(|t| &**t));
            assert!(entries.unwrap().revision(set).unwrap().starts_with(set));
        }
        if let Some(text) = annotations.get("kruise.io/sidecarset-working-hotupgrade-container") {
            assert_eq!(working_text(&working(&annotations).unwrap()), *text);
        }
    }
    assert!(seen > 50);
}

#[test]
fn a_record_is_replaced_and_others_stay() {
    let before = r#"{"z":{"updateTimestamp":"2024-05-01T10:00:00Z","hash":"h","sidecarSetName":"z","sidecarList":[],"newer":1},"a":"old"}"#;
    let mut entries = Entries::parse(Some(before)).unwrap();
    assert_eq!(
        (entries.hash("a"), entries.hash("z"), entries.hash("q")),
        (Some("old"), Some("h"), None)
    );
    entries.set(Entry {
        updated: "2024-05-01T10:00:00.7Z".parse().unwrap(),
        hash: "new".to_owned(),
        set: "m".to_owned(),
        sidecars: ["agent".to_owned(), "proxy".to_owned()].into(),
        revision: "m-1".to_owned(),
    });
    let expected = concat!(
        r#"{"a":{"updateTimestamp":null,"hash":"old","sidecarSetName":"a","sidecarList":null},"#,
        r#""m":{"updateTimestamp":"2024-05-01T10:00:00Z","hash":"new","sidecarSetName":"m","#,
        r#""sidecarList":["agent","proxy"],"controllerRevision":"m-1"},"#,
        r#""z":{"updateTimestamp":"2024-05-01T10:00:00Z","hash":"h","sidecarSetName":"z","sidecarList":[],"newer":1}}"#,
    );
    assert_eq!(entries.encode().unwrap(), expected);
}

#[test]
fn an_annotation_that_cannot_be_read_is_an_error() {
    for text in
        ["{", "[]", "7", r#"{"a":7}"#, r#"{"a":{"hash":7}}"#, r#"{"a":{"updateTimestamp":"x"}}"#]
    {
        assert!(Entries::parse(Some(text)).is_err(), "{text}");
    }
    for text in [None, Some(""), Some("null"), Some("{}")] {
        assert_eq!(Entries::parse(text).unwrap(), Entries::default());
    }
}

#[test]
fn names_of_twins_and_lists() {
    assert_eq!(twins("mesh"), ["mesh-1", "mesh-2"]);
    assert_eq!(working_and_other("mesh", Some("mesh-1")), ["mesh-1", "mesh-2"]);
    for other in [Some("mesh-2"), Some("x"), None] {
        assert_eq!(working_and_other("mesh", other), ["mesh-2", "mesh-1"], "HOT-10");
    }
    let spec = json!({
        "initContainers": [{ "name": "plain" }, { "name": "native", "restartPolicy": "Always" }],
        "containers": [{ "name": "z", "upgradeStrategy": { "upgradeType": "HotUpgrade" } }, { "name": "b" }],
    });
    let spec = serde_json::from_str(&spec.to_string()).unwrap();
    assert_eq!(*listed(&spec), ["b", "native", "z"]);
    let list: Pairs = [("kruise.io/sidecarset-injected-list".to_owned(), "b,,a".to_owned())].into();
    assert_eq!(injected_sets(&list).into_iter().collect::<Vec<_>>(), ["a", "b"]);
    let broken: Pairs =
        [("kruise.io/sidecarset-working-hotupgrade-container".to_owned(), "[".to_owned())].into();
    assert_eq!(working(&broken), None);
    assert_eq!(working(&Pairs::new()), Some(Pairs::new()));
}
