//! Charts as SVG, without a script and readable in light and dark: bars in groups, lines, and what happened when.
//!
//! ```text
//! let chart = Bars { title: "…", about: "…", groups: vec![…], series: vec![…], … };
//! let svg: String = chart.svg();
//! ```

mod axis;
mod bars;
mod frame;
mod lines;
mod logarithmic;
mod svg;
mod timeline;

pub use axis::{grouped, number};
pub use bars::Bars;
pub use lines::{Line, Lines};
pub use logarithmic::Logarithmic;
pub use svg::{ALARM, CALM};
pub use timeline::{Mark, Panel, Series, Timeline, buckets};
