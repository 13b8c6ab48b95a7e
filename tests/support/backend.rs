//! A replica whose behaviour a test writes: it reads requests, records them, and answers with the bytes it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// A request as the replica saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// Names as they were sent.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body ended where its framing says.
    pub complete: bool,
}

impl Seen {
    /// The values of a field, in order.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }
}

/// What a replica does with a request that is no heartbeat.
pub type Script = Arc<dyn Fn(&Seen, &mut TcpStream) + Send + Sync>;

/// A running replica.
pub struct Backend {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    script: Script,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<Vec<TcpStream>>,
    /// Accepts connections and says nothing on them, like a process that is stopped.
    hangs: AtomicBool,
    ended: AtomicBool,
    /// Heartbeats that are still to be answered 500.
    sick: AtomicU32,
    /// Heartbeats that were answered, and those of them with 200.
    heartbeats: AtomicU32,
    good_heartbeats: AtomicU32,
    /// Who it says to be in its heartbeats, if it says so.
    identity: Mutex<Option<String>>,
    /// Requests that came before the first heartbeat that was answered 200.
    early: AtomicU32,
}

impl Backend {
    pub fn start(script: Script) -> Backend {
        Backend::start_at(([127, 0, 0, 1], 0).into(), script)
    }

    /// One at this address.
    pub fn start_at(address: SocketAddr, script: Script) -> Backend {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script,
            seen: Mutex::default(),
            connections: Mutex::default(),
            hangs: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            sick: AtomicU32::new(0),
            heartbeats: AtomicU32::new(0),
            good_heartbeats: AtomicU32::new(0),
            early: AtomicU32::new(0),
            identity: Mutex::default(),
        });
        let acceptor = thread::spawn({
            let shared = shared.clone();
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if shared.ended.load(SeqCst) {
                        return;
                    }
                    shared.connections.lock().unwrap().push(stream.try_clone().unwrap());
                    let shared = shared.clone();
                    thread::spawn(move || shared.serve(stream));
                }
            }
        });
        Backend { address, shared, acceptor: Some(acceptor) }
    }

    /// Everything that was asked but heartbeats.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Stops answering, heartbeats too, and stays connected.
    pub fn hang(&self) {
        self.shared.hangs.store(true, SeqCst);
    }

    /// Answers 500 to the next `times` heartbeats.
    pub fn fail_heartbeats(&self, times: u32) {
        self.shared.sick.store(times, SeqCst);
    }

    /// Says to be `name` from now on.
    pub fn call_itself(&self, name: &str) {
        *self.shared.identity.lock().unwrap() = Some(name.to_owned());
    }

    /// How many heartbeats were answered, whatever with.
    pub fn heartbeats(&self) -> u32 {
        self.shared.heartbeats.load(SeqCst)
    }

    /// How many requests came before the first heartbeat that was answered 200.
    pub fn early_requests(&self) -> u32 {
        self.shared.early.load(SeqCst)
    }

    /// Ends as a process does that is killed: nobody listens, and every connection breaks.
    pub fn kill(&mut self) {
        self.shared.ended.store(true, SeqCst);
        // Wakes the acceptor, which then drops the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().unwrap();
        }
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let Ok(copy) = stream.try_clone() else { return };
        let mut reader = BufReader::new(copy);
        while let Some(seen) = read_request(&mut reader) {
            if self.hangs.load(SeqCst) || self.ended.load(SeqCst) {
                // Held open until the test ends it.
                let _ = reader.read_to_end(&mut Vec::new());
                return;
            }
            if seen.target == "/heartbeat" && self.is_sick() {
                answer(&mut stream, "500 Internal Server Error", &[], b"");
                self.heartbeats.fetch_add(1, SeqCst);
                continue;
            }
            if seen.target == "/heartbeat" {
                self.heartbeats.fetch_add(1, SeqCst);
                self.good_heartbeats.fetch_add(1, SeqCst);
                let identity = self.identity.lock().unwrap().clone();
                let said: Vec<(&str, &str)> =
                    identity.iter().map(|id| ("X-Server-Id", id.as_str())).collect();
                answer(&mut stream, "200 OK", &said, b"");
                continue;
            }
            if self.good_heartbeats.load(SeqCst) == 0 {
                self.early.fetch_add(1, SeqCst);
            }
            self.seen.lock().unwrap().push(seen.clone());
            (self.script)(&seen, &mut stream);
        }
    }
}

impl Shared {
    /// Whether the heartbeat at hand is one to be answered 500, counting it.
    fn is_sick(&self) -> bool {
        self.sick.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let line: String = line.iter().map(|&byte| byte as char).collect();
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut seen = Seen { method, target, headers, body: Vec::new(), complete: true };
    let length = seen.header("content-length").first().and_then(|length| length.parse().ok());
    if seen.header("transfer-encoding") == ["chunked"] {
        seen.complete = read_chunks(reader, &mut seen.body).is_some();
    } else if let Some(length) = length {
        let read = reader.take(length).read_to_end(&mut seen.body).ok().map(|n| n as u64);
        seen.complete = read == Some(length);
    }
    Some(seen)
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = u64::from_str_radix(line.trim(), 16).ok()?;
        let read = reader.by_ref().take(size).read_to_end(body).ok()? as u64;
        let mut end = [0; 2];
        reader.read_exact(&mut end).ok()?;
        if read != size {
            return None;
        }
        if size == 0 {
            return Some(());
        }
    }
}

/// Answers 200 with `body` and these fields.
pub fn answer(stream: &mut TcpStream, status: &str, headers: &[(&str, &str)], body: &[u8]) {
    let mut bytes = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    let _ = stream.write_all(&bytes);
}
