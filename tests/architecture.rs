//! The floors of the house: a module names only modules of lower floors, and each outside crate is used in one place.
//!
//! The sources are read as text, without comments, the contents of literals and what is under `#[cfg(test)]`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module of `src/lib.rs` and its floor.
const FLOORS: [(&str, u32); 23] = [
    ("ring", 0),
    ("quoting", 0),
    ("sync", 0),
    ("metrics", 0),
    ("access_log", 0),
    ("dial", 0),
    ("leash", 0),
    ("step_down", 0),
    ("listening", 0),
    ("balance", 1),
    ("heartbeat", 1),
    ("launcher", 1),
    ("fleet", 2),
    ("supervisor", 3),
    ("forward", 3),
    ("history", 3),
    ("watchdog", 4),
    ("admin", 4),
    ("front", 5),
    ("config", 6),
    ("ring_svg", 6),
    ("succession", 6),
    ("console", 6),
];

/// Modules that stand on top of a floor: they may also name their neighbours on it.
const TOPS: [(&str, u32); 5] =
    [("replica", 0), ("shutdown", 0), ("journal", 0), ("server", 6), ("ring_report", 6)];

const MAIN_FLOOR: u32 = 7;

/// Words that only some files may use: outside crates, and what starts processes.
const EDGES: [(&str, &[&str]); 12] = [
    ("tiny_http", &["front/"]),
    ("nix", &["front/", "forward/wire.rs", "leash.rs", "succession.rs"]),
    ("socket2", &["listening.rs"]),
    ("ureq", &["dial.rs", "heartbeat.rs", "forward/", "console/fetch.rs"]),
    ("Command", &["launcher/", "leash.rs", "step_down.rs", "succession.rs"]),
    ("shuttle", &["sync.rs"]),
    ("chunked_transfer", &["front/body.rs"]),
    ("ipnet", &["forward/key.rs", "config/routing.rs"]),
    ("jiff", &["access_log/line.rs", "admin/clock.rs"]),
    ("ringmaster_replica", &["main.rs"]),
    ("env_logger", &["main.rs"]),
    ("ctrlc", &["main.rs"]),
];

/// Files that are told the time and never look at a clock.
const CLOCKLESS: [&str; 6] =
    ["ring/", "balance/", "fleet/state.rs", "watchdog/health.rs", "watchdog/schedule.rs", "console/view.rs"];

/// Longest file that one still reads in one go.
const MOST_LINES: usize = 450;

/// One file below a source folder.
struct Source {
    /// Its path below that folder, with `/`.
    path: String,
    text: String,
    /// The text with everything blanked that is no code of the program; line breaks stay.
    code: String,
}

impl Source {
    /// The module of `lib.rs` that the file belongs to.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How deep the file's own module is: `balance.rs` and `fleet/mod.rs` 1, `fleet/state.rs` 2.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count();
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    /// Where a byte of the code is, for people.
    fn at(&self, offset: usize) -> String {
        let line = self.code[..offset].matches('\n').count() + 1;
        format!("src/{}:{line}", self.path)
    }

    /// Where `word` stands as a whole word.
    fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        self.code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
            !self.code[..at].ends_with(is_part) && !self.code[at + word.len()..].starts_with(is_part)
        })
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| match place.ends_with('/') {
            true => self.path.starts_with(place),
            false => self.path == *place,
        })
    }

    /// Every module of `lib.rs` that the code names, and where.
    fn named_modules(&self) -> Vec<(usize, String)> {
        let mut named = Vec::new();
        for root in ["crate", "ringmaster"] {
            for at in self.words(root) {
                named.extend(heads(&self.code[at + root.len()..]).into_iter().map(|name| (at, name)));
            }
        }
        for at in self.words("super") {
            // Only the first of a chain; the others follow it.
            if self.code[..at].ends_with("super::") {
                continue;
            }
            let mut rest = &self.code[at..];
            let mut climbed = 0;
            while let Some(after) = rest.strip_prefix("super") {
                climbed += 1;
                rest = after;
                match after.strip_prefix("::") {
                    Some(next) if next.starts_with("super::") => rest = next,
                    _ => break,
                }
            }
            assert!(climbed <= self.depth(), "{}: climbs out of the crate", self.at(at));
            if climbed == self.depth() {
                named.extend(heads(rest).into_iter().map(|name| (at, name)));
            }
        }
        named.retain(|(_, name)| floor_of(name).is_some());
        named
    }
}

/// The first names of the paths that go on with `rest`: one for `::a::b`, two for `::{a::b, c}`.
fn heads(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
        text.trim_start().chars().take_while(is_part).collect()
    };
    let Some(rest) = rest.strip_prefix("::") else {
        return Vec::new();
    };
    let Some(group) = rest.trim_start().strip_prefix('{') else {
        return vec![name(rest)];
    };
    let mut heads = vec![name(group)];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => heads.push(name(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

fn floor_of(module: &str) -> Option<u32> {
    let all = FLOORS.iter().chain(&TOPS);
    all.clone().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// All files below a folder of this project.
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut sources: Vec<Source> = rust_files(&root)
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = without_tests(&without_comments_and_literals(&text));
            let path = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            Source { path, text, code }
        })
        .collect();
    assert!(sources.len() > 3, "{folder} was not found");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// The sources of the program proper, without files that are tests as a whole.
fn program() -> Vec<Source> {
    let mut sources = sources("src");
    sources.retain(|source| !source.path.ends_with("tests.rs"));
    sources
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => files.extend(rust_files(&path)),
            Some(extension) if extension == "rs" => files.push(path),
            _ => {}
        }
    }
    files
}

/// Blanks comments and what stands between quotes.
fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").expect("a comment that ends") + 2,
            'r' if raw_string(rest).is_some() => raw_string(rest).unwrap(),
            '"' => quoted(rest, '"'),
            // Not a lifetime: one character, or an escape, and a quote.
            '\'' if rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'') => quoted(rest, '\''),
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().map(|c| if c == '\n' { c } else { ' ' }));
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of the raw string that `rest` begins with.
fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    let body = 1 + hashes + 1;
    rest[1 + hashes..].starts_with('"').then(|| {
        let end = format!("\"{}", "#".repeat(hashes));
        body + rest[body..].find(&end).expect("a raw string that ends") + end.len()
    })
}

/// The length of the literal in `quote`s that `rest` begins with.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    panic!("a literal without an end: {rest:.40}")
}

/// Blanks every item under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut code = code.to_owned();
    while let Some(begin) = code.find("#[cfg(test)]") {
        let item = &code[begin..];
        let end = match (item.find('{'), item.find(';')) {
            (Some(brace), semicolon) if semicolon.is_none_or(|semicolon| brace < semicolon) => {
                brace + block(&item[brace..])
            }
            (_, semicolon) => semicolon.expect("an item that ends") + 1,
        };
        let blank: String = item[..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        code.replace_range(begin..begin + end, &blank);
    }
    code
}

/// The length of the block in braces that `rest` begins with.
fn block(rest: &str) -> usize {
    let mut depth = 0;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    panic!("a block without an end")
}

/// Fails with all that was found.
#[track_caller]
fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_module_names_only_modules_of_lower_floors() {
    let mut found = Vec::new();
    let mut names = 0;
    for source in program() {
        let module = source.module();
        let floor = match module {
            // It names all modules, by declaring them.
            "lib" => continue,
            "main" => MAIN_FLOOR,
            _ => floor_of(module).unwrap_or_else(|| panic!("src/{}: no floor for {module}", source.path)),
        };
        let on_top = TOPS.iter().any(|(name, _)| *name == module);
        for (at, name) in source.named_modules() {
            names += 1;
            let other = floor_of(&name).unwrap();
            let is_below = other < floor || (on_top && other == floor);
            if name != module && !is_below {
                let place = source.at(at);
                found.push(format!(
                    "{place}: {module} (floor {floor}) names {name} (floor {other}); only lower floors are allowed"
                ));
            }
        }
    }
    none(found);
    assert!(names > 50, "only {names} uses were found: the sources are not read right");
}

#[test]
fn every_module_has_a_floor_and_the_readers_table_says_the_same() {
    let library = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let declared = library.lines().filter_map(|line| {
        let (_, name) = line.split_once("mod ")?;
        (!line.starts_with("//")).then(|| name.trim_end_matches(';').to_owned())
    });
    let mut declared: Vec<String> = declared.collect();
    declared.sort();
    let mut known: BTreeMap<String, u32> = BTreeMap::new();
    known.extend(FLOORS.iter().chain(&TOPS).map(|(name, floor)| (name.to_string(), *floor)));
    let names: Vec<String> = known.keys().cloned().collect();
    assert_eq!(declared, names, "the modules of src/lib.rs and those of the table here");
    let mut documented: BTreeMap<String, u32> = BTreeMap::new();
    for line in library.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, floor, modules, ..] = cells[..] {
            let floor = floor.parse::<u32>().ok();
            let linked = modules.split("[`").skip(1).filter_map(|link| link.split_once("`]"));
            documented.extend(linked.filter_map(|(name, _)| Some((name.to_owned(), floor?))));
        }
    }
    assert_eq!(documented, known, "the table at the top of src/lib.rs");
}

#[test]
fn each_outside_crate_is_used_in_its_own_place_only() {
    let mut found = Vec::new();
    for source in program() {
        for (word, places) in EDGES.iter().filter(|(_, places)| !source.is_in(places)) {
            for at in source.words(word) {
                found.push(format!("{}: {word} belongs into {} only", source.at(at), places.join(", ")));
            }
        }
    }
    none(found);
}

#[test]
fn the_ring_needs_nothing_but_the_standard_library() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("[dependencies]").unwrap();
    let table = rest.split("\n[").next().unwrap();
    let crates: Vec<String> = table
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .filter(|name| !name.starts_with('#'))
        .collect();
    assert!(crates.contains(&"tiny_http".to_owned()), "{crates:?}");
    let mut found = Vec::new();
    for source in program().iter().filter(|source| source.path.starts_with("ring/")) {
        for name in &crates {
            let paths = source.words(name).filter(|at| source.code[at + name.len()..].starts_with("::"));
            found.extend(paths.map(|at| format!("{}: the ring uses crate {name}", source.at(at))));
        }
        for word in ["thread", "net", "sync", "fs", "process"] {
            let paths = source.words(word).filter(|at| source.code[..*at].ends_with("std::"));
            found.extend(paths.map(|at| format!("{}: the ring uses std::{word}", source.at(at))));
        }
    }
    none(found);
}

#[test]
fn what_decides_is_told_the_time_and_reads_no_clock() {
    let mut found = Vec::new();
    for source in program().iter().filter(|source| source.is_in(&CLOCKLESS)) {
        for clock in ["Instant::now", "SystemTime", "elapsed"] {
            found.extend(
                source.words(clock).map(|at| format!("{}: reads the clock ({clock})", source.at(at))),
            );
        }
    }
    none(found);
    for place in CLOCKLESS {
        assert!(program().iter().any(|source| source.is_in(&[place])), "{place} is gone");
    }
}

/// Requests wait for the fleet's mutex, so nobody may wait for another one while he has it.
#[test]
fn what_the_fleets_mutex_guards_takes_no_other_lock() {
    let sources = program();
    let state = sources.iter().find(|source| source.path == "fleet/state.rs").unwrap();
    let mut found = Vec::new();
    // The instruments of the program are behind locks of their own.
    for word in ["Metrics", "Mutex", "RwLock", "lock"] {
        found.extend(state.words(word).map(|at| format!("{}: may wait ({word})", state.at(at))));
    }
    none(found);
}

#[test]
fn no_file_is_too_long_to_be_read_and_none_is_a_drawer_for_everything() {
    let mut found = Vec::new();
    for folder in ["src", "replica/src"] {
        for source in sources(folder) {
            let lines = source.text.lines().count();
            if lines > MOST_LINES {
                found.push(format!("{folder}/{}: {lines} lines, at most {MOST_LINES}", source.path));
            }
            let words = ["util", "utils", "common", "manager", "helpers", "misc"];
            let parts = source.path.split(['/', '_', '.']);
            if parts.into_iter().any(|part| words.contains(&part)) {
                found.push(format!("{folder}/{}: a name that says nothing", source.path));
            }
        }
    }
    none(found);
}

#[test]
fn the_replica_shares_no_code_with_the_balancer() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("replica/Cargo.toml");
    for (k, line) in fs::read_to_string(manifest).unwrap().lines().enumerate() {
        let name = line.split(['=', '.']).next().unwrap().trim();
        assert_ne!(name, "ringmaster", "replica/Cargo.toml:{}: depends on the balancer", k + 1);
    }
    let mut found = Vec::new();
    for source in sources("replica/src") {
        let places = source.words("ringmaster").map(|at| source.at(at));
        found.extend(places.map(|place| format!("replica/{place}: the replica names the balancer")));
    }
    none(found);
}

#[test]
fn what_is_no_code_is_not_taken_for_code() {
    let text = "use crate::a; // crate::b\n/* crate::c */ let s = \"crate::d\\\"\"; let r = r#\"crate::e\"#;\n\
                fn f<'x>(c: &'x str) { c == '\"' }\n#[cfg(test)]\nmod tests { use crate::f; }\nuse crate::{g::h, i};";
    let code = without_tests(&without_comments_and_literals(text));
    assert_eq!(code.matches("crate::").count(), 2, "{code}");
    assert_eq!(code.matches('\n').count(), text.matches('\n').count());
    assert_eq!(heads("::{g::{h, j}, i};"), ["g", "i"]);
    assert_eq!(heads("::g::h;"), ["g"]);
}
