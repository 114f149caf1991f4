use std::path::Path;

use crate::contestant::{Bench, Contestant, parse, read};

const ONE: &str = "
- name: kruise
  mode: uncapped
  command: [\"${BIN}/manager\", --kubeconfig, \"${KUBECONFIG}\"]
  user_agent: manager
  api_version: apps.kruise.io/v1beta1
  benches: { P1: {}, P3: { at_most: 50 } }
";

#[test]
fn variables_of_the_command_line_are_filled_in() {
    let [one] = &parse(ONE).unwrap()[..] else { panic!("one contestant") };
    let command = one.command(Path::new("/c/kubeconfig"), Path::new("/b"));
    assert_eq!(command, ["/b/manager", "--kubeconfig", "/c/kubeconfig"]);
}

#[test]
fn a_contestant_gets_no_more_pods_than_it_can_take() {
    let [one] = &parse(ONE).unwrap()[..] else { panic!("one contestant") };
    assert_eq!(one.size(Bench::P1, 300), Some(300));
    assert_eq!(one.size(Bench::P3, 300), Some(50));
    assert_eq!(one.size(Bench::P3, 20), Some(20));
    assert_eq!(one.size(Bench::P4, 300), None);
}

#[test]
fn mistakes_are_named_before_anything_is_measured() {
    let problem = |text: &str| parse(text).unwrap_err().to_string();
    assert!(problem(&ONE.replace("P3:", "P5:")).contains("P5"));
    assert!(problem(&ONE.replace("user_agent: manager", "user_agent: ''")).contains("user_agent"));
    assert!(problem(&ONE.replace("mode:", "moed:")).contains("moed"));
    assert!(problem("[]").contains("no contestant"));
}

#[test]
fn the_shipped_file_is_read() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("contestants.yaml");
    let titles: Vec<String> = read(&file).unwrap().iter().map(Contestant::title).collect();
    assert_eq!(
        titles,
        [
            "kruise-statefulset (shipped)",
            "kruise-broadcastjob (shipped)",
            "native (shipped)",
            "native (uncapped)"
        ]
    );
}
