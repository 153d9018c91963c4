//! Where counters and approvals live.
