//! The gateway's promise on limits: for any order of calls, cancellations, errors, results, crashes and time-outs, no more
//! calls reach the server than a limit allows.

#![expect(clippy::unwrap_used, reason = "a test that cannot make a session must fail")]

use super::audit::{Audit, Destination, Route};
use super::decider::Decider;
use super::exchange::UnknownMethods;
use super::mediate::{Mediator, Settings};
use super::shipment::Unsent;
use crate::clock::Timestamp;
use crate::policy::{Caller, LimitStore, Policy, parse};
use crate::state::{MemoryStore, SqliteStore};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const MAX: usize = 3;

/// `kept` stays spent, `refunded` comes back where an error answers a call that nobody has withdrawn.
static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let limit = |counter: &str, refund: &str| {
        format!(r#"{{"limits":[{{"counter":"{counter}","window":"month","max":{MAX}{refund}}}]}}"#)
    };
    let (kept, refunded) = (limit("kept", ""), limit("refunded", r#","refund":"error""#));
    let text = format!(r#"{{"version":"1","default":"deny","tools":{{"kept":{kept},"refunded":{refunded}}}}}"#);
    Arc::new(parse(&text, "policy.json").unwrap())
});

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The client calls one of the two tools under this id.
    Call(u8, bool),
    /// The client withdraws this id; as a number or as a text.
    Cancel(u8, bool),
    /// The client goes away without a word.
    HangUp(u8),
    /// The server answers this id with an error.
    Error(u8, bool),
    /// The server answers with an error that names no request.
    Unnamed,
    /// The server answers this id with a result.
    Result(u8),
    /// The server dies, and is started again.
    Crash,
    /// What was to be sent last could not be.
    Lost,
    /// The server is being started again from here on, or is there again.
    Absent(bool),
    /// Time passes.
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0_u8..5;
    prop_oneof![
        5 => (id.clone(), any::<bool>()).prop_map(|(id, kept)| Step::Call(id, kept)),
        3 => (id.clone(), any::<bool>()).prop_map(|(id, text)| Step::Cancel(id, text)),
        1 => id.clone().prop_map(Step::HangUp),
        4 => (id.clone(), any::<bool>()).prop_map(|(id, text)| Step::Error(id, text)),
        1 => Just(Step::Unnamed),
        2 => id.prop_map(Step::Result),
        1 => Just(Step::Crash),
        1 => Just(Step::Lost),
        1 => any::<bool>().prop_map(Step::Absent),
        1 => Just(Step::Tick),
    ]
}

/// Two sessions of one grant on one store, each in a process of its own where the store can be shared.
fn sessions(stores: [Arc<dyn LimitStore>; 2]) -> [Mediator; 2] {
    stores.map(session)
}

fn session(limits: Arc<dyn LimitStore>) -> Mediator {
    let audit = Audit::open(&Destination::Nowhere, None, "s".to_owned()).unwrap();
    let decider = Decider::new(limits, Arc::new(MemoryStore::default()), audit, Box::new(|_| ()));
    let caller =
        Caller { server: "s".into(), grant: Some("g".into()), session: Some("i".into()), course: None, pledge: None };
    let (call_timeout, approval_wait) = (Some(Duration::ZERO), Duration::ZERO);
    let settings = Settings { call_timeout, approval_wait, unknown_methods: UnknownMethods::Refuse };
    Mediator::new(Arc::clone(&POLICY), Arc::new(decider), (caller, Route::StdioCommand), settings)
}

/// What has reached the server and counts.
#[derive(Default)]
struct Reached {
    kept: usize,
    refunded: usize,
    /// Session and id of calls of the second tool that the server works on and nobody has withdrawn.
    refundable: BTreeSet<(usize, u8)>,
}

impl Reached {
    fn take(&mut self, of: usize, lines: &[u8]) {
        for line in std::str::from_utf8(lines).unwrap().lines().filter(|line| line.contains("tools/call")) {
            let message: serde_json::Value = serde_json::from_str(line).unwrap();
            let id = u8::try_from(message["id"].as_u64().unwrap()).unwrap();
            if message["params"]["name"] == "kept" {
                self.kept += 1;
            } else {
                self.refunded += 1;
                self.refundable.insert((of, id));
            }
        }
    }
}

/// Runs steps, each in one of two sessions, and counts what reaches the servers.
fn run(sessions: &[Mediator; 2], steps: Vec<(bool, Step)>) -> Result<(), TestCaseError> {
    let (now, mut reached) = (Timestamp::from_millis(0), Reached::default());
    let mut last = [None, None];
    for (of, step) in steps {
        let of = usize::from(of);
        let session = &sessions[of];
        let effects = match step {
            Step::Call(id, is_kept) => {
                let tool = if is_kept { "kept" } else { "refunded" };
                let line = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
                );
                session.from_client(line.as_bytes(), now)
            }
            Step::Cancel(id, is_text) => {
                // A text is the id of no request here, and the server does not hear of it.
                if !is_text {
                    reached.refundable.remove(&(of, id));
                }
                let id = if is_text { format!("\"{id}\"") } else { id.to_string() };
                let line =
                    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
                session.from_client(line.as_bytes(), now)
            }
            Step::HangUp(id) => {
                session.hung_up(&crate::mcp::envelope::Id::Integer(id.into()));
                continue;
            }
            Step::Error(id, is_text) => {
                // What the gateway may give back; it need not.
                if reached.refundable.remove(&(of, id)) {
                    reached.refunded -= 1;
                }
                let id = if is_text { format!("\"{id}\"") } else { id.to_string() };
                let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":"no"}}}}"#);
                session.from_server(line.as_bytes(), now).effects
            }
            Step::Unnamed => {
                // Whichever it is about, it gives nothing back.
                let line = br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#;
                session.from_server(line, now).effects
            }
            Step::Result(id) => {
                reached.refundable.remove(&(of, id));
                let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
                session.from_server(line.as_bytes(), now).effects
            }
            Step::Crash => {
                reached.refundable.retain(|(it, _)| *it != of);
                session.upstream_gone("died").effects
            }
            Step::Lost => {
                let Some(shipment) = last[of].take() else { continue };
                session.not_sent(&shipment, Unsent::Gone).effects
            }
            Step::Absent(true) => {
                session.server_absent();
                continue;
            }
            Step::Absent(false) => session.server_present(now),
            Step::Tick => {
                reached.refundable.retain(|(it, _)| *it != of);
                session.tick(now).effects
            }
        };
        reached.take(of, effects.to_server.bytes());
        prop_assert!(reached.kept <= MAX, "{} calls of a limit of {MAX}", reached.kept);
        prop_assert!(reached.refunded <= MAX, "{} calls that nothing gave back of a limit of {MAX}", reached.refunded);
        last[of] = Some(effects.to_server).filter(|shipment| !shipment.is_empty()).or(last[of].take());
    }
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    prop::collection::vec((any::<bool>(), step()), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_order_of_events_gets_more_calls_through_than_a_limit_allows(steps in steps()) {
        let store: Arc<dyn LimitStore> = Arc::new(MemoryStore::default());
        run(&sessions([Arc::clone(&store), store]), steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]
    #[test]
    fn nor_through_two_gateways_that_share_a_file(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let store = || Arc::new(SqliteStore::new(folder.path().join("state.db"))) as Arc<dyn LimitStore>;
        run(&sessions([store(), store()]), steps)?;
    }
}
