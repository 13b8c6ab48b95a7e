//! What the system tells about processes.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

/// Memory of one process, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Most that was ever resident.
    pub peak: u64,
}

/// What must not grow while a server runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Resident memory in KiB.
    pub resident: u64,
}

/// One line of the system's table of processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// `R` and `S` run, `T` is stopped, `Z` is dead and not waited for.
    pub state: char,
    /// Processor time, in ticks, with that of the children it has waited for.
    ticks: u64,
    /// The same without theirs.
    own_ticks: u64,
}

impl Entry {
    /// Reads `/proc/PID/stat`.
    fn parse(pid: u32, stat: &str) -> Option<Entry> {
        // The name in brackets may hold anything.
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
        // utime, stime, cutime, cstime
        let times = fields.get(11..15)?;
        let sum = |fields: &[&str]| fields.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
        let (parent, state) = (fields[1].parse().ok()?, fields[0].chars().next()?);
        Some(Entry { pid, parent, state, ticks: sum(times), own_ticks: sum(&times[..2]) })
    }

    /// Its command line, word for word.
    pub fn args(&self) -> Vec<String> {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        bytes.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }
}

fn entries() -> Vec<Entry> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    folder
        .filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Entry::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// The children of a process.
pub fn children(parent: u32) -> Vec<Entry> {
    entries().into_iter().filter(|entry| entry.parent == parent).collect()
}

/// Processor time of a process and of all that descend from it, in ticks.
pub fn ticks(pid: u32) -> u64 {
    ticks_below(pid, &entries())
}

/// Processor time of a process and of all that descend from it.
pub fn cpu_time(pid: u32) -> Duration {
    time_of(ticks(pid))
}

/// Processor time of a process alone, its children's left out.
///
/// # Errors
/// There is no such process.
pub fn own_cpu_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    let stat = stat.with_context(|| format!("look at process {pid}"))?;
    let entry = Entry::parse(pid, &stat).with_context(|| format!("there is no time of process {pid}"))?;
    Ok(time_of(entry.own_ticks))
}

fn time_of(ticks: u64) -> Duration {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    Duration::from_secs_f64(ticks as f64 / per_second as f64)
}

fn ticks_below(pid: u32, entries: &[Entry]) -> u64 {
    let mut family = vec![pid];
    let mut ticks = 0;
    while let Some(member) = family.pop() {
        ticks += entries.iter().find(|entry| entry.pid == member).map_or(0, |entry| entry.ticks);
        family.extend(entries.iter().filter(|entry| entry.parent == member).map(|entry| entry.pid));
    }
    ticks
}

/// Memory of a process.
///
/// # Errors
/// There is no such process.
pub fn memory(pid: u32) -> Result<Memory> {
    let status = status(pid)?;
    Ok(Memory { resident: number(&status, "VmRSS:")?, peak: number(&status, "VmHWM:")? })
}

/// Threads, descriptors and memory of a process.
///
/// # Errors
/// There is no such process, or it is not ours to look at.
pub fn vitals(pid: u32) -> Result<Vitals> {
    let status = status(pid)?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).context("count open descriptors")?.count();
    Ok(Vitals {
        threads: number(&status, "Threads:")?,
        descriptors: descriptors as u64,
        resident: number(&status, "VmRSS:")?,
    })
}

fn status(pid: u32) -> Result<String> {
    fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("look at process {pid}"))
}

fn number(status: &str, name: &str) -> Result<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    let word = value.and_then(|value| value.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).with_context(|| format!("there is no {name} of the process"))
}

/// What one should know of the machine beside any figure from it.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores ({model}), Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_with_brackets_in_the_name() {
        let stat = "7 (a ) b) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 5 0 99 1 2";
        let entry = Entry::parse(7, stat).unwrap();
        assert_eq!(entry, Entry { pid: 7, parent: 3, state: 'S', ticks: 100, own_ticks: 30 });
        assert_eq!(Entry::parse(7, "7 (short) S 3"), None);
    }

    #[test]
    fn time_of_a_family() {
        let entry = |pid, parent, ticks| Entry { pid, parent, state: 'S', ticks, own_ticks: 0 };
        let table =
            [entry(1, 0, 1), entry(5, 1, 10), entry(6, 5, 100), entry(7, 6, 1000), entry(8, 1, 10_000)];
        assert_eq!(ticks_below(5, &table), 1110);
        assert_eq!(ticks_below(9, &table), 0);
    }

    #[test]
    fn we_are_alive() {
        let own = std::process::id();
        assert!(memory(own).unwrap().peak >= memory(own).unwrap().resident);
        let vitals = vitals(own).unwrap();
        assert!(vitals.threads >= 1 && vitals.descriptors >= 3, "{vitals:?}");
    }
}
