//! The last lines of a stream that is not read otherwise: bounded, and escaped when it is shown.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines kept of one stream.
pub const TAIL_LINES_MAX: usize = 12;
/// Bytes kept of one line; the rest of a longer one is dropped.
pub const TAIL_LINE_BYTES_MAX: usize = 2048;
/// Characters shown of one line.
const SHOWN_CHARS_MAX: usize = 300;

/// A shared tail: one thread feeds it, any other may look.
#[derive(Clone, Debug, Default)]
pub struct Tail(Arc<Mutex<KeptTail>>);

#[derive(Debug, Default)]
struct KeptTail {
    lines: VecDeque<Vec<u8>>,
    /// The last line before those that began to say why the program ends: the rest may be a long stack.
    cause: Option<Vec<u8>>,
    current: Vec<u8>,
    closed: bool,
    echo: Echo,
}

/// What sees every line as it comes.
#[derive(Default)]
struct Echo(Option<Hearer>);

type Hearer = Box<dyn FnMut(&str) + Send>;

impl std::fmt::Debug for Echo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Echo" } else { "-" })
    }
}

impl Tail {
    /// A tail that also calls `echo` with every line, escaped and cut, as it comes.
    pub fn echoing(echo: impl FnMut(&str) + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(KeptTail { echo: Echo(Some(Box::new(echo))), ..KeptTail::default() })))
    }

    /// Takes the next bytes of the stream, cut anywhere.
    pub fn feed(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = TAIL_LINE_BYTES_MAX.saturating_sub(kept.current.len());
            kept.current.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < piece.len() {
                let line = std::mem::take(&mut kept.current);
                kept.push(line);
            }
        }
    }

    /// Says that the stream has ended.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }

    /// Whether the stream has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed
    }

    /// The last lines, oldest first, escaped; empty lines left out. Before them stands the one that says why, where it came
    /// earlier.
    pub fn lines(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unfinished = Some(&kept.current).filter(|line| !is_blank(line));
        kept.cause.iter().chain(&kept.lines).chain(unfinished).map(|line| shown(line)).collect()
    }
}

impl KeptTail {
    fn push(&mut self, line: Vec<u8>) {
        if is_blank(&line) {
            return;
        }
        if let Some(echo) = &mut self.echo.0 {
            echo(&shown(&line));
        }
        if self.lines.len() == TAIL_LINES_MAX {
            let gone = self.lines.pop_front();
            self.cause = gone.filter(|line| says_why(line)).or(self.cause.take());
        }
        self.lines.push_back(line);
    }
}

/// Whether a line begins to say why a program ends, as Go, Node, Java and Rust do before a stack; Python does it behind.
fn says_why(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let head = text.split(": ").next().unwrap_or_default();
    let is_error = !head.contains(' ') && (head.ends_with("Error") || head.ends_with("Exception"));
    let begins = ["panic", "fatal error", "Uncaught", "Exception in thread", "thread '"];
    is_error || begins.iter().any(|begin| head.starts_with(begin))
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// One line fit for a terminal. Colours and cursor movements are dropped rather than spelt out: they are no content.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let plain = anstream::adapter::strip_str(text.trim_end()).to_string();
    crate::text::excerpt(&plain, SHOWN_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept() {
        let tail = Tail::default();
        for number in 0..=TAIL_LINES_MAX {
            tail.feed(format!("line {number}\r\n\n").as_bytes());
        }
        let lines = tail.lines();
        assert_eq!((lines.len(), lines.first().map(String::as_str)), (TAIL_LINES_MAX, Some("line 1")));
    }

    #[test]
    fn the_line_that_says_why_stays_in_front_of_a_long_stack() {
        for why in
            ["panic: no token", "Error: Cannot find module 'x'", "TypeError: x", "thread 'main' (1) panicked at a.rs:1"]
        {
            let tail = Tail::default();
            tail.feed(format!("starting\n{why}\n").as_bytes());
            for number in 0..TAIL_LINES_MAX * 2 {
                tail.feed(format!("    at f{number} (a.js:1)\n").as_bytes());
            }
            let lines = tail.lines();
            assert_eq!((lines.len(), lines[0].as_str()), (TAIL_LINES_MAX + 1, why));
        }
    }

    #[test]
    fn long_lines_are_cut_and_do_not_grow_in_memory() {
        let tail = Tail::default();
        for _ in 0..100 {
            tail.feed(&[b'x'; 1000]);
        }
        assert_eq!(tail.0.lock().unwrap_or_else(PoisonError::into_inner).current.len(), TAIL_LINE_BYTES_MAX);
        assert_eq!(tail.lines().first().map(|line| line.chars().count()), Some(SHOWN_CHARS_MAX));
    }

    #[test]
    fn lines_arrive_in_pieces_and_cannot_drive_a_terminal() {
        let tail = Tail::default();
        tail.feed(b"a\x1b[31mb");
        tail.feed(b"c\x07\nd");
        assert_eq!(tail.lines(), ["abc", "d"]);
    }
}
