//! The balancer's ways to be watched.

use serde::Serialize;

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Nothing is counted.
    Off,
    /// Requests are counted and timed: the default.
    Metrics,
    /// The same, and somebody reads the metrics once a second.
    Scraped,
    /// The default, and a line for each request as Apache and nginx write it.
    Combined,
    /// The default, and a JSON object for each request.
    Json,
}

impl Variant {
    /// All, in the order of the table.
    pub const ALL: [Variant; 5] =
        [Variant::Off, Variant::Metrics, Variant::Scraped, Variant::Combined, Variant::Json];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Off => "off",
            Variant::Metrics => "metrics",
            Variant::Scraped => "scraped",
            Variant::Combined => "combined",
            Variant::Json => "json",
        }
    }

    /// What the balancer is told.
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Variant::Off => &["--metrics", "off"],
            Variant::Metrics | Variant::Scraped => &[],
            Variant::Combined => &["--access-log", "combined"],
            Variant::Json => &["--access-log", "json"],
        }
    }

    /// Whether requests are counted.
    pub fn counts(self) -> bool {
        self != Variant::Off
    }

    /// Whether there is a line for each request.
    pub fn logs(self) -> bool {
        matches!(self, Variant::Combined | Variant::Json)
    }

    /// Whether its metrics are read while it is measured.
    pub fn is_scraped(self) -> bool {
        self == Variant::Scraped
    }
}
