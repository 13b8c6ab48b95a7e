//! A ring as a picture: an SVG without scripts, fonts or anything else from outside, for light and dark pages.
//!
//! What is drawn is plain data, so that rings of slots, rings of hashes and lookup tables all look alike. Equal
//! pictures give equal bytes. Colours are set by class, not by CSS variable: viewers outside the browser know only the
//! former, and show the light picture.

mod file;
mod legend;

pub use file::save;

use std::collections::BTreeMap;

use legend::Legend;

/// What is drawn. Places are parts of one turn, 0 to 1, clockwise from the top.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Picture {
    /// What it shows, in a few words.
    pub title: String,
    /// What is to be known of it as a whole.
    pub subtitle: String,
    /// Which server answers where, in order of place.
    pub owners: Vec<Span<u32>>,
    /// Where the virtual servers are, and whose they are.
    pub points: Vec<(f64, u32)>,
    /// Where requests come in, in order of place, each with a strength from 0 to 1. None at all: no inner ring.
    pub requests: Vec<Span<f64>>,
    /// Names of places.
    pub marks: Vec<(f64, String)>,
    /// The servers, each with its share of the requests as a part of 1.
    pub shares: Vec<(u32, f64)>,
    /// How to read the picture, by line.
    pub notes: Vec<String>,
}

/// What holds from one place to another that is not before it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Span<T> {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// What holds there.
    pub what: T,
}

const STYLE: &str = "<style>
.ring{font-family:system-ui,sans-serif;font-size:13px;font-variant-numeric:tabular-nums}
.ring .title{font-size:18px;font-weight:600}
.ring .paper{fill:#fff}.ring .ink{fill:#1f2328}.ring .dim{fill:#59636e}
.ring .pen{stroke:#1f2328}.ring .edge{stroke:#818b98}
@media (prefers-color-scheme:dark){
.ring .paper{fill:#0d1117}.ring .ink{fill:#f0f6fc}.ring .dim{fill:#9198a1}
.ring .pen{stroke:#f0f6fc}.ring .edge{stroke:#656c76}
}
</style>
";

const CENTRE: (f64, f64) = (294.0, 334.0);

/// The middle of the ring of owners and how wide it is.
const OWNERS: (f64, f64) = (200.0, 34.0);

/// The same of the inner ring of requests.
const REQUESTS: (f64, f64) = (171.0, 10.0);

/// From where to where the ticks of virtual servers go.
const TICKS: (f64, f64) = (220.0, 230.0);

/// Where names of places stand.
const MARKS: f64 = 246.0;

/// The finest parts of a turn that are drawn, about half a pixel each: more would be bytes that nobody sees.
const CELLS: usize = 2048;

/// How many strengths of requests look different.
const LEVELS: f64 = 16.0;

/// The colours of Okabe and Ito, which colour-blind people tell apart too; grey for their black, which dark pages
/// swallow, and the pale yellow late.
const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442", "#999999"];

/// The picture as the text of an SVG file.
pub fn draw(picture: &Picture) -> String {
    let legend = Legend::of(&picture.shares);
    let width = legend.right();
    let notes_at = CENTRE.1 + MARKS + 44.0;
    let height = notes_at + picture.notes.len() as f64 * 19.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ring\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\">\n<title>{}</title>\n<desc>{}</desc>\n{STYLE}\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n",
        escaped(&picture.title),
        escaped(&format!("{}. {}", picture.subtitle, legend.sentence())),
    );
    svg += &text((24.0, 38.0), "title ink", "start", &picture.title);
    svg += &text((24.0, 60.0), "dim", "start", &picture.subtitle);
    svg += &ring(&picture.owners);
    svg += &inner_ring(&picture.requests);
    svg += &ticks(&picture.points);
    svg += &marks(&picture.marks);
    svg += &legend.draw();
    for (k, note) in picture.notes.iter().enumerate() {
        svg += &text((24.0, notes_at + k as f64 * 19.0), "dim", "start", note);
    }
    svg + "</svg>\n"
}

fn ring(owners: &[Span<u32>]) -> String {
    let (radius, width) = OWNERS;
    let arcs = arcs(owners, radius, |server| format!("stroke=\"{}\"", colour(server)));
    let edges = circle(radius - width / 2.0) + &circle(radius + width / 2.0);
    format!(
        "<g fill=\"none\" stroke-width=\"{width}\">\n{arcs}</g>\n<g fill=\"none\" class=\"edge\">\n{edges}</g>\n"
    )
}

fn inner_ring(requests: &[Span<f64>]) -> String {
    if requests.is_empty() {
        return String::new();
    }
    let (radius, width) = REQUESTS;
    let level = |strength: f64| (strength.clamp(0.0, 1.0) * LEVELS).ceil() as u32;
    let levels = requests.iter().map(|&Span { from, to, what }| Span { from, to, what: level(what) });
    let seen: Vec<Span<u32>> = levels.filter(|span| span.what > 0).collect();
    let arcs = arcs(&seen, radius, |level| format!("stroke-opacity=\"{}\"", f64::from(level) / LEVELS));
    let edge = circle(radius - width / 2.0);
    format!(
        "<g fill=\"none\" class=\"edge\">\n{edge}</g>\n\
         <g fill=\"none\" class=\"pen\" stroke-width=\"{width}\">\n{arcs}</g>\n"
    )
}

fn circle(radius: f64) -> String {
    format!("<circle cx=\"{}\" cy=\"{}\" r=\"{radius}\"/>\n", CENTRE.0, CENTRE.1)
}

/// One path for all that looks the same: a ring has far fewer servers than runs of slots.
fn arcs(spans: &[Span<u32>], radius: f64, look: impl Fn(u32) -> String) -> String {
    let mut paths: BTreeMap<u32, String> = BTreeMap::new();
    for span in merged(&fine_enough(merged(spans))) {
        *paths.entry(span.what).or_default() += &arc(span.from, span.to, radius);
    }
    paths.iter().map(|(&what, path)| format!("<path {} d=\"{path}\"/>\n", look(what))).collect()
}

fn arc(from: f64, to: f64, radius: f64) -> String {
    let (x, y) = at(from, radius);
    let mut path = format!("M{x:.2} {y:.2}");
    // A whole turn ends where it begins, which SVG draws as nothing; a half never does.
    let middle = (to - from > 0.5).then_some((from + to) / 2.0);
    for end in middle.into_iter().chain([to]) {
        let (x, y) = at(end, radius);
        path += &format!("A{radius} {radius} 0 0 1 {x:.2} {y:.2}");
    }
    path
}

/// What is there in the middle of each of [`CELLS`] parts, where there is more than that.
fn fine_enough(spans: Vec<Span<u32>>) -> Vec<Span<u32>> {
    if spans.len() <= CELLS {
        return spans;
    }
    let part = |k: usize| k as f64 / CELLS as f64;
    let cells = (0..CELLS).filter_map(|k| {
        let middle = (part(k) + part(k + 1)) / 2.0;
        let there = spans.partition_point(|span| span.to <= middle);
        let span = spans.get(there).filter(|span| span.from <= middle)?;
        Some(Span { from: part(k), to: part(k + 1), what: span.what })
    });
    cells.collect()
}

fn merged(spans: &[Span<u32>]) -> Vec<Span<u32>> {
    let mut merged: Vec<Span<u32>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if last.what == span.what && last.to == span.from => last.to = span.to,
            _ => merged.push(*span),
        }
    }
    merged
}

fn ticks(points: &[(f64, u32)]) -> String {
    let mut cells: BTreeMap<usize, (f64, u32)> = BTreeMap::new();
    for &(place, server) in points {
        cells.entry((place * CELLS as f64) as usize).or_insert((place, server));
    }
    let mut paths: BTreeMap<u32, String> = BTreeMap::new();
    for &(place, server) in cells.values() {
        let ((x, y), (to_x, to_y)) = (at(place, TICKS.0), at(place, TICKS.1));
        *paths.entry(server).or_default() += &format!("M{x:.2} {y:.2}L{to_x:.2} {to_y:.2}");
    }
    let room = TICKS.0 * std::f64::consts::TAU / cells.len().max(1) as f64;
    let width = (room * 0.6).clamp(0.8, 3.0);
    let paths =
        paths.iter().map(|(&server, path)| format!("<path stroke=\"{}\" d=\"{path}\"/>\n", colour(server)));
    format!("<g fill=\"none\" stroke-width=\"{width:.2}\">\n{}</g>\n", paths.collect::<String>())
}

fn marks(marks: &[(f64, String)]) -> String {
    let mark = |(place, name): &(f64, String)| {
        let (x, y) = at(*place, MARKS);
        // Away from the ring to either side, so that long names do not reach into it.
        let anchor = match x - CENTRE.0 {
            aside if aside < -MARKS / 4.0 => "end",
            aside if aside > MARKS / 4.0 => "start",
            _ => "middle",
        };
        let x = x.clamp(CENTRE.0 - TICKS.1 - 8.0, CENTRE.0 + TICKS.1 + 8.0);
        text((x, y + 4.5), "dim", anchor, name)
    };
    marks.iter().map(mark).collect()
}

fn text((x, y): (f64, f64), class: &str, anchor: &str, words: &str) -> String {
    let words = escaped(words);
    format!("<text x=\"{x:.2}\" y=\"{y:.2}\" class=\"{class}\" text-anchor=\"{anchor}\">{words}</text>\n")
}

/// Where a part of the turn is on the paper.
fn at(place: f64, radius: f64) -> (f64, f64) {
    let (sin, cos) = (place * std::f64::consts::TAU).sin_cos();
    (CENTRE.0 + radius * sin, CENTRE.1 - radius * cos)
}

/// The colour of a server: beyond the eight that all can tell apart a walk through the hues that repeats none soon.
fn colour(server: u32) -> String {
    let k = server.wrapping_sub(1) as usize;
    if let Some(colour) = COLOURS.get(k) {
        return colour.to_string();
    }
    let (saturation, lightness) = [(0.70, 0.45), (0.60, 0.65), (0.40, 0.52), (0.65, 0.55)][k % 4];
    let chroma = saturation * (1.0 - f64::abs(2.0 * lightness - 1.0));
    let part = |offset: usize| {
        let hue = (k * 137 + offset) % 360;
        let ramp = (f64::abs(hue as f64 / 60.0 - 3.0) - 1.0).clamp(0.0, 1.0);
        (255.0 * (lightness + chroma * (ramp - 0.5))).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", part(0), part(240), part(120))
}

fn escaped(words: &str) -> String {
    let mut escaped = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            // Has no place in XML, however it is written.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(servers: u32, runs: usize) -> Picture {
        let place = |k: usize| k as f64 / runs as f64;
        let server = |k: usize| k as u32 % servers + 1;
        Picture {
            title: "a < b & \"c\"".to_owned(),
            owners: (0..runs).map(|k| Span { from: place(k), to: place(k + 1), what: server(k) }).collect(),
            points: (0..runs).map(|k| (place(k), server(k))).collect(),
            requests: (0..runs).map(|k| Span { from: place(k), to: place(k + 1), what: place(k) }).collect(),
            marks: vec![(0.0, "0".to_owned()), (0.75, "<far left>".to_owned())],
            shares: (1..=servers).map(|server| (server, 1.0 / f64::from(servers))).collect(),
            notes: vec!["see\u{7} here".to_owned()],
            ..Picture::default()
        }
    }

    fn elements(svg: &str) -> usize {
        svg.matches('<').count() - svg.matches("</").count()
    }

    /// Fails unless every tag is ended by one of its name, in the right order, and every `&` begins an entity.
    #[track_caller]
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let (tag, words) = tag.split_once('>').unwrap();
            let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
            match (tag.starts_with('/'), tag.ends_with('/')) {
                (true, _) => assert_eq!(open.pop(), Some(name)),
                (false, true) => {}
                (false, false) => open.push(name),
            }
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            assert!(!words.contains(['>', '"']), "{words}");
            assert!(open.is_empty() || words.chars().all(|c| c == '\n' || !c.is_control()), "{words:?}");
        }
        assert!(open.is_empty(), "{open:?}");
        for entity in svg.split('&').skip(1) {
            assert!(
                ["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known)),
                "{entity}"
            );
        }
    }

    #[test]
    fn texts_are_escaped_and_tags_balanced() {
        for (servers, runs) in [(1, 1), (3, 2), (8, 512), (256, 4000)] {
            assert_well_formed(&draw(&picture(servers, runs)));
        }
        assert_well_formed(&draw(&Picture::default()));
        let svg = draw(&picture(1, 1));
        assert!(svg.contains("<title>a &lt; b &amp; &quot;c&quot;</title>"), "{svg}");
        assert!(svg.contains("&lt;far left&gt;") && svg.contains("see\u{fffd} here"), "{svg}");
    }

    #[test]
    fn a_whole_turn_is_two_arcs_because_one_would_be_nothing() {
        assert_eq!(
            arc(0.0, 1.0, 200.0),
            "M294.00 134.00A200 200 0 0 1 294.00 534.00A200 200 0 0 1 294.00 134.00"
        );
        assert_eq!(arc(0.0, 0.25, 200.0), "M294.00 134.00A200 200 0 0 1 494.00 334.00");
        assert_eq!(arc(0.2, 0.9, 200.0).matches('A').count(), 2);
    }

    #[test]
    fn neighbours_with_the_same_owner_are_one_run() {
        let span = |from, to, what| Span { from, to, what };
        let spans = [span(0.0, 0.2, 1), span(0.2, 0.5, 1), span(0.5, 0.6, 2), span(0.7, 1.0, 2)];
        assert_eq!(merged(&spans), [span(0.0, 0.5, 1), span(0.5, 0.6, 2), span(0.7, 1.0, 2)]);
        let alone = draw(&Picture { requests: Vec::new(), ..picture(1, 65_537) });
        assert_eq!(alone.matches("stroke-width=\"34\"").count(), 1);
        assert_eq!(alone.matches("A200 200").count(), 2, "one owner, one circle");
    }

    #[test]
    fn runs_too_fine_to_be_seen_still_cover_the_whole_turn_and_share_it_alike() {
        let cells = fine_enough(picture(5, 65_537).owners);
        assert_eq!(cells.len(), CELLS);
        assert_eq!((cells[0].from, cells[CELLS - 1].to), (0.0, 1.0));
        assert!(cells.windows(2).all(|pair| pair[0].to == pair[1].from));
        for server in 1..=5 {
            let share = cells.iter().filter(|cell| cell.what == server).count() as f64 / CELLS as f64;
            assert!((share - 0.2).abs() < 0.01, "server {server}: {share}");
        }
    }

    #[test]
    fn the_largest_ring_is_few_elements_and_no_huge_file() {
        let svg = draw(&picture(256, 65_537));
        assert!(elements(&svg) < 1000, "{}", elements(&svg));
        assert!(svg.len() < 500_000, "{}", svg.len());
        assert!(svg.contains(">and 197 more<"));
    }

    #[test]
    fn equal_pictures_give_equal_bytes() {
        assert_eq!(draw(&picture(9, 512)), draw(&picture(9, 512)));
        assert_ne!(draw(&picture(9, 512)), draw(&picture(9, 513)));
    }

    #[test]
    fn sixty_listed_servers_differ_in_colour() {
        let colours: std::collections::BTreeSet<String> = (1..=60).map(colour).collect();
        assert_eq!(colours.len(), 60);
        assert!(colours.iter().all(|colour| colour.len() == 7));
        assert_eq!((colour(1).as_str(), colour(2).as_str()), (COLOURS[0], COLOURS[1]));
    }
}
