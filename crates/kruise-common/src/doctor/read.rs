//! Reads what the checks look at. Only reads; what may not be read is an answer too.

use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use kruise_api::keys;

use super::admission::Seen;
use super::{Answer, Finding, Subject, admission, definition, lease, list, text, workload};
use crate::admission::registration::Phase;

/// Objects asked for at once.
const PAGE: usize = 500;

/// Where things are.
#[derive(Clone, Debug)]
pub struct Place {
    /// Namespace of the controllers and their Leases.
    pub namespace: String,
    /// Lease of an OpenKruise manager: namespace/name.
    pub openkruise_lease: String,
}

/// Reads and checks everything about some controllers.
pub async fn examine(
    client: &Client,
    place: &Place,
    subjects: &[&Subject],
    now: Timestamp,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let foreign = place.openkruise_lease.split_once('/');
    if let Some((namespace, name)) = foreign {
        let answer = get(client, &lease_path(namespace, name)).await;
        findings.push(lease::conflict(&place.openkruise_lease, &answer, now));
    }
    let configurations = configurations(client).await;
    for subject in subjects {
        let (group, plural) = (subject.kind.group, subject.kind.plural);
        let path =
            format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{group}");
        let definition = get(client, &path).await;
        findings.extend(definition::check(subject, &definition));
        let answer = get(client, &lease_path(&place.namespace, subject.binary)).await;
        findings.push(lease::check(subject, &place.namespace, &answer, now));
        findings.extend(admission::check(
            subject,
            &hooks(client, subject, &configurations).await,
            now,
        ));
        if definition != Answer::Absent {
            let path = format!("/apis/{group}/{}/{plural}", subject.kind.version);
            findings.extend(workload::check(subject, &all(client, &path).await));
        }
    }
    findings
}

fn lease_path(namespace: &str, name: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}")
}

fn path(phase: Phase) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{}", phase.plural())
}

/// The webhook configurations of the whole cluster, of both kinds in one list.
async fn configurations(client: &Client) -> Answer {
    let mut items = Vec::new();
    for phase in Phase::ALL {
        match all(client, &path(phase)).await {
            Answer::There(found) => items.extend_from_slice(list(&found, "/items")),
            Answer::Absent => {}
            unknown @ Answer::Unknown(_) => return unknown,
        }
    }
    Answer::There(json!({ "items": items }))
}

async fn hooks(client: &Client, subject: &Subject, configurations: &Answer) -> Seen {
    let mut ours = [Answer::Absent, Answer::Absent];
    for (phase, own) in Phase::ALL.into_iter().zip(&mut ours) {
        *own = get(client, &format!("{}/{}", path(phase), phase.name(subject.binary))).await;
    }
    let mut services: Vec<(String, String)> = Vec::new();
    for configuration in &ours {
        let Answer::There(configuration) = configuration else { continue };
        for webhook in list(configuration, "/webhooks") {
            let of = |member| text(webhook, &format!("/clientConfig/service/{member}")).to_owned();
            services.push((of("namespace"), of("name")));
        }
    }
    services.sort();
    services.dedup();
    let mut ready = Vec::new();
    for (namespace, name) in services.into_iter().filter(|(_, name)| !name.is_empty()) {
        let path = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name%3D{name}"
        );
        if let Answer::There(slices) = get(client, &path).await {
            let endpoints = list(&slices, "/items").iter().flat_map(|s| list(s, "/endpoints"));
            let serving = endpoints.filter(|endpoint| {
                endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false))
            });
            ready.push((format!("{namespace}/{name}"), serving.count()));
        }
    }
    Seen { ours, all: configurations.clone(), ready }
}

/// All objects below a path, page by page.
async fn all(client: &Client, path: &str) -> Answer {
    let mut items = Vec::new();
    let mut next = String::new();
    loop {
        let page = match get(client, &format!("{path}?limit={PAGE}&continue={next}")).await {
            Answer::There(page) => page,
            other => return other,
        };
        items.extend_from_slice(list(&page, "/items"));
        text(&page, "/metadata/continue").clone_into(&mut next);
        if next.is_empty() {
            return Answer::There(json!({ "items": items }));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a GET of a path that depends on the kind; nothing is written"
)]
async fn get(client: &Client, path: &str) -> Answer {
    let request = match http::Request::get(path).body(Vec::new()) {
        Ok(request) => request,
        Err(error) => return Answer::Unknown(error.to_string()),
    };
    match client.request::<Value>(request).await {
        Ok(object) => Answer::There(object),
        Err(kube::Error::Api(status)) if status.is_not_found() => Answer::Absent,
        Err(error) => Answer::Unknown(error.to_string()),
    }
}

/// The Lease of OpenKruise's manager where it is installed by default.
pub fn openkruise_lease() -> String {
    format!("{}/{}", keys::OPENKRUISE_NAMESPACE, keys::OPENKRUISE_LEASE)
}
