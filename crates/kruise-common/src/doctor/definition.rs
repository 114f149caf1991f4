//! The CRD: installed, both versions served, nothing in the way of reading (platform §18.1, §18.2).

use serde_json::Value;

use super::{Answer, Finding, Subject, list, text};

const INSTALL: &str = "kruise-crds apply, or install the chart with crds.install=true";

/// Looks at the CRD of a kind.
pub fn check(subject: &Subject, crd: &Answer) -> Vec<Finding> {
    let about = format!("CRD {}.{}", subject.kind.plural, subject.kind.group);
    let absent = || Finding::wrong(&about, "is not installed", INSTALL);
    let crd = match crd.object(&about, absent) {
        Ok(crd) => crd,
        Err(finding) => return vec![finding],
    };
    let mut findings = Vec::new();
    let established = list(crd, "/status/conditions").iter().any(|condition| {
        text(condition, "/type") == "Established" && text(condition, "/status") == "True"
    });
    if !established {
        findings.push(Finding::wrong(&about, "is not established", "look at its conditions"));
    }
    for version in ["v1beta1", "v1alpha1"] {
        if !versions(crd, "/served").any(|name| name == version) {
            let what = format!("does not serve {version}");
            findings.push(Finding::wrong(&about, what, INSTALL));
        }
    }
    let stored: Vec<&str> = versions(crd, "/storage").collect();
    if stored != ["v1beta1"] {
        let what = format!("stores {} instead of v1beta1", stored.join(" and "));
        findings.push(Finding::wrong(&about, what, INSTALL));
    }
    if text(crd, "/spec/conversion/strategy") == "Webhook" {
        let service = "/spec/conversion/webhook/clientConfig/service";
        let (namespace, name) =
            (text(crd, &format!("{service}/namespace")), text(crd, &format!("{service}/name")));
        let what = format!(
            "is converted by a webhook ({namespace}/{name}): while it does not answer, nobody can read these objects"
        );
        findings.push(Finding::odd(&about, what, "kruise-crds apply --take-over"));
    }
    if crd.pointer("/metadata/deletionTimestamp").is_some() {
        let what = "is being deleted, and all its objects with it";
        findings.push(Finding::wrong(&about, what, "stop what deletes it; see docs/migration.md"));
    }
    if findings.is_empty() {
        findings.push(Finding::right(&about, "serves v1beta1 and v1alpha1"));
    }
    findings
}

/// Names of the versions that have the flag.
fn versions<'a>(crd: &'a Value, flag: &'a str) -> impl Iterator<Item = &'a str> {
    list(crd, "/spec/versions")
        .iter()
        .filter(move |version| version.pointer(flag) == Some(&Value::Bool(true)))
        .map(|version| text(version, "/name"))
}
