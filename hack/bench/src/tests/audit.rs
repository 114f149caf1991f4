use crate::audit::{Writes, read};

fn event(agent: &str, verb: &str, (resource, subresource): (&str, &str), code: u16) -> String {
    format!(
        r#"{{"kind":"Event","verb":"{verb}","userAgent":"{agent}","objectRef":{{"resource":"{resource}","namespace":"bench","name":"web-0","subresource":"{subresource}"}},"responseStatus":{{"metadata":{{}},"code":{code}}}}}"#
    )
}

fn log() -> Writes {
    let elsewhere = event("ours", "create", ("pods", ""), 201).replace("bench", "warm-up");
    let nowhere = event("ours/1", "patch", ("sidecarsets", "status"), 200)
        .replace(r#""namespace":"bench","#, "");
    let lines = [
        event("ours/1", "create", ("pods", ""), 201),
        event("ours/1", "patch", ("pods", "status"), 200),
        event("ours/2", "patch", ("pods", "status"), 422),
        event("ours/1", "update", ("statefulsets", "status"), 409),
        event("simnode", "patch", ("pods", "status"), 409),
        elsewhere,
        nowhere,
    ];
    read(lines.join("\n").as_bytes(), "bench").unwrap()
}

#[test]
fn a_client_is_known_by_the_beginning_of_its_user_agent() {
    let writes = log();
    assert_eq!(writes.of("ours", |resource| resource.starts_with("pods")), 3);
    assert_eq!(writes.of("ours", |resource| resource == "statefulsets/status"), 1);
    assert_eq!(writes.of("ours", |resource| resource == "sidecarsets/status"), 1);
    assert_eq!(writes.of("our/", |_| true), 0);
}

#[test]
fn conflicts_are_counted_for_their_client_only() {
    assert_eq!(log().conflicts_of("ours"), 2);
    assert_eq!(log().conflicts_of("simnode"), 1);
}

#[test]
fn what_others_wrote_excludes_the_contestant() {
    let others = log().of_others("ours");
    let kind = ("patch".to_owned(), "pods/status".to_owned());
    assert_eq!(others.into_iter().collect::<Vec<_>>(), [(kind, 1)]);
}

#[test]
fn a_line_that_is_no_event_is_an_error() {
    assert!(read("{\"verb\":".as_bytes(), "bench").is_err());
}
