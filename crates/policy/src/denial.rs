//! Why a call was refused: for the log, for the model, for machines.

use super::question::PendingApproval;
use std::fmt;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The kind of refusal.
    pub code: DenialCode,
    /// Id of the rule: `(hidden)`, `/tools/T/deny_if/args.amount-gt` …
    pub rule: String,
    /// One sentence for the model and the person; may quote the policy, never the call's values.
    pub message: String,
    /// Seconds until the same call may pass, where waiting helps.
    pub retry_after_s: Option<u64>,
    /// What only the operator is told: addresses, paths, what a store said.
    pub detail: Option<String>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident => $text:literal),+ $(,)?) => {
        /// The kinds of refusal. The words are a promise to whoever reads the log or `_meta`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DenialCode { $($(#[$doc])* $variant),+ }

        impl DenialCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in logs and `_meta`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

codes! {
    /// The caller has no policy.
    NoPolicy => "no_policy",
    /// The tool is hidden.
    Hidden => "hidden",
    /// The tool is not listed and the default is deny.
    NotListed => "not_listed",
    /// The tool is new, changed or gone since it was locked.
    ToolChanged => "tool_changed",
    /// `action: deny`.
    ActionDenied => "action_denied",
    /// The arguments do not satisfy the tool's input schema, or the schema is not usable.
    SchemaInvalid => "schema_invalid",
    /// The arguments are not one readable JSON value.
    ArgumentsInvalid => "arguments_invalid",
    /// A requirement does not hold.
    RequireFailed => "require_failed",
    /// A `deny_if` entry fired.
    ConditionDenied => "condition_denied",
    /// A person has to agree first.
    ApprovalRequired => "approval_required",
    /// A person said no.
    ApprovalDenied => "approval_denied",
    /// A call of this kind is refused after what the session has called before.
    FlowDenied => "flow_denied",
    /// The session has pledged to call other tools only.
    Pledged => "pledged",
    /// A counter is full.
    LimitExceeded => "limit_exceeded",
    /// The grant or session that a counter is kept for is not known.
    ScopeUnavailable => "scope_unavailable",
    /// The amount to add to a counter is missing or is none.
    IncrementInvalid => "increment_invalid",
    /// The counters or approvals cannot be reached.
    StateUnavailable => "state_unavailable",
    /// The server may not ask the client for this.
    ClientDenied => "client_denied",
    /// No revision of the protocol knows the method.
    MethodUnknown => "method_unknown",
    /// The task was begun by another grant, or is not known.
    TaskForeign => "task_foreign",
}

impl fmt::Display for DenialCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Denial {
    pub(crate) fn new(code: DenialCode, rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, rule: rule.into(), message: message.into(), retry_after_s: None, detail: None }
    }

    /// The caller has no policy at all.
    pub fn no_policy() -> Self {
        Self::new(DenialCode::NoPolicy, "(no policy)", "no policy allows this caller anything")
    }

    /// The question that nobody answered in time. It names the approval, and no command or address to answer it with: an
    /// agent that has a shell would use that.
    pub fn unanswered(pending: &PendingApproval, id: &str) -> Self {
        let message = format!(
            "{}: a person must decide about this call and has not yet (approval {id}); once approved, the same call passes once",
            pending.message
        );
        Self::new(DenialCode::ApprovalRequired, pending.rule.clone(), message)
    }

    /// The text of the tool result that the model reads.
    pub fn text(&self) -> String {
        format!("[POLICY DENIED] {}", self.message)
    }

    /// Whether the client is told that there is no such tool, and nothing else.
    pub fn is_unknown_tool(&self) -> bool {
        matches!(self.code, DenialCode::Hidden | DenialCode::NotListed)
    }
}
