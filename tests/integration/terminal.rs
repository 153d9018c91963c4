//! What a person sees on a terminal, and a program does not: questions, progress, colours. The terminal is a real one of
//! the system, with nobody in front of it but the test.

use crate::harness::{RUN_SECONDS_MAX, Sandbox};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const MCPOL: &str = env!("CARGO_BIN_EXE_mcpol");

/// A program at a terminal: what it wrote there so far.
struct Terminal {
    child: Child,
    keyboard: File,
    pieces: Receiver<Vec<u8>>,
    screen: String,
}

/// Which of the three streams are the terminal; the others are pipes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Streams {
    All,
    /// What is for people, as where results go into a file.
    StandardError,
}

impl Terminal {
    fn start(mut command: Command, streams: Streams) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let slave = File::options().read(true).write(true).open(path).unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        match streams {
            Streams::All => command.stdin(end()).stdout(end()).stderr(end()),
            Streams::StandardError => command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(end()),
        };
        let child = command.env("TERM", "xterm-256color").spawn().unwrap();
        // The streams that the command still holds would keep the terminal open.
        drop((command, slave));
        let master = File::from(master);
        let (sender, pieces) = channel();
        let mut screen = master.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // Once the program has ended the terminal answers with an error.
            while let Ok(read @ 1..) = screen.read(&mut piece) {
                if sender.send(piece[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keyboard: master, pieces, screen: String::new() }
    }

    /// Waits until this has been shown.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(RUN_SECONDS_MAX);
        while !self.screen.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            let piece = self.pieces.recv_timeout(left);
            let piece = piece.unwrap_or_else(|why| panic!("`{text}` was never shown ({why}):\n{}", self.screen));
            self.screen.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Everything that was shown, once the program has ended with this code.
    #[track_caller]
    fn ends(mut self, code: i32) -> String {
        while let Ok(piece) = self.pieces.recv_timeout(Duration::from_secs(RUN_SECONDS_MAX)) {
            self.screen.push_str(&String::from_utf8_lossy(&piece));
        }
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.code(), Some(code), "{}", self.screen);
        self.screen
    }
}

/// A home in which one client has two servers, the second of which waits until a file is there.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().with_writable_home();
    let script =
        format!("until [ -e '{}' ]; do sleep 0.05; done; exec '{MCPOL}' sample-server", go(&sandbox).display());
    let servers =
        json!({"one": {"command": MCPOL, "args": ["sample-server"]}, "two": {"command": "sh", "args": ["-c", script]}});
    let folder = sandbox.home().join(".cursor");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("mcp.json"), json!({"mcpServers": servers}).to_string()).unwrap();
    sandbox
}

/// The file that the second server waits for.
fn go(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.dir().join("go")
}

/// Seconds that a server may take, however slow the machine is.
const PATIENCE: &str = "600";

const QUESTION: &str = "Look at the 2 servers of MCP clients here? [y/N] ";

#[test]
fn a_bare_scan_offers_what_the_clients_have_and_takes_no_for_an_answer() {
    let sandbox = sandbox();
    let mut terminal = Terminal::start(sandbox.command(&["scan", "--timeout", PATIENCE]), Streams::All);
    terminal.shows(QUESTION);
    terminal.types("n\n");
    let screen = terminal.ends(0);
    assert!(screen.contains("the sample server inside mcpol") && !screen.contains("Run them?"), "{screen}");
    // Where nobody can be asked, the same command asks nothing.
    let (_, said) = sandbox.run(&["scan"]).both(0);
    assert!(!said.contains("[y/N]"), "{said}");
}

#[test]
fn a_bare_scan_shows_what_it_would_run_and_counts_the_servers_that_were_asked() {
    let sandbox = sandbox();
    let mut terminal = Terminal::start(sandbox.command(&["scan", "--timeout", PATIENCE]), Streams::All);
    terminal.shows(QUESTION);
    terminal.types("y\n");
    terminal.shows("Scanning these servers runs their commands:");
    terminal.shows("Run them? [y/N] ");
    terminal.types("y\n");
    terminal.shows("of 2 servers asked");
    std::fs::write(go(&sandbox), "").unwrap();
    let screen = terminal.ends(0);
    assert!(screen.contains("Cursor") && screen.contains("export_tasks"), "{screen}");
}

#[test]
fn progress_is_shown_to_people_and_to_nobody_else() {
    let sandbox = sandbox();
    let args = ["scan", "--discover", "--yes", "--timeout", PATIENCE, "--format", "json"];
    let mut terminal = Terminal::start(sandbox.command(&args), Streams::StandardError);
    terminal.shows("of 2 servers asked");
    std::fs::write(go(&sandbox), "").unwrap();
    terminal.ends(0);
    let (_, said) = sandbox.run(&args).both(0);
    assert!(!said.contains("asked"), "{said}");
    let quiet = Terminal::start(sandbox.command(&[&args[..], &["--quiet"]].concat()), Streams::StandardError).ends(0);
    assert!(!quiet.contains("asked"), "{quiet}");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let sandbox = Sandbox::new();
    let coloured = |sandbox: &Sandbox, args: &[&str]| {
        let screen = Terminal::start(sandbox.command(args), Streams::All).ends(0);
        assert!(screen.contains("export_tasks"), "{screen}");
        screen.contains("\u{1b}[1m")
    };
    assert!(coloured(&sandbox, &["scan"]));
    assert!(!coloured(&sandbox, &["scan", "--color", "never"]));
    assert!(!sandbox.run(&["scan"]).both(0).0.contains('\u{1b}'));
    assert!(sandbox.run(&["scan", "--color", "always"]).both(0).0.contains("\u{1b}[1m"));
    assert!(!coloured(&sandbox.with_env("NO_COLOR", "1"), &["scan"]));
}
