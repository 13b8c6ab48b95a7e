//! Requests that are not admitted: what they are told, what is written down of them, and how their connections end.

use http::StatusCode;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};

use super::Side;
use super::admission::{RawHead, Refusal};
use super::exchange::Manners;
use super::ledger::Outcome;
use super::outbox::{After, Delivery, Errand};
use super::respond::{self, Fate};
use super::turns::Arrival;
use crate::admin::{ALLOW, Reply};
use crate::forward;

/// Answers a request that is not admitted, and ends its connection.
pub(super) fn turn_away(mut arrival: Arrival, Refusal { status, why }: &Refusal, manners: &Manners) {
    let connection = arrival.incoming.connection();
    log::debug!("request from {} refused: {status}: {why}", connection.peer());
    arrival.turn.end_connection();
    let Some(request) = arrival.incoming.request() else {
        return;
    };
    let head = RawHead::of(request);
    let id = forward::identify(&what_names(&head));
    let reply = Reply::failure(*status, why);
    let reply = match *status {
        // Only CONNECT is refused for its method.
        StatusCode::METHOD_NOT_ALLOWED => reply.with(ALLOW.0, ALLOW.1),
        _ => reply,
    };
    let reply = reply.traced(id.to_str().unwrap_or("-"));
    let without_body = head.method == "HEAD";
    let rendered = respond::render(&reply, Fate::Close, without_body);
    let bytes = if without_body { 0 } else { reply.body.len() as u64 };
    let outcome = Outcome { status: *status, bytes, complete: true };
    let is_admin = manners.side == Side::Admin;
    manners.ledger.turned_away(connection.peer(), &head, &id, outcome, arrival.incoming.age(), is_admin);
    // A client that is told that its body is too large is probably sending it.
    match connection.socket().filter(|_| *status == StatusCode::PAYLOAD_TOO_LARGE) {
        Some(socket) => {
            let refused = Box::new(Refused(arrival));
            manners.outbox.deliver(Delivery::new(socket, rendered, After::EndGently, refused));
        }
        None => {
            connection.send_and_sever(&rendered);
            arrival.incoming.note_severed();
        }
    }
}

/// The fields of a head that was not checked which may hold a name for the request.
fn what_names(head: &RawHead<'_>) -> HeaderMap {
    let names = [forward::X_REQUEST_ID, CONNECTION];
    let fields = head.fields.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| names.contains(name))?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    fields.collect()
}

/// A request that was refused and whose client is still sending.
struct Refused(Arrival);

impl Errand for Refused {
    fn sent(&mut self, _: bool) {
        // The connection is ended with it.
        self.0.incoming.note_severed();
    }
}
