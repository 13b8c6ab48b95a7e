//! Numbers about numbers.

mod chi_squared;
mod spread;

pub use chi_squared::{ChiSquared, chi_squared};
pub use spread::Spread;
