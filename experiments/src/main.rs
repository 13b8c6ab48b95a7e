//! Drives a Ringmaster balancer and shows what it does: who gets how much, how it grows, what it answers, how it heals.

mod a1;
mod a2;
mod a3;
mod a4;
mod admin;
mod balance;
mod balancer;
mod charts;
mod experiment;
mod failure;
mod http;
mod interrupt;
mod load;
mod measure;
mod movement;
mod options;
mod predict;
mod process;
mod progress;
mod report;
mod results;
mod stats;
mod target;

use std::process::ExitCode;

use anyhow::{Context, Result};

use experiment::{Experiment, Lab};
use failure::Failure;
use load::Wrong;
use options::{Job, Options};
use results::Record;

fn main() -> ExitCode {
    let outcome = match options::read(std::env::args_os().skip(1)) {
        Ok(Job::Help) => {
            print!("{}", options::help());
            Ok(true)
        }
        Ok(Job::Run(experiments, options)) => run(&experiments, *options),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("experiments: {error:#}");
            match load::wrong_so_far() {
                0 => ExitCode::from(Failure::status_of(&error)),
                wrong => {
                    eprintln!("experiments: before that there were wrong answers: {wrong}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}

/// Whether all answers were right.
fn run(experiments: &[&dyn Experiment], options: Options) -> Result<bool> {
    interrupt::listen()?;
    process::raise_descriptor_limit()?;
    let lab = Lab::new(options);
    let mut all_right = true;
    for experiment in experiments {
        if let Some(why) = experiment.refusal(&lab.options) {
            println!("{}: left out: {why}\n", experiment.name());
            continue;
        }
        let wrong = one(*experiment, &lab)?;
        tell(experiment.name(), &wrong);
        all_right &= wrong.count == 0;
    }
    println!("see {}", lab.options.out.join(report::FILE).display());
    Ok(all_right)
}

fn one(experiment: &dyn Experiment, lab: &Lab) -> Result<Wrong> {
    let name = experiment.name();
    let findings = experiment.run(lab)?;
    let out = &lab.options.out;
    for (file, text) in &findings.files {
        results::write(out, file, text)?;
    }
    let section = experiment.section(findings.result.clone())?;
    let about = experiment.about(&lab.options);
    let record = Record { experiment: name.to_owned(), about, result: findings.result };
    results::write(out, &format!("{name}.json"), &serde_json::to_string_pretty(&record)?)?;
    report::write(out).context("write the report")?;
    println!("{name}: {}\n\n{}\n", experiment.summary(), section.trim_end());
    Ok(findings.wrong)
}

fn tell(name: &str, wrong: &Wrong) {
    if wrong.count > 0 {
        eprintln!("experiments: {name}: wrong answers: {}, the first of them:", wrong.count);
        wrong.first.iter().for_each(|why| eprintln!("  {why}"));
    }
}
