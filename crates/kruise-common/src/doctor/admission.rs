//! The webhook configurations: there, reachable, trusted for a while yet; and nobody else's for the same kinds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Answer, Finding, Subject, list, text};
use crate::admission::registration::Phase;
use crate::runtime::certs;

/// A CA that ends sooner is odd: ours are renewed after two thirds of their life.
const SOON: SignedDuration = SignedDuration::from_hours(72);

/// What the API server knows about admission.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The configurations of our binary, in the order of [`Phase::ALL`].
    pub ours: [Answer; 2],
    /// All configurations of the cluster, of both kinds: where OpenKruise's would be.
    pub all: Answer,
    /// Addresses that serve each Service that our configurations name, by `namespace/name`.
    pub ready: Vec<(String, usize)>,
}

/// Looks at our configurations and at those in their way.
pub fn check(subject: &Subject, seen: &Seen, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (phase, answer) in Phase::ALL.into_iter().zip(&seen.ours) {
        let about = format!("{} {}", phase.kind(), phase.name(subject.binary));
        let absent = || {
            Finding::odd(
                &about,
                "is not there: objects are neither defaulted nor checked when they are written",
                "install with webhook.enabled=true, unless that is meant",
            )
        };
        match answer.object(&about, absent) {
            Ok(configuration) => findings.extend(configured(&about, configuration, seen, now)),
            Err(finding) => findings.push(finding),
        }
    }
    match &seen.all {
        Answer::There(all) => findings.extend(foreign(subject, all)),
        Answer::Absent => {}
        Answer::Unknown(why) => findings.push(super::unread("webhook configurations", why)),
    }
    findings
}

/// Looks at one configuration of ours.
fn configured(about: &str, configuration: &Value, seen: &Seen, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let webhooks = list(configuration, "/webhooks");
    if webhooks.is_empty() {
        findings.push(Finding::odd(about, "asks nobody", "look at the controller's log"));
    }
    for webhook in webhooks {
        findings.extend(trust(about, webhook, now));
        let service = |member| text(webhook, &format!("/clientConfig/service/{member}"));
        let service = format!("{}/{}", service("namespace"), service("name"));
        let ready = seen.ready.iter().find(|(name, _)| *name == service);
        if let Some((_, 0)) = ready {
            let policy = match text(webhook, "/failurePolicy") {
                "Ignore" => "goes on without being asked about",
                _ => "is refused",
            };
            let what = format!("nobody serves {service}: what is written {policy}");
            findings.push(Finding::wrong(about, what, "look at the pods behind the Service"));
        }
    }
    findings.dedup();
    if findings.is_empty() {
        findings.push(Finding::right(about, format!("{} hooks, trusted", webhooks.len())));
    }
    findings
}

/// Whether the API server can trust whoever answers.
fn trust(about: &str, webhook: &Value, now: Timestamp) -> Option<Finding> {
    let name = text(webhook, "/name");
    let log = "the leader repairs it; look at the controller's log";
    let bundle = text(webhook, "/clientConfig/caBundle");
    if bundle.is_empty() {
        let url = !text(webhook, "/clientConfig/url").is_empty();
        return (!url).then(|| Finding::wrong(about, format!("{name} has no CA"), log));
    }
    let ends = STANDARD.decode(bundle).ok().and_then(|pem| certs::ends(&pem));
    match ends {
        None => Some(Finding::wrong(about, format!("{name} has a CA that is no certificate"), log)),
        Some(end) if end <= now => {
            Some(Finding::wrong(about, format!("the CA of {name} ended at {end}"), log))
        }
        Some(end) if end.duration_since(now) < SOON => {
            Some(Finding::odd(about, format!("the CA of {name} ends at {end}"), log))
        }
        Some(_) => None,
    }
}

/// OpenKruise's hooks for our kind: both answer while its manager lives, and nobody after.
fn foreign(subject: &Subject, all: &Value) -> Vec<Finding> {
    let configurations = list(all, "/items").iter();
    let hooks = configurations.flat_map(|configuration| {
        let about = text(configuration, "/metadata/name");
        list(configuration, "/webhooks").iter().map(move |webhook| (about, text(webhook, "/name")))
    });
    let ours = Phase::ALL.map(|phase| phase.name(subject.binary));
    hooks
        .filter(|(about, name)| {
            !ours.iter().any(|own| own == about) && subject.openkruise_hooks.contains(name)
        })
        .map(|(about, name)| {
            Finding::odd(
                format!("webhook configuration {about}"),
                format!(
                    "{name} is OpenKruise's: once its manager is gone, what it asks about fails"
                ),
                "remove it together with OpenKruise's manager; see docs/migration.md",
            )
        })
        .collect()
}
