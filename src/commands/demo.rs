//! `mcpol demo`: the whole path over the sample server, with real processes and no network.

use super::{Failure, audit, gen_policy, output, policy_file, scan};
use crate::cli::{Cli, Command, DemoArgs};
use crate::exit::Exit;
use crate::text::excerpt;
use clap::Parser as _;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

/// Longest text of an answer that is shown, in characters.
const ANSWER_CHARS: usize = 100;
/// One more than the recommended policy allows in a minute.
const BURST: usize = 11;

pub(super) fn run(_args: DemoArgs) -> Result<Exit, Failure> {
    let exe = std::env::current_exe().map_err(output::internal)?;
    let exe = exe.to_str().ok_or_else(|| output::internal("the path of this program is not UTF-8"))?;
    let place = tempfile::Builder::new().prefix("mcpol-demo-").tempdir().map_err(output::internal)?;
    let file = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    let (policy, state, log) = (file("policy.json"), file("state.db"), file("audit.jsonl"));
    let server = ["--name", "sample", "--", exe, "sample-server"];

    title("What can it do?  mcpol scan")?;
    if let Command::Scan(args) = parse(&["scan"], &server)? {
        scan::run(args)?;
    }
    title("What may it do?  mcpol gen-policy, and one rule of our own")?;
    if let Command::GenPolicy(args) = parse(&["gen-policy", "-o", &policy], &server)? {
        // What it decided is told below, with the rule of our own.
        gen_policy::work(args)?;
    }
    say(&add_rule(Path::new(&policy))?)?;

    title("Hold it to that:  mcpol enforce")?;
    let options = ["enforce", "--policy", &policy, "--state", &state, "--audit", &log];
    let mut gateway = DemoGateway::start(exe, &[&options[..], &server[..]].concat(), place.path())?;
    let outcome = calls(&mut gateway);
    let ended = gateway.end();
    outcome?;
    ended?;

    title("What was refused?  mcpol audit tail --denied")?;
    if let Command::Audit(args) = parse(&["audit", "tail", "--denied", "--file", &log], &[])? {
        audit::run(args)?;
    }
    say("\nNow your own servers: `mcpol scan --discover` lists what your MCP clients have configured.\n")?;
    Ok(Exit::Clean)
}

fn say(text: &str) -> Result<(), Failure> {
    output::coloured(text)
}

fn title(text: &str) -> Result<(), Failure> {
    let bold = anstyle::Style::new().bold();
    say(&format!("\n{bold}── {text}{bold:#}\n\n"))
}

/// Our own command line, read as if it had been typed: the demo does what its titles say.
fn parse(head: &[&str], tail: &[&str]) -> Result<Command, Failure> {
    let words = std::iter::once(&"mcpol").chain(head).chain(tail);
    Ok(Cli::try_parse_from(words).map_err(output::internal)?.command)
}

/// Adds a rule on an argument to the recommended policy, and tells what the policy says.
fn add_rule(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(output::internal)?;
    let mut policy: Value = serde_json::from_str(&text).map_err(output::internal)?;
    policy["tools"]["email_tasks"]["require"] = json!([{
        "conditions": [{"path": "args.to", "op": "ends_with", "value": "@example.com"}],
        "on_deny": "mail goes to example.com only"
    }]);
    std::fs::write(path, format!("{policy:#}\n")).map_err(output::internal)?;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  everything that is not listed is denied; hidden: {}", names(&policy["hide"]));
    let policy = policy_file::read(path)?;
    for tool in policy.document().tools.keys() {
        let _ = writeln!(text, "  {tool:22} {}", policy.in_words(tool));
    }
    Ok(text)
}

fn names(list: &Value) -> String {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn calls(gateway: &mut DemoGateway) -> Result<(), Failure> {
    let client =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "demo", "version": "1"}});
    gateway.ask("initialize", &client)?;
    gateway.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
    let list = gateway.ask("tools/list", &json!({}))?;
    let listed = list["result"]["tools"].as_array().map_or(0, Vec::len);
    say(&format!("  tools/list                            {listed} tools, none that is hidden or always refused\n"))?;
    for (tool, arguments) in [
        ("list_tasks", json!({})),
        ("delete_task", json!({"id": 1})),
        ("email_tasks", json!({"to": "someone@elsewhere.example"})),
    ] {
        let reply = gateway.ask("tools/call", &json!({"name": tool, "arguments": arguments}))?;
        let call = format!("{tool} {}", excerpt(&arguments.to_string(), 40));
        say(&format!("  {call}\n      {}\n", answer(&reply)))?;
    }
    say(&format!("  pause_focus_session {{}}, {BURST} times\n"))?;
    // Written at once, the calls are decided on in one moment, so that no new minute can begin between two of them.
    let replies =
        gateway.ask_together(BURST, "tools/call", &json!({"name": "pause_focus_session", "arguments": {}}))?;
    let (refused, passed): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply["result"]["_meta"].get("io.github.mcpol/decision").is_some());
    for reply in refused {
        say(&format!("      {} passed, then: {}\n", passed.len(), answer(reply)))?;
    }
    Ok(())
}

/// What the client got, in one line.
fn answer(reply: &Value) -> String {
    let error = &reply["error"];
    let text = match reply["result"]["content"][0]["text"].as_str() {
        Some(text) => text.to_owned(),
        None => format!("error {}: {}", error["code"], error["message"].as_str().unwrap_or_default()),
    };
    let mark = if text.starts_with("[POLICY DENIED]") || !error.is_null() { "✗" } else { "✓" };
    format!("{mark} {}", excerpt(&text, ANSWER_CHARS))
}

/// A gateway as a child, as an MCP client would start it.
struct DemoGateway {
    child: Child,
    replies: BufReader<ChildStdout>,
    id: u64,
}

impl DemoGateway {
    fn start(exe: &str, arguments: &[&str], state: &Path) -> Result<Self, Failure> {
        let mut command = std::process::Command::new(exe);
        command.args(arguments).env("MCPOL_STATE_DIR", state);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(output::internal)?;
        let stdout = child.stdout.take().ok_or_else(|| output::internal("the gateway has no output"))?;
        Ok(Self { child, replies: BufReader::new(stdout), id: 0 })
    }

    fn send(&mut self, message: &Value) -> Result<(), Failure> {
        self.write(&format!("{message}\n"))
    }

    fn write(&mut self, lines: &str) -> Result<(), Failure> {
        let stdin = self.child.stdin.as_mut().ok_or_else(|| output::internal("the gateway has no input"))?;
        stdin.write_all(lines.as_bytes()).map_err(output::internal)
    }

    fn ask(&mut self, method: &str, params: &Value) -> Result<Value, Failure> {
        self.ask_together(1, method, params)?.pop().ok_or_else(|| output::internal("the gateway did not answer"))
    }

    /// Asks the same several times with one write, and answers the replies as they come.
    fn ask_together(&mut self, times: usize, method: &str, params: &Value) -> Result<Vec<Value>, Failure> {
        let mut lines = String::new();
        for _ in 0..times {
            self.id += 1;
            let message = json!({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params});
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{message}");
        }
        self.write(&lines)?;
        let mut replies = Vec::with_capacity(times);
        let mut line = String::new();
        while replies.len() < times {
            line.clear();
            if self.replies.read_line(&mut line).map_err(output::internal)? == 0 {
                return Err(output::internal("the gateway ended"));
            }
            let reply: Value = serde_json::from_str(&line).map_err(output::internal)?;
            if reply.get("id").is_some() {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    fn end(mut self) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        self.child.wait().map(drop).map_err(output::internal)
    }
}
