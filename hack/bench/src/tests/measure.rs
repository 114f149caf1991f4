use crate::measure::{cpu_seconds, parse_cpu, parse_peak, peak_rss_mib};

#[test]
fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
    let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 4 0 99 1 2";
    assert_eq!(parse_cpu(stat), Some(2.0));
}

#[test]
fn the_peak_is_read_in_mebibytes() {
    assert_eq!(parse_peak("Name:\tx\nVmHWM:\t   40960 kB\nVmRSS:\t 1 kB\n"), Some(40.0));
    assert_eq!(parse_peak("Name:\tx\n"), None);
}

#[test]
fn this_very_process_can_be_measured() {
    let pid = std::process::id();
    assert!(cpu_seconds(pid).unwrap() >= 0.0);
    assert!(peak_rss_mib(pid).unwrap() > 0.5);
}
