//! What goes into a pipe, to the client over stdio or to a command: written at once where that cannot block, queued where
//! it could. The thread that reads from the server may wait for a slow client, and the server with it, as without a
//! gateway. The thread that reads from the client must not: a client that writes a thousand calls before it reads an
//! answer would wait for the gateway while the gateway waits for it. Nor may one that reads from the server wait for the
//! server to read, or the two would wait for each other.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that a pipe takes without blocking when it is ready (POSIX, `PIPE_BUF` on Linux).
const READY_BYTES: usize = 4096;
/// Bytes that may wait for an end that does not read; beyond, [`PipeWriter::post`] blocks.
pub const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The gateway's end of a pipe to a client or to a command; clones share it.
#[derive(Clone, Debug)]
pub struct PipeWriter(Arc<SharedQueue>);

#[derive(Debug)]
struct SharedQueue {
    queue: Mutex<Vec<u8>>,
    sink: Mutex<File>,
    draining: AtomicBool,
    /// Whether the thread that holds the sink writes what has waited, or may block.
    writing: AtomicBool,
    gone: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PipeWriter {
    /// A writer in front of a pipe, file, socket or terminal.
    pub fn new(sink: File) -> Self {
        let [draining, writing, gone] = [const { AtomicBool::new(false) }; 3];
        Self(Arc::new(SharedQueue { queue: Mutex::default(), sink: Mutex::new(sink), draining, writing, gone }))
    }

    /// Whether the other end is closed.
    pub fn is_gone(&self) -> bool {
        self.0.gone.load(Ordering::Relaxed)
    }

    /// Whether something waits for the other end to read.
    pub fn is_waiting(&self) -> bool {
        // In this order: what is taken from the queue is announced before.
        !lock(&self.0.queue).is_empty() || self.0.writing.load(Ordering::Acquire)
    }

    /// Writes everything that waits, then these lines. Blocks while the other end does not read.
    pub fn write(&self, lines: &[u8]) {
        self.put_all(lock(&self.0.sink), lines);
        self.drain();
    }

    /// Writes these lines after everything that waits, now or later. Blocks only if more than [`QUEUE_BYTES_MAX`] wait,
    /// or if no thread can be started to write the queue.
    pub fn post(&self, lines: &[u8]) {
        if !lines.is_empty() && self.enqueue(lines) {
            self.write(&[]);
        }
    }

    /// Does as [`PipeWriter::post`], and never blocks: false, and nothing is written, where too much waits already.
    pub fn try_post(&self, lines: &[u8]) -> bool {
        if lock(&self.0.queue).len() > QUEUE_BYTES_MAX {
            return false;
        }
        if !lines.is_empty() {
            self.enqueue(lines);
        }
        true
    }

    /// Writes these lines after everything that waits, now or later; whether more than [`QUEUE_BYTES_MAX`] wait.
    fn enqueue(&self, lines: &[u8]) -> bool {
        // The ordinary case: no other thread writes, and nothing waits.
        if let Ok(sink) = self.0.sink.try_lock()
            && lock(&self.0.queue).is_empty()
        {
            self.put_ready(sink, lines);
            return false;
        }
        let is_full = {
            let mut queue = lock(&self.0.queue);
            queue.extend_from_slice(lines);
            queue.len() > QUEUE_BYTES_MAX
        };
        // Where another thread holds the sink, that one looks at the queue after it has let the sink go.
        if let Ok(sink) = self.0.sink.try_lock() {
            let waiting = self.take(&sink);
            self.put_ready(sink, &waiting);
        }
        is_full
    }

    /// What waits, to be written now.
    fn take(&self, _sink: &MutexGuard<'_, File>) -> Vec<u8> {
        self.0.writing.store(true, Ordering::Release);
        std::mem::take(&mut *lock(&self.0.queue))
    }

    /// Writes as much as the other end takes at once, queues the rest before what other threads have queued meanwhile, and
    /// lets the sink go.
    fn put_ready(&self, mut sink: MutexGuard<'_, File>, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_gone() {
            match write_ready(&mut sink, rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // As in `put`: the other end is closed.
                Err(_) => self.0.gone.store(true, Ordering::Relaxed),
            }
        }
        if !rest.is_empty() && !self.is_gone() {
            lock(&self.0.queue).splice(..0, rest.iter().copied());
        }
        self.0.writing.store(false, Ordering::Release);
        drop(sink);
        // Only now: what is queued while the sink is held is left to this thread.
        if !lock(&self.0.queue).is_empty() {
            self.drain_elsewhere();
        }
    }

    /// Writes what other threads have queued while this one held the sink.
    fn drain(&self) {
        while !lock(&self.0.queue).is_empty() {
            let Ok(sink) = self.0.sink.try_lock() else { return };
            self.put_all(sink, &[]);
        }
    }

    /// Writes everything that waits, then these lines, and lets the sink go.
    fn put_all(&self, mut sink: MutexGuard<'_, File>, lines: &[u8]) {
        let waiting = self.take(&sink);
        self.put(&mut sink, &waiting);
        self.put(&mut sink, lines);
        self.0.writing.store(false, Ordering::Release);
    }

    fn drain_elsewhere(&self) {
        if self.0.draining.swap(true, Ordering::AcqRel) {
            return;
        }
        let writer = self.clone();
        let work = move || {
            writer.write(&[]);
            writer.0.draining.store(false, Ordering::Release);
            // What was queued between the last look and the line above.
            writer.drain();
        };
        if std::thread::Builder::new().name("to-pipe".to_owned()).spawn(work).is_err() {
            self.0.draining.store(false, Ordering::Release);
            self.write(&[]);
        }
    }

    fn put(&self, sink: &mut File, bytes: &[u8]) {
        if bytes.is_empty() || self.is_gone() {
            return;
        }
        if sink.write_all(bytes).is_err() {
            // It is not there to be told; the thread that reads from it sees it close as well.
            self.0.gone.store(true, Ordering::Relaxed);
        }
    }
}

/// Writes what the other end takes without waiting; `WouldBlock` if that is nothing. The stream itself must not be made
/// non-blocking: a client's is shared with the process that started the gateway.
fn write_ready(sink: &mut File, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::{Errno, ReadWriteFlags, pwritev2};
        // An offset of -1 is the current one. Pipes and sockets can do this (Linux 6.4), files and terminals cannot.
        match pwritev2(&*sink, &[io::IoSlice::new(bytes)], u64::MAX, ReadWriteFlags::NOWAIT) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::SPIPE | Errno::INVAL) => {}
            done => return done.map_err(io::Error::from),
        }
    }
    if !is_ready(sink) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    sink.write(&bytes[..bytes.len().min(READY_BYTES)])
}

#[cfg(unix)]
fn is_ready(sink: &File) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut watched = [PollFd::new(sink, PollFlags::OUT)];
    // An error is left for the write to find.
    poll(&mut watched, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).map_or(true, |ready| ready > 0)
}

#[cfg(not(unix))]
fn is_ready(_sink: &File) -> bool {
    true
}

/// The raw streams of this process: without the line buffering and the locks of the standard library.
///
/// # Errors
/// A stream is closed.
#[cfg(unix)]
pub fn standard_streams() -> io::Result<(File, File)> {
    use std::os::fd::AsFd as _;
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    Ok((File::from(input), File::from(output)))
}

/// The raw streams of this process: without the line buffering and the locks of the standard library.
///
/// # Errors
/// A stream is closed.
#[cfg(windows)]
pub fn standard_streams() -> io::Result<(File, File)> {
    use std::os::windows::io::AsHandle as _;
    let input = io::stdin().as_handle().try_clone_to_owned()?;
    let output = io::stdout().as_handle().try_clone_to_owned()?;
    Ok((File::from(input), File::from(output)))
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot make a pipe must fail")]
    use super::*;
    use std::io::Read as _;

    fn pipe() -> (File, PipeWriter) {
        let (read, write) = rustix::pipe::pipe().unwrap();
        (File::from(read), PipeWriter::new(File::from(write)))
    }

    #[test]
    fn posting_to_a_client_that_does_not_read_does_not_block() {
        let (mut read, writer) = pipe();
        let line = [b'x'; 1000];
        for _ in 0..1000 {
            writer.post(&line);
        }
        writer.post(b"last");
        let mut all = vec![0; 1_000_004];
        read.read_exact(&mut all).unwrap();
        assert!(all.ends_with(b"xlast"));
    }

    #[test]
    fn a_thread_that_waits_for_the_other_end_is_seen_though_nothing_is_queued() {
        let (mut read, writer) = pipe();
        let blocks = writer.clone();
        let writes = std::thread::spawn(move || blocks.write(&[b'x'; 1_000_000]));
        // More than a pipe holds, so that this comes true and stays so.
        while !writer.is_waiting() {
            std::thread::yield_now();
        }
        assert!(lock(&writer.0.queue).is_empty() && !writer.0.draining.load(Ordering::Acquire));
        read.read_exact(&mut vec![0; 1_000_000]).unwrap();
        writes.join().unwrap();
        assert!(!writer.is_waiting());
    }

    #[test]
    fn lines_from_two_threads_arrive_whole() {
        let (mut read, writer) = pipe();
        let other = writer.clone();
        let posts = std::thread::spawn(move || {
            for n in 0..2000 {
                other.post(format!("post {n} {}\n", "p".repeat(100)).as_bytes());
            }
        });
        let writes = std::thread::spawn(move || {
            for n in 0..2000 {
                writer.write(format!("write {n} {}\n", "w".repeat(100)).as_bytes());
            }
        });
        let mut text = String::new();
        // The pipe closes when both threads, and the one that drains the queue, have let go.
        read.read_to_string(&mut text).unwrap();
        posts.join().unwrap();
        writes.join().unwrap();
        for (word, letter) in [("post", "p"), ("write", "w")] {
            let own: Vec<&str> = text.lines().filter(|line| line.starts_with(word)).collect();
            let expected: Vec<String> = (0..2000).map(|n| format!("{word} {n} {}", letter.repeat(100))).collect();
            assert_eq!(own, expected);
        }
        assert_eq!(text.lines().count(), 4000);
    }

    #[test]
    fn a_client_that_is_gone_is_no_panic() {
        let (read, writer) = pipe();
        drop(read);
        writer.write(b"x\n");
        assert!(writer.is_gone());
        writer.post(b"y\n");
    }
}
