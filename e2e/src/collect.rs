//! What tells of a failure, for whoever reads it later.

use std::path::PathBuf;

use tokio::fs;

use crate::shell;

const OBJECTS: &str = "pods,services,persistentvolumeclaims,resourcequotas,\
    statefulsets.apps.kruise.io,broadcastjobs.apps.kruise.io,controllerrevisions";

/// Objects, events, logs of the pods, and what the controllers said of the namespace, in `target/e2e/NAME`.
pub async fn everything(name: &str, namespace: &str) {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "../target".into());
    let dir = PathBuf::from(target).join("e2e").join(name);
    let _ = fs::remove_dir_all(&dir).await;
    fs::create_dir_all(&dir).await.unwrap();
    let within = ["-n", namespace];
    for (file, command) in [
        ("pods.txt", vec!["get", "pods", "-o", "wide"]),
        ("objects.yaml", vec!["get", OBJECTS, "-o", "yaml"]),
        ("events.txt", vec!["get", "events", "--sort-by", ".lastTimestamp"]),
        ("nodes.yaml", vec!["get", "nodes", "-o", "yaml"]),
        ("sidecarsets.yaml", vec!["get", "sidecarsets.apps.kruise.io", "-o", "yaml"]),
    ] {
        let text = shell::tried(&[&within[..], &command].concat()).await;
        fs::write(dir.join(file), text).await.unwrap();
    }
    let pods = shell::tried(&[&within[..], &["get", "pods", "-o", "name"]].concat()).await;
    for pod in pods.lines().filter(|line| line.starts_with("pod/")) {
        let logs = ["logs", pod, "--all-containers", "--prefix", "--tail", "200"];
        let text = shell::tried(&[&within[..], &logs].concat()).await;
        fs::write(dir.join(format!("{}.log", pod.replace('/', "-"))), text).await.unwrap();
    }
    controllers(&dir, namespace).await;
    println!("{name} failed: see {}", dir.display());
}

/// Lines about the namespace from the logs in KRUISE_E2E_LOGS, else from the pods of `kruise-system`.
async fn controllers(dir: &std::path::Path, namespace: &str) {
    let mut text = String::new();
    if let Some(logs) = std::env::var_os("KRUISE_E2E_LOGS") {
        let mut files = fs::read_dir(logs).await.unwrap();
        while let Ok(Some(file)) = files.next_entry().await {
            text.push_str(&fs::read_to_string(file.path()).await.unwrap_or_default());
        }
    } else {
        let system = ["-n", "kruise-system"];
        let pods = shell::tried(&[&system[..], &["get", "pods", "-o", "name"]].concat()).await;
        for pod in pods.lines() {
            text.push_str(&shell::tried(&[&system[..], &["logs", pod]].concat()).await);
        }
    }
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(namespace)).collect();
    fs::write(dir.join("controllers.log"), lines.join("\n")).await.unwrap();
}
