//! Ringmaster: a consistent-hashing HTTP load balancer that keeps its own replicas alive.
//!
//! # The house, from the ground up
//! Read it in this order; each module imports only from those above it in this list (`tests/architecture.rs` holds
//! that).
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | 0 | [`ring`] | which server owns a key: slots, virtual servers, schemes; no threads, no network |
//! | 0 | [`quoting`], [`replica`], [`sync`], [`shutdown`], [`dial`], [`listening`], [`leash`], [`step_down`] | other people's words in messages; a replica's name and address; locks and threads; the end; how our HTTP clients are set up; where clients come in; a process that ends with its parent; the way out of being root |
//! | 0 | [`metrics`], [`journal`], [`access_log`] | what is counted and measured; what has happened; a line for each request |
//! | 1 | [`balance`], [`heartbeat`], [`launcher`] | choosing; one pulse; starting and stopping (docker, processes) |
//! | 2 | [`fleet`] | replicas, ring and in-flight counts behind one mutex |
//! | 3 | [`supervisor`], [`forward`], [`history`] | changes to the fleet; one request carried to a replica; the last minutes |
//! | 4 | [`watchdog`], [`admin`] | those who ask the supervisor for changes |
//! | 5 | [`front`] | one HTTP request in, one answer out |
//! | 6 | [`config`], [`server`], [`ring_svg`], [`ring_report`], [`succession`], [`console`] | settings; everything wired together; a ring as a picture; a ring in words; starting anew in place; a balancer as seen from a terminal |
//! | 7 | `main.rs` | parse, start, wait for a signal, stop |

pub mod ring;

pub mod access_log;
pub mod dial;
pub mod journal;
pub mod leash;
pub mod listening;
pub mod metrics;
pub mod quoting;
pub mod replica;
pub mod shutdown;
pub mod step_down;
pub mod sync;

pub mod balance;
pub mod heartbeat;
pub mod launcher;

pub mod fleet;

pub mod forward;
pub mod history;
pub mod supervisor;

pub mod admin;
pub mod watchdog;

pub mod front;

pub mod config;
pub mod console;
pub mod ring_report;
pub mod ring_svg;
pub mod server;
pub mod succession;
