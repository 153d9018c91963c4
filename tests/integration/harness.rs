//! Runs `mcpol` in a sandbox: an empty home, an empty working directory, a scrubbed environment and a deadline.
//!
//! What nobody expected fails: [`Run::quiet`] refuses any word on stderr, and a sandbox whose home was written to
//! fails when it is dropped, unless the test said that it may be.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longest that one run may take before it counts as hanging; generous, because nothing is measured by it.
pub const RUN_SECONDS_MAX: u64 = 120;

/// A home and a working directory of its own for one test.
pub struct Sandbox {
    root: tempfile::TempDir,
    env: BTreeMap<String, String>,
    home_may_change: bool,
}

/// What one run left behind.
#[must_use = "a run that nobody looks at proves nothing"]
pub struct Run {
    /// The exit status; `None` when a signal ended the program.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    what: String,
}

impl Sandbox {
    /// An empty home and an empty working directory.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("mcpol-test-").tempdir().unwrap();
        std::fs::create_dir(root.path().join("home")).unwrap();
        std::fs::create_dir(root.path().join("work")).unwrap();
        Self { root, env: BTreeMap::new(), home_may_change: false }
    }

    /// The same with one more environment variable.
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same, and the program may write under its home (state, audit log).
    pub fn with_writable_home(mut self) -> Self {
        self.home_may_change = true;
        self
    }

    /// The home that the program sees.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The working directory.
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Writes a file below the working directory (or to an absolute path inside the sandbox) and returns where it is.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir().join(name);
        assert!(path.starts_with(self.root.path()), "tests write inside their sandbox only");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Put in its place whole: a program that watches the file must not read half of it.
        let whole = path.with_added_extension("new");
        std::fs::write(&whole, text).unwrap();
        std::fs::rename(&whole, &path).unwrap();
        path
    }

    /// Reads a file below the working directory.
    pub fn read(&self, name: &str) -> String {
        let path = self.dir().join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The program with arguments, not started yet: for tests that talk to it while it runs.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcpol"));
        command.args(args).current_dir(self.dir()).env_clear();
        command.env("HOME", self.home()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // A scan is kept in the user's cache; tests of that say where.
        command.env("MCPOL_CACHE", "off");
        command.envs(&self.env);
        command
    }

    /// Runs to the end without input.
    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, b"")
    }

    /// Runs to the end with `input` on standard input.
    pub fn run_with(&self, args: &[&str], input: &[u8]) -> Run {
        Self::to_the_end(self.command(args), args, input)
    }

    /// Runs to the end in a folder below the working directory.
    pub fn run_in(&self, folder: &str, args: &[&str]) -> Run {
        let mut command = self.command(args);
        command.current_dir(self.dir().join(folder));
        Self::to_the_end(command, args, b"")
    }

    fn to_the_end(mut command: Command, args: &[&str], input: &[u8]) -> Run {
        let what = format!("mcpol {}", args.join(" "));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A program that reads none of its input closes the pipe; that is its right.
        let feed = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let stdout = drain(child.stdout.take().unwrap());
        let stderr = drain(child.stderr.take().unwrap());
        let (done, ended) = mpsc::channel();
        let pid = child.id();
        let wait = std::thread::spawn(move || {
            let status = child.wait().unwrap();
            let _ = done.send(());
            status
        });
        if ended.recv_timeout(Duration::from_secs(RUN_SECONDS_MAX)).is_err() {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            panic!("{what}: did not end in {RUN_SECONDS_MAX} s");
        }
        let status = wait.join().unwrap();
        feed.join().unwrap();
        Run { code: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap(), what }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.home_may_change || std::thread::panicking() {
            return;
        }
        let left: Vec<_> = std::fs::read_dir(self.home()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "the program wrote into its home: {left:?}");
    }
}

impl Run {
    /// Ended with this code and not one word on stderr. Returns stdout.
    #[track_caller]
    pub fn quiet(self, code: i32) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(code), ""), "{}\n{}", self.what, self.stdout);
        self.stdout
    }

    /// Ended with this code and said exactly nothing on stdout. Returns stderr.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{}\n{}", self.what, self.stderr);
        self.stderr
    }

    /// Ended with this code. Returns stdout and stderr, both for the test to look at.
    #[track_caller]
    pub fn both(self, code: i32) -> (String, String) {
        assert_eq!(self.code, Some(code), "{}\n{}\n{}", self.what, self.stdout, self.stderr);
        (self.stdout, self.stderr)
    }
}

/// Tries with the first number of seconds, which is enough unless the machine is very slow, and then with longer ones: for
/// what is to be over by itself, and may be over before it could be looked at.
#[track_caller]
pub fn in_time<T>(seconds: [&'static str; 3], try_with: impl FnMut(&'static str) -> Option<T>) -> T {
    seconds.into_iter().find_map(try_with).expect("it is over too early however long it lasts")
}

/// An address of this machine where nothing listens as long as the socket lives, which keeps others from the port.
pub fn deaf() -> (tokio::net::TcpSocket, std::net::SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// The repository that the tests are in.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn drain(mut pipe: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).expect("output is UTF-8")
    })
}
