//! Answers counted by status code.

use std::iter::zip;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::StatusCode;

/// Codes that have a counter of their own: those of RFC 9110 and what proxies use beside them. All others are counted by
/// their class, so that a replica that makes codes up cannot make series without end.
const KNOWN: [u16; 48] = [
    100, 101, 103, 200, 201, 202, 203, 204, 205, 206, 207, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402,
    403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 425, 426, 428, 429,
    431, 451, 500, 502, 503, 504,
];

/// The classes of the rest.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

const COUNTERS: usize = KNOWN.len() + CLASSES.len();

/// The counter of each status from 100 to 599.
const COUNTER_OF: [u8; 500] = {
    let mut counters = [0; 500];
    let mut status = 0;
    while status < 500 {
        counters[status] = (KNOWN.len() + status / 100) as u8;
        status += 1;
    }
    let mut known = 0;
    while known < KNOWN.len() {
        counters[KNOWN[known] as usize - 100] = known as u8;
        known += 1;
    }
    counters
};

/// Counts answers. Adding one never waits.
#[derive(Debug)]
pub struct Answers {
    counters: [AtomicU64; COUNTERS],
}

impl Default for Answers {
    fn default() -> Answers {
        Answers { counters: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Answers {
    /// Counts one with this status.
    pub fn count(&self, status: StatusCode) {
        let at = usize::from(status.as_u16().clamp(100, 599)) - 100;
        self.counters[usize::from(COUNTER_OF[at])].fetch_add(1, Relaxed);
    }

    /// What has been counted so far.
    pub fn read(&self) -> Codes {
        Codes { counts: std::array::from_fn(|at| self.counters[at].load(Relaxed)) }
    }
}

/// How many answers there were of each code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Codes {
    counts: [u64; COUNTERS],
}

impl Default for Codes {
    fn default() -> Codes {
        Codes { counts: [0; COUNTERS] }
    }
}

impl Codes {
    /// As (code or class, how many), without those that never came, but for those that are `always` there.
    pub fn by_code(&self, always: &[&str]) -> Vec<(String, u64)> {
        let name = |at: usize| match KNOWN.get(at) {
            Some(code) => code.to_string(),
            None => CLASSES[at - KNOWN.len()].to_owned(),
        };
        let all = self.counts.iter().enumerate().map(|(at, count)| (name(at), *count));
        all.filter(|(name, count)| *count > 0 || always.contains(&name.as_str())).collect()
    }

    /// How many there were of each class, from 1xx to 5xx.
    pub fn by_class(&self) -> [u64; 5] {
        let mut classes = [0; 5];
        for (at, count) in self.counts.iter().enumerate() {
            let class =
                KNOWN.get(at).map_or(at.saturating_sub(KNOWN.len()), |code| usize::from(code / 100 - 1));
            classes[class] += count;
        }
        classes
    }

    /// Adds another's counts.
    pub(super) fn add(&mut self, other: &Codes) {
        zip(&mut self.counts, &other.counts).for_each(|(own, count)| *own += count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_count_by_themselves_and_others_by_class() {
        assert!(KNOWN.is_sorted_by(|a, b| a < b));
        let answers = Answers::default();
        for status in [200, 200, 504, 299, 250, 418, 599, 100, 999] {
            answers.count(StatusCode::from_u16(status).unwrap());
        }
        let codes = answers.read();
        let expected = [("100", 1), ("200", 2), ("504", 1), ("2xx", 2), ("4xx", 1), ("5xx", 2)];
        let expected = expected.map(|(code, count)| (code.to_owned(), count));
        assert_eq!(codes.by_code(&[]), expected);
        assert_eq!(codes.by_code(&["200", "5xx"]), expected, "none is there twice");
        let none = Codes::default().by_code(&["503", "5xx", "no code"]);
        assert_eq!(none, [("503".to_owned(), 0), ("5xx".to_owned(), 0)]);
        assert_eq!(codes.by_class(), [1, 4, 0, 1, 3]);
        let mut total = codes.clone();
        total.add(&codes);
        assert_eq!(total.by_class(), [2, 8, 0, 2, 6]);
    }
}
