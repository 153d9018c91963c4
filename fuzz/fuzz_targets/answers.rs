//! Whatever bytes a server sends: each open request gets one answer, or none before the server has ended, and nothing else
//! that reaches the client is an answer.
//!
//! Run with `cargo fuzz run answers`; README.md beside this folder says how. The property tests of the gateway run the
//! same check.

#![no_main]

#[path = "../readings.rs"]
mod readings;
#[path = "../replies.rs"]
mod replies;

use libfuzzer_sys::fuzz_target;
use mcpol::clock::Timestamp;
use mcpol::gateway::audit::{Audit, Destination, Route};
use mcpol::gateway::decider::Decider;
use mcpol::gateway::exchange::UnknownMethods;
use mcpol::gateway::mediate::{Mediator, Settings};
use mcpol::policy::{Caller, Policy, parse};
use mcpol::state::MemoryStore;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static POLICY: LazyLock<Arc<Policy>> =
    LazyLock::new(|| Arc::new(parse(readings::POLICY, "policy.json").expect("the policy is valid")));

fuzz_target!(|bytes: &[u8]| {
    let store = Arc::new(MemoryStore::default());
    let audit = Audit::open(&Destination::Nowhere, None, "s".to_owned()).expect("there is nothing to open");
    let decider = Decider::new(Arc::clone(&store) as _, store, audit, Box::new(|_| ()));
    let caller = Caller { server: "s".into(), grant: Some("g".into()), session: Some("i".into()), course: None, pledge: None };
    let settings =
        Settings { call_timeout: None, approval_wait: Duration::ZERO, unknown_methods: UnknownMethods::Forward };
    let mediator = Mediator::new(Arc::clone(&POLICY), Arc::new(decider), (caller, Route::StdioCommand), settings);
    let now = Timestamp::from_millis(0);
    mediator.from_client(replies::ASKED.as_bytes(), now);
    let heard = mediator.from_server(bytes, now).effects;
    let rest = mediator.upstream_gone("the server has ended").effects;
    if let Err(why) = replies::check(&heard.to_client, &rest.to_client) {
        panic!("{why}");
    }
    if let Err(why) = readings::check(heard.to_server.bytes()) {
        panic!("to the server: {why}");
    }
});
