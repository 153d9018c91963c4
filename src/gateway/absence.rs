//! Waiting for a server that is being started again: what needs the server is held back, and nothing else waits for it.
//! A call waits as long as it would for its answer; it is judged when the server is there again, so nothing is spent on
//! one that never leaves. Any other request has no time-out of its own, and waits for [`REQUEST_PATIENCE`] at most.

use super::answers::Answers;
use super::exchange::{Asked, CallOutcome, Question, is_listed};
use super::mediate::{Effects, Mediator, TakenCall, lock};
use super::pending::{Pending, RequestKind};
use crate::clock::Timestamp;
use crate::mcp::envelope::{Id, Passage};
use crate::policy::{Facts, Judgement, Policy, judge};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Requests that may be held back; more are answered with an error at once.
pub const HELD_MAX: usize = 256;
/// Bytes of requests that may be held back.
pub const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a request other than a call is held back.
pub const REQUEST_PATIENCE: Duration = Duration::from_secs(2);

/// What waits for the server.
#[derive(Debug, Default)]
pub(super) struct Absence {
    is_absent: AtomicBool,
    held: Mutex<Vec<HeldRequest>>,
}

#[derive(Debug)]
struct HeldRequest {
    id: Id,
    /// Tells the request from a later one with this id.
    serial: u64,
    since: Instant,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A call, and the approval that it has waited for already.
    Call(TakenCall, Option<String>),
    Request(Passage),
}

impl HeldRequest {
    fn of(id: Id, serial: u64, what: What) -> Self {
        Self { id, serial, since: Instant::now(), what }
    }
}

impl What {
    fn bytes(&self) -> usize {
        match self {
            Self::Call(taken, _) => taken.call.line().len(),
            Self::Request(passage) => passage.line().len(),
        }
    }
}

impl Mediator {
    /// The server is gone, and is being started again.
    pub fn server_absent(&self) {
        let held = lock(&self.absence.held);
        self.absence.is_absent.store(true, Ordering::Release);
        drop(held);
    }

    /// Whether requests are held back for a server that is being started again.
    pub(super) fn holds_back(&self) -> bool {
        !lock(&self.absence.held).is_empty()
    }

    /// Holds a call back while the server is not there; else gives it back, and one that is refused without the server.
    pub(super) fn hold_call(&self, policy: &Policy, taken: TakenCall, asked: Option<&str>) -> Option<TakenCall> {
        if !self.absence.is_absent.load(Ordering::Acquire) || is_refused_anyway(policy, &taken) {
            return Some(taken);
        }
        let mut pending = lock(&self.pending);
        let Some(mut held) = self.room_for(taken.call.line().len()) else { return Some(taken) };
        let question = asked.map(|approval| Question::new(&self.decider, taken.party.whose(), approval));
        if pending.let_wait(&taken.id, question).is_ok() {
            held.push(HeldRequest::of(taken.id.clone(), taken.serial, What::Call(taken, asked.map(str::to_owned))));
        }
        None
    }

    /// Holds any other request back that was begun.
    pub(super) fn hold_request(
        &self,
        id: &Id,
        serial: u64,
        passage: Passage,
        pending: &mut Pending,
    ) -> Option<Passage> {
        if !self.absence.is_absent.load(Ordering::Acquire) {
            return Some(passage);
        }
        let Some(mut held) = self.room_for(passage.line().len()) else { return Some(passage) };
        if pending.let_wait(id, None).is_ok() {
            held.push(HeldRequest::of(id.clone(), serial, What::Request(passage)));
        }
        None
    }

    /// What is held back while the server is not there, if there is room for more. What finds no room is sent, which fails
    /// at once.
    fn room_for(&self, bytes: usize) -> Option<MutexGuard<'_, Vec<HeldRequest>>> {
        let held = lock(&self.absence.held);
        let all: usize = held.iter().map(|held| held.what.bytes()).sum();
        let has_room = held.len() < HELD_MAX && all + bytes <= HELD_BYTES_MAX;
        (has_room && self.absence.is_absent.load(Ordering::Acquire)).then_some(held)
    }

    /// The server is there again: what waited for it goes on.
    pub fn server_present(&self, now: Timestamp) -> Effects {
        let mut effects = Effects::default();
        for HeldRequest { id, serial, what, .. } in self.no_longer_absent() {
            {
                let mut pending = lock(&self.pending);
                let Some(entry) = pending.get_mut(&id).filter(|entry| entry.serial == serial) else { continue };
                if let What::Request(passage) = &what {
                    let asked = Asked::of(passage, || self.shared.generation());
                    entry.kind = RequestKind::Sent(asked.unwrap_or(Asked::Other));
                    self.note_handshake(&id, serial, passage);
                    effects.to_server.pass(passage);
                }
            }
            if let What::Call(taken, asked) = what {
                self.decide_later(taken, now, asked.as_deref(), &mut effects);
            }
        }
        effects
    }

    /// The server is gone for good: what waited for it is answered.
    pub fn server_given_up(&self, why: &str) -> Answers {
        let mut answers = Answers::default();
        for held in self.no_longer_absent() {
            self.turn_away(&held, CallOutcome::UpstreamGone, why, &mut answers);
        }
        answers
    }

    fn no_longer_absent(&self) -> Vec<HeldRequest> {
        let mut held = lock(&self.absence.held);
        self.absence.is_absent.store(false, Ordering::Release);
        std::mem::take(&mut held)
    }

    /// Answers what has waited for too long.
    pub(super) fn look_at_absence(&self, answers: &mut Answers) {
        if !self.absence.is_absent.load(Ordering::Acquire) {
            return;
        }
        let is_late = |held: &HeldRequest| {
            let patience = match held.what {
                What::Call(..) => self.settings.call_timeout,
                What::Request(_) => Some(REQUEST_PATIENCE),
            };
            patience.is_some_and(|patience| held.since.elapsed() >= patience)
        };
        let late: Vec<HeldRequest> = lock(&self.absence.held).extract_if(.., |held| is_late(held)).collect();
        for held in late {
            let why = "the server is being started again and has not answered in time";
            self.turn_away(&held, CallOutcome::Timeout, why, answers);
        }
    }

    fn turn_away(&self, held: &HeldRequest, outcome: CallOutcome, why: &str, answers: &mut Answers) {
        let entry = {
            let mut pending = lock(&self.pending);
            let is_it = pending.get_mut(&held.id).is_some_and(|entry| entry.serial == held.serial);
            if is_it { pending.end(&held.id) } else { None }
        };
        if let Some(entry) = entry {
            self.failed(&held.id, entry, outcome, why, answers);
        }
    }
}

/// Whether the policy refuses a call whatever the server lists.
fn is_refused_anyway(policy: &Policy, taken: &TakenCall) -> bool {
    let tool = taken.call.name().as_str();
    let judged = || judge(policy, &taken.party.caller, &taken.call, Facts::default());
    !is_listed(policy, tool) || !policy.wants_schema(tool) && matches!(judged(), Judgement::Deny(_))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;
    use crate::gateway::audit::{Audit, Destination, Route};
    use crate::gateway::decider::Decider;
    use crate::gateway::exchange::UnknownMethods;
    use crate::gateway::mediate::Settings;
    use crate::gateway::shipment::Unsent;
    use crate::policy::{Caller, parse};
    use crate::state::MemoryStore;
    use std::sync::Arc;

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn mediator(call_timeout: Option<Duration>) -> Mediator {
        let limits = r#"[{"counter":"c","window":"day","max":1}]"#;
        let tools = format!(r#"{{"t":{{}},"never":{{"deny_if":[{{"conditions":[]}}]}},"once":{{"limits":{limits}}}}}"#);
        let policy = format!(r#"{{"version":"1","default":"deny","tools":{tools}}}"#);
        let store = Arc::new(MemoryStore::default());
        let audit = Audit::open(&Destination::Nowhere, None, "s".to_owned()).unwrap();
        let decider = Decider::new(Arc::clone(&store) as _, store, audit, Box::new(|_| ()));
        let caller = Caller {
            server: "s".into(),
            grant: Some("g".into()),
            session: Some("i".into()),
            course: None,
            pledge: None,
        };
        let settings =
            Settings { call_timeout, approval_wait: Duration::ZERO, unknown_methods: UnknownMethods::Forward };
        let client = (caller, Route::StdioCommand);
        Mediator::new(Arc::new(parse(&policy, "policy.json").unwrap()), Arc::new(decider), client, settings)
    }

    fn call(id: u32, tool: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#)
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_needs_the_server_is_held_back_and_the_rest_is_answered() {
        let mediator = mediator(None);
        mediator.server_absent();
        let list = r#"{"jsonrpc":"2.0","id":4,"method":"tools/list"}"#;
        let lines = [call(1, "t"), call(2, "unknown"), call(3, "never"), list.to_owned()].join("\n");
        let effects = mediator.from_client(lines.as_bytes(), NOW);
        assert!(effects.to_server.is_empty());
        let answered = text(&effects.to_client);
        assert_eq!(answered.lines().count(), 2, "{answered}");
        assert!(answered.contains("Unknown tool: unknown") && answered.contains("\"id\":3"), "{answered}");
        assert!(mediator.upstream_gone("gone").effects.to_client.is_empty(), "it never knew of them");
        assert_eq!(text(mediator.server_present(NOW).to_server.bytes()), format!("{list}\n{}\n", call(1, "t")));
        assert!(mediator.server_present(NOW).to_server.is_empty());
    }

    #[test]
    fn what_was_withdrawn_meanwhile_is_not_sent_though_its_id_is_used_again() {
        let mediator = mediator(None);
        mediator.server_absent();
        let withdrawn = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
        let other = call(1, "t").replace("{}", r#"{"new":1}"#);
        for line in [&call(1, "t"), withdrawn, &other] {
            let effects = mediator.from_client(line.as_bytes(), NOW);
            assert!(effects.to_server.is_empty() && effects.to_client.is_empty());
        }
        assert_eq!(text(mediator.server_present(NOW).to_server.bytes()), format!("{other}\n"));
    }

    #[test]
    fn the_handshake_has_an_id_of_its_own_where_a_request_that_waits_has_the_clients() {
        let mediator = mediator(None);
        let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
        mediator.from_client(initialize.as_bytes(), NOW);
        mediator.from_server(br#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}"#, NOW);
        assert_eq!(text(mediator.replay().unwrap().bytes()), format!("{initialize}\n"));
        mediator.upstream_gone("gone");
        mediator.server_absent();
        mediator.from_client(call(1, "t").as_bytes(), NOW);
        let own = initialize.replace("\"id\":1", "\"id\":\"mcpol-again-1\"");
        assert_eq!(text(mediator.replay().unwrap().bytes()), format!("{own}\n"));
        let answers = mediator.from_server(br#"{"jsonrpc":"2.0","id":"mcpol-again-1","result":{}}"#, NOW);
        assert!(answers.replayed && answers.effects.to_client.is_empty());
    }

    #[test]
    fn what_could_not_be_sent_is_answered_and_counts_for_nothing() {
        let mediator = mediator(None);
        let ask = |id| mediator.from_client(call(id, "once").as_bytes(), NOW).to_server;
        let first = ask(1);
        let answers = mediator.not_sent(&first, Unsent::Absent);
        assert!(text(&answers.effects.to_client).contains("being started again"));
        assert!(mediator.not_sent(&first, Unsent::Absent).effects.to_client.is_empty());
        let second = ask(2);
        mediator.not_sent(&second, Unsent::Gone);
        assert!(!second.is_empty() && ask(3).is_empty(), "nobody knows what a server that is gone has read");
    }

    #[test]
    fn a_call_waits_no_longer_than_for_its_answer() {
        let mediator = mediator(Some(Duration::ZERO));
        mediator.server_absent();
        mediator.from_client(call(1, "t").as_bytes(), NOW);
        let answers = mediator.tick(NOW);
        assert!(text(&answers.effects.to_client).contains("started again"));
        assert!(mediator.server_present(NOW).to_server.is_empty());
    }

    #[test]
    fn no_more_is_held_back_than_may_be() {
        let mediator = mediator(None);
        mediator.server_absent();
        for id in 0..HELD_MAX as u32 {
            assert!(mediator.from_client(call(id, "t").as_bytes(), NOW).to_server.is_empty());
        }
        assert!(!mediator.from_client(call(HELD_MAX as u32, "t").as_bytes(), NOW).to_server.is_empty());
    }
}
