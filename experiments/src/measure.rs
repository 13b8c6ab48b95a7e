//! So many replicas under load: who answered, beside what the ring says.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::balancer::Balancer;
use crate::experiment::Lab;
use crate::load::{self, Latency, Wrong};
use crate::stats::{ChiSquared, Spread, chi_squared};

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// The replicas' names.
    pub replicas: Vec<String>,
    /// How many requests each answered.
    pub requests: Vec<u64>,
    /// The part that its part of the ring lets one expect of each.
    pub predicted: Option<Vec<f64>>,
    /// Whether the two differ by more than chance.
    pub chi_squared: Option<ChiSquared>,
    /// Of the requests.
    pub spread: Spread,
    /// Answers per second.
    pub throughput: f64,
    /// How long answers took.
    pub latency: Latency,
}

impl Measured {
    /// What the ring lets one expect of `spread.max_over_mean`.
    pub fn predicted_max_over_mean(&self) -> Option<f64> {
        let shares = self.predicted.as_ref()?;
        Some(shares.iter().copied().fold(0.0, f64::max) * shares.len() as f64)
    }

    /// What each answered, in percent.
    pub fn percent(&self) -> Vec<f64> {
        let total = self.requests.iter().sum::<u64>().max(1) as f64;
        self.requests.iter().map(|&count| count as f64 / total * 100.0).collect()
    }
}

/// Has `n` replicas serve and sends them what the options say.
///
/// # Errors
/// There are not so many, or nobody to send to, or we are interrupted.
pub fn measure(lab: &Lab, balancer: &Balancer, n: usize, label: &str) -> Result<(Measured, Wrong)> {
    let names = balancer.admin.bring_to(n)?;
    let predicted = lab.predict(balancer, &[], &names).ok().map(|prediction| prediction.shares);
    let run = load::run(&lab.plan(&balancer.target, label))?;
    let requests = run.counts(&names);
    let measured = Measured {
        chi_squared: predicted.as_ref().and_then(|shares| chi_squared(&requests, shares)),
        predicted,
        spread: Spread::of(&requests),
        throughput: run.throughput(),
        latency: run.latency(),
        requests,
        replicas: names.clone(),
    };
    Ok((measured, run.wrong(&names)))
}
