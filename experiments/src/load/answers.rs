//! What `GET /home` must be answered with.

use crate::http::Answer;

/// Longest piece of an answer that is shown.
const SHOWN: usize = 120;

/// The name in an answer that is to the letter as the contract has it.
///
/// # Errors
/// What is wrong with it, in a line.
pub fn hello(answer: &Answer) -> Result<&str, String> {
    if answer.status != 200 {
        return Err(format!("status {} instead of 200, body {}", answer.status, shown(answer)));
    }
    let text = str::from_utf8(&answer.body).unwrap_or_default();
    let name = text
        .strip_prefix(r#"{"message":"Hello from Server: "#)
        .and_then(|rest| rest.strip_suffix(r#"","status":"successful"}"#))
        .filter(|name| !name.is_empty() && !name.contains(['"', '\\']));
    name.ok_or_else(|| format!("not the body of the contract: {}", shown(answer)))
}

fn shown(answer: &Answer) -> String {
    let text = answer.text();
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec(), closes: false }
    }

    #[test]
    fn only_the_exact_body_is_right() {
        let right = r#"{"message":"Hello from Server: server_1","status":"successful"}"#;
        assert_eq!(hello(&answer(200, right)), Ok("server_1"));
        for wrong in [
            "",
            r#"{"message":"Hello from Server: ","status":"successful"}"#,
            r#"{"message": "Hello from Server: server_1","status":"successful"}"#,
            r#"{"message":"Hello from Server: server_1","status":"successful"} "#,
            r#"{"message":"Hello from Server: a","status":"x","status":"successful"}"#,
        ] {
            assert!(hello(&answer(200, wrong)).unwrap_err().starts_with("not the body"), "{wrong}");
        }
        assert!(hello(&answer(503, right)).unwrap_err().starts_with("status 503"));
    }
}
