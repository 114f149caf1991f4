//! What the user sees while it works: on a terminal one line that is rewritten, otherwise a line now and then.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Shows progress on standard error.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    prefix: String,
    shown: Instant,
}

impl Progress {
    /// For standard error as it is.
    pub fn new() -> Self {
        Self { terminal: stderr().is_terminal(), prefix: String::new(), shown: Instant::now() }
    }

    /// Names the step that is under way.
    pub fn begin(&mut self, prefix: String) {
        self.prefix = prefix;
        self.update("starting", true);
    }

    /// How the step goes on; shown at most a few times a second, or every ten seconds without a terminal.
    pub fn step(&mut self, text: &str) {
        let pause = if self.terminal { 200 } else { 10_000 };
        if self.shown.elapsed() >= Duration::from_millis(pause) {
            self.update(text, false);
        }
    }

    /// The step has ended like this.
    pub fn end(&mut self, text: &str) {
        self.update(text, false);
        self.write("\n", !self.terminal);
    }

    /// A line of its own.
    pub fn say(&mut self, text: &str) {
        self.write(&format!("{text}\n"), false);
    }

    fn update(&mut self, text: &str, only_terminal: bool) {
        self.shown = Instant::now();
        let line = format!("{}  {text}", self.prefix);
        if self.terminal {
            self.write(&format!("\r\u{1b}[K{line}"), false);
        } else {
            self.write(&format!("{line}\n"), only_terminal);
        }
    }

    fn write(&self, text: &str, only_terminal: bool) {
        if only_terminal && !self.terminal {
            return;
        }
        // Nobody reads: nothing to be done about it.
        let _ = stderr().write_all(text.as_bytes());
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
