//! Starts what is measured, and ends it with us.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest that a program may take until it listens.
const START_SECONDS_MAX: u64 = 30;

/// A program that listens on a port of loopback; it is ended when this is dropped.
pub struct Listening {
    child: Child,
    pub address: SocketAddr,
    /// From its start to the first connection that it took.
    pub start: Duration,
}

impl Listening {
    /// This very program as one of its peers, which prints its port.
    pub fn peer(arguments: &[&str]) -> Self {
        let begun = Instant::now();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap();
        Self { child, address: (Ipv4Addr::LOCALHOST, port).into(), start: begun.elapsed() }
    }

    /// A program that is told which port to take.
    ///
    /// # Panics
    /// It ends, or does not listen in time.
    pub fn told(command: impl FnOnce(u16) -> Command) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let begun = Instant::now();
        let mut child =
            command(port).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        while TcpStream::connect(address).is_err() {
            let ended = child.try_wait().unwrap();
            if ended.is_some() || begun.elapsed().as_secs() > START_SECONDS_MAX {
                child.kill().ok();
                let mut words = String::new();
                child.stderr.take().unwrap().read_to_string(&mut words).ok();
                panic!("nothing listens on {address} ({ended:?}): {words}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let start = begun.elapsed();
        let mut words = child.stderr.take().unwrap();
        // Nobody reads them, and a full pipe would hold the program up.
        std::thread::spawn(move || std::io::copy(&mut words, &mut std::io::sink()));
        Self { child, address, start }
    }

    /// `mcpol enforce` in front of `upstream`, with its files in a folder of its own below `place`.
    pub fn mcpol(place: &Path, policy: &str, upstream: SocketAddr, options: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(place).unwrap().keep();
        std::fs::write(folder.join("policy.json"), policy).unwrap();
        Self::told(|port| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mcpol"));
            command.current_dir(&folder).env("MCPOL_STATE_DIR", &folder).env("HOME", &folder);
            command.args(["enforce", "--policy", "policy.json", "--listen", &format!("127.0.0.1:{port}")]);
            command.args(["--upstream", &format!("http://{upstream}/mcp")]).args(options);
            command
        })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Listening {
    /// Ends it at once.
    pub fn end(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.end();
    }
}
