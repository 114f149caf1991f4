//! `kruise-crds` without a cluster: what it does when nobody reads its output, and when the API server never answers.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kruise-crds"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn who_stops_reading_is_no_error() {
    for format in ["yaml", "json"] {
        let mut child = command(&["print", "--format", format]).spawn().unwrap();
        let mut first = String::new();
        // The reader goes with the first line, as head -1 does.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && problem.is_empty(), "{}: {problem}", output.status);
        assert!(["---\n", "{\n"].contains(&&*first), "{first}");
    }
}

#[test]
fn a_server_that_never_answers_ends_it_with_a_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It takes the connections, holds them, and says nothing.
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    for scheme in ["http", "https"] {
        let kubeconfig = std::env::temp_dir().join(format!("crds-{scheme}-{}", std::process::id()));
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
             users: [{{name: u, user: {{}}}}], clusters: [{{name: c, cluster: {{server: '{scheme}://{address}'}}}}]}}"
        );
        std::fs::File::create(&kubeconfig).unwrap().write_all(text.as_bytes()).unwrap();
        let output = command(&["apply", "--dry-run", "--request-timeout", "300ms"])
            .env("KUBECONFIG", &kubeconfig)
            .output()
            .unwrap();
        std::fs::remove_file(&kubeconfig).unwrap();
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        let why = "no answer from the API server within 300ms";
        assert!(
            problem.contains(why) && problem.contains("cannot read CRD"),
            "{scheme}: {problem}"
        );
    }
    let output = command(&["apply", "--request-timeout", "soon"]).output().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(problem.contains("\"soon\" is not a duration such as 500ms, 30s or 2m"), "{problem}");
}
