//! One attempt: a request, one replica, and what is to be done if no answer comes. The retry rule itself is here.

use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::uri::{Scheme, Uri};
use http::{Method, Request, Version};
use ureq::SendBody;

use super::agents::CheckedOut;
use super::trip::Progress;
use super::{Answer, Body, Failure, Outbound, shown};
use crate::dial::{self, Blame};
use crate::fleet::Lease;
use crate::metrics::Miscarriage;

/// An attempt that brought no answer.
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) retry: Retry,
    /// It was on a connection that had been used before: the replica may be well.
    pub(super) stale: bool,
    /// The replica could not be connected to: because nobody listens there (`true`), or not in time.
    pub(super) unreached: Option<bool>,
}

impl Failed {
    pub(super) fn of(failure: Failure, retry: Retry) -> Failed {
        Failed { failure, retry, stale: false, unreached: None }
    }

    /// What the replica is to be blamed for, if it is.
    pub(super) fn miscarriage(&self) -> Option<Miscarriage> {
        match self.failure {
            _ if self.unreached.is_some() => Some(Miscarriage::Unreached),
            Failure::TimedOut(_) => Some(Miscarriage::TimedOut),
            Failure::Unreachable(_) => Some(Miscarriage::Broken),
            _ => None,
        }
    }
}

/// Whether a request may be tried on another replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Retry {
    No,
    /// No replica has seen anything of it.
    Free,
    /// A replica may have worked on it: see [`super::budget`].
    AtCost,
}

/// Tries one replica.
pub(super) fn attempt(agent: CheckedOut, lease: Lease, request: &mut Outbound<'_>) -> Result<Answer, Failed> {
    let mut unreached = None;
    let answer = head_for(&lease, request).and_then(|head| {
        run(&agent, head, &mut request.body).map_err(|error| {
            unreached = cannot_connect(&error, &agent);
            failure_of(error, &agent)
        })
    });
    let answer = answer.and_then(|answer| match is_understood(&answer) {
        true => Ok(answer),
        false => {
            Err(Failure::Unreachable("the answer has a transfer coding that is not understood".to_owned()))
        }
    });
    match answer {
        Ok(answer) => {
            log::debug!("request {}: {} answered {}", shown(&request.id), lease.hostname(), answer.status());
            Ok(Answer::new(answer, agent, lease))
        }
        Err(failure) => {
            let progress = agent.progress();
            let (id, name) = (shown(&request.id), lease.hostname());
            log::debug!("request {id}: attempt at {name} failed, {progress:?}: {failure:?}");
            let stale = agent.trip().was_on_old_connection();
            Err(Failed { stale, unreached, ..judge(failure, progress, request) })
        }
    }
}

/// The retry rule.
fn judge(failure: Failure, progress: Progress, request: &mut Outbound<'_>) -> Failed {
    if let Some(error) = request.body.client_error() {
        return Failed::of(Failure::Client(error), Retry::No);
    }
    let retry = match (&failure, progress) {
        _ if !request.body.can_be_sent() => Retry::No,
        (Failure::Unreachable(_) | Failure::TimedOut(_), Progress::NothingSent) => Retry::Free,
        (Failure::Unreachable(_), Progress::Sent) if request.method.is_idempotent() => Retry::AtCost,
        // Somebody who was waited for for so long is not asked again elsewhere: the client's patience is at an end.
        (Failure::TimedOut(_), Progress::Sent) => Retry::No,
        (Failure::Unreachable(_), Progress::Sent) => Retry::No,
        (_, Progress::AnswerBegun) => Retry::No,
        (_, Progress::NothingSent | Progress::Sent) => Retry::No,
    };
    Failed::of(failure, retry)
}

/// The head of the request to one replica.
fn head_for(lease: &Lease, request: &Outbound<'_>) -> Result<http::request::Parts, Failure> {
    let unsendable = |error: http::Error| Failure::Unsendable(error.to_string());
    let uri = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(lease.address().to_string())
        .path_and_query(request.target.clone())
        .build()
        .map_err(unsendable)?;
    let built = Request::builder().method(request.method.clone()).uri(uri).body(()).map_err(unsendable)?;
    let (mut head, ()) = built.into_parts();
    head.headers = request.headers.clone();
    let length = match &request.body {
        // Methods that usually have a body get an explicit length, or ureq would send an empty chunked one.
        Body::Empty => matches!(request.method, Method::POST | Method::PUT | Method::PATCH).then_some(0),
        Body::Whole(bytes) => Some(bytes.len() as u64),
        Body::Stream(stream) => stream.length,
    };
    if let Some(length) = length {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(head)
}

fn run(
    client: &CheckedOut,
    head: http::request::Parts,
    body: &mut Body<'_>,
) -> Result<http::Response<ureq::Body>, ureq::Error> {
    let agent = client.agent();
    match body {
        Body::Empty => agent.run(Request::from_parts(head, ())),
        Body::Whole(bytes) => {
            agent.run(Request::from_parts(head, SendBody::from_reader(&mut bytes.as_slice())))
        }
        Body::Stream(stream) => {
            stream.set_out(client.trip().clone());
            agent.run(Request::from_parts(head, SendBody::from_reader(stream)))
        }
    }
}

/// Whether ureq has read the body as it was framed: it takes any transfer coding for chunked, and none in HTTP/1.0.
fn is_understood(answer: &http::Response<ureq::Body>) -> bool {
    let mut codings = answer.headers().get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => {
            answer.version() == Version::HTTP_11 && coding.as_bytes().eq_ignore_ascii_case(b"chunked")
        }
        (Some(_), Some(_)) => false,
    }
}

/// Whether no connection came about, through the replica's fault: because nobody listens there, or not in time.
fn cannot_connect(error: &ureq::Error, agent: &CheckedOut) -> Option<bool> {
    let tried = agent.trip().was_on_old_connection() && agent.progress() == Progress::NothingSent;
    match dial::blame(error, !tried) {
        Blame::Gone => Some(true),
        Blame::Silent => Some(false),
        Blame::Accepts | Blame::Ours => None,
    }
}

fn failure_of(error: ureq::Error, agent: &CheckedOut) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::TimedOut(dial::words(&error)),
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
            Failure::Unreachable(dial::words(&error))
        }
        // Refused by ureq itself before anything was sent: no replica would take it.
        _ if agent.progress() == Progress::NothingSent => Failure::Unsendable(error.to_string()),
        _ => Failure::Unreachable(dial::words(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::REPLAYABLE;
    use http::HeaderMap;
    use http::uri::PathAndQuery;
    use std::net::IpAddr;
    use std::time::Duration;

    fn outbound(method: Method, body: Body<'_>) -> Outbound<'_> {
        let target = PathAndQuery::from_static("/");
        Outbound {
            method,
            target,
            headers: HeaderMap::new(),
            client: IpAddr::from([127, 0, 0, 1]),
            is_old: false,
            waited: Duration::ZERO,
            id: HeaderValue::from_static("1"),
            attempts: 0,
            body,
        }
    }

    fn unreachable() -> Failure {
        Failure::Unreachable(String::new())
    }

    fn timed_out() -> Failure {
        Failure::TimedOut(String::new())
    }

    /// The retry rule as a table: what failed, whether anything was sent, and which methods may try another replica.
    #[test]
    fn only_what_was_not_sent_or_is_idempotent_is_tried_again() {
        let methods = [Method::GET, Method::PUT, Method::DELETE, Method::POST, Method::PATCH];
        let (no, free, at_cost) = ([Retry::No; 5], [Retry::Free; 5], Retry::AtCost);
        for (failure, progress, retries) in [
            (unreachable as fn() -> Failure, Progress::NothingSent, free),
            (unreachable, Progress::Sent, [at_cost, at_cost, at_cost, Retry::No, Retry::No]),
            (unreachable, Progress::AnswerBegun, no),
            (timed_out, Progress::NothingSent, free),
            (timed_out, Progress::Sent, no),
            (|| Failure::Unsendable(String::new()), Progress::NothingSent, no),
        ] {
            for (method, retry) in methods.iter().zip(retries) {
                let mut request = outbound(method.clone(), Body::Whole(b"x".to_vec()));
                let failed = judge(failure(), progress, &mut request);
                assert_eq!(failed.retry, retry, "{method}, {progress:?}, {:?}", failed.failure);
            }
        }
    }

    #[test]
    fn a_streamed_body_is_sent_once() {
        let long = vec![0; REPLAYABLE + 1];
        let source = long.as_slice();
        let body = Body::read(Box::new(source), Some(long.len() as u64)).unwrap();
        let mut request = outbound(Method::PUT, body);
        let untouched = judge(unreachable(), Progress::NothingSent, &mut request);
        assert_eq!(untouched.retry, Retry::Free, "nobody has read from it yet");
        if let Body::Stream(stream) = &mut request.body {
            std::io::copy(stream, &mut std::io::sink()).unwrap();
        }
        assert_eq!(judge(unreachable(), Progress::NothingSent, &mut request).retry, Retry::No);
    }

    #[test]
    fn a_client_that_broke_off_is_the_clients_fault() {
        let source = &b"short"[..];
        let body = Body::read(Box::new(source), Some(REPLAYABLE as u64 * 2)).unwrap();
        let mut request = outbound(Method::PUT, body);
        if let Body::Stream(stream) = &mut request.body {
            assert!(std::io::copy(stream, &mut std::io::sink()).is_err());
        }
        let failed = judge(unreachable(), Progress::Sent, &mut request);
        assert!(failed.retry == Retry::No && matches!(failed.failure, Failure::Client(_)));
    }
}
