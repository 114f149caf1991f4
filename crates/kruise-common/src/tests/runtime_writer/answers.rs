//! The categories of failed writes, and what is looked up before the owner's next turn.

use super::super::support::status;
use super::*;

fn with(code: u16, reason: &str, details: Value) -> Answer {
    let mut body = status(code, reason);
    body["details"] = details;
    Answer::Json(code, body)
}

async fn category(write: &Write, answer: impl Fn() -> Answer + Send + Sync + 'static) -> Category {
    fixture(move |_| answer()).send(write).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn answers_have_categories() {
    for (code, reason, wanted) in [
        (409, "AlreadyExists", Category::AlreadyExists),
        (409, "Conflict", Category::Conflict),
        (400, "BadRequest", Category::Invalid),
        (413, "RequestEntityTooLarge", Category::Invalid),
        (401, "Unauthorized", Category::Forbidden),
        (403, "Forbidden", Category::Forbidden),
        (404, "NotFound", Category::NotFound),
        (429, "TooManyRequests", Category::Throttled),
        (503, "ServiceUnavailable", Category::Throttled),
        (503, "Unreadable", Category::Unknown),
        (500, "InternalError", Category::Server),
        (504, "Timeout", Category::Server),
    ] {
        assert_eq!(
            category(&patch(), move || failure(code, reason)).await,
            wanted,
            "{code} {reason}"
        );
    }
    assert_eq!(category(&patch(), || Answer::Text(502, "<html>", 0)).await, Category::Server);
    assert_eq!(category(&patch(), || Answer::Broken).await, Category::Unknown);
}

/// 422 says three things: the patch's test failed, the UID is another one, or the content is wrong.
#[tokio::test(start_paused = true)]
async fn what_422_means_depends_on_its_details() {
    assert_eq!(category(&patch(), || failure(422, "Invalid")).await, Category::Conflict);
    let uid = || {
        with(
            422,
            "Invalid",
            json!({
                "name": "web-0", "kind": "Pod",
                "causes": [{"reason": "FieldValueInvalid", "message": "immutable", "field": "metadata.uid"}],
            }),
        )
    };
    assert_eq!(category(&patch(), uid).await, Category::Conflict);
    let wrong = || {
        with(
            422,
            "Invalid",
            json!({
                "name": "web-0", "kind": "Pod",
                "causes": [{"reason": "FieldValueForbidden", "message": "no", "field": "spec"}],
            }),
        )
    };
    assert_eq!(category(&patch(), wrong).await, Category::Invalid);
}

/// Not a matter of rights: nobody may create anything there any more.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_being_deleted_has_a_category_of_its_own() {
    let ends = || with(403, "Forbidden", json!({"causes": [{"reason": "NamespaceTerminating"}]}));
    assert_eq!(category(&patch(), ends).await, Category::NamespaceTerminating);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_already_is_deleted() {
    let at = fixture(|_| failure(404, "NotFound"));
    at.send(&delete()).await.unwrap();
    assert_eq!(at.cached(), ["removed ns/web-0 u"]);
    at.writer.resolve(&key("set")).await.unwrap();
    assert_eq!(lines(&at.log).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_is_looked_up_once_before_the_owner_goes_on() {
    let at = fixture(|request| match request.method.as_str() {
        "GET" => Answer::Json(200, pod()),
        _ => Answer::Silent,
    });
    let began = now();
    let error = send(&at.writer, "set", &patch()).await.unwrap_err();
    assert_eq!((error.category, now() - began), (Category::Unknown, s(30)));
    assert_eq!(error.message, "no answer from the API server within 30 s");
    at.writer.resolve(&key("other")).await.unwrap();
    assert_eq!(lines(&at.log).len(), 1, "another owner has nothing to look up");
    at.writer.resolve(&key("set")).await.unwrap();
    assert_eq!(lines(&at.log)[1..], ["GET /api/v1/namespaces/ns/pods/web-0"]);
    assert_eq!(at.cached(), [r#"stored "web-0""#]);
    assert!(value(&at.metrics, "kruise_unresolved_writes_total") > 0.5);
    at.writer.resolve(&key("set")).await.unwrap();
    assert_eq!(lines(&at.log).len(), 2, "once");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_up_yet_stays_to_be_looked_up() {
    let began = now();
    let at = fixture(move |request| match request.method.as_str() {
        "GET" if now() - began < s(60) => failure(500, "InternalError"),
        "GET" => failure(404, "NotFound"),
        _ => Answer::Broken,
    });
    at.send(&patch()).await.unwrap_err();
    for _ in 0..3 {
        let error = at.writer.resolve(&key("set")).await.unwrap_err();
        assert_eq!(error.category, Category::Server);
    }
    pass(s(60)).await;
    at.writer.resolve(&key("set")).await.unwrap();
    assert_eq!(at.cached(), ["removed ns/web-0 u"]);
}

/// A creation without an answer may be done after the question and before the answer to it: that pod is not gone.
#[tokio::test(start_paused = true)]
async fn what_comes_while_it_is_looked_up_is_not_gone() {
    let at = fixture(|request| match request.method.as_str() {
        "GET" => Answer::After(s(1), Box::new(failure(404, "NotFound"))),
        _ => Answer::Broken,
    });
    *at.cache.known.lock().unwrap() = None;
    at.send(&patch()).await.unwrap_err();
    let comes = async {
        pass(ms(500)).await;
        *at.cache.known.lock().unwrap() = Some("v");
    };
    let owner = key("set");
    let (resolved, ()) = tokio::join!(at.writer.resolve(&owner), comes);
    resolved.unwrap();
    assert_eq!(at.cached(), [""; 0]);
}

/// A list that was complete before the answer came may be younger than it.
#[tokio::test(start_paused = true)]
async fn an_answer_that_a_list_overtook_is_looked_up() {
    let at = fixture(|_| Answer::After(s(1), Box::new(Answer::Json(200, pod()))));
    let list = async {
        pass(ms(500)).await;
        at.cache.lists.store(1, Ordering::SeqCst);
    };
    let write = patch();
    let (sent, ()) = tokio::join!(at.send(&write), list);
    sent.unwrap();
    assert_eq!(at.cached(), [""; 0]);
    let list = async {
        pass(ms(500)).await;
        at.cache.lists.store(2, Ordering::SeqCst);
    };
    let owner = key("set");
    let (resolved, ()) = tokio::join!(at.writer.resolve(&owner), list);
    assert_eq!(resolved.unwrap_err().category, Category::Unknown, "again");
    at.writer.resolve(&owner).await.unwrap();
    assert_eq!(at.cached(), [r#"stored "web-0""#]);
}

/// After these the cache may be wrong: without a look the next turn would do the same again.
#[tokio::test(start_paused = true)]
async fn failures_that_tell_of_another_state_are_looked_up_and_refusals_are_not() {
    for (code, reason, looked_up) in [
        (409, "Conflict", true),
        (409, "AlreadyExists", true),
        (404, "NotFound", true),
        (500, "InternalError", true),
        (422, "Invalid", true),
        (403, "Forbidden", false),
        (400, "BadRequest", false),
        (429, "TooManyRequests", false),
    ] {
        let at = fixture(move |request| match request.method.as_str() {
            "GET" => Answer::Json(200, pod()),
            _ => failure(code, reason),
        });
        at.send(&patch()).await.unwrap_err();
        at.writer.resolve(&key("set")).await.unwrap();
        assert_eq!(lines(&at.log).len() == 2, looked_up, "{code} {reason}");
    }
}

/// API Priority and Fairness answers 429 as text, with its demand only in the header.
#[tokio::test(start_paused = true)]
async fn a_demand_to_wait_is_obeyed_by_all_writes() {
    let text = || Answer::Text(429, "Too many requests, please try again later.", 7);
    let body = || with(429, "TooManyRequests", json!({"retryAfterSeconds": 7}));
    let both: [fn() -> Answer; 2] = [text, body];
    for refuse in both {
        let at = fixture(move |request| match request.method.as_str() {
            "PATCH" => refuse(),
            _ => Answer::Json(200, pod()),
        });
        let error = send(&at.writer, "set", &patch()).await.unwrap_err();
        assert_eq!((error.category, error.retry_after), (Category::Throttled, Some(7)));
        let began = now();
        send(&at.writer, "other", &delete()).await.unwrap();
        assert_eq!(now() - began, s(7));
    }
}

#[tokio::test(start_paused = true)]
async fn an_eviction_is_posted_and_the_pod_looked_up() {
    let at = fixture(|request| match request.method.as_str() {
        "GET" => Answer::Json(200, pod()),
        _ => Answer::Json(201, json!({"kind": "Status", "status": "Success"})),
    });
    let write = Write::evict(&meta("web-0", "u", 5, ""));
    at.send(&write).await.unwrap();
    let log = at.log.lock().unwrap().clone();
    assert_eq!(log[0].line(), "POST /api/v1/namespaces/ns/pods/web-0/eviction");
    assert_eq!(log[0].body["deleteOptions"], json!({"preconditions": {"uid": "u"}}));
    assert_eq!(log[1].line(), "GET /api/v1/namespaces/ns/pods/web-0");
    assert_eq!(at.cached().len(), 1);
    at.send(&Write::evict_as_seen(&meta("web-0", "u", 5, ""))).await.unwrap();
    let body = at.log.lock().unwrap()[2].body["deleteOptions"].clone();
    assert_eq!(body, json!({"preconditions": {"uid": "u", "resourceVersion": "5"}}));
}

#[tokio::test(start_paused = true)]
async fn a_spent_disruption_budget_is_no_overload() {
    let spent = || {
        let cause = json!({"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods"});
        with(429, "TooManyRequests", json!({"causes": [cause]}))
    };
    let evict = Write::evict(&meta("web-0", "u", 5, ""));
    assert_eq!(category(&evict, spent).await, Category::Forbidden);
}

/// Many targets are looked up side by side; a server that is slow about it does not make the turn look like one that hangs.
#[tokio::test(start_paused = true)]
async fn look_ups_are_side_by_side_and_a_turn_of_them_is_short() {
    let at = fixture(|request| {
        if request.method == "PATCH" {
            return failure(409, "Conflict");
        }
        Answer::After(s(2), Box::new(Answer::Json(200, json!({ "metadata": { "name": "x" } }))))
    });
    for number in 0..40 {
        let pod = meta(&format!("web-{number}"), "u", 1, "");
        let write = Write::json(&POD, &pod, Operations::default().replace(&["spec", "x"], 1));
        at.send(&write).await.unwrap_err();
    }
    let began = now();
    let mut turns = 0;
    while !at.writer.resolve(&key("set")).await.unwrap() {
        turns += 1;
    }
    assert_eq!((turns, now() - began), (2, s(6)), "16, 16 and 8 of them");
    assert_eq!(at.cached().len(), 40);
}

/// A gateway that answers for a connection that broke does not know what became of the write, but asks for less all the same.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_has_too_much_to_do_is_given_less() {
    let at = fixture(|_| Answer::Text(503, "upstream connect error", 0));
    assert_eq!(at.send(&patch()).await, Err(Category::Unknown));
    let window = value(&at.metrics, "kruise_write_window");
    assert!((window - 4.0).abs() < 0.1, "as it was when it was sent");
    assert_eq!(at.send(&patch()).await, Err(Category::Unknown));
    assert!(value(&at.metrics, "kruise_write_window") < 2.1);
}
