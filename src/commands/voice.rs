//! What the gateway says to the person behind the client: lines on standard error, prefixed, escaped, never waited for.
//!
//! A client may start us with a pipe for standard error that it never reads. A full pipe must cost a line, not the
//! session.

use crate::text::escape;
use std::io::{self, Write as _};

/// Says something of our own; further lines are indented already.
pub fn say(text: &str) {
    for line in text.split('\n') {
        write(&format!("mcpol: {}\n", escape(line)));
    }
}

/// Passes on a line of the server's standard error, which was escaped and cut before.
pub fn say_of_server(line: &str) {
    write(&format!("server: {line}\n"));
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
