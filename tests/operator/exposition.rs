//! A strict reader of the Prometheus text format, version 0.0.4.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::TestServer;

type Labels = BTreeMap<String, String>;

/// One family with its samples in the order of the page.
#[derive(Debug)]
pub struct Family {
    pub kind: String,
    pub samples: Vec<(String, Labels, f64)>,
}

/// A page.
pub struct Page {
    pub families: BTreeMap<String, Family>,
}

/// What the server tells.
pub fn scrape(server: &TestServer) -> Page {
    let answer = server.get("/_ringmaster/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Page::read(&answer.text())
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// It is not one.
    pub fn read(text: &str) -> Page {
        assert!(text.ends_with('\n') && !text.contains('\r') && !text.contains("\n\n"), "line ends");
        let mut families = BTreeMap::new();
        let mut open: Option<(String, Family)> = None;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect("words");
                assert!(is_name(name) && !words.is_empty() && words.ends_with('.'), "{line}");
                let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")));
                let kind = kind.unwrap_or_else(|| panic!("no type after {line}")).to_owned();
                assert!(["counter", "gauge", "histogram"].contains(&kind.as_str()), "{kind}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                let last = open.replace((name.to_owned(), Family { kind, samples: Vec::new() }));
                if let Some((name, family)) = last {
                    assert!(families.insert(name.clone(), family).is_none(), "{name} is there twice");
                }
                continue;
            }
            let (name, family) = open.as_mut().expect("a family first");
            let (sample, labels, value) = read_sample(line);
            let suffix = sample.strip_prefix(name.as_str()).unwrap_or_else(|| panic!("{line} among {name}"));
            let allowed: &[&str] =
                if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(allowed.contains(&suffix), "{line}");
            assert!(family.kind != "counter" || (value >= 0.0 && value.fract() == 0.0), "{line}");
            family.samples.push((sample, labels, value));
        }
        families.extend(open);
        let page = Page { families };
        page.check_series();
        page.check_histograms();
        page
    }

    fn check_series(&self) {
        let mut seen = BTreeSet::new();
        for (name, labels, _) in self.families.values().flat_map(|family| &family.samples) {
            assert!(seen.insert((name, labels)), "{name} {labels:?} is there twice");
        }
    }

    fn check_histograms(&self) {
        for (name, family) in self.families.iter().filter(|(_, family)| family.kind == "histogram") {
            let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for (sample, labels, value) in family.samples.iter().filter(|it| it.0.ends_with("_bucket")) {
                let mut labels = labels.clone();
                let bound = labels.remove("le").unwrap_or_else(|| panic!("{sample} has no bound"));
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
                buckets.entry(labels).or_default().push((bound, *value));
            }
            for (labels, buckets) in buckets {
                let is_cumulative = buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
                assert!(is_cumulative, "{name} {labels:?}: {buckets:?}");
                let (bound, all) = *buckets.last().unwrap();
                assert!(bound.is_infinite(), "{name}");
                let part = |suffix: &str| {
                    let sample = format!("{name}_{suffix}");
                    let found = family.samples.iter().find(|it| it.0 == sample && it.1 == labels);
                    found.unwrap_or_else(|| panic!("no {sample} {labels:?}")).2
                };
                assert_eq!(part("count"), all, "{name} {labels:?}");
                assert!(part("sum") >= 0.0 && (all > 0.0 || part("sum") == 0.0), "{name}");
            }
        }
    }

    /// The value of a series, if it is there.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: Labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut samples = self.families.values().flat_map(|family| &family.samples);
        samples.find(|it| it.0 == name && it.1 == labels).map(|it| it.2)
    }

    /// The value of a series that must be there.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.get(name, labels).unwrap_or_else(|| panic!("no {name} {labels:?}"))
    }

    /// All values of a name by one label.
    pub fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut found = BTreeMap::new();
        for (_, labels, value) in
            self.families.values().flat_map(|family| &family.samples).filter(|it| it.0 == name)
        {
            *found.entry(labels[label].clone()).or_default() += value;
        }
        found
    }

    /// Every series, without its value.
    pub fn series(&self) -> BTreeSet<(String, Labels)> {
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples.map(|(name, labels, _)| (name.clone(), labels.clone())).collect()
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `name{label="value",…} number`, with nothing else anywhere.
fn read_sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label), "{line}");
            let (value, after) = read_value(after, line);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}: {label} twice");
            rest = &after[1..];
            match after.as_bytes()[0] {
                b',' => {}
                b'}' => break,
                _ => panic!("{line}"),
            }
        }
    }
    let number = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || b".-+e".contains(&byte));
    assert!(is_plain, "{line}");
    (name.to_owned(), labels, number.parse().unwrap_or_else(|_| panic!("{line}")))
}

/// A value up to its quote, and what comes behind that.
fn read_value<'a>(text: &'a str, line: &str) -> (String, &'a str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                other => panic!("{line}: {other:?} escaped"),
            }),
            c => value.push(c),
        }
    }
    panic!("{line}: a value has no end")
}

#[test]
fn labels_are_read_as_they_were_escaped() {
    let (name, labels, value) = read_sample(r#"a_b{c="x\"y\\z\n,}",d=""} 1.5e3"#);
    assert_eq!((name.as_str(), value), ("a_b", 1500.0));
    assert_eq!((labels["c"].as_str(), labels["d"].as_str()), ("x\"y\\z\n,}", ""));
    assert_eq!(read_sample("up 1"), ("up".to_owned(), Labels::new(), 1.0));
    for wrong in ["a", "a 1 2", "a{b=1} 1", "a{b=\"1} 1", "a{b=\"\\x\"} 1", "a{b=\"1\",} 1", "a  1", "1a 1"] {
        assert!(std::panic::catch_unwind(|| read_sample(wrong)).is_err(), "{wrong}");
    }
}
