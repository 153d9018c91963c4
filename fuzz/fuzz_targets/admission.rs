//! Whatever bytes a client sends: what reaches the server is nothing, or messages that every reader reads alike and that
//! the policy permits.
//!
//! Run with `cargo fuzz run admission`; README.md beside this folder says how. The property tests of the gateway run the
//! same check on lines made of pieces that parsers quarrel about.

#![no_main]

#[path = "../readings.rs"]
mod readings;

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
    // A question of the server's that may be answered.
    mediator.from_server(br#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#, Timestamp::from_millis(0));
    let effects = mediator.from_client(bytes, Timestamp::from_millis(0));
    if let Err(why) = readings::check(effects.to_server.bytes()) {
        panic!("{why}");
    }
});
