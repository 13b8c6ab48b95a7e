//! What a case is: bytes to send, the answers they must get, and what becomes of the connection.

/// Where the bodies go that are forwarded as they come, and may break off. A replica may see requests for it that are
/// not whole.
pub const BREAKS_OFF: &str = "/breaks-off";

/// One row of a table.
pub struct Case {
    /// The section that speaks about it, as `9112 3.1`.
    pub section: &'static str,
    /// What is sent, in words.
    pub name: String,
    /// What is sent, in writes of their own.
    pub writes: Vec<Vec<u8>>,
    /// The client says afterwards that it will send no more.
    pub half_closes: bool,
    /// How often it is played.
    pub times: u32,
    pub expected: Expected,
}

/// The answers to one case, in order, and the fate of its connection.
#[derive(Clone)]
pub struct Expected {
    pub answers: Vec<Answer>,
    /// Before all that, the client is told to go on behind its first write.
    pub continued: bool,
    /// The connection takes another request afterwards. Otherwise it is ended, and nothing that comes behind the case
    /// is answered.
    pub goes_on: bool,
}

#[derive(Clone)]
pub enum Answer {
    /// Refused by the checks of the balancer: in its envelope, with the announcement that the connection ends.
    Refused(u16),
    /// Refused by the parser before those checks: a status alone.
    Unparsed(u16),
    /// Answered by the balancer itself.
    Here(u16),
    /// Answered by a replica, which saw exactly this.
    Served(Served),
}

/// A request as the replica must see it.
#[derive(Clone)]
pub struct Served {
    pub method: String,
    pub target: String,
    pub body: Vec<u8>,
    /// The one value of `Host`, where it matters.
    pub host: Option<&'static str>,
}

/// The rows of one section.
pub fn section<const N: usize>(section: &'static str, rows: [Case; N]) -> Vec<Case> {
    rows.into_iter().map(|row| Case { section, ..row }).collect()
}

/// A case that sends `bytes` in one write.
pub fn case(name: impl Into<String>, bytes: impl AsRef<[u8]>, expected: Expected) -> Case {
    let writes = vec![bytes.as_ref().to_vec()];
    Case { section: "", name: name.into(), writes, half_closes: false, times: 1, expected }
}

impl Case {
    /// Sends these bytes too, in a write of their own.
    pub fn and_then(mut self, bytes: impl AsRef<[u8]>) -> Case {
        self.writes.push(bytes.as_ref().to_vec());
        self
    }

    /// Is played often: what is right must not be a matter of which thread is first.
    pub fn and_again(mut self) -> Case {
        self.times = 50;
        self
    }

    /// Says at the end that nothing more will be sent.
    pub fn and_half_closes(mut self) -> Case {
        self.half_closes = true;
        self
    }
}

fn only(answer: Answer, goes_on: bool) -> Expected {
    Expected { answers: vec![answer], continued: false, goes_on }
}

/// Refused with this status by the checks of the balancer.
pub fn refused(status: u16) -> Expected {
    only(Answer::Refused(status), false)
}

/// Refused with this status by the parser.
pub fn unparsed(status: u16) -> Expected {
    only(Answer::Unparsed(status), false)
}

/// Ended without an answer: how the parser ends what it cannot even read.
pub fn dropped() -> Expected {
    Expected { answers: Vec::new(), continued: false, goes_on: false }
}

/// Answered by the balancer itself, on a connection that goes on.
pub fn answered_here(status: u16) -> Expected {
    only(Answer::Here(status), true)
}

/// Served by a replica that saw exactly this, on a connection that goes on.
pub fn served(method: &str, target: &str, body: impl AsRef<[u8]>) -> Expected {
    let served = Served {
        method: method.to_owned(),
        target: target.to_owned(),
        body: body.as_ref().to_vec(),
        host: None,
    };
    only(Answer::Served(served), true)
}

/// A GET for `/odd` was served.
pub fn served_odd() -> Expected {
    served("GET", "/odd", "")
}

impl Expected {
    /// The connection ends afterwards.
    pub fn then_ends(mut self) -> Expected {
        self.goes_on = false;
        self
    }

    /// The answers of `next` follow, and what it says of the connection holds.
    pub fn then(mut self, next: Expected) -> Expected {
        self.answers.extend(next.answers);
        self.goes_on = next.goes_on;
        self
    }

    /// The replica saw this `Host`.
    pub fn for_host(mut self, host: &'static str) -> Expected {
        if let Some(Answer::Served(served)) = self.answers.last_mut() {
            served.host = Some(host);
        }
        self
    }

    /// The client is told to go on before it sends more than the first write.
    pub fn continued(mut self) -> Expected {
        self.continued = true;
        self
    }
}

/// A request with this request line and a `Host`.
pub fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: a\r\n\r\n"].concat()
}

/// A GET for this target.
pub fn get(target: impl AsRef<[u8]>) -> Vec<u8> {
    line([b"GET ", target.as_ref(), b" HTTP/1.1"].concat())
}

/// A GET for `/odd` with these fields and no other, not even a `Host`.
pub fn only_fields(fields: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /odd HTTP/1.1\r\n", fields.as_ref(), b"\r\n\r\n"].concat()
}

/// A GET for `/odd` with a `Host` and these fields.
pub fn with(fields: impl AsRef<[u8]>) -> Vec<u8> {
    only_fields([b"Host: a\r\n", fields.as_ref()].concat())
}

/// A POST to `/odd` with these fields and this body.
pub fn post(fields: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    [b"POST /odd HTTP/1.1\r\nHost: a\r\n", fields.as_ref(), b"\r\n\r\n", body.as_ref()].concat()
}

/// A chunked POST to `/odd` with this body.
pub fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    post("Transfer-Encoding: chunked", body)
}
