//! Flags.

use std::time::Duration;

use clap::Parser;

use crate::options::Options;

#[test]
fn nodes_are_numbered_from_zero() {
    let options = Options::parse_from(["simnode", "--nodes", "3", "--prefix", "edge"]);
    assert_eq!(options.names(), ["edge-0", "edge-1", "edge-2"]);
}

#[test]
fn delays_are_milliseconds() {
    let options = Options::parse_from(["simnode", "--start-delay-ms=1500", "--stop-delay-ms=0"]);
    assert_eq!(options.start_delay(), Duration::from_millis(1500));
    assert_eq!(options.stop_delay(), Duration::ZERO);
}
