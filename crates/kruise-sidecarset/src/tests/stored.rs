use serde_json::json;

use super::captured;
use crate::stored::stored;

#[test]
fn what_openkruise_stored_is_in_that_form() {
    for path in captured::files("sidecarsets.") {
        let object = captured::json(&path);
        assert_eq!(stored(&object["spec"]).unwrap(), object["spec"], "{}", path.display());
    }
}

#[test]
fn zero_values_go_and_unknown_members_stay() {
    let sent = json!({
        "containers": [{
            "name": "c", "image": "", "resources": { "limits": { "cpu": "1000m", "memory": 1024 } }, "newer": { "x": null },
        }],
        "initContainers": [], "injectionStrategy": { "paused": false }, "newer": [1],
        "updateStrategy": { "paused": false, "partition": 0 },
    });
    let expected = json!({
        "containers": [{
            "name": "c", "resources": { "limits": { "cpu": "1", "memory": "1024" } }, "newer": { "x": null },
            "upgradeStrategy": {}, "shareVolumePolicy": {},
        }],
        "injectionStrategy": {}, "updateStrategy": { "partition": 0 }, "newer": [1],
    });
    assert_eq!(stored(&sent).unwrap(), expected);
    let problem = stored(&json!({ "containers": [{ "name": 7 }] })).unwrap_err().to_string();
    assert_eq!(problem, ".containers[0].name: 7: must be a string");
}
