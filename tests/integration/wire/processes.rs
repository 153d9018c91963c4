//! What becomes of the processes that a scan starts, and what they see of us.

use super::scripted::{self, PORT};
use super::{PATIENCE, list, names};
use mcpol::mcp::target::{Secret, StdioTarget, Target};
use mcpol::mcp::{EnumerateOptions, Home, Progress, enumerate};
use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;

/// The server and the process that it starts each hold one connection to the test for as long as they live.
const CONNECTIONS: usize = 2;

/// The binaries that stand between us and a server: the small one, and `mcpol` where that one is missing.
#[cfg(unix)]
const LAUNCHERS: [&str; 2] = [env!("CARGO_BIN_EXE_mcpol-supervise"), env!("CARGO_BIN_EXE_mcpol")];

struct Watched {
    listener: TcpListener,
    target: StdioTarget,
}

fn watched(script: &str) -> Watched {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = scripted::target(script);
    target.env.insert(PORT.to_owned(), Secret::new(listener.local_addr().unwrap().port().to_string()));
    Watched { listener, target }
}

impl Watched {
    fn alive(&self) -> Vec<TcpStream> {
        self.alive_of(CONNECTIONS)
    }

    fn alive_of(&self, count: usize) -> Vec<TcpStream> {
        let listener = self.listener.try_clone().unwrap();
        let (connected, streams) = mpsc::channel();
        std::thread::spawn(move || {
            listener.incoming().take(count).try_for_each(|stream| connected.send(stream.unwrap()))
        });
        let next = || streams.recv_timeout(PATIENCE).expect("the processes come to life");
        (0..count).map(|_| next()).collect()
    }
}

/// Waits until the other ends are gone, which is the end of the processes that hold them.
fn wait_for_the_end(alive: Vec<TcpStream>) {
    for mut stream in alive {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // What it says when it begins ends as well. An end by force may show as a reset.
        match stream.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "a process still lives"),
        }
    }
}

#[tokio::test]
async fn a_server_that_outlives_its_pipes_is_ended_with_all_that_it_started() {
    let watched = watched("stays");
    let listing = list(Target::Stdio(watched.target.clone())).await.unwrap();
    assert_eq!(names(&listing), ["a"]);
    wait_for_the_end(watched.alive());
}

#[tokio::test]
async fn an_abandoned_scan_leaves_nothing_running() {
    let watched = watched("stays");
    let options = EnumerateOptions::new(PATIENCE);
    let (asked, waiting) = tokio::sync::oneshot::channel();
    let asked = std::sync::Mutex::new(Some(asked));
    let progress = |progress: Progress| {
        if matches!(progress, Progress::Connected { .. }) {
            asked.lock().unwrap().take().unwrap().send(()).unwrap();
        }
    };
    let target = Target::Stdio(watched.target.clone());
    tokio::select! {
        biased;
        _ = waiting => {}
        outcome = enumerate(&target, &options, &progress) => panic!("ended first: {outcome:?}"),
    }
    wait_for_the_end(watched.alive());
}

/// One way to end a server that is supervised, and the scan that started it.
#[cfg(target_os = "linux")]
async fn what_left_its_group_ends(listing: impl AsyncFn(&Target, &EnumerateOptions)) {
    for launcher in LAUNCHERS {
        let watched = watched("detaches");
        let options = EnumerateOptions { launcher: Some(launcher.into()), ..EnumerateOptions::new(PATIENCE) };
        listing(&Target::Stdio(watched.target.clone()), &options).await;
        wait_for_the_end(watched.alive_of(1));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_scanned_server_has_put_into_a_session_of_its_own_ends_with_it() {
    what_left_its_group_ends(async |target, options| {
        let listing = enumerate(target, options, &|_| ()).await.unwrap();
        assert_eq!(names(&listing), ["a"]);
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_has_left_its_group_ends_with_an_abandoned_scan() {
    what_left_its_group_ends(async |target, options| {
        let connected = tokio::sync::Notify::new();
        let progress = |progress: Progress| {
            if matches!(progress, Progress::Connected { .. }) {
                connected.notify_one();
            }
        };
        tokio::select! {
            biased;
            () = connected.notified() => {}
            _ = enumerate(target, options, &progress) => {}
        }
    })
    .await;
}

/// The user that this process would have to be in order to be another than root, if it is root.
#[cfg(target_os = "linux")]
const NOBODY: u32 = 65534;

#[cfg(target_os = "linux")]
#[test]
fn no_process_of_the_same_user_reads_our_environment() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};
    let as_a_user = |command: &mut Command| {
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
    };
    let reads = |pid: u32| {
        let mut cat = Command::new("cat");
        as_a_user(cat.arg(format!("/proc/{pid}/environ")).stderr(Stdio::null()));
        cat.output().unwrap()
    };
    let mut plain = Command::new("sleep");
    as_a_user(plain.arg("60").env("SECRET", "s"));
    let mut plain = plain.spawn().unwrap();
    // A process shows its environment once it has become the program.
    while !reads(plain.id()).stdout.windows(6).any(|part| part == b"SECRET") {
        std::thread::yield_now();
    }
    plain.kill().unwrap();
    plain.wait().unwrap();
    for (program, argument) in
        [(LAUNCHERS[0], "__supervise"), (LAUNCHERS[1], "__supervise"), (LAUNCHERS[1], "sample-server")]
    {
        let mut command = Command::new(program);
        command.arg(argument).args((argument == "__supervise").then_some(["--", "cat"]).into_iter().flatten());
        as_a_user(command.env("SECRET", "s").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut child = command.spawn().unwrap();
        let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n").unwrap();
        // Whatever it says: it lives, and has begun.
        assert!(BufReader::new(stdout).read_line(&mut String::new()).unwrap() > 0, "{program} {argument}");
        let read = reads(child.id());
        assert!(!read.status.success() && read.stdout.is_empty(), "{program} {argument}");
        drop(stdin);
        child.wait().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_server_ends_even_if_we_are_killed() {
    use std::process::Stdio;
    // One ends when its input does and leaves its own process behind, one leaves it in a session of its own; the other cares
    // for nothing but force.
    let scripts = [("stays", CONNECTIONS), ("outlives", CONNECTIONS), ("detaches", 1)];
    let scripts = scripts.into_iter().filter(|(script, _)| cfg!(target_os = "linux") || *script != "detaches");
    let cases = LAUNCHERS.into_iter().flat_map(|launcher| scripts.clone().map(move |script| (launcher, script)));
    for (launcher, (script, connections)) in cases {
        let watched = watched(script);
        // The hidden mode that stands between us and the command; the pipe to it is all that it knows of us.
        let mut command = std::process::Command::new(launcher);
        command.args(["__supervise", "--"]).args(&watched.target.argv);
        command.envs(watched.target.env.iter().map(|(name, value)| (name, value.reveal())));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut supervisor = command.spawn().unwrap();
        let alive = watched.alive_of(connections);
        // What the system does to our end of the pipe when we are killed.
        drop(supervisor.stdin.take());
        wait_for_the_end(alive);
        supervisor.wait().unwrap();
    }
}

/// The program itself, scanning a command that cares for nothing but force, while both its processes live.
#[cfg(unix)]
fn scanning() -> (crate::harness::Sandbox, std::process::Child, Vec<TcpStream>) {
    use std::process::Stdio;
    let watched = watched("outlives");
    let sandbox = crate::harness::Sandbox::new();
    let mut arguments = vec!["scan".to_owned()];
    for (name, value) in &watched.target.env {
        arguments.extend(["--env".to_owned(), format!("{name}={}", value.reveal())]);
    }
    arguments.push("--".to_owned());
    arguments.extend(watched.target.argv.clone());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = sandbox.command(&arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let program = command.spawn().unwrap();
    let alive = watched.alive();
    (sandbox, program, alive)
}

#[cfg(unix)]
#[test]
fn an_interrupted_scan_is_exit_130_and_leaves_nothing_running() {
    let (_sandbox, mut program, alive) = scanning();
    rustix::process::kill_process(rustix::process::Pid::from_child(&program), rustix::process::Signal::INT).unwrap();
    wait_for_the_end(alive);
    assert_eq!(program.wait().unwrap().code(), Some(130));
}

#[cfg(unix)]
#[test]
fn a_killed_scan_leaves_nothing_running() {
    let (_sandbox, mut program, alive) = scanning();
    program.kill().unwrap();
    wait_for_the_end(alive);
    program.wait().unwrap();
}

#[tokio::test]
async fn a_server_may_be_slow_to_start() {
    use std::io::Write as _;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = scripted::target("slow");
    target.env.insert(PORT.to_owned(), Secret::new(listener.local_addr().unwrap().port().to_string()));
    // Ready only when the first request has long been sent.
    let progress = |progress: Progress| {
        if progress == Progress::Waiting {
            listener.accept().unwrap().0.write_all(b"!").unwrap();
        }
    };
    let listing = enumerate(&Target::Stdio(target), &EnumerateOptions::new(PATIENCE), &progress).await.unwrap();
    assert_eq!(names(&listing), ["a"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_launcher_in_between_changes_nothing_that_is_seen() {
    for launcher in LAUNCHERS {
        let mut options = EnumerateOptions::new(PATIENCE);
        options.launcher = Some(PathBuf::from(launcher));
        let run = |script: &'static str| {
            let (target, options) = (Target::Stdio(scripted::target(script)), options.clone());
            async move { enumerate(&target, &options, &|_| ()).await }
        };
        assert_eq!(names(&run("plain").await.unwrap()), ["a", "b"]);
        let story = run("exits_with_7").await.unwrap_err().render();
        assert!(story.starts_with("the server exited with status 7 before it answered `initialize`\n"), "{story}");
        let watched = watched("stays");
        enumerate(&Target::Stdio(watched.target.clone()), &options, &|_| ()).await.unwrap();
        wait_for_the_end(watched.alive());
    }
}

#[tokio::test]
async fn a_scanned_server_gets_an_empty_home_and_only_what_is_passed_by_name() {
    let mut target = scripted::target("environment");
    target.env.insert("PASSED_ON_PURPOSE".to_owned(), Secret::new("1"));
    let listing = list(Target::Stdio(target.clone())).await.unwrap();
    let seen = names(&listing);
    // Cargo sets this one for the test itself.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !seen.contains(&"CARGO_MANIFEST_DIR"), "{seen:?}");
    assert!(seen.contains(&"PASSED_ON_PURPOSE") && seen.contains(&"PATH"), "{seen:?}");
    let home = seen.iter().find_map(|name| name.strip_prefix("home:")).unwrap();
    assert!(home.contains("mcpol-home-") && !std::path::Path::new(home).exists(), "{home}");

    // The user's own home, when that is asked for; here it is one of the test's, because the script writes into it.
    let folder = tempfile::tempdir().unwrap();
    target.env.insert("HOME".to_owned(), Secret::new(folder.path().to_str().unwrap()));
    let mut options = EnumerateOptions::new(PATIENCE);
    options.home = Home::Real;
    enumerate(&Target::Stdio(target), &options, &|_| ()).await.unwrap();
    assert!(folder.path().join("cache").exists());
}
