//! `REPORT.md`: all results that lie in the folder, in one text.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::experiment::ALL;
use crate::results::{self, About};

/// The name of the report's file.
pub const FILE: &str = "REPORT.md";

const HEAD: &str = "# What Ringmaster does, measured\n\nWritten by `cargo run --release -p experiments`; the numbers are \
                    those of the runs named under each heading. Made anew after every run from the JSON files \
                    beside it, so changes by hand are lost.\n";

/// Writes the report of what there is.
///
/// # Errors
/// A result cannot be read, or the report not be written.
pub fn write(folder: &Path) -> Result<()> {
    let mut text = HEAD.to_owned();
    for experiment in ALL {
        let name = experiment.name();
        if let Some(record) = results::read(folder, name)? {
            let section =
                experiment.section(record.result).with_context(|| format!("read the result of {name}"))?;
            let _ = write!(
                text,
                "\n## {}: {}\n\n{}\n{section}",
                name.to_uppercase(),
                experiment.summary(),
                about(&record.about)
            );
        }
    }
    results::write(folder, FILE, &text)
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
