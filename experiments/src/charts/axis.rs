//! Round numbers, and numbers as people write them.

/// Round numbers from at most `low` to at least `high`, about `count` steps of 1, 2, 2.5 or 5 times a power of ten.
pub fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let range = if high > low { high - low } else { low.abs().max(1.0) };
    let rough = range / count.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999_999);
    let step = factor.unwrap_or(10.0) * power;
    // A hair of tolerance: 0.30000000000000004 is no reason for another tick.
    let first = (low / step + 1e-9).floor() as i64;
    let last = ((low + range).max(high) / step - 1e-9).ceil() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

/// A number with as many digits as are of use: whole with thousands apart, else three or four digits that count.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size >= 1000.0 || (size - size.round()).abs() < 1e-9 => 0,
        _ if size >= 100.0 => 1,
        _ if size >= 10.0 => 2,
        _ if size >= 0.1 => 3,
        _ => 5,
    };
    if decimals == 0 {
        return grouped(value);
    }
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number with thousands apart.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 && digits != "0" { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_around_all() {
        assert_eq!(ticks(0.0, 3400.0, 5), [0.0, 1000.0, 2000.0, 3000.0, 4000.0]);
        assert_eq!(ticks(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(2.0, 6.0, 4), [2.0, 3.0, 4.0, 5.0, 6.0]);
        for (low, high) in [(0.0, 0.0), (0.93, 1.07), (-3.0, 4.5), (0.0, 1e-4), (5.0, 5.0), (0.0, 987_654.0)]
        {
            let ticks = ticks(low, high, 5);
            assert!(
                ticks[0] <= low + 1e-9 && ticks[ticks.len() - 1] >= high - 1e-9,
                "{low} {high} {ticks:?}"
            );
            assert!((2..=9).contains(&ticks.len()), "{low} {high} {ticks:?}");
        }
    }

    #[test]
    fn numbers_as_people_write_them() {
        for (value, text) in [
            (0.0, "0"),
            (1234567.0, "1,234,567"),
            (999.0, "999"),
            (-1200.4, "-1,200"),
            (0.6000000000000001, "0.6"),
            (1.0416, "1.042"),
            (33.333, "33.33"),
            (123.456, "123.5"),
            (0.01234, "0.01234"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
