//! The supervisor's life: one thread that waits for its command to end, for its standard input to be hung up, and for
//! signals.

use super::{END_NOW, confine, descendants};
use crate::mcp::target::Confinement;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_current_process_group, kill_process, wait};
use signal_hook::consts::{SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// From hang-up to TERM, and from TERM to KILL; longer than the grace of a parent that lives.
const GRACE: Duration = Duration::from_secs(3);
/// How long what a command has left behind may go on after it.
const LEFT_BEHIND_GRACE: Duration = Duration::from_millis(200);
/// How long KILL may take to be obeyed; what waits for a broken disk obeys later.
const KILL_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at what has to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What others have said to this process since it began.
struct Signalled {
    /// Becomes readable with every signal.
    bell: UnixStream,
    term: Arc<AtomicBool>,
    end_now: Arc<AtomicBool>,
}

impl Signalled {
    fn listen() -> io::Result<Self> {
        let (bell, rung) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let (term, end_now) = (Arc::default(), Arc::default());
        signal_hook::flag::register(SIGTERM, Arc::clone(&term))?;
        signal_hook::flag::register(SIGUSR1, Arc::clone(&end_now))?;
        for signal in [SIGCHLD, SIGTERM, SIGUSR1] {
            signal_hook::low_level::pipe::register(signal, rung.try_clone()?)?;
        }
        // A server may signal its whole group, which is ours too: no such word ends us.
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGUSR2] {
            signal_hook::flag::register(signal, Arc::default())?;
        }
        Ok(Self { bell, term, end_now })
    }

    /// Waits for a signal, for standard input to be hung up if that is still `open`, or for so long. Answers whether it
    /// is hung up: no process holds its writing end any more. Nothing is read from it.
    fn wait(&mut self, open: bool, at_most: Option<Duration>) -> bool {
        let at_most = at_most.map(|at_most| Timespec {
            tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: at_most.subsec_nanos().into(),
        });
        let stdin = io::stdin();
        let mut watched = vec![PollFd::new(&self.bell, PollFlags::IN)];
        if open {
            watched.push(PollFd::new(&stdin, PollFlags::empty()));
        }
        match poll(&mut watched, at_most.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // A standard input that cannot be watched is no reason to end what it serves.
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
        let hung_up = watched.get(1).is_some_and(|stdin| stdin.revents().intersects(PollFlags::HUP | PollFlags::ERR));
        let mut rings = [0; 64];
        while self.bell.read(&mut rings).is_ok_and(|count| count > 0) {}
        hung_up
    }
}

/// Children that have ended.
struct Reaped {
    /// How the command ended, if it has.
    command: Option<WaitStatus>,
    /// No child is left, of our own or adopted.
    none_left: bool,
}

/// Takes leave of every child that has ended.
fn reap(command: Pid, reaped: &mut Reaped) {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == command => reaped.command = Some(status),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return,
            Err(_) => return reaped.none_left = true,
        }
    }
}

/// Starts a command, held to what it is to be held to.
///
/// # Errors
/// It cannot be started, or not be held to that.
fn start(confinement: &Confinement, program: &OsStr, arguments: &[OsString]) -> io::Result<Pid> {
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(group) = confinement.group {
        command.gid(group);
    }
    if let Some(user) = confinement.user {
        // The other groups go with it.
        command.uid(user);
    }
    let mut spawn = move || command.spawn().map(|child| Pid::from_child(&child));
    let Some(sandbox) = &confinement.sandbox else { return spawn() };
    // A sandbox holds for the thread that enters it and for what that starts; it must not hold for this one, which looks
    // for descendants.
    let inside = || confine::enter(sandbox, program).and_then(|()| spawn());
    std::thread::scope(|scope| scope.spawn(inside).join())
        .unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has failed")))
}

/// Starts the command and returns when it has ended, with all that it has started.
///
/// # Errors
/// It cannot be started, or not be held to what it is to be held to.
pub(super) fn to_the_end(confinement: &Confinement, program: &OsStr, arguments: &[OsString]) -> io::Result<ExitCode> {
    let mut heard = Signalled::listen()?;
    let adopts = descendants::adopt();
    let child = start(confinement, program, arguments)?;
    // The output is the command's alone: where it closes it and lives on, the gateway must see the end.
    if let Ok(nowhere) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nowhere);
    }
    let mut reaped = Reaped { command: None, none_left: false };
    let (mut hung_up, mut term_at, mut kill_at) = (false, None, None);
    loop {
        reap(child, &mut reaped);
        if reaped.none_left {
            break;
        }
        let now = Instant::now();
        if reaped.command.is_some() {
            // What a command leaves behind serves no client any more, and would go on unseen.
            let last = if hung_up { now } else { now + LEFT_BEHIND_GRACE };
            kill_at = Some(kill_at.map_or(last, |at: Instant| at.min(last)));
        }
        if heard.term.swap(false, Ordering::Relaxed) || term_at.is_some_and(|at| now >= at) {
            term_at = None;
            descendants::signal_all(Signal::TERM);
            if !adopts {
                let _ = kill_process(child, Signal::TERM);
            }
        }
        if heard.end_now.load(Ordering::Relaxed) || kill_at.is_some_and(|at| now >= at) {
            kill(child, &mut heard, &mut reaped);
            break;
        }
        let next = [term_at, kill_at].into_iter().flatten().min();
        if heard.wait(!hung_up, next.map(|at| at.saturating_duration_since(now))) {
            hung_up = true;
            (term_at, kill_at) = (Some(Instant::now() + GRACE), Some(Instant::now() + 2 * GRACE));
        }
    }
    if hung_up || heard.wait(true, Some(Duration::ZERO)) {
        // No process may be left to end what the command has started. We lead the group, so this ends us too.
        let _ = kill_current_process_group(Signal::KILL);
    }
    let code = reaped
        .command
        .and_then(|status| status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)));
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Kills all descendants until none is left: one that is killed leaves us its children.
fn kill(child: Pid, heard: &mut Signalled, reaped: &mut Reaped) {
    let deadline = Instant::now() + KILL_WAIT;
    while !reaped.none_left && Instant::now() < deadline {
        descendants::signal_all(Signal::KILL);
        if reaped.command.is_none() {
            let _ = kill_process(child, Signal::KILL);
        }
        // A child that ends rings the bell.
        heard.wait(false, Some(LOOK_EVERY));
        reap(child, reaped);
    }
}

const _: () = assert!(SIGUSR1 == END_NOW.as_raw());
