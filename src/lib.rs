//! Ringmaster: a consistent-hashing HTTP load balancer that keeps its own replicas alive.

pub mod admin;
pub mod balance;
pub mod dial;
pub mod fleet;
pub mod forward;
pub mod front;
pub mod heartbeat;
pub mod launcher;
pub mod replica;
pub mod ring;
pub mod ring_report;
pub mod shutdown;
pub mod supervisor;
pub mod watchdog;
