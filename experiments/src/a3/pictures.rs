//! The charts of a death under load.

use std::time::Duration;

use super::crash::Crash;
use crate::charts::{ALARM, CALM, Mark, Panel, Series, Timeline, buckets};
use crate::load::{Run, Sample};

/// Buckets of the whole, and of what is around the death.
const BUCKET: Duration = Duration::from_millis(100);
const FINE: Duration = Duration::from_millis(10);

/// What is shown around the death and the recovery from close up, and how long that may be in all.
const AROUND: Duration = Duration::from_millis(200);
const CLOSE: Duration = Duration::from_millis(1200);

/// From the beginning to the end.
pub fn timeline(crash: &Crash, run: &Run) -> Timeline {
    let end = Duration::from_secs_f64(crash.seconds);
    // The last bucket is not whole, so it would look like a dip.
    let count = (end.as_nanos() / BUCKET.as_nanos()).max(1) as usize;
    chart(format!("{} is killed under load", crash.replica), crash, run, (Duration::ZERO, BUCKET, count))
}

/// Around the death; `None` where the recovery took so long that the whole shows it well.
pub fn closeup(crash: &Crash, run: &Run) -> Option<Timeline> {
    let begin = Duration::from_secs_f64(crash.death_s).saturating_sub(AROUND);
    let begin = Duration::from_millis((begin.as_millis() / 100 * 100) as u64);
    let end = Duration::from_secs_f64(crash.first_answer_s?) + AROUND;
    let length = end.saturating_sub(begin);
    let count = length.as_nanos().div_ceil(FINE.as_nanos()) as usize;
    let title = format!("{} is killed under load, close up", crash.replica);
    (length <= CLOSE).then(|| chart(title, crash, run, (begin, FINE, count)))
}

fn chart(title: String, crash: &Crash, run: &Run, window: (Duration, Duration, usize)) -> Timeline {
    let (begin, bucket, _) = window;
    let label = format!("answers per {} ms", bucket.as_millis());
    Timeline {
        title,
        about: about(crash),
        x_label: "seconds since the load began".to_owned(),
        begin: begin.as_secs_f64(),
        bucket: bucket.as_secs_f64(),
        panels: vec![
            Panel { label: label.clone(), series: by_replica(run, window) },
            Panel { label, series: by_status(run, window) },
        ],
        marks: marks(crash),
    }
}

fn by_replica(run: &Run, window: (Duration, Duration, usize)) -> Vec<Series> {
    let mut places: Vec<usize> = (0..run.names.len()).collect();
    places.sort_by_key(|place| &run.names[*place]);
    let one = |(colour, place): (usize, usize)| Series {
        name: run.names[place].clone(),
        colour,
        counts: count(run, window, |sample| sample.replica == Some(place)),
    };
    places.into_iter().enumerate().map(one).collect()
}

fn by_status(run: &Run, window: (Duration, Duration, usize)) -> Vec<Series> {
    let mut statuses: Vec<u16> = run.samples.iter().map(|sample| sample.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses.sort_by_key(|status| *status != 200);
    let one = |(k, status): (usize, u16)| Series {
        colour: if status == 200 { CALM } else { ALARM + k },
        name: if status == 0 { "no answer".to_owned() } else { format!("status {status}") },
        counts: count(run, window, |sample| sample.status == status),
    };
    statuses.into_iter().enumerate().map(one).collect()
}

fn count(run: &Run, window: (Duration, Duration, usize), is_meant: impl Fn(&Sample) -> bool) -> Vec<u64> {
    let (begin, bucket, count) = window;
    let times = run.samples.iter().filter(|sample| is_meant(sample)).map(|sample| sample.done);
    buckets(times, begin, bucket, count)
}

fn marks(crash: &Crash) -> Vec<Mark> {
    let moments = [
        ("death", Some(crash.death_s)),
        ("detection", crash.detected_s),
        ("relaunch", crash.relaunched_s),
        ("first answer of the new life", crash.first_answer_s),
    ];
    let name = |what: &str, at: f64| match (at - crash.death_s) * 1000.0 {
        0.0 => what.to_owned(),
        after => format!("{what} +{after:.0} ms"),
    };
    let mark = |(what, at): (&str, Option<f64>)| at.map(|at| Mark { at, name: name(what, at) });
    moments.into_iter().filter_map(mark).collect()
}

fn about(crash: &Crash) -> String {
    let moments: Vec<String> =
        marks(crash).into_iter().map(|mark| format!("{} at {:.3} s", mark.name, mark.at)).collect();
    format!("{} answers, stacked by replica and by status. {}.", crash.answers, moments.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::crash::tests::{crash, run};
    use super::*;

    #[test]
    fn answers_are_counted_by_replica_and_by_status() {
        let run = run(&[(0, 50, 1), (0, 60, 0), (0, 150, 0), (0, 2950, 1), (0, 2999, 1)]);
        let chart = timeline(&crash(), &run);
        let [replicas, statuses] = chart.panels.as_slice() else { panic!("not two panels") };
        assert_eq!(replicas.series.len(), 2);
        assert_eq!(&replicas.series[0].counts[..3], [1, 1, 0]);
        assert_eq!(replicas.series[1].counts.last(), Some(&2));
        assert_eq!((statuses.series.len(), statuses.series[0].counts[0]), (1, 2));
    }

    #[test]
    fn moments_that_were_not_seen_have_no_mark() {
        let names: Vec<String> = marks(&crash()).into_iter().map(|mark| mark.name).collect();
        assert_eq!(names, ["death", "relaunch +200 ms", "first answer of the new life +250 ms"]);
    }

    #[test]
    fn only_a_quick_recovery_is_shown_from_close_up() {
        let quick = closeup(&crash(), &run(&[])).unwrap();
        assert_eq!((quick.begin, quick.panels[0].label.as_str()), (0.8, "answers per 10 ms"));
        let slow = Crash { first_answer_s: Some(9.0), ..crash() };
        assert!(closeup(&slow, &run(&[])).is_none());
    }
}
