//! Stopping a replica that runs in this process. The only test of its file, so that nothing else in this process
//! takes the port that it gives back.

mod support;

use std::net::TcpStream;

use ringmaster_replica::Replica;
use support::{Client, DEADLINE, HEARTBEAT, replica, settings};

#[test]
fn stop_refuses_new_connections_cuts_the_open_ones_and_frees_the_port() {
    let first = replica();
    let addr = first.addr();
    let mut client = Client::connect(addr);
    client.send("GET /heartbeat HTTP/1.1\r\n\r\n");
    client.expect(HEARTBEAT);
    first.stop();
    assert_eq!(client.rest(), "");
    assert!(TcpStream::connect_timeout(&addr, DEADLINE).is_err());

    let second = Replica::start(settings(addr)).unwrap();
    assert_eq!(second.addr(), addr);
    let mut client = Client::connect(addr);
    client.send("GET /heartbeat HTTP/1.1\r\n\r\n");
    client.expect(HEARTBEAT);
    drop(second);
    assert_eq!(client.rest(), "");

    let anywhere = Replica::start(settings(([0, 0, 0, 0], 0).into())).unwrap();
    let port = anywhere.addr().port();
    anywhere.stop();
    assert!(TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), DEADLINE).is_err());
}
