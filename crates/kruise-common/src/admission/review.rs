//! How a review is spelled on the wire (`admission.k8s.io` v1 and v1beta1, which are the same here).
//!
//! The objects are kept as text: who answers decides how much of them is read, and an unknown field survives.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kruise_api::raw::RawJson;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Answer, Denial, Operation, Request, Verdict};

/// Why a body is no review.
#[derive(Debug, thiserror::Error)]
pub enum BadReview {
    /// Not JSON, or not of the form of a review.
    #[error("the body is not an AdmissionReview: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Not even text.
    #[error("the body is not an AdmissionReview: {0}")]
    NoText(#[from] std::str::Utf8Error),
    /// Another kind, or a version that does not exist.
    #[error("{api_version} {kind} is not an AdmissionReview of admission.k8s.io/v1 or v1beta1")]
    WrongKind {
        /// Its `apiVersion`.
        api_version: String,
        /// Its `kind`.
        kind: String,
    },
    /// A review that asks nothing.
    #[error("request: Required value")]
    NoRequest,
}

/// A request and the version of the review in which it has to be answered.
#[derive(Debug)]
pub struct Review {
    /// `admission.k8s.io/v1` or `…/v1beta1`.
    pub api_version: String,
    /// What is asked.
    pub request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReview {
    api_version: String,
    kind: String,
    request: Option<WireRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRequest {
    uid: String,
    sub_resource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    operation: Operation,
    object: Option<Box<RawValue>>,
    old_object: Option<Box<RawValue>>,
    dry_run: Option<bool>,
}

/// Reads a review.
pub fn decode(body: &[u8]) -> Result<Review, BadReview> {
    // Looked through for what is no text once, and not string by string.
    let body = std::str::from_utf8(body)?;
    let review: WireReview = serde_json::from_str(body)?;
    let known = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];
    if review.kind != "AdmissionReview" || !known.contains(&review.api_version.as_str()) {
        let WireReview { api_version, kind, .. } = review;
        return Err(BadReview::WrongKind { api_version, kind });
    }
    let wire = review.request.ok_or(BadReview::NoRequest)?;
    let request = Request {
        uid: wire.uid,
        subresource: wire.sub_resource.unwrap_or_default(),
        namespace: wire.namespace.unwrap_or_default(),
        name: wire.name.unwrap_or_default(),
        operation: wire.operation,
        object: wire.object.map(RawJson::from),
        old: wire.old_object.map(RawJson::from),
        dry_run: wire.dry_run.unwrap_or(false),
    };
    Ok(Review { api_version: review.api_version, request })
}

/// An answer on the wire, but for the patch.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireAnswer<'a> {
    api_version: &'a str,
    kind: &'static str,
    response: WireResponse<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireResponse<'a> {
    allowed: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<WireStatus<'a>>,
    uid: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct WireStatus<'a> {
    code: u16,
    message: &'a str,
    reason: &'static str,
    status: &'static str,
}

/// The body that answers `review`. A patch may be long: it comes last, into what is there, and as base64 has nothing to escape.
pub fn encode(review: &Review, answer: &Answer) -> Result<String, serde_json::Error> {
    let status = match &answer.verdict {
        Verdict::Allowed | Verdict::Patched(_) => None,
        Verdict::Denied(Denial { code, reason, message }) => {
            Some(WireStatus { code: *code, message, reason, status: "Failure" })
        }
    };
    let response = WireResponse {
        allowed: answer.is_allowed(),
        audit_annotations: &answer.audit,
        status,
        uid: &review.request.uid,
        warnings: &answer.warnings,
    };
    let mut text = serde_json::to_string(&WireAnswer {
        api_version: &review.api_version,
        kind: "AdmissionReview",
        response,
    })?;
    if let Verdict::Patched(patch) = &answer.verdict {
        const BESIDE: usize = 64;
        // The last members are those of the response.
        text.truncate(text.len() - "}}".len());
        text.reserve(base64::encoded_len(patch.text().len(), true).unwrap_or(0) + BESIDE);
        text.push_str(r#","patchType":"JSONPatch","patch":""#);
        STANDARD.encode_string(patch.text(), &mut text);
        text.push_str(r#""}}"#);
    }
    Ok(text)
}
