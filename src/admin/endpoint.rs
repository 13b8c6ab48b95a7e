//! The paths that are the balancer's own: the three of the contract, and what is below `/_ringmaster/`. No other path is
//! ever answered here, so no page of a replica's is hidden.

use http::Method;

/// Everything of ours beside the contract's paths is below this.
const BELOW: &str = "/_ringmaster/";

/// What one has to be allowed to use an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Nothing: it is for everybody.
    Nothing,
    /// To know how the balancer is.
    Reading,
    /// To change the fleet.
    Changing,
}

/// Which threads answer an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// What must never wait for others.
    Open,
    /// What is read, and may be long to write out.
    Listings,
    /// What has a body to wait for and takes seconds.
    Changes,
}

/// One of the paths that are the balancer's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// `/rep`: which replicas there are.
    Rep,
    /// `/add`: more of them.
    Add,
    /// `/rm`: fewer of them.
    Rm,
    /// `/_ringmaster/health`: whether the balancer is alive.
    Health,
    /// `/_ringmaster/ready`: whether it can route.
    Ready,
    /// `/_ringmaster/status`: how it and each replica is.
    Status,
    /// `/_ringmaster/events`: what has happened.
    Events,
    /// `/_ringmaster/history`: the last minutes, second by second.
    History,
    /// `/_ringmaster/metrics`: everything that is counted, for Prometheus.
    Metrics,
    /// `/_ringmaster/openapi.json`: what these are, for programs.
    OpenApi,
    /// `/_ringmaster/`: the page for people.
    Page,
    /// `/_ringmaster`: the way there.
    ToPage,
    /// Anything else below `/_ringmaster/`: nothing.
    Nothing,
}

impl Endpoint {
    /// All that have a path of their own.
    pub const ALL: [Endpoint; 12] = [
        Endpoint::Rep,
        Endpoint::Add,
        Endpoint::Rm,
        Endpoint::Health,
        Endpoint::Ready,
        Endpoint::Status,
        Endpoint::Events,
        Endpoint::History,
        Endpoint::Metrics,
        Endpoint::OpenApi,
        Endpoint::Page,
        Endpoint::ToPage,
    ];

    /// The endpoint at `path` (without the query), if it is one of ours.
    pub fn at(path: &str) -> Option<Endpoint> {
        let found = Endpoint::ALL.into_iter().find(|endpoint| endpoint.path() == path);
        found.or_else(|| path.starts_with(BELOW).then_some(Endpoint::Nothing))
    }

    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Endpoint::Rep => "/rep",
            Endpoint::Add => "/add",
            Endpoint::Rm => "/rm",
            Endpoint::Health => "/_ringmaster/health",
            Endpoint::Ready => "/_ringmaster/ready",
            Endpoint::Status => "/_ringmaster/status",
            Endpoint::Events => "/_ringmaster/events",
            Endpoint::History => "/_ringmaster/history",
            Endpoint::Metrics => "/_ringmaster/metrics",
            Endpoint::OpenApi => "/_ringmaster/openapi.json",
            Endpoint::Page | Endpoint::Nothing => BELOW,
            Endpoint::ToPage => "/_ringmaster",
        }
    }

    /// Who may use it: everybody the contract's list, what watches the balancer, and a redirection that tells nothing.
    pub fn need(self) -> Need {
        match self {
            Endpoint::Rep | Endpoint::Health | Endpoint::Ready | Endpoint::ToPage => Need::Nothing,
            Endpoint::Add | Endpoint::Rm => Need::Changing,
            Endpoint::Status
            | Endpoint::Events
            | Endpoint::History
            | Endpoint::Metrics
            | Endpoint::OpenApi
            | Endpoint::Page
            | Endpoint::Nothing => Need::Reading,
        }
    }

    /// Which threads answer it. That is another question than who may; only here the one follows from the other: what
    /// everybody may ask is short, and those who may ask no more cannot make it wait; and it is changes that take seconds.
    pub fn lane(self) -> Lane {
        match self.need() {
            Need::Nothing => Lane::Open,
            Need::Reading => Lane::Listings,
            Need::Changing => Lane::Changes,
        }
    }

    /// The methods it takes, as the `Allow` field lists them.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Endpoint::Add => "POST",
            Endpoint::Rm => "DELETE, POST",
            _ => "GET, HEAD",
        }
    }

    /// Where there is nothing, no method is the wrong one.
    pub(super) fn allows(self, method: &Method) -> bool {
        self == Endpoint::Nothing || self.allowed().split(", ").any(|allowed| allowed == method.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_contract_and_what_is_below_one_folder_is_ours() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Endpoint::at(endpoint.path()), Some(endpoint));
        }
        for path in [
            "/",
            "/home",
            "/rep/",
            "/Rep",
            "/repo",
            "/_ringmasters",
            "/metrics",
            "/health",
            "/status",
            "/a/_ringmaster/",
        ] {
            assert_eq!(Endpoint::at(path), None, "{path}");
        }
        for path in ["/_ringmaster/x", "/_ringmaster//status", "/_ringmaster/status/", "/_ringmaster/../rep"]
        {
            assert_eq!(Endpoint::at(path), Some(Endpoint::Nothing), "{path}");
        }
    }

    #[test]
    fn what_changes_is_asked_by_other_methods_than_what_is_read() {
        for endpoint in Endpoint::ALL {
            let changes = endpoint.need() == Need::Changing;
            for safe in [Method::GET, Method::HEAD] {
                assert_eq!(endpoint.allows(&safe), !changes, "{endpoint:?} {safe}");
            }
            assert_eq!(endpoint.allows(&Method::POST), changes, "{endpoint:?}");
            for other in [Method::OPTIONS, Method::TRACE, Method::PUT, Method::PATCH] {
                assert!(!endpoint.allows(&other), "{endpoint:?} {other}");
            }
        }
    }
}
