//! The promise on limits, over real connections and processes: for any order of calls, withdrawals, errors, results and
//! deaths of either side, no more calls reach the server than a limit allows.

use super::client::Client;
use super::server::{Act, Asked};
use super::{Back, Cell, Era, Front, Setup};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// The most of each limit.
const MAX: usize = 2;
/// Orders that are tried on each way. Each has tools, and so counters, of its own.
const ORDERS: usize = 6;

/// How long a call may be nowhere; generous, because nothing is measured by it.
const WAIT: Duration = Duration::from_secs(60);

/// What happens next; a number picks one of the calls that are open.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// One of two clients calls: the tool whose units stay spent, or the one whose limit gives back for errors.
    Call(bool, bool),
    /// The client withdraws a call.
    Withdraw(usize),
    /// The client closes the connection of a call, without a word.
    HangUp(usize),
    /// The server answers with an error, once or twice.
    Error(usize, bool),
    /// The server answers with a result.
    Result(usize),
    /// The connection to the server ends, and with a command the command.
    Crash(usize),
    /// The gateway is killed, and another one takes its place.
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    let any = || 0..8_usize;
    prop_oneof![
        8 => (prop::bool::ANY, prop::bool::ANY).prop_map(|(client, kept)| Step::Call(client, kept)),
        3 => any().prop_map(Step::Withdraw),
        2 => any().prop_map(Step::HangUp),
        4 => (any(), prop::bool::ANY).prop_map(|(at, twice)| Step::Error(at, twice)),
        2 => any().prop_map(Step::Result),
        1 => any().prop_map(Step::Crash),
        1 => Just(Step::Die),
    ]
}

/// A call that is with the server.
struct OpenCall {
    of: usize,
    id: u64,
    asked: Asked,
    is_kept: bool,
    is_withdrawn: bool,
    /// The client has closed its connection.
    is_gone: bool,
}

/// One order of events, as far as it has come.
struct Run<'c> {
    cell: &'c mut Cell,
    clients: [Client; 2],
    /// The tools of this order.
    kept: String,
    refunded: String,
    open: Vec<OpenCall>,
    /// The id of the newest call.
    last: u64,
    /// What has reached the server and counts.
    reached_kept: usize,
    reached_refunded: usize,
}

impl Run<'_> {
    fn call(&mut self, of: usize, is_kept: bool) {
        let tool = if is_kept { self.kept.clone() } else { self.refunded.clone() };
        // No other call on this way has the id, whoever makes it.
        self.last += 1;
        let (id, params) = (self.last, json!({"name": self.cell.way.tool(&tool), "arguments": {}}));
        self.clients[of].request_as(id, "tools/call", &params);
        // Either the gateway answers, or the server has it.
        let since = Instant::now();
        while since.elapsed() < WAIT {
            if let Some(asked) = self.cell.server.held_now(|seen| seen.calls(&tool)) {
                *(if is_kept { &mut self.reached_kept } else { &mut self.reached_refunded }) += 1;
                self.open.push(OpenCall { of, id, asked, is_kept, is_withdrawn: false, is_gone: false });
                return;
            }
            if self.clients[of].has_reply(id) {
                return;
            }
        }
        panic!("the call {id} of `{tool}` was neither sent nor refused");
    }

    fn withdraw(&mut self, at: usize) {
        let (call, way) = (&mut self.open[at], self.cell.way);
        if call.is_withdrawn || call.is_gone {
            return;
        }
        let client = &mut self.clients[call.of];
        client.withdraw(call.id);
        call.is_withdrawn = true;
        // From here on the gateway knows.
        let seen = &call.asked.seen;
        if way.era == Era::Stateless && way.back == Back::Url && way.front != Front::Stdio {
            let link = seen.link;
            self.cell.server.sees("the end of its connection", |it| it.is_end && it.link == link);
        } else {
            let id = seen.message["id"].clone();
            let link = seen.link;
            self.cell
                .server
                .sees("that it is withdrawn", |it| it.withdraws(&id) && (way.back == Back::Url || it.link == link));
        }
    }

    fn hang_up(&mut self, at: usize) {
        // Over standard streams that ends the gateway; and where requests stand alone it is a withdrawal.
        let call = &mut self.open[at];
        if self.cell.way.front == Front::Stdio
            || self.cell.way.era == Era::Stateless
            || call.is_withdrawn
            || call.is_gone
        {
            return;
        }
        self.clients[call.of].hang_up(call.id);
        call.is_gone = true;
    }

    fn end(&mut self, at: usize, say: impl FnOnce(&mut Asked)) {
        let mut call = self.open.swap_remove(at);
        say(&mut call.asked);
        if !call.is_gone && !call.is_withdrawn {
            self.clients[call.of].reply(call.id);
        }
    }

    fn error(&mut self, at: usize, is_twice: bool) {
        let call = &self.open[at];
        // What the gateway may give back, once; it need not.
        if !call.is_kept && !call.is_withdrawn {
            self.reached_refunded -= 1;
        }
        self.end(at, |asked| {
            let id = asked.seen.message["id"].clone();
            let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": "no"}});
            if is_twice {
                asked.say(&error);
            }
            asked.finish(&error);
        });
    }

    fn result(&mut self, at: usize) {
        self.end(at, |asked| asked.reply(&json!({"content": [], "resultType": "complete"})));
    }

    fn crash(&mut self, at: usize) {
        let link = self.open[at].asked.seen.link;
        self.open[at].asked.crash();
        let (ended, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.open).into_iter().partition(|call| call.asked.seen.link == link);
        self.open = open;
        for call in ended.into_iter().filter(|call| !call.is_gone && !call.is_withdrawn) {
            self.clients[call.of].reply(call.id);
        }
        if self.cell.way.is_command() {
            // A command is started again after a pause, and only so often.
            self.die();
        }
    }

    fn die(&mut self) {
        self.open.clear();
        self.cell.another_gateway();
        self.clients = [self.cell.client(), self.cell.client()];
    }

    fn take(&mut self, step: Step) {
        let of = |at: usize, open: &[OpenCall]| (!open.is_empty()).then(|| at % open.len());
        match step {
            Step::Call(client, is_kept) => self.call(usize::from(client), is_kept),
            Step::Withdraw(at) => of(at, &self.open).into_iter().for_each(|at| self.withdraw(at)),
            Step::HangUp(at) => of(at, &self.open).into_iter().for_each(|at| self.hang_up(at)),
            Step::Error(at, twice) => of(at, &self.open).into_iter().for_each(|at| self.error(at, twice)),
            Step::Result(at) => of(at, &self.open).into_iter().for_each(|at| self.result(at)),
            Step::Crash(at) => of(at, &self.open).into_iter().for_each(|at| self.crash(at)),
            Step::Die => self.die(),
        }
    }
}

pub fn no_order_of_events_gets_more_calls_through_than_a_limit_allows(cell: &dyn Fn(&Setup) -> Cell) {
    let limited = |counter: &str, refund: Value| {
        let mut limit = json!({"counter": counter, "window": "month", "max": MAX, "scope": "grant"});
        limit.as_object_mut().unwrap().extend(refund.as_object().unwrap().clone());
        json!({"limits": [limit]})
    };
    let rules: serde_json::Map<String, Value> = (0..ORDERS)
        .flat_map(|order| {
            let (kept, refunded) = (format!("kept{order}"), format!("refunded{order}"));
            let rules = (limited(&kept, json!({})), limited(&refunded, json!({"refund": "error"})));
            [(kept, rules.0), (refunded, rules.1)]
        })
        .collect();
    let setup = Setup::of(&rules.into());
    let setup = setup.script(|asked| if asked.seen.method() == "tools/call" { Act::Held } else { Act::Usual });
    let cell = RefCell::new(cell(&setup));
    let order = RefCell::new(0..ORDERS);
    // The same orders in every run: each is a promise that was tried, and none is a test that fails now and then.
    let config = Config { cases: ORDERS as u32, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&prop::collection::vec(step(), 10..24), |steps| {
        let order = order.borrow_mut().next().expect("as many orders as tools");
        let mut cell = cell.borrow_mut();
        let clients = [cell.client(), cell.client()];
        let (kept, refunded) = (format!("kept{order}"), format!("refunded{order}"));
        let (open, last, reached_kept, reached_refunded) = (Vec::new(), 10_000 * (order as u64 + 1), 0, 0);
        let mut run = Run { cell: &mut cell, clients, kept, refunded, open, last, reached_kept, reached_refunded };
        for step in steps {
            run.take(step);
            prop_assert!(run.reached_kept <= MAX, "{} calls of a limit of {MAX} at {step:?}", run.reached_kept);
            let counted = run.reached_refunded;
            prop_assert!(counted <= MAX, "{counted} calls that nothing gave back of a limit of {MAX} at {step:?}");
        }
        while !run.open.is_empty() {
            run.result(0);
        }
        Ok(())
    });
    outcome.unwrap();
}
