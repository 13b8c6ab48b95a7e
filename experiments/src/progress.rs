//! How far a computation is, as the load shows it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of so many steps. Draws nothing when standard error is not a terminal.
pub fn bar(label: &str, steps: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg:<14} {bar:40} {pos}/{len}") {
        bar.set_style(style);
    }
    bar.with_message(label.to_owned())
}
