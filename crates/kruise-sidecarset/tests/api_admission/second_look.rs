//! Somebody else changes pods at admission, too, and looks at what we injected: what they make of it stays.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::{SignedDuration, Timestamp};
use kruise_common::admission::registration::Hook;
use kruise_common::admission::{Admission, Answer, Request};
use kruise_common::runtime::certs;
use kruise_common::runtime::metrics::Metrics;
use kruise_common::runtime::webhook::{Certificate, Desk, Ending, Limits, serve};
use kruise_common::testing::cluster::create;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::cluster;
use super::requirements::{Stage, container, containers};

/// Takes all images from a mirror, and has them always pulled, as the plugin AlwaysPullImages does and insists on.
struct Mirror;

impl Admission for Mirror {
    fn paths(&self) -> &'static [&'static str] {
        &["/mirror"]
    }

    fn hooks(&self) -> Vec<Hook> {
        Vec::new()
    }

    fn answer(&self, _: &str, request: &Request) -> Option<Answer> {
        let before: Value = request.object.as_ref()?.parse().ok()?;
        let mut after = before.clone();
        for container in after["spec"]["containers"].as_array_mut()? {
            // Not again at its own second look.
            let image = container["image"].as_str()?.trim_start_matches("mirror.");
            container["image"] = json!(format!("mirror.{image}"));
            container["imagePullPolicy"] = json!("Always");
        }
        Some(Answer::changed(&before, &after))
    }
}

/// Serves it until the token is cancelled; the address and the CA.
async fn mirror(stop: &CancellationToken) -> (String, String) {
    let life = SignedDuration::from_hours(1);
    let made = certs::make("mirror", &["127.0.0.1".to_owned()], life, Timestamp::now()).unwrap();
    let pair = certs::read(made.cert.as_bytes(), made.key.as_bytes(), None, "127.0.0.1").unwrap();
    let certificate: Arc<Certificate> = Arc::default();
    certificate.set(pair.key);
    let desk = Arc::new(Desk {
        admission: Arc::new(Mirror),
        ready: AtomicBool::new(true),
        health: Arc::default(),
        metrics: Metrics::new("mirror").unwrap(),
        changed: Arc::default(),
        lag: std::time::Duration::ZERO,
        limits: Limits::default(),
    });
    let ending = Ending { stop: stop.clone(), lame_duck: std::time::Duration::ZERO };
    let any = "127.0.0.1:0".parse().unwrap();
    let (address, serving) = serve(any, certificate, desk, ending).await.unwrap();
    tokio::spawn(serving);
    (address.to_string(), made.ca)
}

/// INT-11: a webhook that is asked before ours, and again after it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: hack/test api"]
async fn what_another_webhook_makes_of_a_sidecar_stays() {
    let stage = Stage::new("mirror").await;
    let stop = CancellationToken::new();
    let (address, ca) = mirror(&stop).await;
    let configurations =
        cluster(&stage.space, "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration");
    let name = "a-mirror-of-a-test";
    let hook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": name },
        "webhooks": [{
            "name": "mirror.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "reinvocationPolicy": "IfNeeded", "failurePolicy": "Fail", "timeoutSeconds": 5,
            "clientConfig": {
                "url": format!("https://{address}/mirror"),
                "caBundle": k8s_openapi::ByteString(ca.into_bytes()),
            },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": stage.space.name } },
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
        }],
    });
    create(&configurations, hook).await.unwrap();
    stage.create(&stage.set("agent", &json!({}))).await;
    // Registration may be late: a pod that both have seen.
    let pod = Stage::pod("pod", "agent", &json!({}));
    stage.would_be(&pod, |pod| is_mirrored(pod, "main").then_some(())).await;
    let made = stage.injected(&pod, "agent").await;
    configurations.delete(name, &DeleteParams::default()).await.unwrap();
    assert_eq!(containers(&made), ["agent", "main"]);
    for name in ["agent", "main"] {
        assert!(is_mirrored(&made, name), "{made}");
    }
    stop.cancel();
    stage.end().await;
}

fn is_mirrored(pod: &Value, name: &str) -> bool {
    let container = container(pod, "containers", name);
    container["image"] == format!("mirror.example.com/{name}:1")
        && container["imagePullPolicy"] == "Always"
}
