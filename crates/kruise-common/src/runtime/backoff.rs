//! The delay before an object that failed gets its next turn.

use std::time::Duration;

/// Grows from `base` by doubling up to `max`, with up to a tenth of jitter; never longer than `max` (L2).
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// First delay.
    pub base: Duration,
    /// Longest delay.
    pub max: Duration,
}

impl Backoff {
    /// The delay after `failures` failures in a row (1 for the first); `chance` in 0..1 spreads it.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        let factor = 2u32.saturating_pow(failures.saturating_sub(1).min(24));
        let delay = self.base.saturating_mul(factor).min(self.max);
        let jitter = delay.mul_f64(chance.clamp(0.0, 1.0) / 10.0);
        // The longest delay is spread too, but downwards.
        if delay == self.max {
            delay.saturating_sub(jitter)
        } else {
            (delay + jitter).min(self.max)
        }
    }
}
