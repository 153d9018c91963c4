//! What the gateway says to the person behind the client: lines on standard error, prefixed, escaped, never waited for.
//!
//! A client may start us with a pipe for standard error that it never reads. A full pipe must cost a line, not the
//! session, and a server that floods must not drown what matters.

use crate::text::escape;
use std::io::{self, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lines of the server that are passed on in one second; the rest is counted.
pub const SERVER_LINES_PER_SECOND: u32 = 50;

/// Says something of our own; further lines are indented already.
pub fn say(text: &str) {
    for line in text.split('\n') {
        write(&format!("mcpol: {}\n", escape(line)));
    }
}

/// Passes on a line of the server's standard error, which was escaped and cut before.
pub fn say_of_server(line: &str) {
    let mut gate = GATE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match gate.take(Instant::now()) {
        Passage::Closed => {}
        Passage::Open(0) => write(&format!("server: {line}\n")),
        Passage::Open(missed) => write(&format!("server: … {missed} lines left out\nserver: {line}\n")),
    }
}

static GATE: Mutex<Gate> = Mutex::new(Gate { since: None, lines: 0, missed: 0 });

/// Counts lines a second.
struct Gate {
    since: Option<Instant>,
    lines: u32,
    missed: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Passage {
    /// The line may pass; so many did not before it.
    Open(u64),
    Closed,
}

impl Gate {
    fn take(&mut self, now: Instant) -> Passage {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines >= SERVER_LINES_PER_SECOND {
            self.missed += 1;
            return Passage::Closed;
        }
        self.lines += 1;
        Passage::Open(std::mem::take(&mut self.missed))
    }
}

fn write(text: &str) {
    if is_ready() {
        // A stderr that is gone cannot be told about it.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

#[cfg(unix)]
fn is_ready() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stderr = io::stderr();
    let mut watched = [PollFd::new(&stderr, PollFlags::OUT)];
    poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_or(true, |ready| ready > 0)
}

#[cfg(not(unix))]
fn is_ready() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_the_next_second_is_open_again() {
        let (mut gate, start) = (Gate { since: None, lines: 0, missed: 0 }, Instant::now());
        for _ in 0..SERVER_LINES_PER_SECOND {
            assert_eq!(gate.take(start), Passage::Open(0));
        }
        for _ in 0..5 {
            assert_eq!(gate.take(start), Passage::Closed);
        }
        assert_eq!(gate.take(start + Duration::from_secs(1)), Passage::Open(5));
        assert_eq!(gate.take(start + Duration::from_secs(1)), Passage::Open(0));
    }
}
