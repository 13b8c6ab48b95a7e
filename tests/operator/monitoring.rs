//! What Prometheus and Grafana are given to look at is what the balancer tells: no alert and no panel names a metric that
//! it does not have, or one of another kind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use super::common::promtool;
use crate::support::{FakeLauncher, TestServer};
use serde_json::{Value, json};

/// Metrics by name, with what kind each is.
type Metrics = BTreeMap<String, String>;

/// What the `TYPE` lines say.
fn metrics(exposition: &str) -> Metrics {
    let of_line = |line: &str| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some((name.to_owned(), kind.trim().to_owned()))
    };
    exposition.lines().filter_map(of_line).collect()
}

/// The names of series that a metric has.
fn series(metrics: &Metrics) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, kind) in metrics {
        match kind.as_str() {
            "histogram" => names.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}"))),
            _ => _ = names.insert(name.clone()),
        }
    }
    names
}

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Every name of ours in a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("ringmaster_"));
    words.map(str::to_owned).collect()
}

/// The values of all fields of this name, however deep.
fn fields<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| fields(item, name, found)),
        Value::Object(items) => {
            for (key, item) in items {
                match item.as_str() {
                    Some(text) if key == name => found.push(text),
                    _ => fields(item, name, found),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn every_metric_of_the_alerts_and_the_dashboard_is_one_that_the_balancer_tells() {
    let server = TestServer::start("", FakeLauncher::new());
    let told = server.get("/_ringmaster/metrics");
    assert_eq!(told.status, 200, "{}", told.text());
    let metrics = metrics(&told.text());
    let series = series(&metrics);
    for path in
        ["monitoring/alerts.yml", "monitoring/grafana-dashboard.json", "tests/promtool/alerts_test.yml"]
    {
        let named = named(&file(path));
        assert!(named.len() >= 5, "{path}: only {named:?}");
        let unknown: Vec<_> = named.difference(&series).collect();
        assert!(unknown.is_empty(), "{path} names what the balancer does not tell: {unknown:?}");
        // What only grows says nothing by itself, and what goes up and down has no rate.
        for name in named.iter().filter(|name| metrics.contains_key(*name)) {
            let is_counter = metrics[name] == "counter";
            let has_rate =
                ["rate(", "increase("].iter().any(|call| file(path).contains(&format!("{call}{name}")));
            let is_given = path.starts_with("tests/");
            assert!(is_given || is_counter == has_rate, "{path}: {name} is a {}", metrics[name]);
        }
    }
}

/// The values that a text gives to a label: of `name="a"`, `name!="a"` and `name=~"a|b"`, with quotes escaped or not.
fn values(text: &str, name: &str) -> BTreeSet<String> {
    let text = text.replace("\\\"", "\"");
    let mut found = BTreeSet::new();
    for operator in ["=", "!=", "=~", "!~"] {
        for part in text.split(&format!("{name}{operator}\"")).skip(1) {
            found.extend(part.split('"').next().unwrap().split('|').map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_state_kind_reason_and_result_that_is_asked_for_is_one_that_there_is() {
    let server = TestServer::start("", FakeLauncher::new());
    let told = server.get("/_ringmaster/metrics").text();
    for path in
        ["monitoring/alerts.yml", "monitoring/grafana-dashboard.json", "tests/promtool/alerts_test.yml"]
    {
        for label in ["state", "kind", "reason", "result"] {
            // What the alerts are tested with names states of alerts, too.
            let text = file(path).replace("alertstate=\"", "");
            let (asked, known) = (values(&text, label), values(&told, label));
            let unknown: Vec<_> =
                asked.iter().filter(|it| !known.contains(*it) && !it.contains(['.', '$', '{'])).collect();
            assert!(unknown.is_empty(), "{path}: {label} is never {unknown:?}, but {known:?}");
        }
    }
    assert!(values(&file("monitoring/alerts.yml"), "state").contains("crash_loop"));
}

#[test]
fn every_panel_says_what_it_shows_where_its_numbers_come_from_and_has_a_place_of_its_own() {
    let dashboard: Value = serde_json::from_str(&file("monitoring/grafana-dashboard.json")).unwrap();
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 39));
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
    let mut sources = Vec::new();
    fields(&dashboard["panels"], "uid", &mut sources);
    assert!(sources.len() > 20 && sources.iter().all(|uid| *uid == "${datasource}"), "{sources:?}");
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's");
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title}: too far to the right");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{title}: lies over another");
            }
        }
        if panel["type"] != "row" {
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{title}");
            let mut queries = Vec::new();
            fields(&panel["targets"], "expr", &mut queries);
            assert!(
                !queries.is_empty() && queries.iter().all(|query| query.contains("$instance")),
                "{title}"
            );
        }
    }
}

/// A name without dots may be answered by anybody, so nobody but who runs the balancer should say that it is ours.
#[test]
fn nothing_vouches_for_a_name_and_prometheus_asks_by_the_address() {
    let compose = file("docker-compose.yml");
    let hosts = compose.lines().find_map(|line| line.trim().strip_prefix("RINGMASTER_ADMIN_HOSTS:"));
    assert_eq!(hosts, Some(""), "passed on where it is set, and else the balancer's own default");
    let config = file("monitoring/prometheus.yml");
    let config = config.lines().filter(|line| !line.trim().starts_with('#')).collect::<Vec<_>>().join("\n");
    assert!(config.contains("dns_sd_configs:\n      - names: [balancer]\n        type: A\n"), "{config}");
    assert!(!config.contains("static_configs"), "{config}");
    // What it then asks, and what it would ask by the name.
    let server = TestServer::start("", FakeLauncher::new());
    for (host, status) in [("172.18.0.2:5000", 200), ("balancer:5000", 403)] {
        let ask = format!("GET /_ringmaster/metrics HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(server.connect().send(ask.as_bytes()).answer(false).status, status, "{host}");
    }
}

/// Prometheus's own checker reads rules, so each query becomes one.
#[test]
fn every_query_of_the_dashboard_is_one_that_prometheus_understands() {
    let Some(promtool) = promtool("the queries of the dashboard were") else {
        return;
    };
    let dashboard: Value = serde_json::from_str(&file("monitoring/grafana-dashboard.json")).unwrap();
    let mut queries = Vec::new();
    fields(&dashboard, "expr", &mut queries);
    // What Grafana puts in.
    let put_in = |query: &str| {
        let with_times = query.replace("$__rate_interval", "1m");
        with_times.replace("$instance", ".*").replace("$replica", ".*")
    };
    let rule = |(n, query): (usize, &&str)| json!({"record": format!("q{n}"), "expr": put_in(query)});
    let rules: Vec<Value> = queries.iter().enumerate().map(rule).collect();
    // JSON is YAML.
    let text = json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string();
    let path = std::env::temp_dir().join(format!("ringmaster-queries-{}.yml", std::process::id()));
    fs::write(&path, text).unwrap();
    let output = Command::new(&promtool).args(["check", "rules"]).arg(&path).output().unwrap();
    fs::remove_file(&path).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(&format!("{} rules found", queries.len())), "{said}");
}

#[test]
fn names_are_read_whole_and_histograms_have_three_series() {
    let text = "# HELP a_total x\n# TYPE a_total counter\na_total 1\n# TYPE h_seconds histogram\n";
    let expected = ["a_total", "h_seconds_bucket", "h_seconds_count", "h_seconds_sum"];
    assert_eq!(series(&metrics(text)).into_iter().collect::<Vec<_>>(), expected);
    let found = named("rate(ringmaster_a_total{x=\"ringmaster\"}[5m]) / ringmaster_b");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["ringmaster_a_total", "ringmaster_b"]);
}
