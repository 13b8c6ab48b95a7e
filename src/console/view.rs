//! A status as lines of text. Decides nothing, asks nobody, and reads no clock: rates come from two statuses and the
//! balancer's own count of the time between them.

use std::net::SocketAddr;

use super::answer::{Answers, Heartbeat, Latency, Replica, Status, Totals};
use super::table::{Column, Table};
use super::text::{self, or_dash};

/// How much of an error is repeated.
const SHOWN: usize = 300;

/// Columns that go where there is no room for all, the first of them first. A heartbeat that is missed is told below the
/// table as well.
const SPARED: [&str; 11] = [
    "SHARE",
    "SINCE",
    "REQUESTS",
    "BEGIN-P50",
    "HEARTBEAT",
    "RELAUNCHES",
    "ERRORS",
    "5XX",
    "IN-FLIGHT",
    "REQ/S",
    "BEGIN-P99",
];

/// Whether a table has rates.
#[derive(Clone, Copy)]
pub(super) enum Rates<'a> {
    /// There is one status only, and no column.
    Never,
    /// Since an earlier status, once there is one.
    Since(Option<&'a Status>),
}

/// Who was asked, and the balancer as a whole.
pub(super) fn header(address: SocketAddr, status: &Status, before: Option<&Status>) -> Vec<String> {
    let word = |text: &Option<String>| text::word(text.as_deref());
    let n = status.n.or(status.replicas.as_ref().map(|replicas| replicas.len() as u64));
    let mut lines = vec![
        format!(
            "ringmaster {} at {address}, up {}",
            word(&status.version),
            or_dash(status.uptime_ms.map(text::span))
        ),
        format!(
            "{} of {} serving, policy {}, scheme {}",
            or_dash(status.serving),
            or_dash(n),
            word(&status.policy),
            word(&status.scheme)
        ),
        traffic(status, before),
    ];
    if status.panic == Some(true) {
        lines.push(
            "PANIC: most replicas have failed together; some of them are in the ring all the same".to_owned(),
        );
    }
    lines
}

/// `1234 requests (12/s), 4 answered 5xx (0/s), 2 retries, 1 in flight, 0 queued, 5 connections`.
fn traffic(status: &Status, before: Option<&Status>) -> String {
    let per_second = |count: fn(&Totals) -> Option<u64>| {
        let total = |status: &Status| status.totals.as_ref().and_then(count);
        let rate = before.and_then(|before| rate(before, status, total(before), total(status)));
        rate.map(|rate| format!(" ({}/s)", text::rate(rate))).unwrap_or_default()
    };
    let none = Totals::default();
    let totals = status.totals.as_ref().unwrap_or(&none);
    let failed = |totals: &Totals| server_errors(totals.answers.as_ref());
    format!(
        "{} requests{}, {} answered 5xx{}, {} retries, {} in flight, {} queued, {} connections",
        or_dash(totals.requests),
        per_second(|totals| totals.requests),
        or_dash(failed(totals)),
        per_second(|totals| server_errors(totals.answers.as_ref())),
        or_dash(totals.retries),
        or_dash(totals.in_flight),
        or_dash(totals.queued),
        or_dash(totals.connections)
    )
}

/// The table of replicas, and below it what is wrong with those that are not well, in lines that are no wider than `width`.
pub(super) fn replicas(status: &Status, rates: Rates<'_>, width: Option<usize>) -> Vec<String> {
    let mut lines = table(status, rates, width);
    let notes: Vec<String> = status.replicas.iter().flatten().filter_map(note).collect();
    if !notes.is_empty() {
        lines.push(String::new());
        lines.extend(text::broken(notes, width));
    }
    lines
}

/// Where the table is too wide it goes without the columns that can be spared best, and says so.
fn table(status: &Status, rates: Rates<'_>, width: Option<usize>) -> Vec<String> {
    let mut columns = vec![
        Column::Left("NAME"),
        Column::Left("STATE"),
        Column::Right("SINCE"),
        Column::Right("SHARE"),
        Column::Right("IN-FLIGHT"),
    ];
    if matches!(rates, Rates::Since(_)) {
        columns.push(Column::Right("REQ/S"));
    }
    columns.extend(["REQUESTS", "5XX", "ERRORS", "BEGIN-P50", "BEGIN-P99"].map(Column::Right));
    columns.extend([Column::Left("HEARTBEAT"), Column::Right("RELAUNCHES")]);
    let mut table = Table::new(columns);
    for replica in status.replicas.iter().flatten() {
        table.push(row(replica, status, rates));
    }
    let Some(width) = width else {
        return table.lines();
    };
    let gone = table.narrow(width, &SPARED);
    let mut lines = table.lines();
    if !gone.is_empty() {
        lines.extend(text::wrap(&format!("left out at {width} columns: {}", gone.join(", ")), width));
    }
    lines
}

fn row(replica: &Replica, status: &Status, rates: Rates<'_>) -> Vec<String> {
    let latency = |part: fn(&Latency) -> Option<f64>| {
        or_dash(replica.latency.as_ref().and_then(part).map(text::latency))
    };
    let mut cells = vec![
        text::word(replica.name.as_deref()),
        text::word(replica.state.as_deref()),
        or_dash(replica.since_ms.map(text::span)),
        or_dash(replica.share.map(text::percent)),
        or_dash(replica.in_flight),
    ];
    if let Rates::Since(before) = rates {
        let rate = before.and_then(|before| {
            let earlier = before.replicas.iter().flatten().find(|earlier| earlier.name == replica.name)?;
            rate(before, status, earlier.requests, replica.requests)
        });
        cells.push(or_dash(rate.map(text::rate)));
    }
    cells.extend([
        or_dash(replica.requests),
        or_dash(server_errors(replica.answers.as_ref())),
        or_dash(replica.errors),
        latency(|latency| latency.p50_ms),
        latency(|latency| latency.p99_ms),
        or_dash(replica.heartbeat.as_ref().and_then(heartbeat)),
        or_dash(replica.relaunches.as_ref().and_then(|relaunches| relaunches.count)),
    ]);
    cells
}

/// `good 0.8ms` or `missed 3x`.
fn heartbeat(heartbeat: &Heartbeat) -> Option<String> {
    let result = heartbeat.result.as_deref()?;
    let detail = match result {
        "good" => heartbeat.latency_ms.map(text::latency),
        _ => heartbeat.streak.map(|streak| format!("{streak}x")),
    };
    let result = text::word(Some(result));
    Some(detail.map_or_else(|| result.clone(), |detail| format!("{result} {detail}")))
}

/// What is wrong with a replica, if something is.
fn note(replica: &Replica) -> Option<String> {
    let is_down = matches!(replica.state.as_deref(), Some("failed" | "crash loop"));
    let missed = replica.heartbeat.as_ref().filter(|heartbeat| heartbeat.result.as_deref() == Some("missed"));
    let error = replica.last_error.as_deref().filter(|_| is_down);
    let why = error.or(missed.and_then(|heartbeat| heartbeat.why.as_deref()))?;
    let mut note =
        format!("{}: {}", text::word(replica.name.as_deref()), text::cut(&text::plain(why), SHOWN));
    if is_down && let Some(failures) = replica.failures.filter(|failures| *failures > 1) {
        note.push_str(&format!("; {failures} failures in a row"));
    }
    if is_down && let Some(ms) = replica.next_try_ms {
        note.push_str(&format!("; next try in {}", text::span(ms)));
    }
    Some(note)
}

fn server_errors(answers: Option<&Answers>) -> Option<u64> {
    answers.and_then(|answers| answers.server_errors)
}

/// How fast a count grows, if both statuses have it and are of one run of the balancer.
fn rate(before: &Status, after: &Status, earlier: Option<u64>, later: Option<u64>) -> Option<f64> {
    let ms = after.uptime_ms? - before.uptime_ms?;
    // Who left and joined again under the same name counts from 0.
    let grown = later?.checked_sub(earlier?)?;
    (before.started == after.started && ms > 0.0).then_some(grown as f64 * 1000.0 / ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status(json: Value) -> Status {
        serde_json::from_value(json).unwrap()
    }

    fn address() -> SocketAddr {
        ([127, 0, 0, 1], 5000).into()
    }

    /// Three replicas of which one is well; more of what a balancer says than is shown.
    fn example() -> Status {
        status(json!({
        "version": "0.1.0", "started": "2026-11-21T15:19:03.123Z", "now": "2026-11-21T15:20:03.456Z",
        "uptime_ms": 60333, "token_wanted": false, "may_change": true, "N": 3, "serving": 1, "panic": true,
        "policy": "hash", "scheme": "even", "slots": 512, "settings": {"listen": "127.0.0.1:5000"},
        "totals": {"requests": 1234, "answers": {"2xx": 1200, "5xx": 4}, "retries": 2, "in_flight": 1,
                   "queued": 0, "connections": null, "refused": {"queue full": 0}},
        "replicas": [
            {"name": "server_1", "ring_id": 1, "state": "serving", "since_ms": 59000, "share": 0.33333,
             "in_flight": 1, "requests": 411, "answers": {"5xx": 1}, "errors": 3, "retries": 1,
             "latency": {"window_s": 60, "count": 311, "p50_ms": 0.61, "p99_ms": 4.2},
             "heartbeat": {"result": "good", "ago_ms": 300, "latency_ms": 0.8, "streak": 120, "why": null},
             "relaunches": {"count": 1, "recent": []}, "slots": [26, 29], "failures": 0,
             "next_try_ms": null, "last_error": "of old, and not shown"},
            {"name": "a-name-of-some-length", "state": "crash loop", "since_ms": 192_500, "share": 0,
             "in_flight": 0, "requests": 12_000, "answers": {"5xx": 0}, "errors": 44,
             "latency": {"window_s": 60, "count": 0, "p50_ms": null, "p99_ms": null},
             "heartbeat": {"result": "missed", "latency_ms": null, "streak": 3, "why": "refused"},
             "relaunches": {"count": 17}, "failures": 5, "next_try_ms": 8000.5,
             "last_error": "it ended:\n\u{1b}[31mno memory"},
            {"name": "server_3", "state": "starting", "heartbeat": {"result": null}},
        ]}))
    }

    #[test]
    fn a_status_is_a_header_and_a_table() {
        let mut lines = header(address(), &example(), None);
        lines.extend(replicas(&example(), Rates::Never, None));
        assert_eq!(
            lines.join("\n"),
            r"ringmaster 0.1.0 at 127.0.0.1:5000, up 1m0s
1 of 3 serving, policy hash, scheme even
1234 requests, 4 answered 5xx, 2 retries, 1 in flight, 0 queued, - connections
PANIC: most replicas have failed together; some of them are in the ring all the same
NAME                   STATE       SINCE  SHARE  IN-FLIGHT  REQUESTS  5XX  ERRORS  BEGIN-P50  BEGIN-P99  HEARTBEAT   RELAUNCHES
server_1               serving       59s  33.3%          1       411    1       3      0.6ms      4.2ms  good 0.8ms           1
a-name-of-some-length  crash loop  3m12s   0.0%          0     12000    0      44          -          -  missed 3x           17
server_3               starting        -      -          -         -    -       -          -          -  -                    -

a-name-of-some-length: it ended:\n\u{1b}[31mno memory; 5 failures in a row; next try in 8s"
        );
    }

    #[test]
    fn rates_are_differences_over_the_balancers_own_time() {
        let before = example();
        let mut after = example();
        after.uptime_ms = Some(62_333.0);
        let totals = after.totals.as_mut().unwrap();
        totals.requests = Some(1434);
        totals.answers = Some(Answers { server_errors: Some(5) });
        after.replicas.as_mut().unwrap()[0].requests = Some(431);
        // It counts from 0 again.
        after.replicas.as_mut().unwrap()[1].requests = Some(7);
        let line = &header(address(), &after, Some(&before))[2];
        assert!(line.starts_with("1434 requests (100/s), 5 answered 5xx (0.5/s), 2 retries"), "{line}");
        assert_eq!(requests_per_second(&after, Some(&before)), ["REQ/S", "10", "-", "-"]);
        assert_eq!(requests_per_second(&after, None), ["REQ/S", "-", "-", "-"]);
        // A status that was given twice.
        assert_eq!(requests_per_second(&after, Some(&after)), ["REQ/S", "-", "-", "-"]);
        after.started = Some("2026-11-21T15:20:04.000Z".to_owned());
        assert_eq!(requests_per_second(&after, Some(&before)), ["REQ/S", "-", "-", "-"]);
        assert!(header(address(), &after, Some(&before))[2].starts_with("1434 requests, 5 answered"));
    }

    /// The column of rates; the only two words in a cell before it are those of the second state.
    fn requests_per_second(after: &Status, before: Option<&Status>) -> Vec<String> {
        let lines = replicas(after, Rates::Since(before), None);
        let cell =
            |line: &String| line.replace("crash loop", "crash").split_whitespace().nth(5).unwrap().to_owned();
        lines[..4].iter().map(cell).collect()
    }

    #[test]
    fn what_is_shown_on_80_columns_is_whole() {
        let lines = replicas(&example(), Rates::Since(None), Some(80));
        assert_eq!(
            lines.join("\n"),
            r"NAME                   STATE       IN-FLIGHT  REQ/S  5XX  ERRORS  BEGIN-P99
server_1               serving             1      -    1       3      4.2ms
a-name-of-some-length  crash loop          0      -    0      44          -
server_3               starting            -      -    -       -          -
left out at 80 columns: SHARE, SINCE, REQUESTS, BEGIN-P50, HEARTBEAT, RELAUNCHES

a-name-of-some-length: it ended:\n\u{1b}[31mno memory; 5 failures in a row; next
  try in 8s"
        );
        let wide = replicas(&example(), Rates::Since(None), Some(200)).join("\n");
        assert!(wide.contains("SHARE") && !wide.contains("left out"), "{wide}");
        // With the longest legal name, who it is and how it is are left.
        let long = json!({"replicas": [{"name": "x".repeat(63), "state": "crash loop", "errors": 1}]});
        let lines = replicas(&status(long), Rates::Since(None), Some(80));
        assert!(lines[1].ends_with("x  crash loop"), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
    }

    #[test]
    fn what_a_balancer_does_not_say_is_a_dash() {
        let said = status(json!({"replicas": [{}], "totals": null, "future": {"of": "fields"}}));
        assert_eq!(
            header(address(), &said, None),
            [
                "ringmaster - at 127.0.0.1:5000, up -",
                "- of 1 serving, policy -, scheme -",
                "- requests, - answered 5xx, - retries, - in flight, - queued, - connections",
            ]
        );
        let lines = replicas(&said, Rates::Since(None), None);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["-"; 13]);
    }

    #[test]
    fn names_of_the_longest_kind_and_hostile_ones_keep_the_columns() {
        let names = ["x".repeat(63), "y".repeat(100_000), "\u{1b}[2J\u{9b}H\n".to_owned()];
        let entries: Vec<Value> =
            names.iter().map(|name| json!({"name": name, "state": "serving"})).collect();
        let lines = replicas(&status(json!({ "replicas": entries })), Rates::Never, None);
        let column = |line: &str| line.chars().position(|c| c == ' ').unwrap();
        assert_eq!(lines[1..3].iter().map(|line| column(line)).collect::<Vec<_>>(), [63, 63]);
        assert!(lines[3].starts_with(r"\u{1b}[2J\u{9b}H\n "), "{}", lines[3]);
        assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:?}");
    }

    #[test]
    fn a_heartbeat_that_is_missed_is_explained_while_the_replica_still_serves() {
        let said = status(json!({"replicas": [{"name": "a", "state": "serving",
            "heartbeat": {"result": "missed", "streak": 1, "why": "timeout"}, "last_error": "old"}]}));
        assert_eq!(replicas(&said, Rates::Never, None).last().unwrap(), "a: timeout");
    }
}
