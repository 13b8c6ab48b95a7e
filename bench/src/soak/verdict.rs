//! What a soak comes to.

use std::fmt;

use crate::paced::Counts;
use crate::vitals::Vitals;

/// Growth that means nothing beside the tenth that is allowed anyway: a few threads that have just been needed,
/// connections to replicas that are kept, memory that the allocator has not given back.
const THREADS: u64 = 4;
const DESCRIPTORS: u64 = 16;
const KIB: u64 = 2048;

/// Everything that decides.
pub struct Verdict {
    /// What the clients that behave saw.
    pub counts: Counts,
    /// Changes of the fleet that were not answered with 200, in words.
    pub changes_refused: Vec<String>,
    /// The balancer after a minute, if it is ours to look at.
    pub at_first: Option<Vitals>,
    /// The balancer in the end.
    pub in_the_end: Option<Vitals>,
}

impl Verdict {
    /// Whether nothing went wrong and nothing grew.
    pub fn is_good(&self) -> bool {
        let is_flat = self.at_first.zip(self.in_the_end).is_none_or(|(first, last)| is_flat(first, last));
        self.counts.answers > 0 && self.counts.wrong == 0 && self.changes_refused.is_empty() && is_flat
    }
}

fn is_flat(first: Vitals, last: Vitals) -> bool {
    let within = |first: u64, last: u64, constant| last <= first + first / 10 + constant;
    within(first.threads, last.threads, THREADS)
        && within(first.descriptors, last.descriptors, DESCRIPTORS)
        && within(first.resident, last.resident, KIB)
}

/// Threads, descriptors and memory.
pub fn in_words(vitals: Vitals) -> String {
    let Vitals { threads, descriptors, resident } = vitals;
    format!("{threads} threads, {descriptors} descriptors, {resident} KiB")
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { answers, wrong, failures, slowest, slow, .. } = &self.counts;
        let slowest = slowest.as_secs_f64();
        writeln!(
            f,
            "{answers} answers, {wrong} wrong; {slow} took more than 2 s, the slowest {slowest:.2} s"
        )?;
        for failure in failures.iter().chain(&self.changes_refused) {
            writeln!(f, "  {failure}")?;
        }
        if let Some((first, last)) = self.at_first.zip(self.in_the_end) {
            writeln!(f, "after a minute: {}", in_words(first))?;
            writeln!(f, "in the end:     {}", in_words(last))?;
            writeln!(f, "{}", if is_flat(first, last) { "Flat." } else { "It GREW." })?;
        }
        writeln!(f, "{}", if self.is_good() { "Passed." } else { "FAILED." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vitals(threads: u64, descriptors: u64, resident: u64) -> Vitals {
        Vitals { threads, descriptors, resident }
    }

    #[test]
    fn what_counts_as_flat() {
        let first = vitals(100, 300, 20_000);
        for last in [first, vitals(1, 1, 1), vitals(114, 346, 24_048)] {
            assert!(is_flat(first, last), "{last:?}");
        }
        for last in [vitals(115, 300, 20_000), vitals(100, 347, 20_000), vitals(100, 300, 24_049)] {
            assert!(!is_flat(first, last), "{last:?}");
        }
    }

    #[test]
    fn one_wrong_answer_is_too_many() {
        let mut verdict = Verdict {
            counts: Counts { answers: 5, ..Counts::default() },
            changes_refused: Vec::new(),
            at_first: None,
            in_the_end: None,
        };
        assert!(verdict.is_good());
        verdict.counts.wrong = 1;
        assert!(!verdict.is_good() && verdict.to_string().ends_with("FAILED.\n"));
    }
}
