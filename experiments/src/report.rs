//! `REPORT.md`: all results that lie in the folder, in one text.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use crate::experiment::{ALL, Experiment};
use crate::results::{self, About};

/// The name of the report's file.
pub const FILE: &str = "REPORT.md";

const HEAD: &str = "# What Ringmaster does, measured\n\nWritten by `cargo run --release -p experiments`; the numbers are \
                    those of the runs named under each heading. Made anew after every run from the JSON files \
                    beside it, so changes by hand are lost.\n";

/// Writes the report of what there is.
///
/// A result that another version has left and that this one cannot read is named, and its part left out.
///
/// # Errors
/// The report cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    let mut text = HEAD.to_owned();
    for experiment in ALL {
        match part(folder, *experiment) {
            Ok(part) => text += &part.unwrap_or_default(),
            Err(error) => {
                let name = experiment.name();
                let why = format!("{name}.json cannot be read ({error:#}): run {name} again");
                eprintln!("experiments: {why}");
                let _ = write!(text, "\n## {}\n\n{why}.\n", name.to_uppercase());
            }
        }
    }
    results::write(folder, FILE, &text)
}

/// What there is to say of one experiment, if it was run.
fn part(folder: &Path, experiment: &dyn Experiment) -> Result<Option<String>> {
    let name = experiment.name();
    let Some(record) = results::read(folder, name)? else {
        return Ok(None);
    };
    let section = experiment.section(record.result)?;
    let (head, summary) = (name.to_uppercase(), experiment.summary());
    Ok(Some(format!("\n## {head}: {summary}\n\n{}\n{section}", about(&record.about))))
}

fn about(about: &About) -> String {
    let About { date, command, balancer, requests, connections, pace, seed, cpus, cpu, kernel } = about;
    let head = format!("`{command}`, {date}, on {cpus} × {cpu}, {kernel}. Balancer: {balancer}");
    if *requests == 0 {
        return format!("{head}; seed {seed}.\n");
    }
    format!(
        "{head}. {requests} requests per measurement, {connections} connections, loop {pace}, seed {seed}.\n"
    )
}

/// A Markdown table. The first column is text, the others are numbers.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<String> = cells.map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(&mut head.iter().map(|cell| (*cell).to_owned()));
    text += &format!("|---|{}\n", "---:|".repeat(head.len().saturating_sub(1)));
    text.extend(rows.iter().map(|row| line(&mut row.iter().cloned())));
    text
}

/// A picture beside the report.
pub fn picture(file: &str, about: &str) -> String {
    format!("![{}]({file})\n", about.replace(['[', ']', '\n'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_pictures() {
        let rows = [vec!["a|b".to_owned(), "1".to_owned()]];
        assert_eq!(table(&["name", "n"], &rows), "| name | n |\n|---|---:|\n| a\\|b | 1 |\n");
        assert_eq!(picture("x.svg", "a [b]"), "![a  b ](x.svg)\n");
    }
}
