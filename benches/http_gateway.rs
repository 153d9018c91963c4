//! What the gateway costs over HTTP: latency and throughput of calls through it, beside no gateway and beside a bare
//! reverse proxy that parses the JSON, in one run. `cargo bench --bench http_gateway` prints tables; ratios mean more
//! than microseconds.
//!
//! The load generator, the fast server and the bare proxy are this very program under other arguments, so that nothing
//! else is measured. For steady figures pin everything to one processor: `taskset -c 1 cargo bench …`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot go on must fail")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/client.rs"]
mod client;
#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/measure.rs"]
mod measure;
#[path = "support/percentile.rs"]
mod percentile;
#[path = "support/policy.rs"]
mod policy;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/server.rs"]
mod server;
#[path = "support/upstream.rs"]
mod upstream;

use client::{Client, Status, call};
use gateway::Listening;
use measure::memory_mib;
use percentile::percentile;
use policy::{limit, policy};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How long one entry is measured in one round, and how many rounds; the median counts. Entries take turns.
const ROUND: Duration = Duration::from_millis(400);
const ROUNDS: usize = 3;
/// Calls before anything is measured.
const WARM_UP: u64 = 200;
/// Connections at once.
const CONNECTIONS: [usize; 3] = [1, 8, 64];
/// A second, on so many connections, where calls are sent whether or not earlier ones were answered.
const OPEN_RATE: f64 = 8_000.0;
const OPEN_CONNECTIONS: usize = 32;
/// Sessions held open, and calls against a limit that half of them reach.
const SESSIONS: usize = 1_000;
const LIMITED_CALLS: u64 = 10_000;
/// Tools of the long list, and lists asked for.
const MANY_TOOLS: usize = 1_000;
const LISTS: usize = 20;
/// Never reached.
const MAX: u64 = 1_000_000_000;
/// All that the fast server answers to.
const TOOLS: [&str; 4] = ["pay", "pay_stream", "big", "big_stream"];
/// Descriptors that 1,000 sessions need on either side, and some.
const DESCRIPTORS: u64 = 8_192;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(0);
    match arguments.first().map(String::as_str) {
        Some("__upstream") => upstream::serve(number(1)),
        Some("__proxy") => proxy::serve(number(1) as u16),
        // Cargo passes `--bench`, and test runners ask for lists.
        Some("--list") => {}
        _ => bench(),
    }
}

/// One way between a client and the server.
struct Entry {
    name: &'static str,
    address: SocketAddr,
    /// What is between them; nothing without a gateway.
    gateway: Option<Listening>,
    amount: &'static str,
}

fn bench() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let wanted = maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let fast = Listening::peer(&["__upstream", "0"]);
    let redis = redis();
    let mcpol =
        |options: &[&str]| Listening::mcpol(folder.path(), &policy(&TOOLS, &limit("c", MAX), 0), fast.address, options);
    let state = redis.as_ref().map(|redis| format!("redis://{}", redis.address));
    let quiet = ["--state", "memory:", "--audit", "none"];
    let entry =
        |name, gateway: Listening, amount| Entry { name, address: gateway.address, gateway: Some(gateway), amount };
    let mut entries = vec![
        Entry { name: "no gateway", address: fast.address, gateway: None, amount: "5" },
        entry("bare proxy", Listening::peer(&["__proxy", &fast.address.port().to_string()]), "5"),
        entry("mcpol, limit in memory, no log", mcpol(&quiet), "5"),
        entry("mcpol, limit in SQLite, log", mcpol(&[]), "5"),
    ];
    if let Some(state) = &state {
        entries.push(entry("mcpol, limit in Redis, log", mcpol(&["--state", state]), "5"));
    }
    entries.push(entry("mcpol, denied, no log", mcpol(&quiet), "500"));

    for (kind, tool) in [("JSON", "pay"), ("SSE", "pay_stream")] {
        for connections in CONNECTIONS {
            closed(kind, tool, connections, &entries);
        }
    }
    open(&entries);
    big(&entries);
    entries.clear();
    long_list(folder.path());
    sessions(&mcpol(&quiet), &mcpol(&[]));
    limited(folder.path(), fast.address, state.as_deref());
}

/// A Redis on a free port that keeps nothing, if `redis-server` is installed.
fn redis() -> Option<Listening> {
    Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Some(Listening::told(|port| {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()]);
        command
    }))
}

/// Latency and throughput with so many calls in flight.
fn closed(kind: &str, tool: &str, connections: usize, entries: &[Entry]) {
    let title = format!("{kind}, {connections} connection{}", if connections == 1 { "" } else { "s" });
    println!(
        "\n{title:32} {:>8} {:>6} {:>8} {:>9} {:>6} {:>7}",
        "p50 µs", "ratio", "p99 µs", "calls/s", "ratio", "RSS MiB"
    );
    let mut rounds: Vec<Vec<[f64; 3]>> = vec![Vec::new(); entries.len()];
    for _ in 0..ROUNDS {
        for (entry, figures) in entries.iter().zip(&mut rounds) {
            figures.push(round(entry, tool, connections));
        }
    }
    let medians: Vec<[f64; 3]> = rounds
        .iter_mut()
        .map(|figures| [0, 1, 2].map(|column| median(figures.iter().map(|figure| figure[column]).collect())))
        .collect();
    // Ratios are to the bare proxy.
    let [base, _, base_rate] = medians[1];
    for (entry, [p50, p99, rate]) in entries.iter().zip(&medians) {
        let memory =
            entry.gateway.as_ref().map_or_else(String::new, |gateway| format!("{:.1}", memory_mib(gateway.id())));
        let name = entry.name;
        println!("{name:32} {p50:8.1} {:6.2} {p99:8.1} {rate:9.0} {:6.2} {memory:>7}", p50 / base, rate / base_rate);
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}

/// p50 and p99 in microseconds, and calls a second.
fn round(entry: &Entry, tool: &str, connections: usize) -> [f64; 3] {
    let barrier = Barrier::new(connections);
    let mut all: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections as u64)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut client = Client::begin(entry.address).unwrap();
                    let mut id = (thread + 1) * 10_000_000;
                    let mut one = || {
                        id += 1;
                        ask(&mut client, id, tool, entry.amount)
                    };
                    for _ in 0..WARM_UP / connections as u64 + 1 {
                        one();
                    }
                    barrier.wait();
                    let begun = Instant::now();
                    let mut all = Vec::with_capacity(1 << 15);
                    while begun.elapsed() < ROUND {
                        all.push(one());
                    }
                    all
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    [percentile(&mut all, 50.0), percentile(&mut all, 99.0), all.len() as f64 / ROUND.as_secs_f64()]
}

/// One call, and how long it took; the answer has to be the one that is due.
fn ask(client: &mut Client, id: u64, tool: &str, amount: &str) -> Duration {
    let message = call(id, tool, amount);
    let begun = Instant::now();
    let status = client.post(&message).unwrap();
    let took = begun.elapsed();
    let body = client.body();
    let holds = |text: &str| memchr::memmem::find(body, text.as_bytes()).is_some();
    let is_ours = holds(&format!("\"id\":{id}"));
    let is_denied = holds("isError") || holds("\"error\"");
    assert!(
        status == Status(200) && is_ours && is_denied == (amount != "5"),
        "{status:?} {}",
        String::from_utf8_lossy(&body[..body.len().min(500)])
    );
    took
}

/// Latency from the moment when a call was due, at a fixed rate.
fn open(entries: &[Entry]) {
    println!("\n{OPEN_RATE} calls a second, whether answered or not (JSON, {OPEN_CONNECTIONS} connections)");
    println!("{:32} {:>8} {:>8} {:>8}", "", "p50 µs", "p99 µs", "max µs");
    for entry in entries {
        // Under `chrt` the processor is taken away for a moment from whoever used all of a second.
        std::thread::sleep(Duration::from_secs(1));
        let barrier = Barrier::new(OPEN_CONNECTIONS);
        let mut all: Vec<Duration> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..OPEN_CONNECTIONS as u64)
                .map(|thread| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        let mut client = Client::begin(entry.address).unwrap();
                        let id = (thread + 1) * 10_000_000;
                        ask(&mut client, id, "pay", entry.amount);
                        barrier.wait();
                        let begun = Instant::now();
                        let mut all = Vec::new();
                        for number in 0.. {
                            let turn = number as f64 * OPEN_CONNECTIONS as f64 + thread as f64;
                            let due = Duration::from_secs_f64(turn / OPEN_RATE);
                            if due > 4 * ROUND {
                                break;
                            }
                            std::thread::sleep(due.saturating_sub(begun.elapsed()));
                            ask(&mut client, id + number + 1, "pay", entry.amount);
                            all.push(begun.elapsed() - due);
                        }
                        all
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let name = entry.name;
        let [p50, p99, most] = [50.0, 99.0, 100.0].map(|percent| percentile(&mut all, percent));
        println!("{name:32} {p50:8.1} {p99:8.1} {most:8.1}");
    }
}

/// Results of 1 MiB.
fn big(entries: &[Entry]) {
    println!(
        "\n{:32} {:>8} {:>8} {:>8} {:>8} {:>7}",
        "results of 1 MiB", "JSON ms", "MiB/s", "SSE ms", "MiB/s", "RSS MiB"
    );
    for entry in entries.iter().filter(|entry| entry.amount == "5") {
        let [json, sse] = ["big", "big_stream"].map(|tool| {
            let mut client = Client::begin(entry.address).unwrap();
            let mut all = Vec::new();
            let begun = Instant::now();
            while begun.elapsed() < ROUND {
                all.push(ask(&mut client, all.len() as u64 + 1, tool, "5"));
                assert!(client.body().len() > upstream::BIG_BYTES, "a result was cut");
            }
            percentile(&mut all, 50.0)
        });
        let memory =
            entry.gateway.as_ref().map_or_else(String::new, |gateway| format!("{:.1}", memory_mib(gateway.id())));
        let name = entry.name;
        println!("{name:32} {:8.2} {:8.0} {:8.2} {:8.0} {memory:>7}", json / 1e3, 1e6 / json, sse / 1e3, 1e6 / sse);
    }
}

/// `tools/list` of a server with 1,000 tools, under 5,000 rules.
fn long_list(folder: &std::path::Path) {
    let fast = Listening::peer(&["__upstream", &MANY_TOOLS.to_string()]);
    let proxy = Listening::peer(&["__proxy", &fast.address.port().to_string()]);
    let options = ["--state", "memory:", "--audit", "none"];
    let gateway = Listening::mcpol(folder, &policy(&TOOLS, "", MANY_TOOLS), fast.address, &options);
    println!("\n{:32} {:>8} {:>6} {:>8}", "tools/list, 1,000 tools", "ms", "ratio", "start ms");
    let mut direct = 0.0;
    for (name, address, start) in [
        ("no gateway", fast.address, fast.start),
        ("bare proxy", proxy.address, proxy.start),
        ("mcpol, 5,000 rules", gateway.address, gateway.start),
    ] {
        let mut client = Client::begin(address).unwrap();
        let mut all: Vec<Duration> = (0..LISTS)
            .map(|id| {
                let begun = Instant::now();
                let status = client.post(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#).as_bytes());
                let took = begun.elapsed();
                let count = memchr::memmem::find_iter(client.body(), r#""name":"tool_"#).count();
                assert_eq!((status.unwrap(), count), (Status(200), MANY_TOOLS));
                took
            })
            .collect();
        let p50 = percentile(&mut all, 50.0);
        if name == "no gateway" {
            direct = p50;
        }
        println!("{name:32} {:8.2} {:6.2} {:8.1}", p50 / 1e3, p50 / direct, start.as_secs_f64() * 1e3);
    }
}

/// Memory with many sessions open, each on a connection of its own.
fn sessions(memory: &Listening, sqlite: &Listening) {
    println!("\n{:32} {:>9} {:>9} {:>11}", "open sessions", "idle MiB", "RSS MiB", "KiB each");
    for (name, gateway) in [("mcpol, limit in memory, no log", memory), ("mcpol, limit in SQLite, log", sqlite)] {
        drop(Client::begin(gateway.address).unwrap());
        let idle = memory_mib(gateway.id());
        let open: Vec<Client> = (0..SESSIONS as u64)
            .map(|id| {
                let mut client = Client::begin(gateway.address).unwrap();
                ask(&mut client, id, "pay", "5");
                client
            })
            .collect();
        let held = memory_mib(gateway.id());
        println!("{name:32} {idle:9.1} {held:9.1} {:11.1}", (held - idle) * 1024.0 / open.len() as f64);
    }
}

/// Calls against a limit that half of them reach, on eight connections at once: the limit holds to the call.
fn limited(folder: &std::path::Path, upstream: SocketAddr, redis: Option<&str>) {
    println!("\n{:32} {:>9} {:>9}", "10,000 calls, limit 5,000", "calls/s", "allowed");
    let policy = policy(&TOOLS, &limit("half", LIMITED_CALLS / 2), 0);
    let mut rows: Vec<(&str, Vec<&str>)> = vec![("mcpol, limit in SQLite, log", vec![])];
    if let Some(redis) = redis {
        rows.push(("mcpol, limit in Redis, log", vec!["--state", redis]));
    }
    for (name, options) in rows {
        let gateway = Listening::mcpol(folder, &policy, upstream, &options);
        let threads = CONNECTIONS[1] as u64;
        let begun = Instant::now();
        let allowed: u64 = std::thread::scope(|scope| {
            let count = |thread: u64| {
                let mut client = Client::begin(gateway.address).unwrap();
                let calls = (0..LIMITED_CALLS / threads).map(|number| (thread + 1) * 10_000_000 + number);
                calls
                    .filter(|id| {
                        assert_eq!(client.post(&call(*id, "pay", "5")).unwrap(), Status(200));
                        memchr::memmem::find(client.body(), b"\"done\"").is_some()
                    })
                    .count() as u64
            };
            let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || count(thread))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let rate = LIMITED_CALLS as f64 / begun.elapsed().as_secs_f64();
        assert_eq!(allowed, LIMITED_CALLS / 2, "{name}: the limit did not hold");
        println!("{name:32} {rate:9.0} {allowed:9}");
    }
}
