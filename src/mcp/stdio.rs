//! A server behind standard input and output: one message a line, read and written by threads.

use super::child::ServerProcess;
use super::enumerate::{EnumerateOptions, Progress};
use super::error::{ConnectError, Traces};
use super::framing::{Batch, BatchReader, lines_of};
use super::message::{self, Incoming, Request, ServerAnswer, UnreadableMessage};
use super::replies::Replies;
use super::tail::Tail;
use super::target::StdioTarget;
use crate::model::Note;
use std::io::Write as _;
use std::time::Duration;
use tokio::sync::mpsc;

/// Longest message taken from a server, in bytes; one that comes whole in one read may be a little longer.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Lines that are read ahead of the scan.
const LINES_AHEAD_MAX: usize = 4;
/// Requests of a server that are answered; one that asks more often gets no more answers.
pub(super) const REPLIES_MAX: usize = 1000;
/// How long a server whose output has closed may take to end, so that its exit status can be told.
const EXIT_WAIT: Duration = Duration::from_secs(1);
/// How long the words that explain a refusal may be behind it.
const WORDS_WAIT: Duration = Duration::from_millis(500);

/// A connection to a child process.
pub(super) struct StdioWire {
    /// To the thread that owns the child's standard input; dropping it closes the pipe. Above the process, because
    /// fields are dropped in order and a server should see its input close first.
    outbox: Option<std::sync::mpsc::Sender<Vec<u8>>>,
    inbox: mpsc::Receiver<Arrival>,
    process: ServerProcess,
    junk: Tail,
    junk_lines: usize,
    answers: Replies,
    replies: usize,
    sent_anything: bool,
}

enum Arrival {
    Line(Vec<u8>),
    TooLong,
}

impl StdioWire {
    /// Starts the command and its threads.
    pub fn start(target: &StdioTarget, options: &EnumerateOptions) -> Result<Self, ConnectError> {
        let mut process = ServerProcess::spawn(target, options.launcher.as_deref(), options.home)?;
        let failed =
            |source| ConnectError::CannotStart { program: target.argv.first().cloned().unwrap_or_default(), source };
        let (outbox, to_send) = std::sync::mpsc::channel::<Vec<u8>>();
        let (arrived, inbox) = mpsc::channel(LINES_AHEAD_MAX);
        let (mut stdin, stdout) = process.take_pipes()?;
        let write = move || {
            for mut message in to_send {
                message.push(b'\n');
                // A server that has closed its input shows at the other pipe.
                if stdin.write_all(&message).and_then(|()| stdin.flush()).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("server-stdin".to_owned()).spawn(write).map_err(failed)?;
        let read = move || {
            let mut reader = BatchReader::new(stdout, MESSAGE_BYTES_MAX);
            while let Ok(batch) = reader.next_batch() {
                let (lines, mut last) = match batch {
                    Batch::Lines(lines) => (lines, false),
                    Batch::End(rest) => (rest, true),
                    // Nothing more is read: there is no telling how much would follow.
                    Batch::Outgrown | Batch::TooLong(_) => return drop(arrived.blocking_send(Arrival::TooLong)),
                };
                last |= !lines_of(lines).all(|line| arrived.blocking_send(Arrival::Line(line.to_vec())).is_ok());
                if last {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("server-stdout".to_owned()).spawn(read).map_err(failed)?;
        Ok(Self {
            process,
            outbox: Some(outbox),
            inbox,
            junk: Tail::default(),
            junk_lines: 0,
            answers: Replies::default(),
            replies: 0,
            sent_anything: false,
        })
    }

    /// Sends a request and waits for its answer; answers the server's own requests meanwhile.
    pub async fn exchange(
        &mut self,
        request: &Request,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<ServerAnswer, ConnectError> {
        self.send(request.body.clone());
        if !std::mem::replace(&mut self.sent_anything, true) {
            progress(Progress::Waiting);
        }
        loop {
            let line = match self.inbox.recv().await {
                Some(Arrival::Line(line)) => line,
                Some(Arrival::TooLong) => return Err(ConnectError::TooLong { max_bytes: MESSAGE_BYTES_MAX }),
                None => return Err(self.ended_before(request.method).await),
            };
            let messages = match message::read(&line) {
                Ok(messages) => messages,
                Err(UnreadableMessage::Junk) => {
                    self.skip(&line)?;
                    continue;
                }
                Err(UnreadableMessage::Broken(detail)) => {
                    let quote = String::from_utf8_lossy(&line[..line.len().min(512)]).into_owned();
                    return Err(ConnectError::InvalidAnswer { method: request.method, detail, quote });
                }
            };
            let mut found = None;
            for message in messages {
                match message {
                    Incoming::Answer { id, answer } => found = self.answers.take(request, id, answer).or(found),
                    Incoming::Request { id, method } if self.replies < REPLIES_MAX => {
                        self.replies += 1;
                        self.send(message::reply_to(&id, &method));
                    }
                    Incoming::Request { .. } | Incoming::Notification => {}
                }
            }
            if let Some(answer) = found {
                return Ok(answer);
            }
        }
    }

    /// Sends a notification.
    pub fn notify(&mut self, message: Vec<u8>) {
        self.answers.notified();
        self.send(message);
    }

    /// Sends a message that wants no answer.
    pub fn send(&self, message: Vec<u8>) {
        if let Some(outbox) = &self.outbox {
            // A writer that has stopped shows as the end of the output.
            let _ = outbox.send(message);
        }
    }

    /// Waits a moment for words on standard error: they explain a refusal, and come through another pipe than it does.
    pub async fn hear_out(&self) {
        let deadline = tokio::time::Instant::now() + WORDS_WAIT;
        let tail = self.process.stderr_tail();
        while tokio::time::Instant::now() < deadline && !tail.is_closed() && tail.lines().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the process left behind so far.
    pub fn traces(&self) -> Traces {
        Traces { stderr: self.process.stderr_tail().lines(), stdout: self.junk.lines() }
    }

    /// Why a request has no answer, where what came instead says it.
    pub fn explain(&self, method: &'static str) -> Option<ConnectError> {
        self.answers.explain(method, &self.traces())
    }

    /// What was odd about this connection.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        if self.junk_lines > 0 {
            // Without a quote: banners hold times and process ids, and notes are compared between runs.
            let message = format!("skipped {} on standard output that were no messages", lines(self.junk_lines));
            notes.push(Note { code: "junk_on_stdout".to_owned(), message });
        }
        notes.extend(self.answers.notes());
        notes
    }

    /// Ends the process and everything that it started.
    pub async fn close(mut self) {
        self.outbox = None;
        self.inbox.close();
        let mut process = self.process;
        // It fails only while the runtime shuts down, and then dropping the process has ended it.
        let _ = tokio::task::spawn_blocking(move || process.end()).await;
    }

    fn skip(&mut self, line: &[u8]) -> Result<(), ConnectError> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        self.junk_lines += 1;
        self.junk.feed(line);
        self.junk.feed(b"\n");
        let protocol = if line.starts_with(b"HTTP/1.") {
            "HTTP"
        } else if line.len() < 64 && line.to_ascii_lowercase().starts_with(b"content-length:") {
            "Content-Length framing"
        } else {
            return Ok(());
        };
        let line = String::from_utf8_lossy(line).into_owned();
        Err(ConnectError::OtherProtocol { protocol, line, traces: self.traces() })
    }

    async fn ended_before(&mut self, method: &'static str) -> ConnectError {
        let deadline = tokio::time::Instant::now() + EXIT_WAIT;
        // Both the status and the last words arrive a moment after the output has closed.
        while tokio::time::Instant::now() < deadline
            && !(self.process.exit_status().is_some() && self.process.stderr_tail().is_closed())
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let how = self.process.how_it_ended(Duration::ZERO);
        self.explain(method).unwrap_or_else(|| ConnectError::Exited { method, how, traces: self.traces() })
    }
}

fn lines(count: usize) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}
