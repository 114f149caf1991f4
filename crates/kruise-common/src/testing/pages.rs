#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "test code: what goes wrong ends the test"
)]
//! What is written for people about flags, metrics and reasons, compared with what the code has: pages that say something
//! else fail the tests of the crate that they are about.

use std::collections::BTreeSet;

/// A file of the repository.
fn read(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The entries of the lists of a section, each on one line: `- …` and the lines that go on.
fn entries(text: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if line.starts_with("- ") {
            entries.push(line.to_owned());
            open = true;
        } else if let (true, Some(entry)) = (open && line.starts_with("  "), entries.last_mut()) {
            entry.push(' ');
            entry.push_str(line.trim());
        } else {
            open = false;
        }
    }
    entries
}

/// Long flags with their defaults, in the order of `--help`.
#[cfg(feature = "runtime")]
fn flags(command: &clap::Command) -> Vec<(String, String)> {
    let switch = |arg: &clap::Arg| matches!(arg.get_action(), clap::ArgAction::SetTrue);
    let default = |arg: &clap::Arg| {
        let values = arg.get_default_values().iter().filter(|_| !switch(arg));
        values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(",")
    };
    let named = |arg| Some((clap::Arg::get_long(arg)?.to_owned(), default(arg)));
    command.get_arguments().filter_map(named).collect()
}

/// `docs/configuration.md` lists, below `## Flags`, the flags that every controller has.
#[cfg(feature = "runtime")]
pub fn lists_shared_flags() {
    use clap::Args as _;
    let command = crate::runtime::args::RuntimeArgs::augment_args(clap::Command::new("shared"));
    lists_flags("## Flags", &flags(&command));
}

/// `docs/configuration.md` lists, below `heading`, those that only this controller has.
#[cfg(feature = "runtime")]
pub fn lists_own_flags(heading: &str, command: &clap::Command) {
    use clap::Args as _;
    let shared = crate::runtime::args::RuntimeArgs::augment_args(clap::Command::new("shared"));
    let shared = flags(&shared);
    let own: Vec<_> = flags(command).into_iter().filter(|flag| !shared.contains(flag)).collect();
    assert!(!own.is_empty(), "{heading}: there is none");
    lists_flags(heading, &own);
}

/// In this order, each with its default if there is one.
#[cfg(feature = "runtime")]
fn lists_flags(heading: &str, flags: &[(String, String)]) {
    let page = read("docs/configuration.md");
    let (_, section) = page.split_once(&format!("\n{heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap_or_default();
    let listed = entries(section);
    let listed: Vec<&str> = listed.iter().filter_map(|entry| entry.strip_prefix("- `--")).collect();
    let names: Vec<&str> = listed.iter().filter_map(|entry| entry.split('`').next()).collect();
    let wanted: Vec<&str> = flags.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, wanted, "docs/configuration.md, {heading}");
    for ((name, default), entry) in flags.iter().zip(listed) {
        let head = format!("{name}` (`{default}`): ");
        assert!(
            default.is_empty() || entry.starts_with(&head),
            "docs/configuration.md: {name}: the default is {default}"
        );
    }
}

/// What `docs/metrics.md` says of a family: `- `NAME` (TYPE; `LABEL`, …): …`.
fn family(page: &[String], name: &str) -> String {
    let head = format!("- `{name}` (");
    let mut found = page.iter().filter_map(|entry| entry.strip_prefix(&head));
    let entry = found.next().unwrap_or_else(|| panic!("docs/metrics.md: nothing about {name}"));
    assert!(found.next().is_none(), "docs/metrics.md: {name} twice");
    entry.split("): ").next().unwrap_or_default().to_owned()
}

/// `docs/metrics.md` has the family, with its type and label.
pub fn lists_family(name: &str, kind: &str, labels: &[&str]) {
    let said = family(&entries(&read("docs/metrics.md")), name);
    assert!(said.starts_with(kind), "docs/metrics.md: {name} is a {kind}");
    for label in labels {
        assert!(said.contains(&format!("`{label}`")), "docs/metrics.md: {name} has {label}");
    }
    let labelled = said.contains(';');
    assert_eq!(labelled, !labels.is_empty(), "docs/metrics.md: labels of {name}");
}

/// The families that `docs/metrics.md` lists, but for those whose names begin with one of `except`.
pub fn listed_families(except: &[&str]) -> BTreeSet<String> {
    let is_family = |entry: &String| {
        let rest = entry.strip_prefix("- `")?;
        let (name, rest) = rest.split_once("` (")?;
        let known = ["counter", "gauge", "histogram"].iter().any(|kind| rest.starts_with(kind));
        (known && !except.iter().any(|prefix| name.starts_with(prefix))).then(|| name.to_owned())
    };
    entries(&read("docs/metrics.md")).iter().filter_map(is_family).collect()
}

/// The alerts of a chart: each of `reasons` is in exactly one of its lists in `hack/generate/charts/controllers.yaml`, and
/// there is no other.
pub fn alerts_name(chart: &str, reasons: &[&str]) {
    let file = read("hack/generate/charts/controllers.yaml");
    let (_, block) = file.split_once(&format!("- name: {chart}\n")).unwrap();
    let block = block.split("\n- name: ").next().unwrap_or_default();
    let lists = ["  owner: ", "  wanted: ", "  others: "];
    let lists =
        block.lines().filter_map(|line| lists.iter().find_map(|key| line.strip_prefix(key)));
    let mut named: Vec<&str> = lists.flat_map(|list| list.split('|')).collect();
    let mut wanted = reasons.to_vec();
    named.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(named, wanted, "hack/generate/charts/controllers.yaml: {chart}");
}

/// `docs/configuration.md` has the gate, with its default.
pub fn lists_gate(name: &str, on: bool) {
    let page = entries(&read("docs/configuration.md"));
    let head = format!("- `{name}` (");
    let entry = page.iter().find_map(|entry| entry.strip_prefix(&head));
    let entry = entry.unwrap_or_else(|| panic!("docs/configuration.md: nothing about {name}"));
    let said = entry.split(')').next().unwrap_or_default();
    assert!(said.ends_with(if on { ", on" } else { ", off" }), "docs/configuration.md: {name}");
}
