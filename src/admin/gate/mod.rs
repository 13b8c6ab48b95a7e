//! Who may: everything on the admin side but `/rep` and the two questions of a health check is for those who have the
//! token, or, where there is none, for those who are near.
//!
//! A page in somebody's browser is near, too, and not theirs: so changes are also refused that come from a page of another
//! origin, or for a host that is not ours (a name that somebody else has made to point here, "DNS rebinding").

mod near;
mod token;

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{Authority, Uri};

pub use token::Token;

use super::{Endpoint, Need};
use crate::metrics::Refused;
use crate::quoting;

/// Changes that may come at once, in seconds of the rate: a script that sets up a fleet is no flood.
const BURST_SECONDS: u32 = 10;

/// Who may do what.
#[derive(Clone, Default, Debug)]
pub struct Rules {
    /// What admin requests must bring.
    pub token: Option<Token>,
    /// Names beside `localhost` by which the admin side is reached; addresses need not be among them.
    pub hosts: Vec<String>,
    /// Most changes in a second.
    pub change_rate: u32,
}

/// Who asks.
#[derive(Clone, Copy)]
pub struct Visitor<'a> {
    /// Where the connection comes from; never an IPv4 address in an IPv6 one.
    pub(super) peer: IpAddr,
    /// What the request says.
    pub(super) headers: &'a HeaderMap,
}

impl<'a> Visitor<'a> {
    /// Who is at `peer` and says this.
    pub fn new(peer: IpAddr, headers: &'a HeaderMap) -> Visitor<'a> {
        Visitor { peer: peer.to_canonical(), headers }
    }
}

/// Why somebody may not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Denied {
    pub(super) reason: Refused,
    pub(super) why: String,
}

fn deny(reason: Refused, why: impl Into<String>) -> Result<(), Denied> {
    Err(Denied { reason, why: why.into() })
}

/// Decides who may.
pub(super) struct Gate {
    rules: Rules,
    budget: Mutex<Budget>,
}

/// A bucket that fills by the rate, and from which each change takes one.
struct Budget {
    left: f64,
    filled: Instant,
}

impl Gate {
    pub(super) fn new(rules: Rules, now: Instant) -> Gate {
        let left = f64::from(rules.change_rate * BURST_SECONDS);
        Gate { rules, budget: Mutex::new(Budget { left, filled: now }) }
    }

    pub(super) fn wants_token(&self) -> bool {
        self.rules.token.is_some()
    }

    /// Whether `visitor` may use `endpoint`.
    pub(super) fn check(&self, endpoint: Endpoint, visitor: Visitor<'_>) -> Result<(), Denied> {
        let need = endpoint.need();
        if need == Need::Nothing {
            return Ok(());
        }
        match &self.rules.token {
            Some(token) => check_token(token, visitor.headers)?,
            None => near::check(visitor)?,
        }
        // Who reads with a token has shown more than a name could.
        if need == Need::Changing || self.rules.token.is_none() {
            self.check_host(visitor.headers)?;
        }
        check_site(need, visitor.headers)?;
        check_origin(visitor.headers)
    }

    /// Whether a request brings the token, in order or not.
    pub(super) fn is_token_in(&self, headers: &HeaderMap) -> bool {
        let given = || headers.get_all(header::AUTHORIZATION).iter().filter_map(|it| bearer(it.as_bytes()));
        self.rules.token.as_ref().is_some_and(|token| given().any(|bearer| token.matches(bearer)))
    }

    /// Takes one change from what is allowed in this time.
    pub(super) fn count_change(&self, now: Instant) -> Result<(), Denied> {
        let rate = f64::from(self.rules.change_rate);
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.saturating_duration_since(budget.filled).as_secs_f64() * rate;
        (budget.left, budget.filled) = ((budget.left + gained).min(rate * f64::from(BURST_SECONDS)), now);
        if budget.left < 1.0 {
            return deny(Refused::TooManyChanges, format!("more than {rate} changes in a second"));
        }
        budget.left -= 1.0;
        Ok(())
    }

    /// Only addresses, and names that nobody else can have: a page whose name was made to point here sends that name. (Who
    /// answers for names without dots is anybody's guess on many networks.)
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Denied> {
        // HTTP/1.0 has no hosts, and browsers do not speak it.
        let Some(host) = headers.get(header::HOST) else {
            return Ok(());
        };
        let is_listed = |name: &str| self.rules.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        match authority(host).filter(|host| is_ours(host.host()) || is_listed(host.host())) {
            Some(_) => Ok(()),
            None => deny(
                Refused::Host,
                format!("host '{}' is not known to be ours: --admin-hosts names those that are", shown(host)),
            ),
        }
    }
}

fn check_token(token: &Token, headers: &HeaderMap) -> Result<(), Denied> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (Some(given), None) => match bearer(given.as_bytes()) {
            Some(bearer) if token.matches(bearer) => Ok(()),
            Some(_) => deny(Refused::Token, "the token is not the right one"),
            None => deny(Refused::Token, "'Authorization' is not 'Bearer' and a token"),
        },
        (None, _) => deny(Refused::Token, "a token is wanted: 'Authorization: Bearer …'"),
        (Some(_), Some(_)) => deny(Refused::Token, "'Authorization' is there twice"),
    }
}

/// The token of `Bearer token`, whose first word is in any case (RFC 9110 section 11.1).
fn bearer(given: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = given.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

fn authority(host: &HeaderValue) -> Option<Authority> {
    Authority::try_from(host.as_bytes()).ok()
}

/// An address, `localhost` and what is below it.
fn is_ours(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
    bare.parse::<IpAddr>().is_ok() || host == "localhost" || host.ends_with(".localhost")
}

/// A browser says whether a page of ours asks, or the person before it (`none`). `same-site` is a page of another port or of
/// a sister name, so somebody else's. Links to what is read may be anywhere, since who follows one sees it and the page does
/// not; but a form that is sent is followed too, so that is nothing for changes. Whoever says nothing is no browser, or an
/// old one.
fn check_site(need: Need, headers: &HeaderMap) -> Result<(), Denied> {
    let is_followed = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    let mut sites = headers.get_all("sec-fetch-site").iter();
    match sites.all(|site| site == "same-origin" || site == "none") || (need == Need::Reading && is_followed)
    {
        true => Ok(()),
        false => deny(Refused::Origin, "a page of somebody else's has no business here"),
    }
}

/// A page that asks says where it is from; that must be where it asks.
fn check_origin(headers: &HeaderMap) -> Result<(), Denied> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return Ok(());
    };
    let ours = headers.get(header::HOST).and_then(authority);
    let page = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let is_same = match (&page, &ours) {
        (Some(page), Some(ours)) => {
            matches!(page.scheme_str(), Some("http" | "https")) && page.authority() == Some(ours)
        }
        _ => false,
    };
    match is_same && origins.next().is_none() {
        true => Ok(()),
        false => deny(Refused::Origin, format!("a page of origin '{}' has no business here", shown(origin))),
    }
}

/// The value of a field as a message repeats it.
fn shown(value: &HeaderValue) -> String {
    quoting::shown(&String::from_utf8_lossy(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn hosts_that_nobody_else_can_have_are_ours() {
        let rules = Rules { hosts: vec!["lb.example.com".to_owned()], change_rate: 1, ..Rules::default() };
        let gate = Gate::new(rules, Instant::now());
        for (host, ours) in [
            ("127.0.0.1:5000", true),
            ("[::1]:5000", true),
            ("203.0.113.9", true),
            ("localhost:5000", true),
            ("LOCALHOST", true),
            ("a.localhost", true),
            ("balancer:5000", false),
            ("wpad", false),
            ("ai.", false),
            (":5000", false),
            ("lb.example.com:5000", true),
            ("LB.Example.com", true),
            ("localhost.", true),
            ("evil.example.com", false),
            ("lb.example.com.evil.com", false),
            ("localhost.evil.com", false),
            ("127.0.0.1.evil.com", false),
            ("127.0.0.1.nip.io:5000", false),
            ("evil.com.", false),
        ] {
            assert_eq!(gate.check_host(&headers(&[("host", host)])).is_ok(), ours, "{host}");
        }
        assert!(gate.check_host(&headers(&[])).is_ok());
    }

    #[test]
    fn only_a_page_of_ours_may_change_anything() {
        for (host, origin, same) in [
            ("localhost:5000", "http://localhost:5000", true),
            ("localhost:5000", "HTTP://LOCALHOST:5000", true),
            ("lb.example.com", "https://lb.example.com", true),
            ("localhost:5000", "http://localhost:5001", false),
            ("localhost:5000", "http://localhost", false),
            ("localhost:5000", "http://127.0.0.1:5000", false),
            ("localhost:5000", "http://evil.com", false),
            ("localhost:5000", "null", false),
            ("localhost:5000", "", false),
            ("localhost:5000", "ftp://localhost:5000", false),
            ("localhost:5000", "localhost:5000", false),
            ("localhost:5000", "http://localhost:5000.evil.com", false),
        ] {
            let fields = [("host", host), ("origin", origin)];
            assert_eq!(check_origin(&headers(&fields)).is_ok(), same, "{host} {origin}");
        }
        assert!(check_origin(&headers(&[("host", "a")])).is_ok(), "no page");
        let twice = [("host", "a"), ("origin", "http://a"), ("origin", "http://b")];
        assert!(check_origin(&headers(&twice)).is_err());
        assert!(check_origin(&headers(&[("origin", "http://a")])).is_err(), "no host to be the same");
    }

    #[test]
    fn a_page_of_somebody_else_is_told_apart_and_only_links_to_what_is_read_are_followed() {
        for (site, mode, reads, changes) in [
            ("same-origin", "cors", true, true),
            ("same-origin", "navigate", true, true),
            ("none", "navigate", true, true),
            ("cross-site", "navigate", true, false),
            ("same-site", "navigate", true, false),
            ("cross-site", "no-cors", false, false),
            ("cross-site", "cors", false, false),
            ("same-site", "no-cors", false, false),
            ("same-site", "cors", false, false),
            ("Same-Origin", "cors", false, false),
            ("", "cors", false, false),
            ("something-new", "cors", false, false),
        ] {
            let fields = headers(&[("sec-fetch-site", site), ("sec-fetch-mode", mode)]);
            assert_eq!(check_site(Need::Reading, &fields).is_ok(), reads, "{site} {mode}");
            assert_eq!(check_site(Need::Changing, &fields).is_ok(), changes, "{site} {mode}");
        }
        for need in [Need::Reading, Need::Changing] {
            assert!(check_site(need, &headers(&[("sec-fetch-mode", "cors")])).is_ok(), "no browser");
            let both = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")];
            assert!(check_site(need, &headers(&both)).is_err());
        }
    }

    #[test]
    fn a_token_comes_as_bearer_once() {
        let token = Token::new("0123456789abcdef").unwrap();
        for (given, right) in [
            (&["Bearer 0123456789abcdef"][..], true),
            (&["bearer  0123456789abcdef "], true),
            (&["Bearer 0123456789abcdeX"], false),
            (&["Bearer 0123456789abcde"], false),
            (&["Bearer "], false),
            (&["Bearer"], false),
            (&["0123456789abcdef"], false),
            (&["Basic 0123456789abcdef"], false),
            (&[], false),
            (&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"], false),
        ] {
            let fields: Vec<_> = given.iter().map(|given| ("authorization", *given)).collect();
            assert_eq!(check_token(&token, &headers(&fields)).is_ok(), right, "{given:?}");
        }
    }

    #[test]
    fn changes_come_at_the_rate_after_a_burst() {
        let begin = Instant::now();
        let gate = Gate::new(Rules { change_rate: 2, ..Rules::default() }, begin);
        let passed = |now| (0..100).filter(|_| gate.count_change(now).is_ok()).count();
        assert_eq!(passed(begin), 20);
        assert_eq!(passed(begin + Duration::from_millis(500)), 1);
        assert_eq!(passed(begin + Duration::from_secs(3)), 5);
        assert_eq!(passed(begin + Duration::from_secs(3600)), 20);
    }
}
