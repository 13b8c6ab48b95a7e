//! A request's body as tiny_http hands it out, made good.

use std::io::{self, Read};

use chunked_transfer::Decoder;
use tiny_http::Request;

use super::connection::Connection;
use super::pace::Paced;

/// A chunked body that does not pass for whole when the client ended in the middle of a chunk, which tiny_http's
/// decoder takes for the end of the body. (A client that ends its side right behind the last chunk is refused too.)
pub(super) struct ChunkedBody<'a> {
    pub(super) chunks: Paced<Box<dyn Read + 'a>>,
    pub(super) connection: Connection,
}

impl Read for ChunkedBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.chunks.read(buffer)? {
            0 if !buffer.is_empty() && self.connection.has_ended() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            n => Ok(n),
        }
    }
}

/// What the first `Connection` field says, the only one tiny_http looks at.
fn first_connection_field(request: &Request) -> String {
    let field = request.headers().iter().find(|header| header.field.equiv("Connection"));
    field.map(|header| header.value.as_str().to_ascii_lowercase()).unwrap_or_default()
}

/// Whether tiny_http ends the connection by itself after this request.
pub(super) fn closes_itself(request: &Request) -> bool {
    let options = first_connection_field(request);
    let is_old = *request.http_version() == tiny_http::HTTPVersion(1, 0);
    options.contains("close") || options.contains("upgrade") || (is_old && !options.contains("keep-alive"))
}

/// tiny_http hands out the bare connection as the body of a request that asks for an upgrade. Who asks for one here is
/// served without it.
pub(super) fn is_raw(request: &Request) -> bool {
    first_connection_field(request).contains("upgrade")
}

/// The chunks of a body as what they hold.
pub(super) fn chunks<'a>(request: &'a mut Request, is_raw: bool) -> Box<dyn Read + 'a> {
    match is_raw {
        true => Box::new(Decoder::new(request.as_reader())),
        false => Box::new(request.as_reader()),
    }
}
