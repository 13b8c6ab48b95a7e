//! Moments as people and programs read them.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

/// The beginning of this run, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// By the clock that only runs forward.
    pub at: Instant,
    /// By the calendar.
    pub time: SystemTime,
}

impl Started {
    /// That is now.
    pub(super) fn now() -> Started {
        Started { at: Instant::now(), time: SystemTime::now() }
    }

    /// A number that tells this run from others: its beginning in milliseconds since 1970.
    pub(super) fn number(self) -> u128 {
        self.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis()
    }

    /// A moment by the calendar. Counted from now, not from the start: the calendar may have been set right meanwhile.
    pub(super) fn calendar(moment: Instant, now: Instant) -> String {
        written(SystemTime::now() - now.saturating_duration_since(moment))
    }
}

/// `2026-11-21T15:19:03.123Z`.
pub(super) fn written(time: SystemTime) -> String {
    format!("{:.3}", Timestamp::try_from(time).unwrap_or_default())
}

/// Whole milliseconds.
pub(super) fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds with three digits behind the point.
pub(super) fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
