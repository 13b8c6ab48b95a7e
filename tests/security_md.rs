//! What `SECURITY.md` says is shown by a test is shown by one that is there.

// Setting the stage may fail only by failing the test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `file::function` that stands in backticks.
fn mentions(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|word| word.split_once(".rs::")).collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let mentions = mentions(&text);
    assert!(mentions.len() > 20, "only {mentions:?}");
    let is_there = |file: &str, function: &str| {
        let source = fs::read_to_string(root().join(format!("{file}.rs"))).unwrap_or_default();
        let is_test = |at: usize| source[..at].trim_end().ends_with("#[test]");
        source.match_indices(&format!("fn {function}()")).any(|(at, _)| is_test(at))
    };
    let missing: Vec<_> = mentions.iter().filter(|(file, function)| !is_there(file, function)).collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that are not there: {missing:#?}");
}

#[test]
fn every_threat_says_what_is_got_what_stops_it_and_what_shows_that() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let (_, threats) = text.split_once("## Who can do what").unwrap();
    let (threats, _) = threats.split_once("\n## ").unwrap();
    let rows: Vec<&str> = threats.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10, "{rows:#?}");
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        // Where no test can show it, that is said.
        assert!(cells[3].contains(".rs") || cells[3].starts_with("nothing:"), "{row}");
    }
}

#[test]
fn a_mention_is_a_file_and_a_function() {
    let text = "see `tests/a.rs::b`, `src/c/d.rs::e` and `tests/f.rs`, `x::y`";
    assert_eq!(mentions(text), [("tests/a", "b"), ("src/c/d", "e")]);
}
