//! What it costs to write down what came of a request: counters, a histogram, a line of the access log, an event.
//!
//! `answered and began` is all that metrics cost a request that a replica answers: its status and its time when it is over, and
//! the time until the answer began; `answered` is the first part alone, all that one costs which the balancer answers itself.
//! `threads` is `answered and began` from several threads at once on one meter, as when all requests go to one replica. What is
//! told there is the time of a processor for one request: the time that passes, times the processors that are at work (as many
//! as there are threads, at most those of the machine), by the number of requests of all threads. So it is the same for any
//! number of threads if they do not hinder each other. `access log` is the making of a line and the copy into the buffer; the
//! thread that writes throws it away, so that nothing waits for a disk.

// Criterion's macros make public functions that say nothing.
#![allow(missing_docs)]

use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::StatusCode;
use ringmaster::access_log::{AccessLog, Format, Line};
use ringmaster::journal::{Journal, Kind};
use ringmaster::metrics::{Histogram, Meter, Metrics};
use ringmaster::replica::Hostname;

const THREADS: [u32; 5] = [1, 2, 4, 8, 16];

/// So many different durations come in turn: more than any cache of branches remembers.
const DURATIONS: usize = 1 << 14;

/// Durations whose logarithms are spread evenly from 100 µs to a second: all buckets that requests use.
fn durations() -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(1);
    let one = |_| Duration::from_secs_f64(10_f64.powf(random.f64() * 4.0 - 4.0));
    (0..DURATIONS).map(one).collect()
}

fn counters(criterion: &mut Criterion) {
    let durations = durations();
    let mut group = criterion.benchmark_group("metrics");
    let meter = Metrics::default().meter();
    let mut next = durations.iter().cycle();
    group.bench_function("answered", |bencher| {
        bencher.iter(|| meter.answered(black_box(StatusCode::OK), *next.next().unwrap_or(&Duration::ZERO)));
    });
    let mut next = durations.iter().cycle();
    group.bench_function("answered and began", |bencher| {
        bencher.iter(|| record(&meter, *next.next().unwrap_or(&Duration::ZERO)));
    });
    let histogram = Histogram::default();
    let mut next = durations.iter().cycle();
    group.bench_function("record", |bencher| {
        bencher.iter(|| histogram.record(*next.next().unwrap_or(&Duration::ZERO)));
    });
}

fn contention(criterion: &mut Criterion) {
    let durations = durations();
    let mut group = criterion.benchmark_group("threads");
    for threads in THREADS {
        let meter = Metrics::default().meter();
        group.bench_function(BenchmarkId::new("answered and began", threads), |bencher| {
            bencher.iter_custom(|times| {
                at_once(&meter, &durations, threads, times).mul_f64(cores_used(threads) / f64::from(threads))
            });
        });
    }
}

/// What is counted of one request that a replica answers.
fn record(meter: &Meter, took: Duration) {
    meter.began_to_answer(took);
    meter.answered(black_box(StatusCode::OK), took);
}

/// How many processors so many threads keep busy.
fn cores_used(threads: u32) -> f64 {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    f64::from(threads).min(cores as f64)
}

/// How long so many threads take to count so many requests each.
fn at_once(meter: &Meter, durations: &[Duration], threads: u32, times: u64) -> Duration {
    let begin = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads as usize {
            scope.spawn(move || {
                let mine = durations.iter().cycle().skip(thread * 997);
                mine.take(times as usize).for_each(|took| record(meter, *took));
            });
        }
    });
    begin.elapsed()
}

/// What a browser's request leaves behind.
fn line() -> Line<'static> {
    Line {
        time: SystemTime::now(),
        client: IpAddr::from(Ipv4Addr::new(192, 168, 1, 23)),
        target: "/home?user=4711&page=2",
        bytes: 5_120,
        referer: Some("https://shop.example/home?user=4711"),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        replica: Some("server_1f0c2a9b77de"),
        attempts: 1,
        took: Duration::from_micros(1_234),
        request_id: "6f1c0b1e5a3d4c2f9e8d7b6a5c4d3e2f",
        ..Line::default()
    }
}

fn access_log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("access log");
    for (name, format) in [("json", Format::Json), ("combined", Format::Combined)] {
        let Ok((log, writer)) = AccessLog::open(format, Box::new(io::sink())) else { continue };
        let (line, mut lines) = (line(), 0_u64);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                log.note(black_box(&line));
                lines += 1;
            });
        });
        // A line that is dropped is made and not copied.
        if log.dropped() > 0 {
            eprintln!("{name}: {} of {lines} lines were dropped", log.dropped());
        }
        writer.close();
    }
}

fn journal(criterion: &mut Criterion) {
    let replica = Hostname::numbered(7);
    let mut group = criterion.benchmark_group("journal");
    // Nothing that clients can bring about is kept more than a few times a second.
    for (name, kind) in [("kept", Kind::Failed), ("counted", Kind::RequestFailed)] {
        let journal = Journal::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                journal.note(kind, black_box(Some(&replica)), "missed 2 heartbeats in a row: timed out")
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = counters, contention, access_log, journal
}
criterion_main!(benches);
