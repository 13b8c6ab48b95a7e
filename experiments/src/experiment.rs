//! What an experiment is, and the list of all of them.
//!
//! A new one is a module with a type that implements [`Experiment`], and a line in [`ALL`]: the command line, `all`,
//! the results and the report know it from there.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use crate::a1::A1;
use crate::a2::A2;
use crate::a3::A3;
use crate::a4::A4;
use crate::balance::Balance;
use crate::balancer::Balancer;
use crate::load::{Amount, Plan, Wrong};
use crate::movement::Movement;
use crate::options::Options;
use crate::predict::{Prediction, predict};
use crate::process;
use crate::results::About;
use crate::target::Target;

/// All experiments, in the order in which `all` runs them and the report shows them.
pub const ALL: &[&dyn Experiment] = &[&A1, &A2, &A3, &A4, &Movement, &Balance];

/// Time for opening one connection and starting its thread, before the first request is due.
const SET_UP: Duration = Duration::from_micros(500);

/// Something to find out about a balancer.
pub trait Experiment: Sync {
    /// Its name on the command line and in the names of its files.
    fn name(&self) -> &'static str;

    /// What it shows, in a line.
    fn summary(&self) -> &'static str;

    /// Why it cannot be done with these options, if so: `all` leaves it out then.
    fn refusal(&self, _options: &Options) -> Option<&'static str> {
        None
    }

    /// What one must know to judge a result of now.
    fn about(&self, options: &Options) -> About {
        About::now(options)
    }

    /// Does it. Wrong answers belong into the findings; an error is for what leaves nothing to find.
    ///
    /// # Errors
    /// There are no findings.
    fn run(&self, lab: &Lab) -> Result<Findings>;

    /// Its part of the report as Markdown, from the result of a run, today's or an older one's. Charts are beside
    /// the report.
    ///
    /// # Errors
    /// This is not such a result.
    fn section(&self, result: Value) -> Result<String>;
}

/// What came out.
#[derive(Debug)]
pub struct Findings {
    /// The numbers: what `section` gets.
    pub result: Value,
    /// More files by name, such as charts.
    pub files: Vec<(String, String)>,
    /// The answers that were not as the contract has them.
    pub wrong: Wrong,
}

impl Findings {
    /// Findings without files.
    ///
    /// # Errors
    /// The result has no form in JSON.
    pub fn new(result: &impl Serialize, wrong: &Wrong) -> Result<Findings> {
        Ok(Findings { result: serde_json::to_value(result)?, files: Vec::new(), wrong: wrong.clone() })
    }

    /// With one more file.
    pub fn file(mut self, name: &str, text: String) -> Findings {
        self.files.push((name.to_owned(), text));
        self
    }
}

/// What experiments work with.
pub struct Lab {
    /// What the user asked for.
    pub options: Options,
    program: OnceCell<PathBuf>,
}

impl Lab {
    /// For these options.
    pub fn new(options: Options) -> Lab {
        Lab { options, program: OnceCell::new() }
    }

    /// The same for other options.
    ///
    /// # Errors
    /// The balancer's program is needed for that, and there is none.
    pub fn with(&self, options: Options) -> Result<Lab> {
        let program = OnceCell::from(self.program()?.clone());
        Ok(Lab { options, program })
    }

    /// The balancer that runs at the URL, or a fresh one of our own, with these settings besides those of the command
    /// line. It ends when it is dropped.
    ///
    /// # Errors
    /// It does not answer, or does not start.
    pub fn balancer(&self, settings: &[&str]) -> Result<Balancer> {
        match &self.options.url {
            Some(url) => Balancer::join(url),
            None => Balancer::start(self.program()?, &self.settings(settings)),
        }
    }

    /// What the ring of that balancer gives each of these replicas as it is now.
    ///
    /// # Errors
    /// Why nothing can be said, in words.
    pub fn predict(
        &self,
        balancer: &Balancer,
        settings: &[&str],
        names: &[String],
    ) -> Result<Prediction, String> {
        let status = balancer.admin.status();
        let mut found = predict(&self.settings(settings), status.as_ref(), names)?;
        if self.options.url.is_some()
            && self.options.scheme.is_none()
            && status.is_none_or(|status| status.scheme.is_none())
        {
            found.basis += "; the scheme is assumed, as none was given with --scheme";
        }
        Ok(found)
    }

    /// The settings of the command line and these. Of a setting that is there twice the later one counts.
    fn settings(&self, more: &[&str]) -> Vec<String> {
        let more = more.iter().map(|word| (*word).to_owned());
        self.options.balancer_settings().into_iter().chain(more).collect()
    }

    /// The load that the user asked for.
    pub fn plan<'a>(&'a self, target: &'a Target, label: &'a str) -> Plan<'a> {
        let Options { requests, connections, pace, .. } = self.options;
        let start = Instant::now() + SET_UP * u32::try_from(connections).unwrap_or(u32::MAX);
        Plan { target, connections, pace, amount: Amount::Requests(requests), start, label }
    }

    /// Built when it is first needed, and only then: with `--url` it never is.
    fn program(&self) -> Result<&PathBuf> {
        if let Some(program) = self.program.get() {
            return Ok(program);
        }
        let found = process::program(self.options.ringmaster.as_deref())?;
        Ok(self.program.get_or_init(|| found))
    }
}
