//! Where the API server has to ask: the two webhook configurations of a controller, as they must be stored.
//!
//! They are applied server-side under a field manager of their own, so that nobody who applies something else (a Helm
//! upgrade, a GitOps tool) takes the CA bundle away (platform P3).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kruise_api::keys;
use serde_json::{Value, json};

/// Whether a hook may change objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It may.
    Mutating,
    /// It only says yes or no, about the object as it will be stored.
    Validating,
}

impl Phase {
    /// Both, in the order in which the API server asks.
    pub const ALL: [Self; 2] = [Self::Mutating, Self::Validating];

    /// Kind of the configuration.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        }
    }

    /// Plural of that kind.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Mutating => "mutatingwebhookconfigurations",
            Self::Validating => "validatingwebhookconfigurations",
        }
    }

    /// Name of the configuration of `binary`: one for each cluster (platform §18.5).
    pub fn name(self, binary: &str) -> String {
        match self {
            Self::Mutating => format!("{binary}-mutating"),
            Self::Validating => format!("{binary}-validating"),
        }
    }
}

/// What happens to a request while nobody answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// It is refused.
    #[default]
    Fail,
    /// It goes on as it is.
    Ignore,
}

impl FailurePolicy {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "Fail",
            Self::Ignore => "Ignore",
        }
    }
}

impl FromStr for FailurePolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "Fail" => Ok(Self::Fail),
            "Ignore" => Ok(Self::Ignore),
            _ => Err(format!("{text:?} is neither Fail nor Ignore")),
        }
    }
}

impl fmt::Display for FailurePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One question that the API server asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// Name, as `mstatefulset.kb.io`.
    pub name: String,
    /// Where it is asked.
    pub path: &'static str,
    /// Whether the answer may change the object.
    pub phase: Phase,
    /// API group of the objects.
    pub group: &'static str,
    /// Versions of the group.
    pub versions: &'static [&'static str],
    /// Plurals, with subresource if any.
    pub resources: &'static [&'static str],
    /// `CREATE`, `UPDATE`, `DELETE`.
    pub operations: &'static [&'static str],
    /// Of which namespaces; `None` for all.
    pub namespace_selector: Option<Value>,
    /// About which objects, by label; `None` for all.
    pub object_selector: Option<Value>,
    /// CEL expressions by name, all of which must hold.
    pub conditions: Vec<(String, String)>,
    /// What happens while nobody answers; `None` for what the flag says.
    pub failure_policy: Option<FailurePolicy>,
    /// Whether it is asked again after a later hook changed the object.
    pub again: bool,
    /// Whether asking has consequences besides the answer, unless it is a dry run.
    pub acts: bool,
}

impl Hook {
    /// A question about every creation and change of the kind of ours with this plural, in both of its versions.
    pub fn of(
        name: &str,
        phase: Phase,
        path: &'static str,
        plural: &'static [&'static str; 1],
    ) -> Self {
        Self {
            name: name.to_owned(),
            path,
            phase,
            group: keys::GROUP,
            versions: &["v1alpha1", "v1beta1"],
            resources: plural,
            operations: &["CREATE", "UPDATE"],
            namespace_selector: None,
            object_selector: None,
            conditions: Vec::new(),
            failure_policy: None,
            again: false,
            acts: false,
        }
    }
}

/// How the API server reaches the hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Through a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
    /// Directly: `https://HOST:PORT`.
    Url(String),
}

impl Endpoint {
    /// A Service as `NAMESPACE/NAME` or `NAMESPACE/NAME:PORT`.
    pub fn service(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not of the form namespace/name or namespace/name:port");
        let (namespace, rest) = text.split_once('/').ok_or_else(wrong)?;
        let (name, port) = rest.split_once(':').unwrap_or((rest, "443"));
        let port = port.parse().map_err(|_| wrong())?;
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err(wrong());
        }
        Ok(Self::Service { namespace: namespace.to_owned(), name: name.to_owned(), port })
    }

    /// A URL as `https://HOST` or `https://HOST:PORT`, without a path.
    pub fn url(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not of the form https://HOST:PORT");
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let whole = uri.scheme_str() == Some("https") && ["", "/"].contains(&uri.path());
        let host = uri.host().filter(|host| !host.is_empty());
        if !whole || host.is_none() || uri.query().is_some() {
            return Err(wrong());
        }
        Ok(Self::Url(text.trim_end_matches('/').to_owned()))
    }

    /// Names that the certificate must bear, the first as the API server asks for it.
    pub fn hosts(&self) -> Vec<String> {
        match self {
            Self::Service { namespace, name, .. } => {
                let local = format!("{name}.{namespace}.svc");
                vec![local.clone(), format!("{local}.cluster.local"), format!("{name}.{namespace}")]
            }
            Self::Url(url) => {
                let uri: Option<http::Uri> = url.parse().ok();
                let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
                vec![host.trim_matches(['[', ']']).to_owned()]
            }
        }
    }

    /// The name by which the API server asks for the certificate.
    pub fn host(&self) -> String {
        self.hosts().into_iter().next().unwrap_or_default()
    }

    fn client(&self, path: &str) -> Value {
        match self {
            Self::Service { namespace, name, port } => json!({
                "service": { "namespace": namespace, "name": name, "port": port, "path": path },
            }),
            Self::Url(url) => json!({ "url": format!("{url}{path}") }),
        }
    }
}

/// What all hooks of an installation share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The binary: name of the configurations and of the field manager.
    pub binary: &'static str,
    /// How to reach us.
    pub endpoint: Endpoint,
    /// Seconds an answer may take.
    pub timeout_seconds: u32,
    /// What happens while nobody answers, unless a hook says otherwise.
    pub failure_policy: FailurePolicy,
    /// The only namespace that the controller looks at; empty for all.
    pub namespace: String,
}

/// The configuration of one phase as it is to be applied, or `None` if no hook belongs to it. Without a bundle it says
/// nothing of the CA: whoever injects one (cert-manager) is left alone.
pub fn configuration(terms: &Terms, phase: Phase, hooks: &[Hook], bundle: &str) -> Option<Value> {
    let hooks: Vec<Value> = hooks
        .iter()
        .filter(|hook| hook.phase == phase)
        .map(|hook| webhook(terms, hook, bundle))
        .collect();
    if hooks.is_empty() {
        return None;
    }
    Some(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": phase.kind(),
        "metadata": {
            "name": phase.name(terms.binary),
            "labels": {
                "app.kubernetes.io/name": terms.binary,
            },
        },
        "webhooks": hooks,
    }))
}

fn webhook(terms: &Terms, hook: &Hook, bundle: &str) -> Value {
    let mut client = terms.endpoint.client(hook.path);
    if let Some(client) = client.as_object_mut()
        && !bundle.is_empty()
    {
        client.insert("caBundle".to_owned(), json!(STANDARD.encode(bundle)));
    }
    let conditions = hook.conditions.iter();
    let conditions: Vec<Value> = conditions
        .map(|(name, expression)| json!({ "name": name, "expression": expression }))
        .collect();
    let everything = || json!({});
    let mut namespaces = hook.namespace_selector.clone().unwrap_or_else(everything);
    if !terms.namespace.is_empty()
        && let Some(selector) = namespaces.as_object_mut()
        && let Some(labels) =
            selector.entry("matchLabels").or_insert_with(everything).as_object_mut()
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), json!(terms.namespace));
    }
    let mut webhook = json!({
        "name": hook.name,
        "clientConfig": client,
        "rules": [{
            "apiGroups": [hook.group],
            "apiVersions": hook.versions,
            "resources": hook.resources,
            "operations": hook.operations,
            "scope": "*",
        }],
        "namespaceSelector": namespaces,
        "objectSelector": hook.object_selector.clone().unwrap_or_else(everything),
        "failurePolicy": hook.failure_policy.unwrap_or(terms.failure_policy).as_str(),
        "matchPolicy": "Equivalent",
        "sideEffects": if hook.acts { "NoneOnDryRun" } else { "None" },
        "timeoutSeconds": terms.timeout_seconds,
        "admissionReviewVersions": ["v1", "v1beta1"],
    });
    let mut set = |member: &str, value: Value| {
        if let Some(webhook) = webhook.as_object_mut() {
            webhook.insert(member.to_owned(), value);
        }
    };
    if !conditions.is_empty() {
        set(CONDITIONS, Value::Array(conditions));
    }
    if hook.phase == Phase::Mutating {
        set("reinvocationPolicy", json!(if hook.again { "IfNeeded" } else { "Never" }));
    }
    webhook
}

const CONDITIONS: &str = "matchConditions";
/// Name of the condition that leaves out mirror pods.
pub const NO_MIRROR_POD: &str = "no-mirror-pod";
/// Name of the condition that leaves out who wishes it so.
pub const NO_OPT_OUT: &str = "no-opt-out";
/// Name of the condition that leaves out what no object is about.
pub const SOME_SET_MATCHES: &str = "some-set-matches";

/// Members that we leave out, or that are empty, once they are not wanted any more: stored on, they would leave objects unasked. The
/// labels are those of namespaces; expressions about them we always have or never, and managed clusters add some.
const NARROWING: [&str; 2] = ["matchLabels", "objectSelector"];

/// Whether a stored configuration says what `wanted` says; members that somebody else added do not count, but for those
/// that could be ours of another time, by which fewer objects would be asked about.
pub fn says(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => {
            let narrows = |name: &String| NARROWING.contains(&name.as_str());
            let mut others = wanted.iter().filter(|(name, _)| !narrows(name));
            others.all(|(name, value)| stored.get(name).is_some_and(|stored| says(stored, value)))
                && NARROWING.iter().all(|name| given(stored.get(*name)) == given(wanted.get(*name)))
                && (wanted.contains_key(CONDITIONS) || !has_condition_of_ours(stored))
        }
        (Value::Array(stored), Value::Array(wanted)) => {
            stored.len() == wanted.len()
                && stored.iter().zip(wanted).all(|(stored, wanted)| says(stored, wanted))
        }
        _ => stored == wanted,
    }
}

fn has_condition_of_ours(hook: &serde_json::Map<String, Value>) -> bool {
    let ours = [NO_MIRROR_POD, NO_OPT_OUT, SOME_SET_MATCHES];
    let stored = hook.get(CONDITIONS).and_then(Value::as_array);
    let mut names = stored.into_iter().flatten().filter_map(|one| one.get("name")?.as_str());
    names.any(|name| ours.contains(&name))
}

/// What is empty says as much as what is absent.
fn given(member: Option<&Value>) -> Option<&Value> {
    member.filter(|value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    })
}

/// Whether every hook of a stored configuration trusts this bundle.
pub fn trusts(stored: &Value, bundle: &str) -> bool {
    let wanted = STANDARD.encode(bundle);
    let hooks = stored.get("webhooks").and_then(Value::as_array);
    hooks.into_iter().flatten().all(|hook| {
        hook.pointer("/clientConfig/caBundle").and_then(Value::as_str) == Some(&*wanted)
    })
}
