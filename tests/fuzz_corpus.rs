//! What the fuzzer in `fuzz/` has found stays found: every head of its corpus is checked as the fuzzer does.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

use ringmaster::front::fuzzing::{Verdict, check_head};

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/admission");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_head_that_was_found_is_admitted_soundly_or_refused() {
    let mut verdicts = BTreeMap::<String, usize>::new();
    let mut failures = Vec::new();
    for file in corpus() {
        let bytes = fs::read(&file).unwrap();
        match panic::catch_unwind(|| check_head(&bytes)) {
            Ok(verdict) => *verdicts.entry(format!("{verdict:?}")).or_default() += 1,
            Err(_) => failures.push(format!("{}: {}", file.display(), bytes.escape_ascii())),
        }
    }
    assert!(failures.is_empty(), "what must hold, as told above, does not for\n{}", failures.join("\n"));
    // A corpus that lost its variety would hold nothing.
    let refused = [400, 405, 413, 414, 431, 501, 505].map(Verdict::Refused);
    for verdict in [Verdict::Unparsed, Verdict::Admitted].iter().chain(&refused) {
        assert!(verdicts.contains_key(&format!("{verdict:?}")), "none is {verdict:?}: {verdicts:?}");
    }
}
