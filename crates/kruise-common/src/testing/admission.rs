#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code: what goes wrong ends the test"
)]
//! API tests of admission: a controller whose webhook is registered by URL, and what is common to looking at its answers.
//! One test at a time: a cluster has one set of webhook configurations.

use std::path::Path;

use kruise_api::shared::quantity::Quantity;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};

use super::cluster::{Controller, Space, wait};
use super::ports::free_address;
use crate::admission::registration::Phase;

/// A controller whose admission is tested.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Path of the binary.
    pub binary: &'static str,
    /// Its name.
    pub name: &'static str,
    /// An object that is defaulted.
    pub probe: Value,
    /// Where the default stands, as a JSON pointer.
    pub filled: &'static str,
}

impl Admitted {
    /// Starts a controller with webhooks behind `url`; `more` says where it listens.
    pub async fn behind(&self, space: &Space, url: &str, more: &[&str]) -> Controller {
        let flags = [&["--webhook-url", url, "--webhook-drain", "1s"], more].concat();
        Controller::start(self.binary, space, &flags).await
    }

    /// The same, alone, on a free port; waits until the API server asks it.
    pub async fn alone(&self, space: &Space, more: &[&str]) -> Controller {
        // A test before this one may have failed.
        self.unregister(space).await;
        let address = free_address().to_string();
        let url = format!("https://{address}");
        let flags = [&["--webhook-addr", &address], more].concat();
        let controller = self.behind(space, &url, &flags).await;
        controller.leads().await;
        controller.until("kruise_webhook_registered", "", |registered| registered > 0.0).await;
        self.asked(space).await;
        controller
    }

    /// Waits until what is registered has reached the API server: an object without defaults is filled.
    pub async fn asked(&self, space: &Space) {
        let api = space.of(&self.probe);
        wait("the webhook to be asked", || async {
            let filled = dry_run(&api, &self.probe).await.ok()?;
            filled.pointer(self.filled).map(|_| ())
        })
        .await;
    }

    /// The configuration of a phase.
    pub fn configurations(&self, space: &Space, phase: Phase) -> Api<DynamicObject> {
        space.cluster("admissionregistration.k8s.io", "v1", phase.kind())
    }

    /// Takes the registration away: nobody answers for it any more.
    pub async fn unregister(&self, space: &Space) {
        for phase in Phase::ALL {
            let configurations = self.configurations(space, phase);
            let gone =
                configurations.delete(&phase.name(self.name), &DeleteParams::default()).await;
            assert!(
                gone.is_ok() || gone.is_err_and(|error| error.to_string().contains("NotFound"))
            );
        }
    }

    /// Creates manifests under all feature gates and under the default ones, each time in a namespace of its own, and
    /// compares the spec that is stored, read in both API versions, with what OpenKruise stored: golden files of
    /// `kruise-api` in the folder `captured`.
    pub async fn stores_as_openkruise(&self, captured: &str, manifests: &[Value]) {
        let all = "AllAlpha=true,AllBeta=true,EnableExternalCerts=false,TemplateNoDefaults=false";
        let spec = |object: &Value| as_go_writes("spec", object["spec"].clone()).unwrap();
        for (of, gates) in [("captured", all), ("captured-default-gates", "")] {
            let space = Space::new(&format!("{captured}-{of}")).await;
            let controller = self.alone(&space, &["--feature-gates", gates]).await;
            for manifest in manifests {
                let mut manifest = manifest.clone();
                manifest["metadata"].as_object_mut().unwrap().remove("namespace");
                let name = manifest["metadata"]["name"].as_str().unwrap().to_owned();
                let kind = manifest["kind"].as_str().unwrap().to_owned();
                let plural = format!("{}s", kind.to_lowercase());
                super::cluster::create(&space.of(&manifest), manifest).await.unwrap();
                for version in ["v1beta1", "v1alpha1"] {
                    let stored = space.workloads(version, &kind).get(&name).await.unwrap();
                    let stored = serde_json::to_value(stored).unwrap();
                    let file = format!("{of}.1-created.{plural}.{version}.{name}.json");
                    let openkruises: Value =
                        serde_json::from_str(&golden(&format!("{captured}/{file}"))).unwrap();
                    assert_eq!(spec(&stored), spec(&openkruises), "{file}");
                }
            }
            controller.stop().await;
            self.unregister(&space).await;
        }
    }

    /// Asks about every example of a file of rules (`kruise-api/tests/golden/rules`): what is to be accepted is, and what is
    /// to be refused is refused for all the reasons given. Says how many of each there were.
    ///
    /// An example may say what the server does before it asks: `fills` puts a default where a value is missing, so that
    /// nothing is left to refuse; `schema` refuses by itself, in other words.
    pub async fn keeps(&self, space: &Space, file: &str) -> (usize, usize) {
        let rules: Value = serde_json::from_str(&golden(&format!("rules/{file}.json"))).unwrap();
        let (mut accepted, mut refused) = (0, 0);
        for (rule, examples) in rules["rules"].as_object().unwrap() {
            for change in examples["accepted"].as_array().unwrap() {
                let object = changed(&rules["base"], change);
                judged(
                    &format!("{rule}: {change}"),
                    dry_run(&space.of(&object), &object).await,
                    &[],
                );
                accepted += 1;
            }
            for example in examples["refused"].as_array().unwrap() {
                let object = changed(&rules["base"], &example["change"]);
                let answer = dry_run(&space.of(&object), &object).await;
                let reasons = match example["server"].as_str() {
                    None => texts(&example["because"]),
                    Some("schema") => vec![String::new()],
                    Some(_) => Vec::new(),
                };
                judged(&format!("{rule}: {example}"), answer, &reasons);
                refused += usize::from(!reasons.is_empty());
            }
        }
        for (rule, examples) in rules["changes"].as_object().into_iter().flatten() {
            for example in examples.as_array().unwrap() {
                let answer = self.change(space, &rules["base"], example).await;
                let reasons = texts(&example["because"]);
                judged(&format!("{rule}: {example}"), answer, &reasons);
                *(if reasons.is_empty() { &mut accepted } else { &mut refused }) += 1;
            }
        }
        (accepted, refused)
    }

    /// Stores an object as it was before the example, and asks for the change.
    async fn change(&self, space: &Space, base: &Value, example: &Value) -> kube::Result<Value> {
        let before = changed(base, &example["from"]);
        let api = space.of(&before);
        let stored = super::cluster::create(&api, before).await.unwrap();
        let name = stored.metadata.name.clone().unwrap();
        let after: DynamicObject = serde_json::from_value(changed(base, &example["to"])).unwrap();
        let params = PostParams { dry_run: true, ..PostParams::default() };
        // The controller may have been faster with its status.
        let answer = loop {
            let mut after = after.clone();
            after.metadata.resource_version = api.get(&name).await?.metadata.resource_version;
            match api.replace(&name, &params, &after).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                other => break other,
            }
        };
        api.delete(&name, &DeleteParams::background()).await?;
        wait("the object to go", || async {
            api.get_opt(&name).await.ok()?.is_none().then_some(())
        })
        .await;
        answer.map(|stored| serde_json::to_value(stored).unwrap())
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The answer is yes, or no for all these reasons.
fn judged(example: &str, answer: kube::Result<Value>, reasons: &[String]) {
    match answer {
        Ok(_) => assert!(reasons.is_empty(), "{example} is accepted"),
        Err(answer) => {
            let said = answer.to_string();
            let all = !reasons.is_empty() && reasons.iter().all(|reason| said.contains(reason));
            assert!(all, "{example}: {said}");
        }
    }
}

impl Space {
    /// Objects of the kind of `object` in the namespace.
    pub fn of(&self, object: &Value) -> Api<DynamicObject> {
        let (group, version) = object["apiVersion"].as_str().unwrap().rsplit_once('/').unwrap();
        self.api(group, version, object["kind"].as_str().unwrap())
    }
}

/// What would be stored.
pub async fn dry_run(api: &Api<DynamicObject>, object: &Value) -> kube::Result<Value> {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let stored = api.create(&params, &serde_json::from_value(object.clone()).unwrap()).await?;
    Ok(serde_json::to_value(stored).unwrap())
}

/// An object with a change merged into it; a member that is `null` goes.
pub fn changed(base: &Value, change: &Value) -> Value {
    let mut object = base.clone();
    json_patch::merge(&mut object, change);
    object
}

/// As Go's types write it, whatever was given: without nulls and empty members that are no pointers in Go, quantities in
/// their canonical spelling. None of that is defaulting (the unit tests of `kruise-api` say the same).
fn as_go_writes(name: &str, value: Value) -> Option<Value> {
    let quantity = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        json!(Quantity::parse(&text).unwrap().to_string())
    };
    match (name, value) {
        (_, Value::Null) | ("paused", Value::Bool(false)) => None,
        ("serviceName" | "value", Value::String(text)) if text.is_empty() => None,
        ("limits" | "requests", Value::Object(list)) => {
            Some(list.iter().map(|(name, amount)| (name.clone(), quantity(amount))).collect())
        }
        ("resources" | "volumeClaimUpdateStrategy", value) if value == json!({}) => None,
        (name, Value::Object(members)) => {
            let members = members.into_iter();
            let written: Value = members
                .filter_map(|(name, value)| Some((name.clone(), as_go_writes(&name, value)?)))
                .collect();
            // Go writes `metadata: { creationTimestamp: null }` of a template that has none.
            (name != "metadata" || written != json!({})).then_some(written)
        }
        (_, Value::Array(items)) => {
            Some(items.into_iter().filter_map(|item| as_go_writes("", item)).collect())
        }
        (_, other) => Some(other),
    }
}

/// A golden file of `kruise-api`, seen from another crate.
pub fn golden(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kruise-api/tests/golden").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
