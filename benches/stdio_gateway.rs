//! What the gateway costs: latency and throughput of calls through it, beside no gateway and beside a proxy that only
//! copies lines, in one run. `cargo bench --bench stdio_gateway` prints a table; ratios mean more than microseconds.
//!
//! The load generator, the fast server and the copying proxy are this very program under other arguments, so that
//! nothing else is measured. For steady figures pin everything to one processor: `taskset -c 1 cargo bench …`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on must fail, and it prints")]

#[path = "support/measure.rs"]
mod measure;
#[path = "support/percentile.rs"]
mod percentile;
#[path = "support/policy.rs"]
mod policy;

use measure::memory_mib;
use percentile::percentile;
use policy::{limit, policy};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Calls one after the other, after a warm-up.
const CALLS: usize = 10_000;
const WARM_UP: usize = 500;
/// Calls in flight while throughput is measured, and how long that takes.
const WINDOW: usize = 64;
const PIPELINE: Duration = Duration::from_millis(1000);

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("__server") => server(),
        Some("__copy") => copy(),
        // Cargo passes `--bench`, and test runners ask for lists.
        Some("--list") => {}
        _ => bench(),
    }
}

/// Answers each line as soon as it is there, with as few system calls as possible.
fn server() {
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
            out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
            out.extend_from_slice(id);
            out.extend_from_slice(b",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}}\n");
        }
        buffer.drain(..start);
        output.write_all(&out).unwrap();
        output.flush().unwrap();
        out.clear();
    }
}

/// Two threads that copy bytes: what standing in the middle costs at least.
fn copy() {
    let mut child = server_command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    std::thread::spawn(move || {
        let mut out = std::io::stdout().lock();
        pump(&mut from, &mut out);
    });
    pump(&mut std::io::stdin().lock(), &mut to);
    drop(to);
    child.wait().unwrap();
}

fn pump(from: &mut impl std::io::Read, to: &mut impl std::io::Write) {
    let mut chunk = vec![0; 1 << 16];
    while let Ok(count) = from.read(&mut chunk) {
        if count == 0 || to.write_all(&chunk[..count]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

fn server_command() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("__server");
    command
}

struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    fn start(mut command: Command) -> (Self, Duration) {
        let begun = Instant::now();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut peer = Self { child, to, from: BufReader::with_capacity(1 << 18, from) };
        peer.call(0, 5);
        (peer, begun.elapsed())
    }

    fn call(&mut self, id: usize, amount: u32) -> usize {
        self.to.write_all(request(id, amount).as_bytes()).unwrap();
        self.read()
    }

    fn read(&mut self) -> usize {
        let mut line = Vec::with_capacity(512);
        self.from.read_until(b'\n', &mut line).unwrap();
        line.len()
    }

    /// Microseconds at the 50th and 99th percentile.
    fn latency(&mut self, amount: u32) -> (f64, f64) {
        let mut all = Vec::with_capacity(CALLS);
        for id in 1..=WARM_UP + CALLS {
            let begun = Instant::now();
            assert!(self.call(id, amount) > 0, "the gateway is gone");
            if id > WARM_UP {
                all.push(begun.elapsed());
            }
        }
        (percentile(&mut all, 50.0), percentile(&mut all, 99.0))
    }

    /// Calls a second with [`WINDOW`] in flight.
    fn throughput(&mut self) -> f64 {
        let begun = Instant::now();
        let (mut sent, mut received) = (0, 0);
        while begun.elapsed() < PIPELINE {
            let mut batch = String::new();
            while sent - received < WINDOW {
                sent += 1;
                batch.push_str(&request(1_000_000 + sent, 5));
            }
            self.to.write_all(batch.as_bytes()).unwrap();
            // Whatever has arrived, at least one.
            loop {
                assert!(self.read() > 0, "the gateway is gone");
                received += 1;
                if self.from.buffer().is_empty() {
                    break;
                }
            }
        }
        received as f64 / begun.elapsed().as_secs_f64()
    }

    fn end(mut self) {
        drop(self.to);
        self.child.wait().unwrap();
    }
}

fn request(id: usize, amount: u32) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"pay\",\"arguments\":{{\"amount\":{amount},\"text\":\"hello\"}}}}}}\n"
    )
}

fn gateway(folder: &std::path::Path, name: &str, limits: &str, more_tools: usize, options: &[&str]) -> Command {
    let place = folder.join(name);
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("policy.json"), policy(&["pay"], limits, more_tools)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpol"));
    command.current_dir(&place).env("MCPOL_STATE_DIR", &place);
    command.args(["enforce", "--policy", "policy.json"]).args(options).arg("--");
    command.arg(std::env::current_exe().unwrap()).arg("__server");
    command
}

fn bench() {
    let folder = tempfile::tempdir().unwrap();
    let limits = &limit("c", 1_000_000_000);
    let quiet = ["--audit", "none", "--state", "memory:"];
    let entries: Vec<(&str, Command, u32)> = vec![
        ("no gateway", server_command(), 5),
        ("copying proxy", Command::new(std::env::current_exe().unwrap()), 5),
        ("no limit, no log", gateway(folder.path(), "a", "", 0, &quiet), 5),
        ("limit in memory, no log", gateway(folder.path(), "b", limits, 0, &quiet), 5),
        ("limit in SQLite, log", gateway(folder.path(), "c", limits, 0, &[]), 5),
        ("the same, 1,000 tools, 5,000 rules", gateway(folder.path(), "d", limits, 1000, &[]), 5),
        ("denied, no log", gateway(folder.path(), "e", limits, 0, &quiet), 500),
    ];
    println!(
        "{:36} {:>8} {:>7} {:>8} {:>9} {:>7} {:>8} {:>7}",
        "", "p50 µs", "ratio", "p99 µs", "calls/s", "ratio", "start ms", "RSS MiB"
    );
    let mut base: Option<(f64, f64)> = None;
    for (name, mut command, amount) in entries {
        if name == "copying proxy" {
            command.arg("__copy");
        }
        let (mut peer, start) = Peer::start(command);
        let (p50, p99) = peer.latency(amount);
        let rate = peer.throughput();
        if name == "copying proxy" {
            base = Some((p50, rate));
        }
        // Ratios are to the copying proxy.
        let ratio =
            |value: f64, base: Option<f64>| base.map_or_else(String::new, |base| format!("{:.2}", value / base));
        let memory = memory_mib(peer.child.id());
        println!(
            "{name:36} {p50:8.1} {:>7} {p99:8.1} {rate:9.0} {:>7} {:8.1} {memory:7.1}",
            ratio(p50, base.map(|(p50, _)| p50)),
            ratio(rate, base.map(|(_, rate)| rate)),
            start.as_secs_f64() * 1e3,
        );
        peer.end();
    }
}
