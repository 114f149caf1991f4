//! The flags that all controllers share.

use clap::Parser;

use super::support::{ms, s};
use crate::runtime::args::{LogFormat, RuntimeArgs, parse_duration};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: RuntimeArgs,
}

fn parse(flags: &[&str]) -> Result<RuntimeArgs, String> {
    let line = std::iter::once(&"controller").chain(flags);
    Cli::try_parse_from(line).map(|cli| cli.args).map_err(|error| error.to_string())
}

#[test]
fn durations_have_one_unit() {
    for (text, wanted) in
        [("500ms", ms(500)), ("15s", s(15)), ("2m", s(120)), ("1h", s(3600)), ("0s", s(0))]
    {
        assert_eq!(parse_duration(text), Ok(wanted), "{text}");
    }
    for text in ["", "15", "s", "-1s", "1.5s", "1h30m", "1 s", "99999999999999999999s", "1d", "١s"]
    {
        let error = parse_duration(text).unwrap_err();
        assert!(error.starts_with(&format!("{text:?} is not a duration")), "{error}");
    }
    assert!(parse_duration("18446744073709551615h").is_ok(), "too long, but no overflow");
}

#[test]
fn the_defaults_are_those_of_the_handbook() {
    let args = parse(&[]).unwrap();
    let election = (
        args.leader_election_lease_duration,
        args.leader_election_renew_deadline,
        args.leader_election_retry_period,
    );
    assert_eq!(election, (s(15), s(10), s(2)));
    assert_eq!(args.metrics_addr, "0.0.0.0:8080".parse().unwrap());
    assert_eq!((args.workers, args.max_writes_in_flight), (16, 64));
    assert_eq!((args.rate_limiter_base_delay, args.rate_limiter_max_delay), (ms(5), s(30)));
    assert_eq!(args.request_timeout, s(30));
    assert_eq!(args.openkruise_lease, "kruise-system/kruise-manager");
    assert!(args.enable_leader_election && !args.allow_coexistence);
    assert_eq!((args.namespace.as_str(), args.logging_format), ("", LogFormat::Text));
}

#[test]
fn an_address_may_lack_the_host() {
    let address =
        |text: &str| parse(&["--metrics-addr", text]).map(|args| args.metrics_addr.to_string());
    assert_eq!(address(":9090").as_deref(), Ok("0.0.0.0:9090"));
    assert_eq!(address("127.0.0.1:0").as_deref(), Ok("127.0.0.1:0"));
    assert_eq!(address("[::]:80").as_deref(), Ok("[::]:80"));
    for nonsense in ["", "8080", ":", "localhost:80", ":99999", "[::]"] {
        assert!(address(nonsense).unwrap_err().contains("is not an address"), "{nonsense:?}");
    }
}

#[test]
fn flags_are_read() {
    let args = parse(&[
        "--enable-leader-election=false",
        "--allow-coexistence",
        "--feature-gates=StatefulSetStartOrdinal=true",
        "--logging-format=json",
        "--leader-election-lease-duration=1m",
    ])
    .unwrap();
    assert!(!args.enable_leader_election && args.allow_coexistence);
    assert!(args.feature_gates.start_ordinal);
    assert_eq!(
        (args.logging_format, args.leader_election_lease_duration),
        (LogFormat::Json, s(60))
    );
    for wrong in
        ["--feature-gates=Nobody=true", "--request-timeout=30", "--workers=many", "--unknown"]
    {
        assert!(parse(&[wrong]).is_err(), "{wrong}");
    }
}

/// docs/configuration.md lists them, with their defaults, in this order.
#[cfg(feature = "testing")]
#[test]
fn the_page_about_flags_is_true() {
    crate::testing::pages::lists_shared_flags();
}
