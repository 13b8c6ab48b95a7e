//! What each scheme of the ring promises, held against slow and obvious implementations, random histories, recorded
//! tables, other people's implementations and the numbers of the literature.

// Here a failure to set the stage is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod balance;
mod fleets;
mod golden;
mod jump;
mod movement;
mod oracle;
mod others;
mod properties;
mod ties;
mod weights;
