//! CPU seconds and memory of a process from the kernel's files; parsing only, and the reset of the peak.

use std::path::PathBuf;

/// The kernel reports CPU time in hundredths of a second to programs, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process used up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
    /// Most resident memory since the last reset, in MiB.
    pub peak_rss_mib: f64,
}

/// CPU seconds from the text of `/proc/PID/stat`.
pub fn cpu_seconds(stat: &str) -> Option<f64> {
    // The command name may contain anything, also blanks and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// Peak of the resident memory in MiB from the text of `/proc/PID/status`.
pub fn peak_rss_mib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Reads both for a running process.
pub fn read(pid: u32) -> anyhow::Result<Usage> {
    let text = |file: &str| std::fs::read_to_string(proc_file(pid, file));
    let stat = text("stat")?;
    let status = text("status")?;
    let unreadable = || anyhow::anyhow!("/proc/{pid} is not as expected");
    Ok(Usage {
        cpu_seconds: cpu_seconds(&stat).ok_or_else(unreadable)?,
        peak_rss_mib: peak_rss_mib(&status).ok_or_else(unreadable)?,
    })
}

/// Lets the peak of the resident memory start anew at what is resident now.
pub fn reset_peak(pid: u32) -> std::io::Result<()> {
    std::fs::write(proc_file(pid, "clear_refs"), "5")
}

fn proc_file(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}
