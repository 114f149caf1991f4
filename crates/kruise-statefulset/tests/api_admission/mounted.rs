//! Certificates that somebody else makes, as files: cert-manager's Secret, or any other that is mounted.

use std::path::{Path, PathBuf};

use k8s_openapi::ByteString;
use kruise_common::admission::registration::Phase;
use kruise_common::runtime::certs::{self, Made};
use kruise_common::testing::cluster::{Controller, Space, patch, wait};
use kruise_common::testing::ports::free_address;
use serde_json::{Value, json};

use super::{admitted, expiry};

/// A directory as a Secret is mounted.
struct Mount(PathBuf);

impl Mount {
    fn new(space: &Space) -> Self {
        let directory = std::env::temp_dir().join(&space.name);
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    /// Replaces these members by those of a new pair.
    fn write(&self, members: &[&str]) -> Made {
        let hosts = ["127.0.0.1".to_owned()];
        let life = jiff::SignedDuration::from_hours(24);
        let made = certs::make("test", &hosts, life, jiff::Timestamp::now()).unwrap();
        for (name, text) in [("tls.crt", &made.cert), ("tls.key", &made.key), ("ca.crt", &made.ca)]
        {
            if members.contains(&name) {
                std::fs::write(self.0.join(name), text).unwrap();
            }
        }
        made
    }

    fn flag(&self) -> [&str; 2] {
        ["--webhook-cert-dir", self.0.to_str().unwrap()]
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Path::new(&self.0));
    }
}

/// Certificates count in seconds: the next one must end later than this one.
async fn next_second(ends: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "a Unix time")]
    let ends = ends as i64;
    let later = || jiff::Timestamp::now().as_second() + 24 * 3600 > ends + 1;
    wait("the next second", || async { later().then_some(()) }).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn mounted_certificates_are_used_and_read_again() {
    let space = Space::new("mounted").await;
    let mount = Mount::new(&space);
    let all = ["tls.crt", "tls.key", "ca.crt"];
    mount.write(&all);
    let mut controller = admitted().alone(&space, &mount.flag()).await;
    let secrets = space.api("", "v1", "Secret");
    let own = secrets.get_opt("kruise-statefulset-webhook-certs").await.unwrap();
    assert!(own.is_none(), "none of our own is made");
    let first = expiry(&controller).await;
    let spent = controller.metric("process_cpu_seconds_total", "").await.unwrap();
    next_second(first).await;
    let second = mount.write(&all);
    controller.until("webhook_cert_expiry", "", |at| at > first).await;
    for phase in Phase::ALL {
        wait("the new CA to be registered", || async {
            (bundles(&space, phase).await == [json!(ByteString(second.ca.clone().into_bytes()))])
                .then_some(())
        })
        .await;
    }
    admitted().asked(&space).await;
    let spent = controller.metric("process_cpu_seconds_total", "").await.unwrap() - spent;
    assert!(spent < 4.0, "{spent} s of CPU in some ten seconds: it waits for nothing");
    // Half a pair, as between two writes of one who does not replace files at once: the one in use stays.
    mount.write(&["tls.key"]);
    controller.said("webhooks are not as they should be", "problem=").await;
    admitted().asked(&space).await;
    controller.stop().await;
    admitted().unregister(&space).await;
}

/// The CA of every hook of a phase.
async fn bundles(space: &Space, phase: Phase) -> Vec<Value> {
    let api = admitted().configurations(space, phase);
    let stored = api.get(&phase.name("kruise-statefulset")).await.unwrap();
    let hooks = stored.data["webhooks"].as_array().cloned().unwrap_or_default();
    hooks.iter().map(|hook| hook["clientConfig"]["caBundle"].clone()).collect()
}

/// What cert-manager's injector does.
async fn inject(space: &Space, ca: &str) {
    for phase in Phase::ALL {
        let api = admitted().configurations(space, phase);
        let bundle = json!(ByteString(ca.as_bytes().to_vec()));
        let operation =
            json!([{ "op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle }]);
        patch(&api, &phase.name("kruise-statefulset"), operation).await.unwrap();
    }
}

async fn registered(space: &Space, mount: &Mount) -> Controller {
    admitted().unregister(space).await;
    let address = free_address().to_string();
    let flags = [&["--webhook-addr", &address], &mount.flag()[..]].concat();
    let controller = admitted().behind(space, &format!("https://{address}"), &flags).await;
    controller.leads().await;
    controller.until("kruise_webhook_registered", "", |registered| registered > 0.0).await;
    controller
}

/// Without `ca.crt` the CA is somebody else's to register: the controller writes everything but that.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_ca_that_somebody_else_injects_is_left_alone() {
    let space = Space::new("injected").await;
    let mount = Mount::new(&space);
    let pair = ["tls.crt", "tls.key"];
    let first = mount.write(&pair);
    let controller = registered(&space, &mount).await;
    assert_eq!(bundles(&space, Phase::Mutating).await, [Value::Null]);
    inject(&space, &first.ca).await;
    admitted().asked(&space).await;
    // What the controller says is put right again, and what it does not say stays.
    let api = admitted().configurations(&space, Phase::Mutating);
    let name = Phase::Mutating.name("kruise-statefulset");
    let wrong =
        json!([{ "op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore" }]);
    patch(&api, &name, wrong).await.unwrap();
    wait("the policy to be back", || async {
        let stored = api.get(&name).await.ok()?;
        (stored.data["webhooks"][0]["failurePolicy"] == "Fail").then_some(())
    })
    .await;
    let injected = [json!(ByteString(first.ca.clone().into_bytes()))];
    assert_eq!(bundles(&space, Phase::Mutating).await, injected);
    // The pair is replaced, and whoever injects follows.
    let before = expiry(&controller).await;
    next_second(before).await;
    let second = mount.write(&pair);
    controller.until("webhook_cert_expiry", "", |at| at > before).await;
    inject(&space, &(first.ca + &second.ca)).await;
    admitted().asked(&space).await;
    controller.stop().await;
    admitted().unregister(&space).await;
}
