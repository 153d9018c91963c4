//! What the gateway costs: calls through it, beside no gateway and beside a proxy that only copies lines and reads their
//! envelope, in one run. `cargo bench --bench stdio_gateway` prints two tables; ratios mean more than microseconds.
//!
//! The load generator, the fast server and the proxy are this very program under other arguments, so that nothing else
//! is measured. For steady figures keep everything on one processor: `taskset -c 1 cargo bench --bench stdio_gateway`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on must fail, and it prints")]

#[path = "support/measure.rs"]
mod measure;
#[path = "support/percentile.rs"]
mod percentile;
#[path = "support/policy.rs"]
mod policy;

use measure::memory_mib;
use percentile::percentile;
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Rounds; every round starts every entry anew, and the table holds medians.
const ROUNDS: usize = 5;
/// Calls one after the other, after a warm-up, in each round.
const CALLS: usize = 10_000;
const WARM_UP: usize = 500;
/// Calls in flight while throughput is measured, and how long that takes in each round.
const WINDOW: usize = 64;
const PIPELINE: Duration = Duration::from_millis(400);
/// Calls after which memory is looked at again.
const MANY_CALLS: usize = 1_000_000;
/// Bytes of a large result, and how many are asked for, one after the other.
const LARGE_BYTES: usize = 1 << 20;
const LARGE_CALLS: usize = 100;
/// What the policy allows, and what it does not.
const ALLOWED: u32 = 5;
const REFUSED: u32 = 500;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("__server") => server(),
        Some("__proxy") => proxy(),
        // Cargo passes `--bench`, and test runners ask for lists.
        Some("--list") => {}
        _ => bench(),
    }
}

/// Answers each line as soon as it is there, with as few system calls as possible. The second argument is how many
/// tools it lists beside its own.
fn server() {
    let more: usize = std::env::args().nth(2).map_or(0, |count| count.parse().unwrap());
    let tools: String = (0..more).map(|tool| format!(",{{\"name\":\"tool_{tool}\",\"inputSchema\":{{}}}}")).collect();
    let list = format!("{{\"tools\":[{{\"name\":\"pay\",\"inputSchema\":{{}}}}{tools}]}}}}\n");
    let large = format!("{{\"content\":[{{\"type\":\"text\",\"text\":\"{}\"}}]}}}}\n", "x".repeat(LARGE_BYTES));
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut buffer = Vec::with_capacity(1 << 16);
    let mut out = Vec::with_capacity(1 << 16);
    let mut chunk = vec![0; 1 << 16];
    loop {
        let count = input.read(&mut chunk).unwrap();
        if count == 0 {
            return;
        }
        buffer.extend_from_slice(&chunk[..count]);
        let mut start = 0;
        while let Some(end) = memchr::memchr(b'\n', &buffer[start..]) {
            let line = &buffer[start..start + end];
            start += end + 1;
            // Our own load generator writes the id at a fixed place.
            let Some(id) = memchr::memmem::find(line, b"\"id\":").map(|at| &line[at + 5..]) else { continue };
            let id = &id[..memchr::memchr(b',', id).unwrap_or(0)];
            let result = if memchr::memmem::find(line, b"tools/list").is_some() {
                &list
            } else if memchr::memmem::find(line, b"\"large\"").is_some() {
                &large
            } else {
                "{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}}\n"
            };
            out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
            out.extend_from_slice(id);
            out.extend_from_slice(b",\"result\":");
            out.extend_from_slice(result.as_bytes());
        }
        buffer.drain(..start);
        output.write_all(&out).unwrap();
        output.flush().unwrap();
        out.clear();
    }
}

/// The envelope of a message, read as cheaply as a library can.
#[derive(serde::Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    method: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a serde_json::value::RawValue>,
}

/// What standing in the middle costs at least: one thread copies bytes to the client, the other lines to the server,
/// whose envelope it reads and then does nothing about.
fn proxy() {
    let mut child = server_command(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    std::thread::spawn(move || copy(from, std::io::stdout().lock(), |_| {}));
    copy(std::io::stdin().lock(), &mut to, |line| {
        let read: Result<Envelope<'_>, _> = serde_json::from_slice(line);
        std::hint::black_box(
            read.is_ok_and(|envelope| envelope.id.is_some() && envelope.method.is_some() && envelope.params.is_some()),
        );
    });
    drop(to);
    child.wait().unwrap();
}

fn copy(mut from: impl Read, mut to: impl Write, mut look: impl FnMut(&[u8])) {
    let (mut buffer, mut filled) = (vec![0; 1 << 17], 0);
    while let Ok(count @ 1..) = from.read(&mut buffer[filled..]) {
        filled += count;
        let mut start = 0;
        while let Some(end) = memchr::memchr(b'\n', &buffer[start..filled]) {
            look(&buffer[start..start + end]);
            start += end + 1;
        }
        // A line that is longer than the buffer goes on in pieces.
        let whole = if start == 0 && filled == buffer.len() { filled } else { start };
        if to.write_all(&buffer[..whole]).and_then(|()| to.flush()).is_err() {
            return;
        }
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

fn server_command(more_tools: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("__server").arg(more_tools.to_string());
    command
}

/// One thing that is measured.
struct Entry {
    name: &'static str,
    start: Box<dyn Fn(&Path) -> Command>,
    amount: u32,
}

/// What the rounds brought.
#[derive(Default)]
struct Figures {
    p50: Vec<f64>,
    p99: Vec<f64>,
    rate: Vec<f64>,
    start: Vec<f64>,
    large: Vec<f64>,
    idle_mib: f64,
    later_mib: f64,
}

struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    line: Vec<u8>,
}

impl Peer {
    /// Starts a command; also how long it took until the tools were listed.
    fn start(mut command: Command) -> (Self, Duration) {
        let begun = Instant::now();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut peer = Self { child, to, from: BufReader::with_capacity(1 << 18, from), line: Vec::new() };
        peer.ask("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/list\",\"params\":{}}\n");
        let took = begun.elapsed();
        assert!(memchr::memmem::find(&peer.line, b"\"pay\"").is_some(), "the tools are not listed");
        (peer, took)
    }

    fn ask(&mut self, request: &str) {
        self.to.write_all(request.as_bytes()).unwrap();
        self.read();
    }

    fn read(&mut self) {
        self.line.clear();
        self.from.read_until(b'\n', &mut self.line).unwrap();
        assert!(self.line.ends_with(b"}\n"), "the gateway is gone");
    }

    /// Asks once and makes sure that the answer is the one that is wanted: a bench of refusals would be quick.
    fn check(&mut self, amount: u32) {
        self.ask(&request(1, amount, "hello"));
        let refused = memchr::memmem::find(&self.line, b"POLICY DENIED").is_some();
        assert_eq!(refused, amount == REFUSED, "{}", String::from_utf8_lossy(&self.line));
    }

    /// Microseconds at the 50th and 99th percentile.
    fn latency(&mut self, amount: u32) -> (f64, f64) {
        let mut all = Vec::with_capacity(CALLS);
        for id in 1..=WARM_UP + CALLS {
            let line = request(id, amount, "hello");
            let begun = Instant::now();
            self.ask(&line);
            if id > WARM_UP {
                all.push(begun.elapsed());
            }
        }
        (percentile(&mut all, 50.0), percentile(&mut all, 99.0))
    }

    /// Calls a second with [`WINDOW`] in flight, until `done` of how many were answered.
    fn pipeline(&mut self, amount: u32, done: impl Fn(usize) -> bool) -> f64 {
        let begun = Instant::now();
        let (mut sent, mut received) = (0, 0);
        let mut batch = String::new();
        while !done(received) {
            batch.clear();
            while sent - received < WINDOW {
                sent += 1;
                batch.push_str(&request(1_000_000 + sent, amount, "hello"));
            }
            self.to.write_all(batch.as_bytes()).unwrap();
            // Whatever has arrived, at least one.
            loop {
                self.read();
                received += 1;
                if self.from.buffer().is_empty() {
                    break;
                }
            }
        }
        let rate = received as f64 / begun.elapsed().as_secs_f64();
        for _ in received..sent {
            self.read();
        }
        rate
    }

    /// Milliseconds for a large result, the median.
    fn large(&mut self) -> f64 {
        let mut all: Vec<f64> = (0..LARGE_CALLS)
            .map(|id| {
                let begun = Instant::now();
                self.ask(&request(id, ALLOWED, "large"));
                assert!(self.line.len() > LARGE_BYTES, "the result is not whole");
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        median(&mut all)
    }

    /// Resident memory of the process and all that it has started, the server excepted. 0 where there is no `/proc`.
    fn memory_mib(&self) -> f64 {
        let parent = |pid: u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<u32>().ok())
        };
        let is_server = |pid: u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"__server")
        };
        let folders = std::fs::read_dir("/proc").into_iter().flatten();
        let pids = folders.filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse::<u32>().ok());
        let parents: HashMap<u32, u32> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
        let (mut tree, mut at) = (vec![self.child.id()], 0);
        while let Some(&ancestor) = tree.get(at) {
            tree.extend(parents.iter().filter(|(_, parent)| **parent == ancestor).map(|(pid, _)| *pid));
            at += 1;
        }
        // A sum of nothing would be -0.
        tree.into_iter().filter(|pid| !is_server(*pid)).map(memory_mib).fold(0.0, std::ops::Add::add)
    }

    fn end(mut self) {
        drop(self.to);
        self.child.wait().unwrap();
    }
}

fn request(id: usize, amount: u32, text: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"pay\",\"arguments\":{{\"amount\":{amount},\"text\":\"{text}\"}}}}}}\n"
    )
}

fn gateway(folder: &Path, limit: bool, more_tools: usize, options: &[&str]) -> Command {
    let limits = if limit { policy::limit("c", 1_000_000_000) } else { String::new() };
    let policy = policy::policy(&["pay"], &limits, more_tools);
    std::fs::write(folder.join("policy.json"), policy).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpol"));
    command.current_dir(folder).env("MCPOL_STATE_DIR", folder);
    command.args(["enforce", "--policy", "policy.json"]).args(options).arg("--");
    let server = server_command(more_tools);
    command.arg(server.get_program()).args(server.get_args());
    command
}

fn entries() -> Vec<Entry> {
    let entry = |name, amount, start: Box<dyn Fn(&Path) -> Command>| Entry { name, start, amount };
    let through = |limit: bool, more: usize, options: &'static [&'static str]| -> Box<dyn Fn(&Path) -> Command> {
        Box::new(move |folder: &Path| gateway(folder, limit, more, options))
    };
    let proxy = |_: &Path| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("__proxy");
        command
    };
    let quiet: &[&str] = &["--audit", "none", "--state", "memory:"];
    vec![
        entry("no gateway", ALLOWED, Box::new(|_: &Path| server_command(0))),
        entry(PROXY, ALLOWED, Box::new(proxy)),
        entry("no limit, no log", ALLOWED, through(false, 0, quiet)),
        entry("limit in memory, no log", ALLOWED, through(true, 0, quiet)),
        entry("limit in SQLite, log", ALLOWED, through(true, 0, &[])),
        entry("the same, 5,000 rules", ALLOWED, through(true, 1000, &[])),
        entry("refused, no log", REFUSED, through(true, 0, quiet)),
        entry("refused, log", REFUSED, through(true, 0, &[])),
    ]
}

/// What the others are compared with.
const PROXY: &str = "line proxy";

fn bench() {
    let entries = entries();
    let mut all: Vec<Figures> = entries.iter().map(|_| Figures::default()).collect();
    for round in 0..ROUNDS {
        for (entry, figures) in entries.iter().zip(&mut all) {
            measure(entry, figures, round + 1 == ROUNDS);
        }
    }
    let is_proxy = |(entry, _): &(&Entry, &mut Figures)| entry.name == PROXY;
    let (_, base) = entries.iter().zip(&mut all).find(is_proxy).unwrap();
    let (base_p50, base_rate) = (median(&mut base.p50), median(&mut base.rate));
    let base_large = median(&mut base.large);
    println!("{:24}{:>7}{:>7}{:>7}{:>10}{:>7}{:>6}{:>12}", "", "p50", "", "p99", "calls", "", "start", "memory, MiB");
    println!(
        "{:24}{:>7}{:>7}{:>7}{:>10}{:>7}{:>6}{:>6}{:>6}",
        "", "µs", "ratio", "µs", "a second", "ratio", "ms", "idle", "1 M"
    );
    for (entry, figures) in entries.iter().zip(&mut all) {
        let (p50, p99, rate) = (median(&mut figures.p50), median(&mut figures.p99), median(&mut figures.rate));
        println!(
            "{:24}{p50:7.1}{:7.2}{p99:7.1}{rate:10.0}{:7.2}{:6.1}{:6.1}{:6.1}",
            entry.name,
            p50 / base_p50,
            rate / base_rate,
            median(&mut figures.start),
            figures.idle_mib,
            figures.later_mib,
        );
    }
    println!("\n{:24}{:>7}{:>7}", "results of 1 MiB", "ms", "ratio");
    for (entry, figures) in entries.iter().zip(&mut all).filter(|(entry, _)| entry.amount == ALLOWED) {
        let large = median(&mut figures.large);
        println!("{:24}{large:7.2}{:7.2}", entry.name, large / base_large);
    }
    println!("\nRatios are to the line proxy; {ROUNDS} rounds, medians.");
}

fn measure(entry: &Entry, figures: &mut Figures, last: bool) {
    let folder = tempfile::tempdir().unwrap();
    let place: PathBuf = folder.path().canonicalize().unwrap();
    let (mut peer, start) = Peer::start((entry.start)(&place));
    figures.start.push(start.as_secs_f64() * 1e3);
    figures.idle_mib = peer.memory_mib();
    if entry.name != PROXY && entry.name != "no gateway" {
        peer.check(entry.amount);
    }
    let (p50, p99) = peer.latency(entry.amount);
    figures.p50.push(p50);
    figures.p99.push(p99);
    let begun = Instant::now();
    figures.rate.push(peer.pipeline(entry.amount, |_| begun.elapsed() >= PIPELINE));
    if last {
        peer.pipeline(entry.amount, |count| count >= MANY_CALLS);
        figures.later_mib = peer.memory_mib();
    }
    if entry.amount == ALLOWED {
        figures.large.push(peer.large());
    }
    peer.end();
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
