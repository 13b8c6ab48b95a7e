//! A4: A1 and A2 under every scheme, side by side, and why they come out as they do.

mod rings;
mod words;

use anyhow::Result;
use ringmaster::ring::{Probing, Scheme};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::experiment::{Experiment, Findings, Lab};
use crate::load::Wrong;
use crate::measure::{Measured, measure};
use crate::options::Options;
use crate::results::About;
use rings::Rings;

/// A1's number of replicas.
const REPLICAS: usize = 3;

/// A2's.
const SIZES: std::ops::RangeInclusive<usize> = 2..=6;

/// Settings of the ring, which are chosen here.
const OURS: [&str; 4] = ["--scheme", "--probing", "--slots", "--virtual-servers"];

/// See the [module](self).
pub struct A4;

#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    schemes: Vec<Of>,
    rings: Rings,
    wrong: Wrong,
}

/// What was measured under one scheme.
#[derive(Debug, Serialize, Deserialize)]
struct Of {
    scheme: String,
    /// As A1 does it: with a balancer that has just started.
    first: Measured,
    /// As A2 does it: the same balancer, with two to six replicas.
    sizes: Vec<Measured>,
}

impl Experiment for A4 {
    fn name(&self) -> &'static str {
        "a4"
    }

    fn summary(&self) -> &'static str {
        "a1 and a2 under every scheme, side by side, with the rings drawn"
    }

    fn refusal(&self, options: &Options) -> Option<&'static str> {
        let is_ours = |word: &String| OURS.iter().any(|name| word.starts_with(name));
        if options.url.is_some() {
            Some("it starts a balancer for each scheme, so it cannot use the one at --url")
        } else if options.balancer_settings().iter().any(is_ours) {
            Some("it goes through all schemes with their usual rings, so none can be chosen")
        } else {
            None
        }
    }

    fn about(&self, options: &Options) -> About {
        let about = About::now(options);
        About { balancer: format!("{}, one for each scheme", about.balancer), ..about }
    }

    fn run(&self, lab: &Lab) -> Result<Findings> {
        let mut outcome = Outcome { schemes: Vec::new(), rings: Rings::new()?, wrong: Wrong::default() };
        for scheme in Scheme::ALL {
            let mut options = lab.options.clone();
            options.settings.extend(settings(scheme).iter().map(|word| (*word).to_owned()));
            let (found, wrong) = run_under(scheme, &lab.with(options)?)?;
            outcome.schemes.push(found);
            outcome.wrong.merge(wrong);
        }
        let mut findings = Findings::new(&outcome, &outcome.wrong)?;
        for (file, svg) in words::charts(&outcome) {
            findings = findings.file(file, svg);
        }
        for (file, svg) in Rings::draw()? {
            findings = findings.file(&file, svg);
        }
        Ok(findings)
    }

    fn section(&self, result: Value) -> Result<String> {
        Ok(words::section(&serde_json::from_value(result)?))
    }
}

fn settings(scheme: Scheme) -> &'static [&'static str] {
    match scheme {
        Scheme::Even => &["--scheme", "even"],
        Scheme::Statement(Probing::Linear) => &["--scheme", "statement", "--probing", "linear"],
        Scheme::Statement(Probing::Quadratic) => &["--scheme", "statement", "--probing", "quadratic"],
        Scheme::Ketama => &["--scheme", "ketama"],
        Scheme::Maglev => &["--scheme", "maglev"],
        Scheme::Rendezvous => &["--scheme", "rendezvous"],
    }
}

fn run_under(scheme: Scheme, lab: &Lab) -> Result<(Of, Wrong)> {
    let balancer = lab.balancer(&[])?;
    let label = |n: usize| format!("a4, {scheme}, N = {n}");
    let (first, mut wrong) = measure(lab, &balancer, REPLICAS, &label(REPLICAS))?;
    let mut sizes = Vec::new();
    for n in SIZES {
        let (measured, more) = measure(lab, &balancer, n, &label(n))?;
        sizes.push(measured);
        wrong.merge(more);
    }
    Ok((Of { scheme: scheme.to_string(), first, sizes }, wrong))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{self, Job};
    use ringmaster::config::{Invocation, invocation};

    #[test]
    fn settings_are_those_of_their_scheme() {
        for scheme in Scheme::ALL {
            let words = ["ring"].iter().chain(settings(scheme)).map(Into::into);
            let Ok(Invocation::Ring { shape, .. }) = invocation(words, |_| None) else { panic!("{scheme}") };
            assert_eq!(shape.scheme(), scheme);
        }
    }

    #[test]
    fn what_it_cannot_do_is_refused_by_name_and_left_out_of_all() {
        for more in ["--url http://127.0.0.1:1", "--scheme maglev", "-- --slots 1024"] {
            let read = |name: &str| options::read(format!("{name} {more}").split(' ').map(Into::into));
            let Err(error) = read("a4") else { panic!("{more} was taken") };
            assert!(error.to_string().starts_with("a4: it "), "{error}");
            let Ok(Job::Run(_, options)) = read("all") else { panic!("{more}: all was refused") };
            assert!(A4.refusal(&options).is_some());
        }
    }
}
