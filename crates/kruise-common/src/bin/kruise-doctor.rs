#![expect(clippy::disallowed_methods, reason = "a process of its own: it looks at the clock once")]
//! Looks at an installation and says what is wrong with it, and what to do.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use jiff::Timestamp;
use kruise_common::doctor::read::{self, Place};
use kruise_common::doctor::{Finding, Level, SUBJECTS, Subject};
use kruise_common::runtime::process::{self, ProcessError};
use kruise_common::runtime::requests;
use kube::Client;
use serde_json::json;

/// How long the API server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How often to look while something is wrong.
const AGAIN: Duration = Duration::from_secs(2);

/// Looks at an installation and says what is wrong with it, and what to do. Only reads.
#[derive(Parser)]
#[command(name = "kruise-doctor", version)]
struct Args {
    /// Kubeconfig file; without it the KUBECONFIG variable, then ~/.kube/config, then the Pod's ServiceAccount.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Controllers to look at; without it all three.
    #[arg(long, value_delimiter = ',', value_parser = subject)]
    controller: Vec<&'static Subject>,
    /// Namespace in which they are installed.
    #[arg(long, env = "POD_NAMESPACE", default_value = "kruise-system")]
    namespace: String,
    /// Lease of an OpenKruise manager (namespace/name).
    #[arg(long, default_value_t = read::openkruise_lease())]
    openkruise_lease: String,
    /// Form of the answer.
    #[arg(long, value_enum, default_value = "text")]
    output: Form,
    /// Fail on warnings too.
    #[arg(long)]
    strict: bool,
    /// Look again for so many seconds while something is wrong: an installation takes a moment.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    patience: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
}

fn subject(text: &str) -> Result<&'static Subject, String> {
    SUBJECTS.iter().find(|subject| subject.binary == text).ok_or_else(|| {
        let known = SUBJECTS.map(|subject| subject.binary).join(", ");
        format!("no controller is called {text:?}; there are {known}")
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    // Somebody else may have installed one in this process; either is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = match connect(args.kubeconfig.as_deref()).await {
        Ok(client) => client,
        Err(error) => {
            let finding = Finding::wrong("cluster", error.to_string(), "set KUBECONFIG");
            // There is no better way to tell that this cannot be told.
            let _ = say(&format!("{finding}\n"));
            return ExitCode::from(2);
        }
    };
    let subjects = match args.controller {
        none if none.is_empty() => SUBJECTS.iter().collect(),
        some => some,
    };
    let place = Place { namespace: args.namespace, openkruise_lease: args.openkruise_lease };
    let bad = if args.strict { Level::Odd } else { Level::Wrong };
    let patience = Instant::now() + Duration::from_secs(args.patience.into());
    let (findings, wrong) = loop {
        let findings = read::examine(&client, &place, &subjects, Timestamp::now()).await;
        let wrong = findings.iter().any(|finding| finding.level >= bad);
        if !wrong || Instant::now() >= patience {
            break (findings, wrong);
        }
        tokio::time::sleep(AGAIN).await;
    };
    if say(&text(&findings, args.output)).is_err() {
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(wrong))
}

async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ProcessError> {
    process::client(kubeconfig, "kruise-doctor", TIMEOUT, requests::family()?).await
}

/// Prints. Who reads no further, as `head` when it has enough, is no error.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn text(findings: &[Finding], form: Form) -> String {
    match form {
        Form::Text => {
            let mut text = String::new();
            for finding in findings {
                let _ = writeln!(text, "{finding}");
            }
            let count = |level| findings.iter().filter(|finding| finding.level == level).count();
            let (wrong, odd) = (count(Level::Wrong), count(Level::Odd));
            let _ = writeln!(text, "{} checks, {wrong} problems, {odd} warnings", findings.len());
            text
        }
        Form::Json => {
            let findings = findings.iter().map(|finding| {
                json!({
                    "about": finding.about, "level": finding.level.as_str(),
                    "what": finding.what, "advice": finding.advice,
                })
            });
            format!("{}\n", json!(findings.collect::<Vec<_>>()))
        }
    }
}
