//! Long bodies through the balancer, in both directions: every byte counts, and memory must not grow.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::client::Client;
use crate::http;
use crate::interrupt;
use crate::options;
use crate::payload::{Payload, Tally};
use crate::process::{Folder, Process, free_address, ringmaster};
use crate::sink;
use crate::table::Table;
use crate::vitals;

/// Most memory that the balancer may grow by, in KiB.
const MOST_GROWTH: u64 = 8 * 1024;

/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Length of the bodies that go through before anything counts, so that threads and buffers are there.
const WARM_UP: u64 = 4 * 1024 * 1024;

const MIB: f64 = 1024.0 * 1024.0;

/// One way to send a long body.
#[derive(Clone, Copy, Debug)]
enum Transfer {
    Upload { in_chunks: bool },
    Download { in_chunks: bool },
}

const TRANSFERS: [Transfer; 4] = [
    Transfer::Upload { in_chunks: false },
    Transfer::Upload { in_chunks: true },
    Transfer::Download { in_chunks: false },
    Transfer::Download { in_chunks: true },
];

/// Sends them; true when each byte arrived and the balancer did not grow.
///
/// # Errors
/// Something does not start, or we are interrupted.
pub fn run(options: &options::Streams) -> Result<bool> {
    let folder = Folder::new()?;
    let backend = sink::start()?.to_string();
    let address = free_address()?;
    let listen = address.to_string();
    let args = [
        "--launcher",
        "static",
        "--backends",
        &backend,
        "--heartbeat-path",
        "/heartbeat",
        "--listen",
        &listen,
    ];
    let balancer = Process::start("ringmaster", ringmaster(&options.ringmaster, args)?, &folder)?;
    balancer.wait_until_serving(address, "/")?;
    for transfer in TRANSFERS {
        transfer.run(address, WARM_UP).with_context(|| transfer.name())?;
    }
    let wanted = Tally::of(options.bytes)?.to_text();
    let before = vitals::memory(balancer.id())?;
    let head = ["", "MiB/s", "resident KiB at most", "arrived"];
    let mut table = Table::new(&format!("Bodies of {:.0} MiB", options.bytes as f64 / MIB), &head);
    let mut is_whole = true;
    let mut most = 0;
    for transfer in TRANSFERS {
        interrupt::check()?;
        eprintln!("{}", transfer.name());
        let begin = Instant::now();
        let (arrived, highest) = while_sampling(balancer.id(), || transfer.run(address, options.bytes));
        let speed = options.bytes as f64 / MIB / begin.elapsed().as_secs_f64();
        interrupt::check()?;
        let arrived = match arrived {
            Ok(arrived) if arrived == wanted => "whole".to_owned(),
            Ok(arrived) => format!("WRONG: {arrived} instead of {wanted}"),
            Err(error) => format!("WRONG: {error:#}"),
        };
        is_whole &= arrived == "whole";
        most = most.max(highest);
        table.push(vec![transfer.name(), format!("{speed:.0}"), highest.to_string(), arrived]);
    }
    let after = vitals::memory(balancer.id())?;
    let growth = most.max(after.peak).saturating_sub(before.resident);
    print!("{}", table.to_text());
    println!(
        "Resident before: {} KiB (peak {}); peak after: {} KiB; growth: {growth} KiB, {MOST_GROWTH} are allowed.",
        before.resident, before.peak, after.peak
    );
    let is_good = is_whole && growth <= MOST_GROWTH;
    println!("{}", if is_good { "Passed." } else { "FAILED." });
    Ok(is_good)
}

/// Does `work`, and returns the most resident memory, in KiB, that process `pid` was seen to have meanwhile.
fn while_sampling<T>(pid: u32, work: impl FnOnce() -> T) -> (T, u64) {
    let is_done = AtomicBool::new(false);
    let highest = AtomicU64::new(0);
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(SeqCst) {
                highest.fetch_max(vitals::memory(pid).map_or(0, |memory| memory.resident), SeqCst);
                thread::sleep(LOOK);
            }
        });
        let result = work();
        is_done.store(true, SeqCst);
        result
    });
    (result, highest.load(SeqCst))
}

impl Transfer {
    fn name(self) -> String {
        match self {
            Transfer::Upload { in_chunks: false } => "upload by length",
            Transfer::Upload { in_chunks: true } => "upload in chunks",
            Transfer::Download { in_chunks: false } => "download by length",
            Transfer::Download { in_chunks: true } => "download in chunks",
        }
        .to_owned()
    }

    /// Sends a body of `length` and says what arrived.
    fn run(self, address: SocketAddr, length: u64) -> Result<String> {
        let client = Client::connect(address)?;
        match self {
            Transfer::Upload { in_chunks } => upload(client, length, in_chunks),
            Transfer::Download { in_chunks } => download(client, length, in_chunks),
        }
    }
}

/// Stops with an error when we are interrupted: a long body is no reason to wait.
struct Interruptible<W>(W);

impl<W: Write> Write for Interruptible<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        interrupt::check().map_err(std::io::Error::other)?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn upload(mut client: Client, length: u64, in_chunks: bool) -> Result<String> {
    let framing = match in_chunks {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {length}"),
    };
    client.send(&format!("POST /upload HTTP/1.1\r\nHost: bench\r\n{framing}\r\n\r\n"))?;
    let sent = http::write_body(&mut Interruptible(client.writer()), Payload::new(length), in_chunks);
    // A refusal says more than the broken pipe that it brings about.
    let answer = client.answer();
    let answer = match sent {
        Ok(()) => answer?,
        Err(error) => answer.map_err(|_| error)?,
    };
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.status == 200, "answered with {}: {text}", answer.status);
    Ok(text)
}

fn download(mut client: Client, length: u64, in_chunks: bool) -> Result<String> {
    let kind = if in_chunks { "in-chunks" } else { "by-length" };
    client.send(&format!("GET /{kind}/{length} HTTP/1.1\r\nHost: bench\r\n\r\n"))?;
    let (head, mut body) = client.begin_answer()?;
    ensure!(head.status()? == 200, "answered with {}", head.first);
    ensure!(head.is_chunked == in_chunks, "the body came framed in another way");
    let mut tally = Interruptible(Tally::default());
    sink::copy(&mut body, &mut tally)?;
    Ok(tally.0.to_text())
}
