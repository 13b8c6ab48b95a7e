//! What each endpoint answers.

mod support;

use support::{Client, HEARTBEAT, HOME, replica};

/// Sends one request on a connection of its own and returns all that comes back.
#[track_caller]
fn exchange(request_line: &str, headers: &str) -> String {
    let replica = replica();
    let mut client = Client::connect(replica.addr());
    client.send(format!("{request_line}\r\nHost: replica\r\n{headers}\r\n"));
    client.finish();
    client.rest()
}

#[test]
fn home_names_the_server() {
    assert_eq!(exchange("GET /home HTTP/1.1", ""), HOME);
    assert_eq!(exchange("GET /home?path=/other HTTP/1.1", ""), HOME);
}

#[test]
fn heartbeat_is_empty() {
    assert_eq!(exchange("GET /heartbeat HTTP/1.1", ""), HEARTBEAT);
    assert_eq!(exchange("GET /heartbeat?now HTTP/1.1", ""), HEARTBEAT);
}

#[test]
fn head_is_get_without_a_body() {
    let head = |answer: &str| answer[..answer.find("\r\n\r\n").unwrap() + 4].to_owned();
    assert_eq!(exchange("HEAD /home HTTP/1.1", ""), head(HOME));
    assert_eq!(exchange("HEAD /heartbeat HTTP/1.1", ""), HEARTBEAT);
    let missing = exchange("GET /other HTTP/1.1", "");
    assert_eq!(exchange("HEAD /other HTTP/1.1", ""), head(&missing));
}

#[test]
fn anything_else_is_not_found() {
    assert_eq!(
        exchange("GET /other?x=1 HTTP/1.1", ""),
        "HTTP/1.1 404 Not Found\r\n\
         Content-Type: application/json\r\n\
         Content-Length: 83\r\n\
         \r\n\
         {\"message\":\"<Error> '/other' is not an endpoint of this server\",\"status\":\"failure\"}"
    );
    for request in
        ["GET /", "GET /home/", "POST /home", "PUT /heartbeat", "DELETE /home", "OPTIONS *", "BREW /tea"]
    {
        let answer = exchange(&format!("{request} HTTP/1.1"), "");
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{request}: {answer}");
        assert!(
            answer.ends_with(r#" is not an endpoint of this server","status":"failure"}"#),
            "{request}: {answer}"
        );
    }
}

#[test]
fn http_1_0_closes_unless_asked_not_to() {
    let closing = HEARTBEAT.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let keeping = HEARTBEAT.replace("\r\n\r\n", "\r\nConnection: keep-alive\r\n\r\n");
    let replica = replica();

    let mut client = Client::connect(replica.addr());
    client.send("GET /heartbeat HTTP/1.0\r\n\r\n");
    assert_eq!(client.rest(), closing);

    let mut client = Client::connect(replica.addr());
    client.send("GET /heartbeat HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    client.expect(&keeping);
    client.send("GET /heartbeat HTTP/1.0\r\n\r\n");
    assert_eq!(client.rest(), closing);
}
