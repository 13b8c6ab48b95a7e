//! The server behind the balancers of a comparison. It shares the machine with what is measured, so it costs as
//! little as possible: one thread, epoll, answers that lie ready, and three system calls for a request.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::net::Shutdown;
use std::thread;

use anyhow::Context;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::options;

/// Longest request head; a longer one is refused.
const LONGEST_HEAD: usize = 8 * 1024;

/// Most headers of a request.
const MOST_HEADERS: usize = 64;

/// Most answers that wait to be sent on a connection; it is read no further until they are.
const MOST_WAITING: usize = 64;

/// Size of the large body.
const LARGE: usize = 1024 * 1024;

const LISTENER: Token = Token(usize::MAX);

/// Serves until the process ends.
///
/// # Errors
/// It cannot listen.
pub fn run(options: &options::Backend) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(options.listen).with_context(|| format!("listen on {}", options.listen))?;
    println!("listening on {}", listener.local_addr()?);
    if options.ends_with_stdin {
        thread::spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(0);
        });
    }
    serve(listener).context("serve")
}

fn serve(mut listener: TcpListener) -> Result<()> {
    let answers = Answers::new();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut connections: Slab<Connection> = Slab::new();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut connections)?;
                continue;
            }
            let key = event.token().0;
            // An event of the same batch may have ended it.
            let Some(connection) = connections.get_mut(key) else { continue };
            if !connection.go_on(event, &answers) {
                connections.remove(key);
            }
        }
    }
}

fn accept<'a>(listener: &TcpListener, poll: &Poll, connections: &mut Slab<Connection<'a>>) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                let _ = stream.set_nodelay(true);
                let entry = connections.vacant_entry();
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(entry.key()), interest)?;
                entry.insert(Connection::new(stream));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // Others concern one client, or pass.
            Err(_) => {}
        }
    }
}

/// What is said, ready to be sent.
struct Answers {
    small: Answer,
    large: Answer,
    heartbeat: Answer,
    refusal: Answer,
}

/// One answer: its head with keep-alive and without, and its body.
struct Answer {
    head: Vec<u8>,
    last_head: Vec<u8>,
    body: Vec<u8>,
}

impl Answers {
    fn new() -> Answers {
        let small = br#"{"message":"Hello from server: 1","status":"successful"}"#;
        Answers {
            small: Answer::new("200 OK", "application/json", small.to_vec()),
            large: Answer::new("200 OK", "application/octet-stream", vec![b'r'; LARGE]),
            heartbeat: Answer::new("200 OK", "text/plain", Vec::new()),
            refusal: Answer::new("400 Bad Request", "text/plain", Vec::new()),
        }
    }

    fn to(&self, path: &str) -> &Answer {
        match path {
            "/heartbeat" => &self.heartbeat,
            path if path.starts_with("/large") => &self.large,
            _ => &self.small,
        }
    }
}

impl Answer {
    fn new(status: &str, kind: &str, body: Vec<u8>) -> Answer {
        let length = body.len();
        let head = |connection: &str| {
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{connection}\r\n"
            )
            .into_bytes()
        };
        Answer { head: head(""), last_head: head("Connection: close\r\n"), body }
    }
}

/// A request as far as the answer depends on it.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    path: &'a str,
    /// Whether the answer has a body.
    wants_body: bool,
    keeps_alive: bool,
    /// Length of the head.
    head: usize,
    /// Length of the body.
    body: usize,
}

impl Request<'_> {
    /// The request at the beginning of `bytes`; `None` when there is more to come of it.
    fn parse(bytes: &[u8]) -> std::result::Result<Option<Request<'_>>, ()> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let head = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD => return Ok(None),
            _ => return Err(()),
        };
        let (Some(path), Some(method), Some(version)) = (parsed.path, parsed.method, parsed.version) else {
            return Err(());
        };
        let mut request =
            Request { path, wants_body: method != "HEAD", keeps_alive: version == 1, head, body: 0 };
        for header in parsed.headers.iter() {
            let text = std::str::from_utf8(header.value).unwrap_or_default();
            if header.name.eq_ignore_ascii_case("connection") {
                request.keeps_alive = match text {
                    text if text.eq_ignore_ascii_case("close") => false,
                    text if text.eq_ignore_ascii_case("keep-alive") => true,
                    _ => request.keeps_alive,
                };
            } else if header.name.eq_ignore_ascii_case("content-length") {
                request.body = text.parse().map_err(|_| ())?;
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                // Nobody sends chunks here.
                return Err(());
            }
        }
        Ok(Some(request))
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// The last answer is among those that wait.
    Last,
    /// Everything is said. What the client still sends is read and forgotten: closing over it would reset the
    /// connection and could cost the client the answer.
    Draining,
}

struct Connection<'a> {
    stream: TcpStream,
    stage: Stage,
    input: Vec<u8>,
    /// How much of `input` has been read and is not yet understood.
    filled: usize,
    /// What is left of the body of a request that was answered.
    skip: usize,
    /// Heads and bodies to send; the first may have been sent in part, and is cut down then.
    output: VecDeque<&'a [u8]>,
}

impl<'a> Connection<'a> {
    fn new(stream: TcpStream) -> Connection<'a> {
        let input = vec![0; LONGEST_HEAD];
        Connection { stream, stage: Stage::Serving, input, filled: 0, skip: 0, output: VecDeque::new() }
    }

    /// Does all that can be done without waiting; false when the connection is over.
    fn go_on(&mut self, event: &Event, answers: &'a Answers) -> bool {
        self.advance(event.is_read_closed(), answers).unwrap_or(false)
    }

    fn advance(&mut self, ending: bool, answers: &'a Answers) -> Result<bool> {
        loop {
            if !self.send()? {
                return Ok(true);
            }
            if self.stage == Stage::Last {
                self.stream.shutdown(Shutdown::Write)?;
                self.stage = Stage::Draining;
            }
            self.understand(answers);
            if !self.output.is_empty() {
                continue;
            }
            let room = self.input.len() - self.filled;
            match self.stream.read(&mut self.input[self.filled..]) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    self.filled += read;
                    self.understand(answers);
                    if read < room && !ending {
                        // The system had no more: it will tell when it has. Asking would be a fourth system call.
                        if self.output.is_empty() || (self.send()? && self.is_settled()) {
                            return Ok(true);
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether there is nothing to do until more arrives.
    fn is_settled(&self) -> bool {
        self.stage == Stage::Serving && self.filled == 0
    }

    /// Answers the requests that have been read.
    fn understand(&mut self, answers: &'a Answers) {
        let mut used = 0;
        while self.stage == Stage::Serving && self.output.len() < MOST_WAITING {
            let skipped = self.skip.min(self.filled - used);
            self.skip -= skipped;
            used += skipped;
            if used == self.filled {
                break;
            }
            let (answer, wants_body, keeps_alive) = match Request::parse(&self.input[used..self.filled]) {
                Ok(None) => break,
                Ok(Some(request)) => {
                    used += request.head;
                    self.skip = request.body;
                    (answers.to(request.path), request.wants_body, request.keeps_alive)
                }
                Err(()) => (&answers.refusal, true, false),
            };
            self.output.push_back(if keeps_alive { &answer.head } else { &answer.last_head });
            if wants_body && !answer.body.is_empty() {
                self.output.push_back(&answer.body);
            }
            if !keeps_alive {
                self.stage = Stage::Last;
            }
        }
        if self.stage != Stage::Serving {
            self.filled = 0;
        } else if used > 0 {
            self.input.copy_within(used..self.filled, 0);
            self.filled -= used;
        }
    }

    /// Sends what waits; false when the connection takes no more for now.
    fn send(&mut self) -> Result<bool> {
        while !self.output.is_empty() {
            let slices = [0, 1, 2, 3].map(|i| IoSlice::new(self.output.get(i).copied().unwrap_or_default()));
            match self.stream.write_vectored(&slices) {
                Ok(sent) => self.forget(sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn forget(&mut self, mut sent: usize) {
        while let Some(first) = self.output.front_mut() {
            if sent < first.len() {
                *first = &first[sent..];
                return;
            }
            sent -= first.len();
            self.output.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use std::net::SocketAddr;

    fn start() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(listener));
        address
    }

    #[test]
    fn small_and_large_on_one_connection() {
        let mut client = Client::connect(start()).unwrap();
        for (path, length) in [("/small/7", 56), ("/large", LARGE), ("/heartbeat", 0), ("/small", 56)] {
            let answer = client.get(path).unwrap();
            assert_eq!((answer.status, answer.body.len()), (200, length), "{path}");
        }
        assert_eq!(client.request("POST", "/small", &"x".repeat(20_000)).unwrap().status, 200);
        assert_eq!(client.get("/small").unwrap().body.len(), 56);
    }

    #[test]
    fn requests_in_pieces_and_all_at_once() {
        let mut client = Client::connect(start()).unwrap();
        for piece in ["GE", "T /sma", "ll HTTP/1.1\r\nHost: a\r\n\r", "\nGET /heart"] {
            client.send(piece).unwrap();
            thread::sleep(std::time::Duration::from_millis(20));
        }
        client.send("beat HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(client.answer().unwrap().body.len(), 56);
        assert_eq!(client.answer().unwrap().body.len(), 0);
        client.send(&"GET /small HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000)).unwrap();
        for _ in 0..1000 {
            assert_eq!(client.answer().unwrap().body.len(), 56);
        }
    }

    #[test]
    fn the_last_answer_is_whole_and_the_last() {
        let mut client = Client::connect(start()).unwrap();
        let closing = "GET /large HTTP/1.1\r\nConnection: close\r\n\r\n";
        client.send(&format!("{closing}GET /small HTTP/1.1\r\n\r\n")).unwrap();
        let answer = client.answer().unwrap();
        assert_eq!((answer.body.len(), answer.closes), (LARGE, true));
        assert!(client.answer().is_err());
        let mut client = Client::connect(start()).unwrap();
        client.send("nonsense\r\n\r\n").unwrap();
        assert_eq!(client.answer().unwrap().status, 400);
    }
}
