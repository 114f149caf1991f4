#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "test code")]
//! `kruise-crds` against a real API server whose CRD is as OpenKruise's chart left it. Run by `hack/test api`; alone on
//! its cluster, for it changes the CRD that others use.

use std::process::{Command, Output};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

const NAME: &str = "statefulsets.apps.kruise.io";
const HELM: &str = "meta.helm.sh/release-name";

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kruise-crds")).args(arguments).output().unwrap()
}

/// What it printed, if it ended well.
fn said(arguments: &[&str]) -> String {
    let output = run(arguments);
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kruise-crds {arguments:?}: {problem}");
    String::from_utf8(output.stdout).unwrap()
}

async fn patch(api: &Api<CustomResourceDefinition>, change: Value) {
    api.patch(NAME, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
}

async fn conversion(api: &Api<CustomResourceDefinition>) -> (String, bool) {
    let conversion = api.get(NAME).await.unwrap().spec.conversion.unwrap();
    (conversion.strategy, conversion.webhook.is_some())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn openkruises_crd_is_taken_over_on_demand_only() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let api: Api<CustomResourceDefinition> = Api::all(Client::try_default().await.unwrap());
    said(&["apply"]);
    assert!(said(&["apply"]).contains("statefulsets.apps.kruise.io: unchanged"));
    let one = said(&["apply", "statefulsets"]);
    assert!(one.contains("statefulsets.apps.kruise.io: unchanged"), "{one}");
    assert!(!one.contains("sidecarsets") && !one.contains("broadcastjobs"), "{one}");
    let output = run(&["apply", "deployments"]);
    let why = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(!output.status.success() && why.contains("there are statefulsets"), "{why}");

    let webhook = json!({
        "clientConfig": { "url": "https://127.0.0.1:1/convert" },
        "conversionReviewVersions": ["v1", "v1beta1"],
    });
    patch(
        &api,
        json!({
            "metadata": { "annotations": { HELM: "kruise" } },
            "spec": { "conversion": { "strategy": "Webhook", "webhook": webhook } },
        }),
    )
    .await;
    let refused = run(&["apply"]);
    assert!(!refused.status.success());
    let why = String::from_utf8_lossy(&refused.stderr).to_string();
    assert!(why.contains("belongs to the Helm release \"kruise\""), "{why}");

    let told = said(&["apply", "--dry-run", "--take-over"]);
    assert!(told.contains("would end its conversion webhook"), "{told}");
    assert!(told.contains("would change in") && told.contains("conversion"), "{told}");
    assert_eq!(conversion(&api).await, ("Webhook".to_owned(), true), "only said, not done");

    let told = said(&["apply", "--take-over"]);
    assert!(told.contains("ending its conversion webhook"), "{told}");
    assert_eq!(conversion(&api).await, ("None".to_owned(), false));
    let annotations = api.get(NAME).await.unwrap().annotations().clone();
    assert_eq!(annotations.get(HELM).map(String::as_str), Some("kruise"), "Helm's marks stay");

    patch(&api, json!({ "metadata": { "annotations": { HELM: null } } })).await;
    assert!(said(&["apply"]).contains("statefulsets.apps.kruise.io: unchanged"));
}
