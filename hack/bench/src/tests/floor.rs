use std::collections::BTreeMap;

use crate::floor::Rates;

#[test]
fn the_floor_is_the_sum_of_all_writes_at_their_own_rates() {
    let rates = Rates { create: 100.0, bind: 200.0, status: 50.0, patch: 25.0, delete: 10.0 };
    let writes = [
        (("create", "pods"), 100),               // 1 s
        (("create", "pods/binding"), 100),       // 0.5 s
        (("patch", "pods/status"), 100),         // 2 s
        (("update", "statefulsets/status"), 50), // 1 s
        (("patch", "pods"), 100),                // 4 s
        (("delete", "pods"), 100),               // 10 s
    ];
    let writes: BTreeMap<_, _> = writes
        .into_iter()
        .map(|((verb, resource), count)| ((verb.to_owned(), resource.to_owned()), count))
        .collect();
    assert!((rates.seconds(&writes) - 18.5).abs() < 1e-9);
}
