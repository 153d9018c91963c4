//! A server's process: started in a group of its own, its standard error drained, and always ended.
//!
//! Blocking, on plain threads, so that the gateway's stdio path needs no runtime.

use super::environment::{self, Home};
use super::error::ConnectError;
use super::supervise::SUPERVISE_ARGUMENT;
use super::tail::Tail;
use super::target::{Confinement, StdioTarget};
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// From the close of a server's standard input to TERM.
pub const CLOSE_GRACE: Duration = Duration::from_millis(1500);
/// From TERM to KILL.
pub const TERM_GRACE: Duration = Duration::from_millis(1500);
/// From the word to a supervisor to end everything by force to its own end; it kills what a broken disk lets it kill.
const FORCE_GRACE: Duration = Duration::from_secs(3);
/// Both, where the user has pressed Ctrl-C or a listing was abandoned.
const ABANDON_GRACE: Duration = Duration::from_millis(200);
/// How often an ending process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running server. Dropping it ends its whole process group, and on Linux what has left the group, if it is supervised.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    /// Standard input and output, until they are taken.
    pipes: Option<(ChildStdin, ChildStdout)>,
    stderr: Tail,
    supervised: bool,
    ended: bool,
    /// Removed when the process has ended.
    _scratch: Option<tempfile::TempDir>,
}

impl ServerProcess {
    /// Starts a server. With `launcher`, a binary that supervises, it also ends when this process is killed.
    ///
    /// # Errors
    /// The program does not exist or cannot be started, or no scratch home could be made.
    pub fn spawn(target: &StdioTarget, launcher: Option<&Path>, home: Home) -> Result<Self, ConnectError> {
        Self::spawn_with(target, launcher, home, Tail::default())
    }

    /// Starts a server as [`ServerProcess::spawn`] does, with its standard error drained into `stderr`.
    ///
    /// # Errors
    /// As [`ServerProcess::spawn`].
    pub fn spawn_with(
        target: &StdioTarget,
        launcher: Option<&Path>,
        home: Home,
        stderr: Tail,
    ) -> Result<Self, ConnectError> {
        let Some((program, arguments)) = target.argv.split_first() else {
            return Err(ConnectError::BadTarget("no command was given".to_owned()));
        };
        let failed = |source| ConnectError::CannotStart { program: program.clone(), source };
        let scratch = match home {
            Home::Scratch => Some(tempfile::Builder::new().prefix("mcpol-home-").tempdir().map_err(failed)?),
            Home::Real => None,
        };
        let scratch_path = scratch.as_ref().map(tempfile::TempDir::path);
        let environment = environment::of_server(&|name| std::env::var_os(name), scratch_path, &target.env);
        let search = environment.get("PATH").cloned();
        if !exists(program, search.as_deref(), target.cwd.as_deref()) {
            return Err(ConnectError::CommandNotFound { program: program.clone() });
        }
        if let Some(cwd) = target.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
            let shown = crate::text::escape(&cwd.to_string_lossy()).into_owned();
            return Err(ConnectError::BadTarget(format!("working directory `{shown}` does not exist")));
        }
        let launcher = launcher.filter(|_| cfg!(unix));
        let mut command = match launcher {
            Some(launcher) => {
                let mut command = Command::new(launcher);
                command.arg(SUPERVISE_ARGUMENT).args(super::supervise::arguments(&target.confinement)).arg(program);
                command
            }
            None if target.confinement == Confinement::NONE => Command::new(program),
            None => {
                let why = "a command that is to be confined needs `mcpol-supervise`, which was not found";
                return Err(ConnectError::BadTarget(why.to_owned()));
            }
        };
        command.args(arguments).env_clear().envs(&environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(cwd) = &target.cwd {
            command.current_dir(cwd);
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(failed)?;
        if let Some(stream) = child.stderr.take() {
            drain(stream, stderr.clone()).map_err(failed)?;
        }
        let pipes = child.stdin.take().zip(child.stdout.take());
        Ok(Self { child, pipes, stderr, supervised: launcher.is_some(), ended: false, _scratch: scratch })
    }

    /// The server's standard input and output.
    ///
    /// # Errors
    /// They are taken already.
    pub fn take_pipes(&mut self) -> Result<(ChildStdin, ChildStdout), ConnectError> {
        self.pipes.take().ok_or_else(|| ConnectError::BadTarget("the server's pipes are taken".to_owned()))
    }

    /// The last lines of its standard error, also after its end.
    pub fn stderr_tail(&self) -> Tail {
        self.stderr.clone()
    }

    /// How the server ended, in words; `None` while it runs. Does not block.
    pub fn exit_status(&mut self) -> Option<String> {
        let (code, signal) = self.exit()?;
        // The supervisor reports a signal as a shell does.
        let signal =
            signal.or_else(|| code.filter(|code| self.supervised && (129..=192).contains(code)).map(|c| c - 128));
        Some(match (signal, code) {
            (Some(signal), _) => format!("was ended by signal {signal}"),
            (None, Some(code)) => format!("exited with status {code}"),
            (None, None) => "ended".to_owned(),
        })
    }

    /// How a server whose output has closed ended, in words. Blocks until it has, for this long at most; once it is reaped
    /// there is no telling any more.
    pub fn how_it_ended(&mut self, at_most: Duration) -> String {
        self.wait_until(at_most, |process| process.exit().is_some());
        self.exit_status().unwrap_or_else(|| "closed its output".to_owned())
    }

    /// Ends the server politely, then firmly: closes its standard input if that was not taken, waits [`CLOSE_GRACE`],
    /// TERM, [`TERM_GRACE`], KILL for what is left of its group and of all that it has started. Blocks until it is gone.
    pub fn end(&mut self) {
        self.end_within(CLOSE_GRACE, TERM_GRACE);
    }

    fn end_within(&mut self, close_grace: Duration, term_grace: Duration) {
        if self.ended {
            return;
        }
        self.ended = true;
        drop(self.pipes.take());
        if !self.wait_until(close_grace, |process| process.exit().is_some()) {
            self.signal(Force::Term);
            // The supervisor goes first; the server behind it still holds standard error.
            self.wait_until(term_grace, |process| process.exit().is_some() && process.stderr.is_closed());
            // What has left the group is found by the supervisor only, which must not be killed before.
            if self.supervised && self.exit().is_none() {
                self.signal(Force::EndNow);
                self.wait_until(FORCE_GRACE, |process| process.exit().is_some());
            }
        }
        // The group's leader is not reaped yet, so its number cannot belong to another process.
        self.signal(Force::Kill);
        // Nothing is left to be done about a process that cannot be waited for.
        let _ = self.child.wait();
    }

    fn wait_until(&mut self, at_most: Duration, done: impl Fn(&mut Self) -> bool) -> bool {
        let deadline = Instant::now() + at_most;
        loop {
            if done(self) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Exit code and signal of the group's leader, which stays unreaped.
    #[cfg(unix)]
    fn exit(&mut self) -> Option<(Option<i32>, Option<i32>)> {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(Pid::from_child(&self.child)), options) {
            Ok(Some(status)) => Some((status.exit_status(), status.terminating_signal())),
            Ok(None) => None,
            // No such child: other code of this process has reaped it.
            Err(_) => Some((None, None)),
        }
    }

    #[cfg(not(unix))]
    fn exit(&mut self) -> Option<(Option<i32>, Option<i32>)> {
        self.child.try_wait().ok().flatten().map(|status| (status.code(), None))
    }

    #[cfg(unix)]
    fn signal(&self, force: Force) {
        use rustix::process::{Pid, Signal, kill_process, kill_process_group};
        let leader = Pid::from_child(&self.child);
        // It fails only if no process of the group is left.
        let _ = match force {
            Force::Term => kill_process_group(leader, Signal::TERM),
            Force::EndNow => kill_process(leader, super::supervise::END_NOW),
            Force::Kill => kill_process_group(leader, Signal::KILL),
        };
    }

    #[cfg(not(unix))]
    fn signal(&mut self, _force: Force) {
        // It fails only if the process has ended.
        let _ = self.child.kill();
    }
}

#[derive(Clone, Copy)]
enum Force {
    Term,
    /// The supervisor ends all that it knows of.
    EndNow,
    Kill,
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.end_within(ABANDON_GRACE, ABANDON_GRACE);
    }
}

/// Reads a server's standard error to its end on a thread of its own, so that the server never waits for a reader.
fn drain(mut stream: ChildStderr, tail: Tail) -> std::io::Result<()> {
    let work = move || {
        let mut buffer = [0; 8192];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => tail.feed(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        tail.close();
    };
    std::thread::Builder::new().name("server-stderr".to_owned()).spawn(work).map(drop)
}

/// Whether a program can be found, as the operating system will look for it. Asked beforehand, because with a launcher
/// in front the answer would come too late.
fn exists(program: &str, search: Option<&OsStr>, cwd: Option<&Path>) -> bool {
    let endings: Vec<OsString> = if cfg!(windows) {
        let known = std::env::var_os("PATHEXT").unwrap_or_else(|| ".COM;.EXE;.BAT;.CMD".into());
        let known = known.to_string_lossy().into_owned();
        std::iter::once(OsString::new()).chain(known.split(';').map(OsString::from)).collect()
    } else {
        vec![OsString::new()]
    };
    let is_file = |path: PathBuf| {
        endings.iter().any(|ending| {
            let mut full = path.clone().into_os_string();
            full.push(ending);
            Path::new(&full).is_file()
        })
    };
    if program.contains(std::path::is_separator) {
        return is_file(cwd.unwrap_or(Path::new("")).join(program)) || is_file(PathBuf::from(program));
    }
    search.is_some_and(|search| std::env::split_paths(search).any(|folder| is_file(folder.join(program))))
}
