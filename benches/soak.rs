//! Many calls over mixed sessions while everything fails that can: `cargo bench --bench soak -- 1000000`.
//!
//! The server dies, hangs, answers twice, cuts its streams and forgets sessions, and is killed and started again from
//! time to time; clients go away in the middle. Through all of it every request gets exactly one reply, a limit holds to
//! the call, memory stays flat and no descriptor is left behind: otherwise this ends with an error. `tests/soak.sh` runs
//! a short one.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a soak that cannot go on must fail")]
#![expect(clippy::print_stdout, reason = "it prints what it found")]

#[path = "support/client.rs"]
mod client;
#[path = "support/faulty.rs"]
mod faulty;
#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/measure.rs"]
mod measure;
#[path = "support/stateless.rs"]
mod stateless;

use client::{Client, Status, call};
use gateway::Listening;
use measure::memory_mib;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Without an argument.
const CALLS: u64 = 50_000;
/// Clients at once.
const CLIENTS: u64 = 24;
/// What `limited` may be called, of all the times that it is tried.
const LIMIT: u64 = 500;
/// A call that hangs is given up after so many seconds.
const CALL_TIMEOUT: &str = "1";
/// The server is killed and started again so many times.
const RESTARTS: u64 = 5;
/// Longest until the gateway has let go of everything that was for clients who are gone.
const SETTLE: Duration = Duration::from_secs(30);
/// How long the gateway has closed nothing where it is not known how much it has to close.
const QUIET: Duration = Duration::from_secs(2);
/// The store of counters opens its file and its log a second time once it has written often enough to tidy up.
const STORE_DESCRIPTORS: usize = 2;
/// What memory may grow from the first fifth to the end, in MiB.
const GROWTH_MIB: f64 = 16.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("__faulty") => faulty::serve(arguments[1].parse().unwrap(), &arguments[2]),
        Some("--list") => {}
        _ => soak(arguments.iter().find_map(|text| text.parse().ok()).unwrap_or(CALLS)),
    }
}

/// What became of the requests of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    asked: u64,
    /// One reply with the request's own id.
    replied: u64,
    /// The reply was a refusal or an error.
    refused: u64,
    /// An HTTP answer without a reply where that is the right answer: the server's own page, a session that is over, a
    /// stream that was cut.
    ended: u64,
    missing: u64,
    doubled: u64,
}

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Call(&'static str),
    Stateless(&'static str),
    /// Asks and goes away.
    Vanish,
    /// Opens a stream and goes away.
    Listen,
    /// Ends its session and begins another.
    Renew,
    List,
}

/// How often each is done, of 1,000 steps.
const STEPS: [(Step, u64); 21] = [
    (Step::Call("plain"), 500),
    (Step::Call("stream"), 150),
    (Step::Stateless("plain"), 80),
    (Step::Stateless("stream"), 40),
    (Step::Call("refused"), 50),
    (Step::Call("limited"), 50),
    (Step::Call("slow"), 20),
    (Step::Call("large"), 10),
    (Step::Call("twice"), 15),
    (Step::Stateless("twice"), 5),
    (Step::Call("cut"), 15),
    (Step::Call("die"), 12),
    (Step::Call("garbage"), 8),
    (Step::Call("page"), 8),
    (Step::Call("stranger"), 4),
    (Step::Call("forget"), 4),
    (Step::Call("hang"), 1),
    (Step::Vanish, 10),
    (Step::Listen, 4),
    (Step::Renew, 10),
    (Step::List, 4),
];

fn soak(calls: u64) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let start = |port: u16| Listening::peer(&["__faulty", &port.to_string(), ledger.to_str().unwrap()]);
    let mut server = start(0);
    let port = server.address.port();
    let gateway = Listening::mcpol(folder.path(), &policy(), server.address, &["--call-timeout", CALL_TIMEOUT]);
    println!("the gateway listened after {:.0} ms\n", gateway.start.as_secs_f64() * 1e3);
    // What stays open after the first calls is what the gateway keeps for itself.
    let mut first = Client::begin(gateway.address).unwrap();
    for (id, tool) in ["plain", "stream", "refused"].into_iter().enumerate() {
        first.post(&call(id as u64, tool, "5")).unwrap();
    }
    drop(first);
    let descriptors_before = settled(&gateway, 0, QUIET);

    let asked = AtomicU64::new(0);
    let mut samples: Vec<(u64, f64, usize)> = Vec::new();
    let begun = Instant::now();
    let tallies: Vec<BTreeMap<String, Tally>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (asked, address) = (&asked, gateway.address);
                scope.spawn(move || run(number, address, asked, calls))
            })
            .collect();
        // Every fifth of the way the server is killed; every tenth we look at the gateway.
        for tenth in 1..=10 {
            while asked.load(Ordering::Relaxed) < calls * tenth / 10
                && running.iter().any(|thread| !thread.is_finished())
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            samples.push((asked.load(Ordering::Relaxed), memory_mib(gateway.id()), descriptors(gateway.id())));
            if tenth % 2 == 1 && tenth / 2 < RESTARTS {
                server.end();
                server = start(port);
            }
        }
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let took = begun.elapsed();
    drop(server);
    let descriptors_after = settled(&gateway, descriptors_before + STORE_DESCRIPTORS, SETTLE);
    report(&tallies, &samples, calls, took);

    let executed = std::fs::metadata(&ledger).unwrap().len();
    println!("limited: {executed} of at most {LIMIT} reached the server");
    println!("descriptors: {descriptors_before} before, {descriptors_after} after");
    let mut total = Tally::default();
    for tally in tallies.iter().flat_map(BTreeMap::values) {
        total.asked += tally.asked;
        total.missing += tally.missing;
        total.doubled += tally.doubled;
    }
    assert_eq!((total.missing, total.doubled), (0, 0), "requests without a reply, or with two");
    assert!(executed <= LIMIT, "the limit did not hold: {executed} calls of at most {LIMIT}");
    // Enough tries were made, so the limit was reached: a soak in which all were refused shows nothing.
    assert!(calls < 20 * LIMIT || executed > LIMIT / 2, "only {executed} of {LIMIT} calls got through");
    assert!(descriptors_after <= descriptors_before + STORE_DESCRIPTORS, "descriptors were left open");
    let (_, early, _) = samples[1];
    let (_, late, _) = samples[samples.len() - 1];
    assert!(late <= early + GROWTH_MIB, "memory grew from {early:.1} to {late:.1} MiB");
}

/// All the faulty server's tools, one of them limited; `refused` is not among them.
fn policy() -> String {
    let tools: Vec<String> = faulty::TOOLS
        .iter()
        .map(|tool| match *tool {
            "limited" => {
                format!(r#""limited":{{"limits":[{{"counter":"few","window":"day","max":{LIMIT},"scope":"grant"}}]}}"#)
            }
            tool => format!(r#""{tool}":{{}}"#),
        })
        .collect();
    format!(
        r#"{{"version":"1","default":"deny","all_tools":{{"limits":[{{"counter":"all","window":"day","max":1000000000,"scope":"grant"}}]}},"tools":{{{}}}}}"#,
        tools.join(",")
    )
}

/// Open descriptors of the gateway.
fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// How many descriptors the gateway has at the least when nobody is connected: looks until it has no more than `enough`, or
/// has closed none for as long as `quiet`.
fn settled(gateway: &Listening, enough: usize, quiet: Duration) -> usize {
    let begun = Instant::now();
    let mut least = usize::MAX;
    let mut since = Instant::now();
    while least > enough && begun.elapsed() < SETTLE && since.elapsed() < quiet {
        let now = descriptors(gateway.id());
        if now < least {
            (least, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    least
}

/// One client, until so many requests were made by all.
fn run(number: u64, address: SocketAddr, asked: &AtomicU64, calls: u64) -> BTreeMap<String, Tally> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number + 1);
    let mut client = begin(address);
    let mut id = (number + 1) * 100_000_000;
    while asked.fetch_add(1, Ordering::Relaxed) < calls {
        id += 1;
        let step = pick(&mut random);
        let (name, result) = match step {
            Step::Call(tool) => (format!("{tool}, session"), client.post(&call(id, tool, "5"))),
            Step::Stateless(tool) => (format!("{tool}, stateless"), client.call_stateless(id, tool)),
            Step::List => {
                let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
                ("tools/list".to_owned(), client.post(message.as_bytes()))
            }
            Step::Vanish | Step::Listen => {
                // Whether it arrives is not our concern any more.
                if step == Step::Vanish {
                    client.send("POST", &call(id, "slow", "5")).ok();
                } else {
                    client.send("GET", b"").ok();
                }
                client = begin(address);
                continue;
            }
            Step::Renew => {
                client.send("DELETE", b"").ok();
                client = begin(address);
                continue;
            }
        };
        let tally = tallies.entry(name).or_default();
        tally.asked += 1;
        if !judge(tally, step, id, &client, &result) {
            client = begin(address);
        }
    }
    tallies
}

/// Counts what came back. Whether the connection and its session can still be used.
fn judge(tally: &mut Tally, step: Step, id: u64, client: &Client, result: &std::io::Result<Status>) -> bool {
    let body = client.body();
    let own = format!("\"id\":{id}");
    let replies = memchr::memmem::find_iter(body, own.as_bytes()).count() + usize::from(client.has_more());
    let refused = [&b"isError"[..], b"\"error\""].iter().any(|word| memchr::memmem::find(body, word).is_some());
    let tool = match step {
        Step::Call(tool) | Step::Stateless(tool) => tool,
        _ => "",
    };
    let may_end = match result {
        Ok(Status(404)) => true,
        Ok(Status(500..)) => tool == "page",
        Ok(_) => tool == "stranger" || tool == "cut",
        Err(_) => tool == "cut",
    };
    match replies {
        1 => {
            tally.replied += 1;
            tally.refused += u64::from(refused);
        }
        0 if may_end => tally.ended += 1,
        0 => {
            tally.missing += 1;
            if tally.missing <= 3 {
                println!("no reply: {step:?} {result:?} {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
            }
        }
        _ => {
            tally.doubled += 1;
            if tally.doubled <= 3 {
                println!("{replies} replies: {step:?} {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
            }
        }
    }
    matches!(result, Ok(Status(status)) if *status != 404) && tool != "forget"
}

/// A session, as soon as there is a server to have one with.
fn begin(address: SocketAddr) -> Client {
    let begun = Instant::now();
    loop {
        match Client::begin(address) {
            Ok(client) => return client,
            Err(error) if begun.elapsed() > SETTLE => panic!("no session could be begun: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The next step, by chance, but the same in every run (xorshift64).
fn pick(random: &mut u64) -> Step {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    let chance = *random % STEPS.iter().map(|(_, weight)| weight).sum::<u64>();
    let mut below = 0;
    let mut steps = STEPS.into_iter();
    let step = steps.find(|(_, weight)| {
        below += weight;
        chance < below
    });
    step.expect("the chances add up").0
}

fn report(tallies: &[BTreeMap<String, Tally>], samples: &[(u64, f64, usize)], calls: u64, took: Duration) {
    println!(
        "{:20} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8}",
        "", "asked", "replied", "refused", "ended", "missing", "doubled"
    );
    let mut sums: BTreeMap<&str, Tally> = BTreeMap::new();
    for (name, tally) in tallies.iter().flatten() {
        let sum = sums.entry(name).or_default();
        sum.asked += tally.asked;
        sum.replied += tally.replied;
        sum.refused += tally.refused;
        sum.ended += tally.ended;
        sum.missing += tally.missing;
        sum.doubled += tally.doubled;
    }
    for (name, sum) in &sums {
        let Tally { asked, replied, refused, ended, missing, doubled } = sum;
        println!("{name:20} {asked:9} {replied:9} {refused:9} {ended:8} {missing:8} {doubled:8}");
    }
    println!("\n{:>10} {:>9} {:>12}", "calls", "RSS MiB", "descriptors");
    for (asked, memory, descriptors) in samples {
        println!("{asked:10} {memory:9.1} {descriptors:12}");
    }
    println!("\n{calls} steps of {CLIENTS} clients in {:.0} s", took.as_secs_f64());
}
