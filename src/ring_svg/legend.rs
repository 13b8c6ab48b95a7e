//! The servers beside the ring: colour, number, and share of the requests as a bar.

use super::{colour, text};

const LEFT: f64 = 600.0;
const TOP: f64 = 104.0;
const ROW: f64 = 23.0;
const ROWS: usize = 20;
const MOST_COLUMNS: usize = 3;

/// Where in a row the number ends and the bar begins, and where behind the longest bar the percentage and all ends.
const NUMBER: f64 = 45.0;
const BAR: f64 = 52.0;
const PERCENT: f64 = 70.0;
const END: f64 = 100.0;

pub(super) struct Legend<'a> {
    /// Those that are listed.
    shares: &'a [(u32, f64)],
    /// How many are not.
    more: usize,
    columns: usize,
    /// The share of each if all had the same.
    even: f64,
    /// How wide the longest bar is, and how wide one of all requests would be.
    bar: f64,
    scale: f64,
}

impl Legend<'_> {
    pub(super) fn of(shares: &[(u32, f64)]) -> Legend<'_> {
        let columns = shares.len().div_ceil(ROWS).clamp(1, MOST_COLUMNS);
        let most = MOST_COLUMNS * ROWS;
        // The last place is for the word that there are more.
        let listed = if shares.len() > most { most - 1 } else { shares.len() };
        let bar = if columns == 1 { 200.0 } else { 90.0 };
        let even = 1.0 / shares.len().max(1) as f64;
        let longest = shares.iter().map(|(_, share)| *share).fold(even, f64::max);
        let more = shares.len() - listed;
        Legend { shares: &shares[..listed], more, columns, even, bar, scale: bar / longest }
    }

    /// Where the picture ends on the right.
    pub(super) fn right(&self) -> f64 {
        LEFT + self.columns as f64 * self.column()
    }

    /// The same in a sentence, for those who do not see it.
    pub(super) fn sentence(&self) -> String {
        let shares = self.shares.iter().map(|(server, share)| format!("server {server} {}", percent(*share)));
        let more = (self.more > 0).then(|| self.and_more());
        format!("Shares of requests: {}.", shares.chain(more).collect::<Vec<_>>().join(", "))
    }

    pub(super) fn draw(&self) -> String {
        let head = format!("share of requests (dashed: even, {})", percent(self.even));
        let mut drawn = text((LEFT, TOP - 22.0), "dim", "start", &head);
        for (k, &(server, share)) in self.shares.iter().enumerate() {
            drawn += &self.row(self.place(k), server, share);
        }
        for column in self.shares.chunks(ROWS).enumerate().map(|(k, rows)| (k * ROWS, rows.len())) {
            drawn += &self.even_line(column);
        }
        if self.more > 0 {
            let (x, y) = self.place(self.shares.len());
            drawn += &text((x, y + 12.0), "dim", "start", &self.and_more());
        }
        drawn
    }

    fn row(&self, (x, y): (f64, f64), server: u32, share: f64) -> String {
        let colour = colour(server);
        let rect = |x: f64, width: f64| {
            format!(
                "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"15\" fill=\"{colour}\"/>\n"
            )
        };
        rect(x, 15.0)
            + &text((x + NUMBER, y + 12.0), "ink", "end", &server.to_string())
            + &rect(x + BAR, share * self.scale)
            + &text((x + BAR + self.bar + PERCENT, y + 12.0), "ink", "end", &percent(share))
    }

    fn even_line(&self, (first, rows): (usize, usize)) -> String {
        let (x, y) = self.place(first);
        let x = x + BAR + self.even * self.scale;
        let (top, bottom) = (y - 4.0, y + rows as f64 * ROW - 4.0);
        format!("<path class=\"pen\" stroke-dasharray=\"3 3\" d=\"M{x:.2} {top:.2}V{bottom:.2}\"/>\n")
    }

    fn place(&self, k: usize) -> (f64, f64) {
        (LEFT + (k / ROWS) as f64 * self.column(), TOP + (k % ROWS) as f64 * ROW)
    }

    fn column(&self) -> f64 {
        BAR + self.bar + END
    }

    fn and_more(&self) -> String {
        format!("and {} more", self.more)
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
