//! Whether the machine is ours alone: figures taken beside a compiler say nothing.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::interrupt;
use crate::vitals;

/// Share of the processors that others may use without being in the way.
pub const TOLERATED: f64 = 0.08;

/// How long the machine is looked at before a measurement.
const LOOK: Duration = Duration::from_millis(400);

/// Processor time of the whole machine since it started, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ticks {
    /// Of processes, and what the machine below a virtual one kept to itself.
    used: u64,
    /// With idle time.
    all: u64,
}

impl Ticks {
    fn now() -> Ticks {
        Ticks::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// Reads `/proc/stat`. Interrupts are left out of what is used: they are the network's, thus mostly ours.
    fn parse(stat: &str) -> Ticks {
        let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is contained in the first two.
        let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|word| word.parse().ok()).collect();
        let of = |columns: &[usize]| columns.iter().filter_map(|&column| ticks.get(column)).sum();
        Ticks { used: of(&[0, 1, 2, 7]), all: ticks.iter().sum() }
    }
}

/// Watches what others use of the machine, from when it is made.
pub struct Watch {
    machine: Ticks,
    ours: u64,
}

impl Watch {
    /// Begins.
    pub fn begin() -> Watch {
        Watch { machine: Ticks::now(), ours: vitals::ticks(std::process::id()) }
    }

    /// The share of all processors, from 0 to 1, that was used since, and neither by us nor by what we started.
    pub fn others(&self) -> f64 {
        let (machine, ours) = (Ticks::now(), vitals::ticks(std::process::id()));
        share(self.machine, machine, ours.saturating_sub(self.ours))
    }
}

fn share(before: Ticks, after: Ticks, ours: u64) -> f64 {
    let used = after.used.saturating_sub(before.used).saturating_sub(ours);
    let all = after.all.saturating_sub(before.all);
    if all == 0 { 0.0 } else { used as f64 / all as f64 }
}

/// How much time may yet be spent on waiting for others, and on measuring again what they disturbed.
pub struct Patience {
    left: Cell<Duration>,
}

impl Patience {
    /// So much for everything.
    pub fn new(time: Duration) -> Patience {
        Patience { left: Cell::new(time) }
    }

    /// Whether there is none left.
    pub fn is_gone(&self) -> bool {
        self.left.get().is_zero()
    }

    /// Does something that costs patience.
    pub fn spend<T>(&self, on: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = on();
        self.left.set(self.left.get().saturating_sub(begin.elapsed()));
        result
    }

    /// Waits until others leave the machine to us, but no longer than there is patience.
    ///
    /// # Errors
    /// We are interrupted.
    pub fn wait_for_quiet(&self) -> Result<()> {
        if is_quiet()? {
            return Ok(());
        }
        self.spend(|| {
            let begin = Instant::now();
            while begin.elapsed() < self.left.get() && !is_quiet()? {}
            Ok(())
        })
    }
}

/// Looks for a moment, which is also the pause in which connections of the last measurement end.
fn is_quiet() -> Result<bool> {
    let watch = Watch::begin();
    interrupt::pause(LOOK)?;
    Ok(watch.others() <= TOLERATED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends() {
        let patience = Patience::new(Duration::from_secs(5));
        assert_eq!(patience.spend(|| 7), 7);
        assert!(!patience.is_gone());
        assert!(Patience::new(Duration::ZERO).is_gone());
    }

    #[test]
    fn what_others_use() {
        let stat = |user| Ticks::parse(&format!("cpu  {user} 1 10 800 5 7 7 20 3 0\ncpu0 1 2 3\n"));
        assert_eq!(stat(100), Ticks { used: 131, all: 950 });
        assert_eq!(share(stat(100), stat(200), 50), 0.5);
        assert_eq!(share(stat(100), stat(200), 120), 0.0);
        assert_eq!(Ticks::parse(""), Ticks::default());
    }
}
