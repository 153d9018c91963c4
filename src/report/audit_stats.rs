//! What an audit log adds up to, for machines.

use super::document::Document;
use serde::Serialize;
use std::collections::BTreeMap;

/// Decisions of a log, added up (`mcpol audit stats --format json`).
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol audit stats")]
pub struct AuditStats {
    /// Version of this format.
    pub version: u32,
    /// Decisions by tool.
    pub tools: BTreeMap<String, ToolDecisions>,
    /// Decisions other than `allow`, by tool and rule.
    pub denials: Vec<RuleDenials>,
    /// How calls ended: number by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Number of other events by name.
    pub events: BTreeMap<String, u64>,
    /// Refusals that no line of their own tells of, nor a later equal one.
    pub folded: u64,
    /// From decision to answer, in microseconds.
    pub latency_us: Latencies,
}

/// Decisions about one tool.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct ToolDecisions {
    /// Calls that passed.
    pub allowed: u64,
    /// Calls that were refused, or asked about.
    pub denied: u64,
    /// Calls that passed in shadow mode only.
    pub would_deny: u64,
}

/// Refusals of one tool by one rule.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct RuleDenials {
    /// The tool.
    pub tool: String,
    /// The rule.
    pub rule: String,
    /// How many.
    pub count: u64,
}

/// Percentiles; null where no call has ended.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Latencies {
    /// Half of the calls took at most so long.
    pub p50: Option<u64>,
    /// 90 of 100 calls.
    pub p90: Option<u64>,
    /// 99 of 100 calls.
    pub p99: Option<u64>,
}

impl Document for AuditStats {
    const SCHEMA: &'static str = "audit-stats";
    const COMMAND: &'static str = "audit stats";
}
