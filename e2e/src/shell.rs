//! What is done through other programs: commands in containers, load from a client in the cluster, the plug of a node.

use std::process::Stdio;

use kruise_common::testing::cluster::wait;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{Case, objects};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("kubectl");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs kubectl and returns what it prints.
pub async fn kubectl(arguments: &[&str]) -> String {
    let output = command(arguments).output().await.expect("kubectl is on the PATH");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {}: {text}{error}", arguments.join(" "));
    text
}

/// What kubectl prints, whether it succeeds or not.
pub async fn tried(arguments: &[&str]) -> String {
    match command(arguments).output().await {
        Ok(output) => {
            let [out, error] =
                [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
            out + &error
        }
        Err(error) => error.to_string(),
    }
}

/// Requests from a client in the cluster, at a steady rate.
pub struct Load {
    case: Case,
    pod: String,
    child: Child,
}

impl Load {
    /// Makes a client pod `name` and starts 50 requests a second to `url`, for two minutes at most.
    pub async fn start(case: &Case, name: &str, url: &str) -> Self {
        let pods = case.core("Pod");
        let mut client = objects::pod(name, "client");
        client["spec"]["containers"][0]["command"] =
            serde_json::json!(["/bin/actor", "as", "client"]);
        case.create(&pods, client).await;
        case.until("the client", &pods, name, |pod| objects::is_true(pod, "Ready")).await;
        // Not before the way is there: what is measured is an update.
        let ask = format!("until wget -qO- {url}; do :; done");
        case.sh(name, "app", &ask).await;
        let load = ["exec", "-n", &case.space.name, name, "--", "/bin/actor", "load"];
        let flags = ["-rate", "50", "-seconds", "120", url];
        let child = command(&[&load[..], &flags].concat()).stdout(Stdio::piped()).spawn().unwrap();
        Self { case: case.clone(), pod: name.to_owned(), child }
    }

    /// Stops it and returns `sent`, `lost` and `why`.
    pub async fn stop(self) -> Value {
        self.case.sh(&self.pod, "app", "touch /tmp/stop").await;
        let output = self.child.wait_with_output().await.unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The plug of real nodes: `KRUISE_E2E_POWER` is a command that takes a node and `off`, `on` or `reset`.
pub struct Power(String);

impl Power {
    /// Nothing, and says so, if there is no such command.
    pub fn found() -> Option<Self> {
        let found = std::env::var("KRUISE_E2E_POWER").ok().map(Self);
        if found.is_none() {
            println!("left out: KRUISE_E2E_POWER does not say how to switch a node off");
        }
        found
    }

    /// Switches.
    pub async fn switch(&self, node: &str, to: &str) {
        let line = format!("{} {node} {to}", self.0);
        let status = Command::new("sh").args(["-c", &line]).status().await.unwrap();
        assert!(status.success(), "{line}: {status}");
    }

    /// Waits until a node says that it is ready, or does not any more.
    pub async fn waited(&self, case: &Case, node: &str, ready: bool) {
        let nodes = case.space.cluster("", "v1", "Node");
        wait(&format!("{node} ready: {ready}"), || async {
            let node = serde_json::to_value(nodes.get_opt(node).await.ok()??).unwrap();
            (objects::is_true(&node, "Ready") == ready).then_some(())
        })
        .await;
    }
}
