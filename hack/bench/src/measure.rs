//! CPU time and memory of a process, as the kernel counts them.

use anyhow::Context;

/// Clock ticks per second in /proc; fixed at 100 on Linux.
const TICKS: f64 = 100.0;

/// CPU seconds (user and system) so far.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} has ended"))?;
    parse_cpu(&stat).context("/proc/PID/stat has another form")
}

/// Fields 14 and 15; the name before them is in parentheses and may hold anything.
pub fn parse_cpu(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// The most memory that was resident so far, in MiB.
pub fn peak_rss_mib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} has ended"))?;
    parse_peak(&status).context("/proc/PID/status has no VmHWM")
}

/// The VmHWM line, in kB that are KiB.
pub fn parse_peak(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}
