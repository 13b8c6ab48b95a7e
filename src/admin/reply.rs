//! What the balancer itself answers.

use std::borrow::Cow;

use http::StatusCode;

use super::wire;

/// Which methods may be of use here: those of RFC 9110. Others are forwarded too.
pub const ALLOW: (&str, &str) = ("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");

/// An answer of the balancer's own, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Fields beside those that every answer has.
    pub fields: Vec<(&'static str, Cow<'static, str>)>,
    /// What `body` is.
    pub content_type: &'static str,
    /// The body; empty for none.
    pub body: String,
    /// The error text, if the answer is to say which request it is about, too: see [`Reply::traced`].
    untraced: Option<String>,
}

impl Reply {
    /// A success with a JSON body.
    pub fn json(body: String) -> Reply {
        Reply {
            status: StatusCode::OK,
            fields: Vec::new(),
            content_type: "application/json",
            body,
            untraced: None,
        }
    }

    /// A success with another body.
    pub fn text(content_type: &'static str, body: String) -> Reply {
        Reply { content_type, ..Reply::json(body) }
    }

    /// A refusal or a failure with its text, in the envelope.
    pub fn failure(status: StatusCode, text: &str) -> Reply {
        Reply { status, ..Reply::json(wire::failure(text)) }
    }

    /// The same, for a client that may try again after a second.
    pub fn try_again(text: &str) -> Reply {
        Reply::failure(StatusCode::SERVICE_UNAVAILABLE, text).with("Retry-After", "1")
    }

    /// What there is to say of the server as a whole.
    pub fn options() -> Reply {
        Reply::json(String::new()).with(ALLOW.0, ALLOW.1)
    }

    /// The same with another status.
    pub fn with_status(self, status: StatusCode) -> Reply {
        Reply { status, ..self }
    }

    /// The same with one more field.
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Reply {
        self.fields.push((name, value.into()));
        self
    }

    /// A failure that also says in its body which request it is about when it is sent: one that was to be forwarded, and
    /// whose way can be followed in the logs. (What the contract has a text for stays as the contract has it.)
    pub fn about_request(status: StatusCode, text: &str) -> Reply {
        Reply { untraced: Some(text.to_owned()), ..Reply::failure(status, text) }
    }

    /// The answer with the id of the request it is about.
    pub fn traced(&self, request_id: &str) -> Reply {
        let body = match &self.untraced {
            Some(text) => wire::traced_failure(text, request_id),
            None => self.body.clone(),
        };
        Reply { body, untraced: None, ..self.clone() }.with("X-Request-Id", request_id.to_owned())
    }

    /// The same for something that is about a request and may be tried again.
    pub fn request_may_try_again(text: &str) -> Reply {
        Reply::about_request(StatusCode::SERVICE_UNAVAILABLE, text).with("Retry-After", "1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_which_request_it_is_about_and_a_failure_to_forward_in_its_body_too() {
        let own = Reply::failure(StatusCode::BAD_REQUEST, "no");
        let traced = own.traced("a1");
        assert_eq!((&traced.body, &traced.fields[..]), (&own.body, &[("X-Request-Id", "a1".into())][..]));
        let traced = Reply::request_may_try_again("no").traced("a1");
        assert_eq!(traced.body, r#"{"message":"<Error> no","status":"failure","request_id":"a1"}"#);
        let names: Vec<&str> = traced.fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["Retry-After", "X-Request-Id"]);
    }
}
