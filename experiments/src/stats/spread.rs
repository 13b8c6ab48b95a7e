//! How far loads lie apart.

use serde::{Deserialize, Serialize};

/// What a list of loads comes to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation; they are all that there are, not a sample.
    pub deviation: f64,
    /// The least of them over the mean.
    pub min_over_mean: f64,
    /// The greatest of them over the mean.
    pub max_over_mean: f64,
}

impl Spread {
    /// Of these loads; all zero when there is none.
    pub fn of(loads: &[u64]) -> Spread {
        let count = loads.len().max(1) as f64;
        let mean = loads.iter().sum::<u64>() as f64 / count;
        let variance = loads.iter().map(|&load| (load as f64 - mean).powi(2)).sum::<f64>() / count;
        let over_mean =
            |load: Option<&u64>| if mean > 0.0 { load.map_or(0.0, |&load| load as f64 / mean) } else { 0.0 };
        Spread {
            mean,
            deviation: variance.sqrt(),
            min_over_mean: over_mean(loads.iter().min()),
            max_over_mean: over_mean(loads.iter().max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let spread = Spread::of(&[2, 4, 4, 4, 5, 5, 7, 9]);
        assert_eq!(spread, Spread { mean: 5.0, deviation: 2.0, min_over_mean: 0.4, max_over_mean: 1.8 });
        assert_eq!(Spread::of(&[]).max_over_mean, 0.0);
        assert_eq!(Spread::of(&[0, 0]).min_over_mean, 0.0);
    }
}
