//! Counters of limits for machines.

use super::document::Document;
use serde::Serialize;

/// Where counters stand (`mcpol limits list --format json`).
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol limits list")]
pub struct LimitsReport {
    /// Version of this format.
    version: u32,
    /// Counters in the windows of now, and in windows that lie ahead.
    counters: Vec<LimitLine>,
}

/// One counter in one window.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct LimitLine {
    /// The server.
    pub server: String,
    /// Who shares it: `session`, `grant`, `server` or `global`.
    pub scope: &'static str,
    /// Which of these: the session or the grant.
    pub of: String,
    /// Its name in the policy.
    pub counter: String,
    /// Its window, such as `day`.
    pub window: String,
    /// What stands on it.
    pub used: u64,
    /// When the window begins, in UTC.
    pub starts: String,
    /// When it ends, in UTC.
    pub ends: String,
    /// Whether the window lies ahead, because a clock was wrong.
    pub ahead: bool,
}

impl Document for LimitsReport {
    const SCHEMA: &'static str = "limits";
    const COMMAND: &'static str = "limits list";
}

impl LimitsReport {
    /// The report of these counters.
    pub fn new(counters: Vec<LimitLine>) -> Self {
        Self { version: 1, counters }
    }
}
