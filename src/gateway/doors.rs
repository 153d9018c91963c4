//! Decisions about doors beside `tools/call`: judged, logged, and only then let through.

use super::audit::{Decided, Matter, Route};
use super::decider::Decider;
use super::exchange::{Asker, DoorRefusal, DoorRuling, MessageForm, OPERATORS_ROOTS};
use super::reply;
use crate::clock::Timestamp;
use crate::mcp::envelope::{Id, Passage, ReplyTo};
use crate::policy::{Caller, Policy};
use std::io;

/// What becomes of a server's request to its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAsked {
    /// The client gets it.
    Pass,
    /// The gateway answers in the client's place, with this message, without line break.
    Answer(Vec<u8>),
}

impl Decider {
    /// Decides on a client's message that is no call, and logs the decision before the message goes on.
    ///
    /// # Errors
    /// It does not go on; a request is answered with this.
    pub fn admits(
        &self,
        now: Timestamp,
        asker: &Asker<'_>,
        passage: &Passage,
        form: MessageForm,
    ) -> Result<(), DoorRefusal> {
        let Some(ruling) = asker.message(passage, form) else { return Ok(()) };
        self.judged(now, asker, passage.method().unwrap_or_default(), ruling)
    }

    /// Decides on a server's request to its client. `roots` are those that the operator lets the server work in where the
    /// client's are not taken.
    pub fn asks(&self, now: Timestamp, asker: &Asker<'_>, method: &str, id: &Id, roots: &[String]) -> ServerAsked {
        let Some(mut ruling) = asker.asked_by_server(method) else { return ServerAsked::Pass };
        let is_operators = ruling.rule == OPERATORS_ROOTS && !ruling.is_shadow;
        if is_operators {
            ruling.denial = None;
        }
        let mut line = Vec::new();
        match self.judged(now, asker, method, ruling) {
            Ok(()) if is_operators => reply::roots(&mut line, id, roots),
            Ok(()) => return ServerAsked::Pass,
            Err(DoorRefusal { code, message }) => reply::error(&mut line, &ReplyTo::Id(id.clone()), code, &message),
        }
        line.pop();
        ServerAsked::Answer(line)
    }

    /// Decides on a server's news for its client; false if the client does not get it.
    pub fn tells(&self, now: Timestamp, asker: &Asker<'_>, method: &str, params: &str) -> bool {
        let rulings = asker.told_by_server(method, params);
        // Each has its line, also where another keeps the news from the client.
        let denied = rulings.into_iter().filter_map(|ruling| self.judged(now, asker, method, ruling).err());
        denied.count() == 0
    }

    fn judged(&self, now: Timestamp, asker: &Asker<'_>, method: &str, ruling: DoorRuling) -> Result<(), DoorRefusal> {
        let policy = asker.policy.map_or("", Policy::hash);
        self.ruled(now, (asker.caller, Some(asker.way)), method, policy, ruling)
    }

    /// Logs a ruling about a message with this method, under the policy with this hash. A message whose ruling cannot be
    /// logged does not go on.
    ///
    /// # Errors
    /// The message does not go on.
    pub fn ruled(
        &self,
        now: Timestamp,
        whose: (&Caller, Option<Route>),
        method: &str,
        policy: &str,
        ruling: DoorRuling,
    ) -> Result<(), DoorRefusal> {
        let logged = self.log_ruling(now, whose, method, policy, &ruling);
        match (ruling.passes(), logged) {
            (true, Ok(())) => Ok(()),
            (false, _) => Err(ruling.refusal),
            (true, Err(error)) => {
                self.tell_once(&format!("cannot write the audit log, so nothing passes: {error}"));
                let message = "the request cannot be logged at the moment".to_owned();
                Err(DoorRefusal { code: reply::INTERNAL_ERROR, message })
            }
        }
    }

    fn log_ruling(
        &self,
        now: Timestamp,
        (caller, way): (&Caller, Option<Route>),
        method: &str,
        policy: &str,
        ruling: &DoorRuling,
    ) -> io::Result<()> {
        let decision = match (&ruling.denial, ruling.passes()) {
            (None, _) => "allow",
            (Some(_), true) => "would_deny",
            (Some(_), false) => "deny",
        };
        let decided = Decided {
            number: self.next_decision(),
            caller,
            way: way.unwrap_or(Route::Combined),
            decision,
            matter: match (&ruling.name, method) {
                // At the endpoint over all servers a name may lead to none, and so to no gate.
                (Some(tool), "tools/call") => Matter::Tool(tool),
                (name, _) => Matter::Message { method, name: name.as_deref() },
            },
            rule: &ruling.rule,
            code: ruling.denial.as_ref().map(|denial| denial.code.as_str()),
            policy,
            arguments: None,
            approval: None,
        };
        self.audit().decide(now, [decided])
    }
}
