//! Nanoseconds a decision: from a call that was read to a permit or a refusal, with counters in memory; and how long a
//! large policy takes to load.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on must stop")]

use mcpol::clock::Timestamp;
use mcpol::mcp::envelope::ToolCall;
use mcpol::model::ToolName;
use mcpol::policy::{Caller, Decision, Facts, Policy, Request, gate, parse};
use mcpol::state::MemoryStore;
use std::sync::Arc;

fn main() {
    divan::main();
}

/// Far more than any bench will make: no limit is ever reached.
const MAX: u64 = 1_000_000_000_000;

fn policy(tools: &str) -> Policy {
    parse(&format!(r#"{{"version":"1","default":"deny","tools":{{{tools}}}}}"#), "bench").unwrap()
}

fn limit(counter: &str) -> String {
    format!(r#"{{"counter":"{counter}","window":"minute","max":{MAX},"scope":"grant"}}"#)
}

/// One condition and one limit: the tool that the aim is set for.
fn ordinary(name: &str) -> String {
    format!(
        r#""{name}":{{"deny_if":[{{"path":"args.amount","op":"gt","value":10000}}],"limits":[{}]}}"#,
        limit(&format!("{name}_rate"))
    )
}

/// 1,000 tools with five rules each, the ordinary tool among them.
fn large() -> String {
    let tool = |n: usize| {
        let conditions = format!(
            r#"{{"path":"args.amount","op":"lte","value":{n}}},{{"path":"args.to","op":"regex","value":"^[a-z]{{1,20}}-{n}$"}}"#
        );
        format!(
            r#""tool_{n}":{{"require":[{conditions}],"deny_if":[{{"path":"args.mode","op":"eq","value":"x{n}"}}],"limits":[{},{}]}}"#,
            limit(&format!("tool_{n}_rate")),
            limit("all_of_them"),
        )
    };
    let mut tools: Vec<String> = (0..999).map(tool).collect();
    tools.insert(500, ordinary("pay"));
    tools.join(",")
}

fn many_conditions(count: usize, regexes: usize) -> String {
    let condition = |n: usize| {
        if n < regexes {
            format!(r#"{{"path":"args.to","op":"not_regex","value":"^x{n}[a-z]+\\.example$"}}"#)
        } else {
            format!(r#"{{"path":"args.amount","op":"neq","value":{}}}"#, 100_000 + n)
        }
    };
    let entries: Vec<String> = (0..count).map(condition).collect();
    format!(r#""pay":{{"require":[{}]}}"#, entries.join(","))
}

fn decide(bencher: divan::Bencher<'_, '_>, policy: &Policy, arguments: &str) {
    let store = MemoryStore::new();
    let caller = Caller {
        server: Arc::from("server"),
        grant: Some(Arc::from("local")),
        session: Some(Arc::from("s")),
        course: None,
        pledge: None,
    };
    let call = ToolCall::synthetic(ToolName::new("pay"), Some(arguments.to_owned()));
    let now = Timestamp::from_millis(1_800_000_000_000);
    // The regular expressions are compiled by the first call.
    let _ = gate(
        policy,
        &store,
        &store,
        &store,
        now,
        Request { caller: &caller, call: call.clone(), facts: Facts::default() },
    );
    bencher.with_inputs(|| call.clone()).bench_local_values(|call| -> Decision {
        gate(policy, &store, &store, &store, now, Request { caller: &caller, call, facts: Facts::default() })
    });
}

const ARGUMENTS: &str = r#"{"amount":500,"currency":"eur","to":"someone@host.example","note":"lunch"}"#;

#[divan::bench(sample_size = 500)]
fn no_conditions(bencher: divan::Bencher<'_, '_>) {
    decide(bencher, &policy(r#""pay":{}"#), ARGUMENTS);
}

#[divan::bench(sample_size = 500)]
fn one_condition_one_limit(bencher: divan::Bencher<'_, '_>) {
    decide(bencher, &policy(&ordinary("pay")), ARGUMENTS);
}

#[divan::bench(sample_size = 500)]
fn one_condition_one_limit_among_1000_tools(bencher: divan::Bencher<'_, '_>) {
    decide(bencher, &policy(&large()), ARGUMENTS);
}

/// A call that a flow may stop, in a session that has read nothing: what a flow costs beside [`one_condition_one_limit`].
#[divan::bench(sample_size = 500)]
fn one_condition_one_limit_and_a_flow(bencher: divan::Bencher<'_, '_>) {
    let tools = ordinary("pay").replacen('{', r#"{"flags":["financial"],"#, 1);
    let flow = r#"{"after":["untrusted_content"],"then":["financial"],"action":"require_approval"}"#;
    let text = format!(r#"{{"version":"1","default":"deny","flows":[{flow}],"tools":{{{tools}}}}}"#);
    decide(bencher, &parse(&text, "bench").unwrap(), ARGUMENTS);
}

#[divan::bench(sample_size = 500)]
fn denied_by_a_condition(bencher: divan::Bencher<'_, '_>) {
    decide(bencher, &policy(&ordinary("pay")), r#"{"amount":50000,"currency":"eur"}"#);
}

#[divan::bench(sample_size = 500)]
fn five_conditions(bencher: divan::Bencher<'_, '_>) {
    decide(bencher, &policy(&many_conditions(5, 0)), ARGUMENTS);
}

#[divan::bench(sample_size = 500)]
fn fifty_conditions_ten_regexes(bencher: divan::Bencher<'_, '_>) {
    decide(bencher, &policy(&many_conditions(50, 10)), ARGUMENTS);
}

#[divan::bench(sample_count = 50)]
fn load_1000_tools_5000_rules(bencher: divan::Bencher<'_, '_>) {
    let text = format!(r#"{{"version":"1","default":"deny","tools":{{{}}}}}"#, large());
    bencher.bench(|| parse(&text, "bench").unwrap());
}
