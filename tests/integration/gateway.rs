//! `mcpol enforce` as a client sees it: a child process that speaks MCP over its standard streams.

mod approvals;
mod audit;
mod both_ways;
mod demo;
mod faults;
pub mod http;
mod limits;
mod redis;
mod locked;
mod reload;
mod remote;
mod sdk;
mod traffic;

use crate::harness::Sandbox;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Longest that one line may take; generous, because nothing is measured by it.
pub const LINE_SECONDS_MAX: u64 = 60;

/// A gateway that runs, and the client's ends of its pipes.
pub struct Gateway {
    child: Child,
    pub stdin: Option<ChildStdin>,
    pub lines: Receiver<String>,
    stderr: Option<std::thread::JoinHandle<()>>,
    said: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
}

impl Gateway {
    /// Starts `mcpol enforce --policy policy.json OPTIONS -- COMMAND` in the sandbox.
    fn start(sandbox: &Sandbox, options: &[&str], command: &[&str]) -> Self {
        let mut args = vec!["enforce", "--policy", "policy.json"];
        args.extend(options);
        args.push("--");
        args.extend(command);
        Self::run(sandbox.command(&args))
    }

    /// The same in front of the sample server.
    pub fn sample(sandbox: &Sandbox, options: &[&str]) -> Self {
        Self::start(sandbox, options, &[env!("CARGO_BIN_EXE_mcpol"), "sample-server"])
    }

    /// The same in front of a server that is a shell script.
    fn script(sandbox: &Sandbox, options: &[&str], script: &str) -> Self {
        // One name for all scripts, because counters are kept by server.
        Self::start(sandbox, &[&["--name", "scripted"], options].concat(), &["sh", "-c", script])
    }

    pub fn run(mut command: std::process::Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut pipe = child.stderr.take().unwrap();
        let said = std::sync::Arc::<std::sync::Mutex<Vec<u8>>>::default();
        let heard = std::sync::Arc::clone(&said);
        let stderr = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            loop {
                match pipe.read(&mut piece).unwrap() {
                    0 => return,
                    count => heard.lock().unwrap().extend_from_slice(&piece[..count]),
                }
            }
        });
        Self { stdin: child.stdin.take(), child, lines, stderr: Some(stderr), said }
    }

    fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn call(&mut self, id: u64, tool: &str, arguments: &Value) {
        let params = json!({"name": tool, "arguments": arguments});
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string());
    }

    /// The next line from the gateway.
    #[track_caller]
    fn line(&self) -> String {
        match self.lines.recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("no line in {LINE_SECONDS_MAX} s"),
            Err(RecvTimeoutError::Disconnected) => panic!("the gateway closed its output"),
        }
    }

    /// The next line as JSON.
    #[track_caller]
    fn message(&self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The next message that is not a notification.
    #[track_caller]
    fn reply(&self) -> Value {
        loop {
            let message = self.message();
            if message.get("id").is_some() {
                return message;
            }
        }
    }

    /// Asks and waits for the answer with the same id.
    #[track_caller]
    fn ask(&mut self, id: u64, method: &str, params: &Value) -> Value {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        let reply = self.reply();
        assert_eq!(reply["id"], id, "{reply}");
        reply
    }

    /// Calls and waits for the answer.
    #[track_caller]
    fn ask_tool(&mut self, id: u64, tool: &str, arguments: &Value) -> Value {
        self.ask(id, "tools/call", &json!({"name": tool, "arguments": arguments}))
    }

    pub fn initialize(&mut self) -> Value {
        let params =
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let reply = self.ask(0, "initialize", &params);
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        reply
    }

    /// Closes the client's end and waits: exit code, the lines not read yet, standard error.
    pub fn close(mut self) -> (Option<i32>, Vec<String>, String) {
        drop(self.stdin.take());
        self.finish()
    }

    /// Waits for the gateway to end by itself.
    fn finish(mut self) -> (Option<i32>, Vec<String>, String) {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the gateway did not end"),
            }
        }
        let status = self.child.wait().unwrap();
        self.stderr.take().unwrap().join().unwrap();
        (status.code(), rest, self.said())
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Only for a test that has failed already: every other one waits for the end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A sandbox with a policy; state and log lie in the working directory.
pub fn sandbox(policy: &Value) -> Sandbox {
    let sandbox = Sandbox::new();
    let state = sandbox.dir().join("state");
    let sandbox = sandbox.with_env("MCPOL_STATE_DIR", state.to_str().unwrap());
    sandbox.write("policy.json", &policy.to_string());
    sandbox
}

/// A policy with these tools and nothing else.
pub fn only(tools: Value) -> Value {
    json!({"version": "1", "default": "deny", "tools": tools})
}

/// As [`only`], and doors beside tools are open: the server may ask its client for anything, and whatever it offers may
/// be taken.
pub fn open_beside(tools: Value) -> Value {
    let mut policy = only(tools);
    policy["client"] = json!({"sampling": "allow", "elicitation": "allow", "roots": "allow"});
    policy["resources"] = "allow".into();
    policy["prompts"] = "allow".into();
    policy["unknown_methods"] = "forward".into();
    policy
}

/// Text of a refusal; panics if the call was not refused by the policy.
#[track_caller]
pub fn refusal(reply: &Value) -> &str {
    assert_eq!(reply["result"]["isError"], true, "{reply}");
    let text = reply["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text.starts_with("[POLICY DENIED] "), "{reply}");
    text
}

#[track_caller]
pub fn passed(reply: &Value) {
    let text = reply["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(reply.get("result").is_some() && !text.starts_with("[POLICY DENIED]"), "{reply}");
}

/// Entries of the audit log, of acts and of refusals, by time.
fn log(sandbox: &Sandbox) -> Vec<Value> {
    log_in(&sandbox.dir().join("state"))
}

/// Entries of the log in this folder; none where there is no log. A last line that is half written is left out.
pub fn log_in(folder: &Path) -> Vec<Value> {
    let text = ["audit.jsonl", "audit.refused.jsonl"]
        .map(|file| std::fs::read_to_string(folder.join(file)).unwrap_or_default())
        .concat();
    let mut entries: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    entries.sort_by_key(|entry| {
        (entry["time"].as_str().unwrap_or_default().to_owned(), entry["decision"].as_u64().unwrap_or_default())
    });
    entries
}

fn events<'l>(log: &'l [Value], event: &str) -> Vec<&'l Value> {
    log.iter().filter(|entry| entry["event"] == event).collect()
}

/// Whether a process with this id still runs.
fn runs(pid: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    // A zombie runs no more.
    !status.is_empty() && !status.contains(") Z ")
}
