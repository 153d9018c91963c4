//! The processes of a scripted server that are to be ended with it: each holds a connection to the test as its sign of life.

use super::scripted::{LIVES, PORT, SCRIPT, target};
use serde_json::json;
use std::io::{BufRead as _, Read as _, Write as _};

/// The variable that tells a process which one to tell that it lives.
const PARENT: &str = "SCRIPTED_PARENT";

/// A connection to the loopback port that the variable of this name gives.
pub fn connection_to(variable: &str) -> std::net::TcpStream {
    let port: u16 = std::env::var(variable).unwrap().parse().unwrap();
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()
}

/// Stays until it is ended, whatever happens to its pipes.
pub fn hold(mut to_test: std::net::TcpStream) {
    // The test never writes: this returns when the test is gone.
    let _ = to_test.read(&mut [0]);
}

/// Connects to the test, says so much and stays.
pub fn hold_connection_of(method: &str) {
    let mut stream = connection_to(PORT);
    writeln!(stream, "{}", json!({"method": method})).unwrap();
    // For the process that waits for it.
    std::io::stdout().write_all(format!("{method}\n").as_bytes()).unwrap();
    hold(stream);
}

/// Starts a process that leaves group and session, and whose parent has ended; it lives when this returns.
pub fn start_detached() {
    let target = target("detached");
    let mut command = std::process::Command::new("setsid");
    command.arg("--fork").args(&target.argv).env(SCRIPT, "detached");
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut forked = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let said = std::io::BufReader::new(forked.stdout.take().unwrap()).lines();
    assert!(forked.wait().unwrap().success());
    assert!(said.map_while(Result::ok).any(|line| line.ends_with(LIVES)));
}

/// Starts a process of its own; both hold a connection to the test and care for nothing else.
pub fn outlives() {
    start_grandchild();
    hold(connection_to(PORT));
}

/// Starts a process with the same pipes, which holds a connection to the test when this returns: whatever ends this one
/// afterwards finds two to end.
#[expect(clippy::zombie_processes, reason = "it is to be left behind")]
pub fn start_grandchild() {
    let target = target("grandchild");
    let lives = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut command = std::process::Command::new(&target.argv[0]);
    command.args(&target.argv[1..]).env(SCRIPT, "grandchild");
    command.env(PARENT, lives.local_addr().unwrap().port().to_string());
    command.stdin(std::process::Stdio::null()).spawn().unwrap();
    lives.accept().unwrap();
}

/// What [`start_grandchild`] starts.
pub fn grandchild() {
    let to_test = connection_to(PORT);
    drop(connection_to(PARENT));
    hold(to_test);
}
