//! A picture as text: shapes, words, and the style of both themes.

use std::fmt::Write;

/// Width of every chart.
pub const WIDTH: f64 = 760.0;

/// Colours that also colour-blind people tell apart (Okabe and Ito), for light and for dark paper.
const COLOURS: [(&str, &str); 7] = [
    ("#0072b2", "#56b4e9"),
    ("#e69f00", "#e69f00"),
    ("#009e73", "#1fbf92"),
    ("#d55e00", "#f0793a"),
    ("#cc79a7", "#cc79a7"),
    ("#56b4e9", "#f0e442"),
    ("#767676", "#a8a8a8"),
];

/// Paper, ink, faded ink and grid, for light and for dark: that order is known to `theme`.
const INKS: [(&str, &str, &str); 4] = [
    ("paper", "#ffffff", "#14171c"),
    ("ink", "#1b1f24", "#e6e9ee"),
    ("faint", "#57606a", "#a4adb8"),
    ("grid", "#d8dee4", "#343b45"),
];

/// Where a text stands about its point.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// The colours of what is as it should be and of what is not, where the others mean somebody.
pub const CALM: usize = 6;
/// See [`CALM`].
pub const ALARM: usize = 3;

/// The class of the `k`th colour; beyond the last colour they begin anew.
pub fn colour(k: usize) -> String {
    format!("c{}", k % COLOURS.len())
}

/// A picture that is being drawn.
#[derive(Default)]
pub struct Svg {
    body: String,
}

impl Svg {
    /// A filled rectangle.
    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    /// A line from here to there.
    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A line through all these points.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!("<polyline class=\"{class} stroke\" points=\"{}\"/>", points.join(" ")));
    }

    /// A dashed line through all these points.
    pub fn dashes(&mut self, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!("<polyline class=\"mark\" fill=\"none\" points=\"{}\"/>", points.join(" ")));
    }

    /// The marker of the `k`th series: round, square, a diamond or a triangle, so that colour is not all.
    pub fn marker(&mut self, k: usize, (x, y): (f64, f64)) {
        let class = colour(k);
        let corners: &[(f64, f64)] = match k % 4 {
            0 => {
                return self
                    .add(format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"));
            }
            1 => &[(-3.6, -3.6), (3.6, -3.6), (3.6, 3.6), (-3.6, 3.6)],
            2 => &[(0.0, -5.0), (5.0, 0.0), (0.0, 5.0), (-5.0, 0.0)],
            _ => &[(0.0, -5.0), (4.6, 3.6), (-4.6, 3.6)],
        };
        let points: Vec<String> =
            corners.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy)).collect();
        self.add(format_args!("<polygon class=\"{class}\" points=\"{}\"/>", points.join(" ")));
    }

    /// Words.
    pub fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{}\">{}</text>",
            anchor.name(),
            escape(text)
        ));
    }

    /// Small words on a patch of paper, so that no line runs through them.
    pub fn label(&mut self, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        let width = width_of(text, 11.0);
        let left = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        self.rect("paper", (left - 1.0, y - 10.0), (width + 2.0, 12.0));
        self.text("small", anchor, (x, y), text);
    }

    /// Words that are turned by some degrees about their point.
    pub fn turned(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), degrees: i32, text: &str) {
        self.add(format_args!(
            "<text class=\"{class}\" transform=\"translate({x:.1} {y:.1}) rotate({degrees})\" text-anchor=\"{}\">{}\
             </text>",
            anchor.name(),
            escape(text)
        ));
    }

    /// The whole document. `title` and `about` are what is read to those who do not see it.
    pub fn finish(self, height: f64, title: &str, about: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" \
             height=\"{height:.0}\" role=\"img\" aria-labelledby=\"title about\">\n<title id=\"title\">{}</title>\n\
             <desc id=\"about\">{}</desc>\n<style>\n{}</style>\n<rect class=\"paper\" width=\"100%\" \
             height=\"100%\"/>\n{}</svg>\n",
            escape(title),
            escape(about),
            style(),
            self.body
        )
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = writeln!(self.body, "{element}");
    }
}

/// Plain rules instead of variables: viewers that know nothing of those, nor of themes, show the light picture.
fn style() -> String {
    let light = theme(|ink| ink.1, |colour| colour.0);
    let dark = theme(|ink| ink.2, |colour| colour.1);
    format!(
        "text {{ font: 12px system-ui, sans-serif; }}\n.title {{ font-size: 16px; font-weight: 600; }}\n\
         .small {{ font-size: 11px; }}\n.grid, .axis, .mark {{ stroke-width: 1; }}\n\
         .mark {{ stroke-dasharray: 4 3; }}\n{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n\
         .stroke {{ fill: none; stroke-width: 2; stroke-linejoin: round; }}\n"
    )
}

/// What of the style is about colours.
fn theme(
    ink: fn(&(&'static str, &'static str, &'static str)) -> &'static str,
    colour: fn(&(&'static str, &'static str)) -> &'static str,
) -> String {
    let [paper, text, faint, grid] = [0, 1, 2, 3].map(|k| ink(&INKS[k]));
    let fill = |(k, pair)| {
        let colour = colour(pair);
        format!(".c{k} {{ fill: {colour}; }}\n.c{k}.stroke {{ stroke: {colour}; }}\n")
    };
    let fills: String = COLOURS.iter().enumerate().map(fill).collect();
    format!(
        "text {{ fill: {text}; }}\n.faint {{ fill: {faint}; }}\n.paper {{ fill: {paper}; }}\n.grid {{ stroke: {grid}; }}\n\
         .axis {{ stroke: {faint}; }}\n.mark {{ stroke: {text}; }}\n{fills}"
    )
}

/// Text that cannot become markup. Control characters, which XML forbids, are left out.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// About how wide a text of this size will be; fonts differ, so this is rather too much than too little.
pub fn width_of(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.58
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        assert_eq!(escape("a<b> & \"c\" 'd'\u{1}\n"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
        let mut svg = Svg::default();
        svg.text("x", Anchor::Middle, (1.0, 2.0), "</text><script>");
        let whole = svg.finish(10.0, "<t>", "\"d\" & more");
        assert!(!whole.contains("<script") && !whole.contains("<t>"), "{whole}");
        assert!(whole.contains("&quot;d&quot; &amp; more"), "{whole}");
    }

    #[test]
    fn both_themes_and_what_is_read_aloud() {
        let whole = Svg::default().finish(10.0, "title", "about");
        for part in [
            "prefers-color-scheme: dark",
            "role=\"img\"",
            "<title",
            "<desc",
            "system-ui, sans-serif",
            "#0072b2",
        ] {
            assert!(whole.contains(part), "{part} in {whole}");
        }
    }
}
