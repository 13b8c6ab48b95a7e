//! What a comparison found: medians, ratios, targets, and how they are shown.

use serde::Serialize;

use crate::measurement::{Measurement, Results, median, optional, warnings};
use crate::peers::Peer;
use crate::table::Table;
use crate::target::{self, Target};

/// One subject's results in one scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Who.
    pub peer: Peer,
    /// What it did.
    #[serde(flatten)]
    pub results: Results,
}

/// One kind of load, and how everyone did.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// Whether what counts is bytes and not requests.
    pub counts_bytes: bool,
    /// In the order of the table.
    pub rows: Vec<Row>,
}

impl Scenario {
    fn of(&self, peer: Peer) -> Option<&Measurement> {
        self.rows.iter().find(|row| row.peer == peer).map(|row| &row.results.median)
    }

    fn throughput(&self, measurement: &Measurement) -> f64 {
        if self.counts_bytes { measurement.mib_per_second } else { measurement.requests_per_second }
    }

    /// How often the throughput of `of` is that of `to`.
    fn ratio(&self, of: Peer, to: Peer) -> Option<f64> {
        let (of, to) = (self.throughput(self.of(of)?), self.throughput(self.of(to)?));
        (to > 0.0).then(|| of / to)
    }

    fn table(&self) -> Table {
        let unit = if self.counts_bytes { "MiB/s" } else { "requests/s" };
        let cpu = "CPU ms/1000 req";
        let head = ["", unit, "/ HAProxy", "/ Caddy", "p50 ms", "p99 ms", cpu, "errors"];
        let mut table = Table::new(&self.name, &head);
        for Row { peer, results } in &self.rows {
            let median = &results.median;
            let ratio = |to| optional(self.ratio(*peer, to), 2);
            table.push(vec![
                peer.name().to_owned(),
                format!("{:.0}", self.throughput(median)),
                ratio(Peer::Haproxy),
                ratio(Peer::Caddy),
                format!("{:.2}", median.p50_ms),
                format!("{:.2}", median.p99_ms),
                optional(median.cpu_ms_per_1000_requests, 1),
                median.errors.to_string(),
            ]);
        }
        table
    }
}

/// What idle connections cost the balancer.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    /// How many were held.
    pub connections: usize,
    /// Each round.
    pub rounds: Vec<IdleRound>,
}

/// One round with a fresh balancer.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct IdleRound {
    /// Throughput before there were idle connections.
    pub requests_per_second_before: f64,
    /// Throughput after they had ended.
    pub requests_per_second_after: f64,
    /// Throughput beside them.
    pub requests_per_second_with: f64,
    /// How much more memory was resident once each had made its request.
    pub kib_per_connection: f64,
    /// Connections that did not answer any more in the end.
    pub lost: usize,
    /// Other requests that went wrong.
    pub errors: u64,
    /// Share of the machine that others used in the worst of the three runs, from 0 to 1.
    pub others: f64,
}

impl IdleRound {
    /// Throughput without idle connections.
    fn without(&self) -> f64 {
        f64::midpoint(self.requests_per_second_before, self.requests_per_second_after)
    }
}

impl Idle {
    fn loss_percent(&self) -> f64 {
        let loss = |round: &IdleRound| 100.0 * (1.0 - round.requests_per_second_with / round.without());
        median(self.rounds.iter().map(loss).collect())
    }

    fn kib_per_connection(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.kib_per_connection).collect())
    }

    fn table(&self) -> Table {
        let of = |figure: fn(&IdleRound) -> f64| median(self.rounds.iter().map(figure).collect());
        let head = ["", "requests/s without", "with", "loss %", "KiB each", "lost", "errors"];
        let mut table = Table::new(&format!("{} idle connections", self.connections), &head);
        table.push(vec![
            Peer::Ringmaster.name().to_owned(),
            format!("{:.0}", of(IdleRound::without)),
            format!("{:.0}", of(|round| round.requests_per_second_with)),
            format!("{:.1}", self.loss_percent()),
            format!("{:.1}", self.kib_per_connection()),
            self.rounds.iter().map(|round| round.lost).sum::<usize>().to_string(),
            self.rounds.iter().map(|round| round.errors).sum::<u64>().to_string(),
        ]);
        table
    }

    fn errors(&self) -> u64 {
        self.rounds.iter().map(|round| round.errors + round.lost as u64).sum()
    }
}

/// Everything a comparison found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Processor and kernel.
    pub machine: String,
    /// How it was measured, in words.
    pub method: String,
    /// What was compared, by its own words.
    pub versions: Vec<String>,
    /// What is not installed here.
    pub left_out: Vec<&'static str>,
    /// By kind of load.
    pub scenarios: Vec<Scenario>,
    /// Idle connections, if they were measured.
    pub idle: Option<Idle>,
    /// What was to be reached.
    pub targets: Vec<Target>,
}

/// Names of the scenarios that targets are about.
pub const SMALL_64: &str = "small answers, 64 connections";
/// See [`SMALL_64`].
pub const LARGE_64: &str = "1 MiB answers, 64 connections";

impl Report {
    /// Holds the results against what is to be reached.
    pub fn judge(&mut self) {
        let scenario = |name| self.scenarios.iter().find(|scenario| scenario.name == name);
        let ratio = |name, to| scenario(name).and_then(|it| it.ratio(Peer::Ringmaster, to));
        let p99 = |peer| scenario(SMALL_64).and_then(|it| it.of(peer)).map(|median| median.p99_ms);
        let p99_ratio = p99(Peer::Ringmaster).zip(p99(Peer::Haproxy)).map(|(ours, its)| ours / its);
        let idle = self.idle.as_ref();
        self.targets = vec![
            Target::at_least("throughput at 64 connections / HAProxy", 0.60, ratio(SMALL_64, Peer::Haproxy)),
            Target::at_least("throughput at 64 connections / Caddy", 1.8, ratio(SMALL_64, Peer::Caddy)),
            Target::at_most("p99 at 64 connections / HAProxy", 2.0, p99_ratio),
            Target::at_least("bytes/s of 1 MiB answers / HAProxy", 0.5, ratio(LARGE_64, Peer::Haproxy)),
            Target::at_most("loss with idle connections, %", 15.0, idle.map(Idle::loss_percent)),
            Target::at_most("memory of an idle connection, KiB", 40.0, idle.map(Idle::kib_per_connection)),
        ];
    }

    /// All that went wrong, of any subject.
    pub fn errors(&self) -> u64 {
        let rows = self.scenarios.iter().flat_map(|scenario| &scenario.rows);
        rows.map(|row| row.results.median.errors).sum::<u64>() + self.idle.as_ref().map_or(0, Idle::errors)
    }

    /// For each measurement the share of the machine that others used.
    fn others(&self) -> Vec<f64> {
        let rows = self.scenarios.iter().flat_map(|scenario| &scenario.rows);
        let rounds = rows.flat_map(|row| &row.results.rounds).map(|round| round.others);
        rounds.chain(self.idle.iter().flat_map(|idle| &idle.rounds).map(|round| round.others)).collect()
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables: Vec<Table> = self.scenarios.iter().map(Scenario::table).collect();
        tables.extend(self.idle.as_ref().map(Idle::table));
        tables.push(target::table(&self.targets, 2));
        tables
    }

    fn notes(&self) -> Vec<String> {
        let mut notes =
            vec![format!("{}.", self.machine), self.method.clone(), self.versions.join("; ") + "."];
        if !self.left_out.is_empty() {
            notes.push(format!("Not installed and left out: {}.", self.left_out.join(", ")));
        }
        notes.extend(warnings(self.errors(), &self.others()));
        notes
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let tables: Vec<String> = self.tables().iter().map(Table::to_text).collect();
        format!("{}\n{}\n", tables.join("\n"), self.notes().join("\n"))
    }

    /// As Markdown.
    pub fn to_markdown(&self) -> String {
        let tables: Vec<String> = self.tables().iter().map(Table::to_markdown).collect();
        format!("{}\n\n{}", self.notes().join("\n\n"), tables.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::tests::measurement;

    fn report() -> Report {
        let row = |peer, speed| Row { peer, results: Results::new(vec![measurement(speed, 1.0); 3]) };
        let rows = vec![row(Peer::Ringmaster, 40.0), row(Peer::Haproxy, 50.0), row(Peer::Caddy, 25.0)];
        let mut report = Report {
            machine: "2 cores".into(),
            method: "Medians.".into(),
            versions: vec!["x 1".into()],
            left_out: vec!["nginx"],
            scenarios: vec![Scenario { name: SMALL_64.into(), counts_bytes: false, rows }],
            idle: None,
            targets: Vec::new(),
        };
        report.judge();
        report
    }

    #[test]
    fn targets_are_held_against_what_was_measured() {
        let report = report();
        let found: Vec<_> = report.targets.iter().map(|target| (target.found, target.is_met)).collect();
        assert_eq!(found[..3], [(Some(0.8), Some(true)), (Some(1.6), Some(false)), (Some(1.0), Some(true))]);
        assert_eq!(found[3..], [(None, None); 3]);
    }

    #[test]
    fn what_is_shown() {
        let report = report();
        let text = report.to_text();
        for words in
            ["ringmaster          40       0.80     1.60", "nginx", "WARNING: 9 errors", "not measured"]
        {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        assert!(
            report.to_markdown().contains("| ringmaster | 40 | 0.80 | 1.60 |"),
            "{}",
            report.to_markdown()
        );
    }
}
