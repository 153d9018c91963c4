//! Approvals in Redis: asked by one gateway, answered from anywhere, used once by any.

use super::RedisStore;
use super::connection::Repeat;
use crate::clock::Timestamp;
use crate::model::ToolName;
use crate::policy::{
    Answer, Answered, Approval, ApprovalRequest, ApprovalState, ApprovalStore, Binding, GRANT_PENDING_MAX, PENDING_MAX,
    StoreError,
};
use redis::{Script, ScriptInvocation};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

macro_rules! script {
    ($body:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(include_str!("prelude.lua"), include_str!("approvals.lua"), include_str!($body)))
        })
    };
}

static ASK: LazyLock<Script> = script!("ask.lua");
static FIND: LazyLock<Script> = script!("find.lua");
static TAKE: LazyLock<Script> = script!("take.lua");
static LIST: LazyLock<Script> = script!("list.lua");
static DECIDE: LazyLock<Script> = script!("decide.lua");

/// What does not change about a question, as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    grant: String,
    server: String,
    tool: String,
    #[serde(default)]
    definition: String,
    arguments_hash: String,
    policy: String,
    rule: String,
    message: String,
}

/// id, state, created, expires, ttl, body, arguments: a question as scripts answer it.
type QuestionRow = (String, String, String, String, String, String, Option<String>);

impl RedisStore {
    /// `of_grant` names the questions of a grant that wait: needed to ask one, else empty.
    fn question<'s>(&self, script: &'s Script, now: Timestamp, binding: &str, of_grant: &str) -> ScriptInvocation<'s> {
        let mut script = script.prepare_invoke();
        script
            .key(self.clock_key())
            .key(self.key("approvals"))
            .key(self.key("approvals-waiting"))
            .key(self.key(&format!("approval-for:{binding}")))
            .key(self.key(&format!("approvals-waiting-of:{of_grant}")))
            .arg(self.given(now))
            .arg(self.key("approval:"));
        script
    }

    fn rows(&self, repeat: Repeat, script: &ScriptInvocation<'_>) -> Result<Vec<Approval>, StoreError> {
        let (now, rows): (String, Vec<QuestionRow>) = self.pool.run(repeat, script)?;
        let now = self.time(&now)?;
        rows.into_iter().map(|row| self.approval(row, now)).collect()
    }

    fn approval(&self, row: QuestionRow, now: Timestamp) -> Result<Approval, StoreError> {
        let (id, state, created, expires, ttl_s, body, arguments) = row;
        let body: Body = serde_json::from_str(&body).map_err(|_| self.odd())?;
        let expires = self.time(&expires)?;
        let state = match state.as_str() {
            "used" => ApprovalState::Used,
            "withdrawn" => ApprovalState::Withdrawn,
            _ if expires <= now => ApprovalState::Expired,
            "pending" => ApprovalState::Pending,
            "approved" => ApprovalState::Approved,
            "denied" => ApprovalState::Denied,
            _ => return Err(self.odd()),
        };
        let binding = Binding {
            grant: body.grant,
            server: body.server,
            tool: ToolName::new(body.tool),
            definition: body.definition,
            arguments: body.arguments_hash,
            policy: body.policy,
        };
        let ttl_s = self.number(&ttl_s)?;
        let request = ApprovalRequest { binding, rule: body.rule, message: body.message, ttl_s, arguments };
        Ok(Approval { id, state, request, created: self.time(&created)?, expires })
    }
}

impl ApprovalStore for RedisStore {
    fn request(&self, now: Timestamp, request: &ApprovalRequest) -> Result<Approval, StoreError> {
        let unavailable = |error: &dyn std::fmt::Display| StoreError::Unavailable(error.to_string());
        let mut random = [0; 5];
        getrandom::fill(&mut random).map_err(|error| unavailable(&error))?;
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let binding = &request.binding;
        let body = Body {
            grant: binding.grant.clone(),
            server: binding.server.clone(),
            tool: binding.tool.as_str().to_owned(),
            definition: binding.definition.clone(),
            arguments_hash: binding.arguments.clone(),
            policy: binding.policy.clone(),
            rule: request.rule.clone(),
            message: request.message.clone(),
        };
        let body = serde_json::to_string(&body).map_err(|error| unavailable(&error))?;
        let mut script = self.question(&ASK, now, &binding.key(), &binding.grant);
        script.arg(id).arg(request.ttl_s.saturating_mul(1000)).arg(request.ttl_s).arg(body);
        script.arg(PENDING_MAX).arg(GRANT_PENDING_MAX);
        if let Some(arguments) = &request.arguments {
            script.arg(arguments);
        }
        // The same question asked again is the same question.
        match self.rows(Repeat::Safe, &script) {
            Ok(mut rows) => rows.pop().ok_or_else(|| self.odd()),
            Err(StoreError::Unavailable(what)) if what.contains("MCPOLGRANTFULL") => {
                Err(StoreError::TooManyQuestions(GRANT_PENDING_MAX))
            }
            Err(StoreError::Unavailable(what)) if what.contains("MCPOLFULL") => {
                Err(StoreError::TooManyQuestions(PENDING_MAX))
            }
            Err(error) => Err(error),
        }
    }

    fn find(&self, now: Timestamp, key: &str) -> Result<Option<Approval>, StoreError> {
        self.rows(Repeat::Safe, &self.question(&FIND, now, key, "")).map(|mut rows| rows.pop())
    }

    fn take(&self, now: Timestamp, key: &str) -> Result<bool, StoreError> {
        // Taken twice, the second time finds nothing: an approval may be lost, and is never used twice.
        self.rows(Repeat::Safe, &self.question(&TAKE, now, key, "")).map(|rows| rows.len() == 1)
    }

    fn get(&self, now: Timestamp, id: &str) -> Result<Option<Approval>, StoreError> {
        let mut script = self.question(&LIST, now, "", "");
        script.arg(id);
        self.rows(Repeat::Safe, &script).map(|mut rows| rows.pop())
    }

    fn list(&self, now: Timestamp) -> Result<Vec<Approval>, StoreError> {
        let mut rows = self.rows(Repeat::Safe, &self.question(&LIST, now, "", ""))?;
        rows.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(rows)
    }

    fn decide(&self, now: Timestamp, id: &str, answer: Answer) -> Result<Answered, StoreError> {
        let state = match answer {
            Answer::Approve => "approved",
            Answer::Deny => "denied",
            Answer::Withdraw => "withdrawn",
        };
        let mut script = self.question(&DECIDE, now, "", "");
        script.arg(id).arg(state);
        let rows = self.rows(Repeat::Never, &script)?;
        let answered = rows.len() == 2;
        Ok(match rows.into_iter().next() {
            Some(approval) if answered => Answered::Done(approval),
            Some(approval) => Answered::TooLate(approval),
            None => Answered::Unknown,
        })
    }
}
