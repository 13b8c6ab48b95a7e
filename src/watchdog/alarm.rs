//! Panic: when most replicas miss their heartbeats together, it is more likely that the machine, the network or the
//! balancer is at fault than that all of them are, and an empty ring would serve nobody.
//!
//! Envoy does the same below half of its hosts healthy (`healthy_panic_threshold`, 50 %). Here those that are known to be
//! dead count neither way: they are away for reasons of their own, and being replaced.

/// What share of the replicas may miss heartbeats at the same time before that is no longer believed of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PanicThreshold {
    /// In percent; 100 believes everything.
    pub percent: u32,
}

impl PanicThreshold {
    /// Whether `sick` of `all` replicas are too many. One alone never is: nothing happens to it together with others.
    pub fn is_exceeded(self, sick: usize, all: usize) -> bool {
        sick > 1 && sick as u64 * 100 > all as u64 * u64::from(self.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_share_and_more_than_one() {
        for (percent, sick, all, panics) in [
            (50, 1, 1, false),
            (50, 1, 2, false),
            (50, 2, 2, true),
            (50, 2, 3, true),
            (50, 1, 3, false),
            (50, 2, 4, false),
            (50, 3, 4, true),
            (0, 1, 9, false),
            (0, 2, 9, true),
            (99, 2, 2, true),
            (100, 9, 9, false),
            (50, 0, 0, false),
        ] {
            assert_eq!(
                PanicThreshold { percent }.is_exceeded(sick, all),
                panics,
                "{sick} of {all}, {percent} %"
            );
        }
    }
}
