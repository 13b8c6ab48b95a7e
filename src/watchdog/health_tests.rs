use super::*;

const STEP: Duration = Duration::from_millis(500);

fn threshold(fall: u32, rise: u32) -> Threshold {
    Threshold { fall, rise }
}

fn miss() -> Miss {
    Miss { why: "silence".to_owned(), accepts: true }
}

fn pulse(kind: char) -> Pulse {
    match kind {
        'g' => Pulse::Good(Duration::from_millis(1)),
        'u' => Pulse::Unknown("no descriptors".to_owned()),
        _ => Pulse::Missed(miss()),
    }
}

/// Feeds `g`ood, `m`issed and `u`nknown pulses and `d`oubts, 500 ms apart, and returns the transitions: `-` where it
/// fell and `+` where it rose, each behind the place.
fn transitions(fall: u32, rise: u32, pulses: &str) -> String {
    let mut now = Instant::now();
    let mut health = Health::well(threshold(fall, rise), now);
    let mut seen = String::new();
    for (at, kind) in pulses.chars().enumerate() {
        now += STEP;
        let transition = match kind {
            'd' => health.doubt(miss(), now),
            _ => health.observe(&pulse(kind), now),
        };
        match transition {
            Some(Transition::Fell { .. }) => seen += &format!("-{at} "),
            Some(Transition::Rose) => seen += &format!("+{at} "),
            None => {}
        }
    }
    seen.trim_end().to_owned()
}

#[test]
fn only_misses_in_a_row_make_a_failure_and_it_is_told_once() {
    for (fall, rise, pulses, expected) in [
        (2, 1, "ggmgmgmg", ""),
        (2, 1, "gmmmmmm", "-2"),
        (1, 1, "m", "-0"),
        (3, 1, "mmgmmm", "-5"),
        // What could not be asked says nothing, in either direction.
        (2, 1, "mumumu", "-2"),
        (2, 1, "mumugug", "-2 +6"),
        (2, 1, "uuuuuuuu", ""),
    ] {
        assert_eq!(transitions(fall, rise, pulses), expected, "{pulses}");
    }
}

#[test]
fn who_returns_has_to_hold_and_longer_after_each_relapse() {
    // After the first relapse within a minute twice `rise`, then four times.
    assert_eq!(transitions(2, 2, "mmgggg"), "-1 +5");
    assert_eq!(transitions(2, 2, "mmgggmgggg"), "-1 +9", "a miss begins it again");
    assert_eq!(transitions(1, 1, "mggmggggmgggggggg"), "-0 +2 -3 +7 -8 +16");
}

#[test]
fn a_doubt_is_a_miss_that_stands_until_good_heartbeats_say_otherwise() {
    assert_eq!(transitions(2, 1, "dm"), "-1");
    assert_eq!(transitions(2, 1, "dgg"), "+2");
    assert_eq!(transitions(2, 1, "md"), "-1");
    assert_eq!(transitions(1, 1, "d"), "-0");
    assert_eq!(transitions(3, 1, "ddd"), "-2");
}

#[test]
fn a_minute_of_health_is_a_clean_slate() {
    let mut now = Instant::now();
    let mut health = Health::well(threshold(1, 1), now);
    for (well_for, needed) in [(59, 2), (59, 4), (61, 1), (1, 2)] {
        now += Duration::from_secs(well_for);
        assert!(health.observe(&pulse('m'), now).is_some());
        assert_eq!(health.needed(), needed, "after {well_for} s of health");
        (0..needed).for_each(|_| drop(health.observe(&pulse('g'), now)));
        assert_eq!(health.standing(), Standing::Well);
    }
}

#[test]
fn a_failure_says_how_long_ago_the_last_good_heartbeat_was() {
    let begin = Instant::now();
    let mut health = Health::well(threshold(2, 1), begin);
    health.observe(&pulse('g'), begin + STEP);
    assert_eq!(health.observe(&pulse('m'), begin + 2 * STEP), None);
    let fell = health.observe(&pulse('m'), begin + 3 * STEP);
    assert_eq!(fell, Some(Transition::Fell { miss: miss(), unwell_for: Some(2 * STEP) }));
}

/// The same in the simplest words there are: the whole history is kept and looked at afresh each time.
struct Naive {
    threshold: Threshold,
    /// Everything observed since the standing last changed, and when.
    since: Vec<char>,
    misses: Vec<char>,
    standing: Standing,
    well_since: Duration,
    relapses: u32,
}

impl Naive {
    fn observe(&mut self, kind: char, now: Duration) -> Option<char> {
        if kind == 'u' {
            return None;
        }
        if kind == 'e' || (kind == 'd' && self.standing == Standing::Well) {
            if self.standing == Standing::Well {
                self.relapse(now);
            }
            self.standing = if kind == 'e' { Standing::Failed } else { Standing::Doubted };
            self.since.clear();
        }
        if kind == 'e' {
            return None;
        }
        self.since.push(kind);
        self.misses.push(kind);
        let last =
            |of: &[char], good: bool| of.iter().rev().take_while(|k| (**k == 'g') == good).count() as u32;
        let (misses, goods) = (last(&self.misses, false), last(&self.since, true));
        match self.standing {
            Standing::Well if kind == 'g' && now - self.well_since >= FORGIVEN_AFTER => {
                self.relapses = 0;
                None
            }
            Standing::Well | Standing::Doubted if misses >= self.threshold.fall => {
                if self.standing == Standing::Well {
                    self.relapse(now);
                }
                self.standing = Standing::Failed;
                self.since.clear();
                Some('-')
            }
            Standing::Doubted | Standing::Failed if goods >= self.threshold.rise << self.relapses.min(6) => {
                self.standing = Standing::Well;
                self.well_since = now;
                Some('+')
            }
            _ => None,
        }
    }

    fn relapse(&mut self, now: Duration) {
        self.relapses = if now - self.well_since >= FORGIVEN_AFTER { 0 } else { self.relapses + 1 };
    }
}

#[test]
fn random_histories_are_judged_as_the_naive_judge_does() {
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let threshold = threshold(random.u32(1..5), random.u32(1..4));
        let begin = Instant::now();
        let mut health = Health::well(threshold, begin);
        let mut naive = Naive {
            threshold,
            since: Vec::new(),
            misses: Vec::new(),
            standing: Standing::Well,
            well_since: Duration::ZERO,
            relapses: 0,
        };
        let mut now = Duration::ZERO;
        for step in 0..500 {
            // Mostly quick, sometimes a long time.
            now += Duration::from_millis(if random.u8(0..20) == 0 { random.u64(0..70_000) } else { 100 });
            // Long runs of one kind, so that long streaks are seen too.
            let kind = random.choice(['g', 'g', 'g', 'g', 'g', 'm', 'm', 'u', 'd', 'e']).unwrap();
            for _ in 0..random.u8(1..8) {
                let expected = naive.observe(kind, now);
                let seen = match kind {
                    'd' => health.doubt(miss(), begin + now),
                    'e' => {
                        health.ended(begin + now);
                        None
                    }
                    _ => health.observe(&pulse(kind), begin + now),
                };
                let seen = seen.map(|transition| if transition == Transition::Rose { '+' } else { '-' });
                assert_eq!(seen, expected, "seed {seed}, step {step}, {kind}");
                assert_eq!(health.standing(), naive.standing, "seed {seed}, step {step}, {kind}");
            }
        }
    }
}
