//! What a chaos run comes to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::invariants::Finding;
use super::plan::Kind;
use super::watch::Healing;
use crate::paced::Counts;

/// Everything that decides, and what else there is to say.
pub struct Verdict {
    /// What made the plan.
    pub seed: u64,
    /// How often each kind of fault came about.
    pub faults: BTreeMap<Kind, u64>,
    /// Changes that failed because the engine did.
    pub excused: u64,
    /// What the clients saw.
    pub load: Counts,
    /// How long replicas took to serve again.
    pub healings: Vec<Healing>,
    /// What should hold.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Whether everything holds.
    pub fn is_good(&self) -> bool {
        !self.findings.is_empty() && self.findings.iter().all(|finding| finding.holds)
    }
}

/// Times of one kind of fault, shortest first.
fn times(healings: &[Healing]) -> BTreeMap<Kind, Vec<Duration>> {
    let mut times: BTreeMap<Kind, Vec<Duration>> = BTreeMap::new();
    for (kind, time) in healings {
        times.entry(*kind).or_default().push(*time);
    }
    times.values_mut().for_each(|times| times.sort_unstable());
    times
}

/// The lower of the two in the middle, if there are two.
fn median(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        writeln!(f, "seed {}; faults: {}", self.seed, faults.join(", "))?;
        if self.excused > 0 {
            writeln!(f, "{} changes failed while the engine did", self.excused)?;
        }
        for (kind, times) in times(&self.healings) {
            let worst = times.last().copied().unwrap_or_default();
            let (median, worst) = (median(&times).as_secs_f64(), worst.as_secs_f64());
            let number = times.len();
            writeln!(f, "serves again after {kind}: median {median:.2} s, worst {worst:.2} s, of {number}")?;
        }
        let Counts { answers, wrong, slowest, sent_again, .. } = &self.load;
        let slowest = slowest.as_secs_f64();
        writeln!(
            f,
            "{answers} answers, {wrong} lost, the slowest {slowest:.2} s, {sent_again} sent again on a new connection"
        )?;
        writeln!(f, "{}", if self.is_good() { "Passed." } else { "FAILED." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(holds: &[bool]) -> Verdict {
        let finding = |&holds: &bool| Finding::new("it", holds, String::new());
        let seconds = |kind, seconds| (kind, Duration::from_secs(seconds));
        Verdict {
            seed: 7,
            faults: [(Kind::Kill, 3), (Kind::Add, 1)].into(),
            excused: 0,
            load: Counts::default(),
            healings: vec![seconds(Kind::Kill, 5), seconds(Kind::Kill, 1), seconds(Kind::Kill, 2)],
            findings: holds.iter().map(finding).collect(),
        }
    }

    #[test]
    fn everything_must_hold_and_something_must_have_been_looked_at() {
        assert!(verdict(&[true, true]).is_good());
        assert!(!verdict(&[true, false]).is_good());
        assert!(!verdict(&[]).is_good());
    }

    #[test]
    fn in_words() {
        let text = verdict(&[true, false]).to_string();
        assert!(text.starts_with("ok      it\nFAILED  it\nseed 7; faults: kill 3, add 1\n"), "{text}");
        assert!(text.contains("after kill: median 2.00 s, worst 5.00 s, of 3\n"), "{text}");
        assert!(text.ends_with("FAILED.\n"), "{text}");
    }
}
