//! Ringmaster: a consistent-hashing HTTP load balancer that keeps its own replicas alive.

pub mod ring;
pub mod ring_report;
