//! `mcpol enforce --listen`: the gateway as clients over HTTP see it, in front of scripted servers and real ones.

mod admission;
mod callers;
mod children;
mod config;
mod confined;
mod faults;
mod leases;
mod life;
mod locked;
mod odd_servers;
mod operators;
mod redis_replicas;
mod redis_tls;
mod relay;
mod streams;
mod tls;
mod combined;

use super::*;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good","arguments":{}}}"#;
const DONE: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;

/// A gateway that listens.
pub struct Served {
    pub child: Child,
    pub address: String,
    /// Lines of standard error after the address.
    said: std::sync::Mutex<Receiver<String>>,
}

impl Served {
    fn start(sandbox: &Sandbox, options: &[&str]) -> Self {
        let mut args = vec!["enforce", "--policy", "policy.json", "--listen", "127.0.0.1:0"];
        args.extend(options);
        Self::launch(sandbox, &args)
    }

    fn launch(sandbox: &Sandbox, args: &[&str]) -> Self {
        Self::run(sandbox.command(args))
    }

    pub fn run(mut command: std::process::Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, said) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut served = Self { child, address: String::new(), said: said.into() };
        let line = served.hear("listening on ");
        let (_, rest) = line.split_once("://").unwrap();
        served.address = rest.split('/').next().unwrap().to_owned();
        served
    }

    /// In front of a scripted server.
    fn relay(sandbox: &Sandbox, options: &[&str], upstream: &Upstream) -> Self {
        Self::start(sandbox, &[&["--upstream", &upstream.url], options].concat())
    }

    /// Waits for a line that holds this.
    #[track_caller]
    pub fn hear(&self, part: &str) -> String {
        let mut heard = Vec::new();
        loop {
            match self.said.lock().unwrap().recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => heard.push(line),
                Err(_) => panic!("nothing like {part:?} in {heard:#?}"),
            }
        }
    }

    fn open(&self) -> Connection {
        Connection::open(&self.address)
    }

    /// Posts one message on a connection of its own.
    #[track_caller]
    fn post(&self, headers: &[&str], body: &str) -> Reply {
        let mut connection = self.open();
        connection.post(headers, body);
        connection.reply()
    }

    #[track_caller]
    fn ask(&self, headers: &[&str], body: &str) -> Value {
        let reply = self.post(headers, body);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.last()
    }

    /// Asks the gateway to end, and waits for it.
    #[track_caller]
    fn end(mut self) -> Option<i32> {
        terminate(self.child.id());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn terminate(pid: u32) {
    let status = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// One connection of a client.
struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer, however it came: the body, or the last event.
    #[track_caller]
    fn last(&self) -> Value {
        let event = self.body.lines().rev().find_map(|line| line.strip_prefix("data: "));
        event.map_or_else(|| self.json(), |data| serde_json::from_str(data).unwrap())
    }

    fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

pub fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// Reads the head of a message; the first line and the others.
pub fn read_head(reader: &mut impl std::io::BufRead) -> Option<String> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            return Some(head);
        }
        head.push_str(&line);
    }
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(LINE_SECONDS_MAX))).unwrap();
        Self { reader: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    fn write(&mut self, text: &str) {
        // A gateway that has read enough may close its end before it has read all.
        let _ = self.stream.write_all(text.as_bytes());
    }

    /// Posts to `/mcp` as any client does; a header given here takes the place of the usual one.
    fn post(&mut self, headers: &[&str], body: &str) {
        let usual = [
            "Host: localhost",
            "Content-Type: application/json",
            "Accept: application/json, text/event-stream",
            &format!("Content-Length: {}", body.len()),
        ];
        self.send("POST /mcp", &usual, headers, body);
    }

    fn get(&mut self, headers: &[&str]) {
        self.send("GET /mcp", &["Host: localhost", "Accept: text/event-stream"], headers, "");
    }

    /// A header without value takes the usual one away.
    fn send(&mut self, target: &str, usual: &[&str], headers: &[&str], body: &str) {
        let name = |line: &str| line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let given: Vec<String> = headers.iter().map(|line| name(line)).collect();
        let mut text = format!("{target} HTTP/1.1\r\n");
        for line in usual.iter().filter(|line| !given.contains(&name(line))).chain(headers) {
            if !line.ends_with(':') {
                text.push_str(line);
                text.push_str("\r\n");
            }
        }
        text.push_str("\r\n");
        text.push_str(body);
        self.write(&text);
    }

    #[track_caller]
    fn head(&mut self) -> (u16, String) {
        let head = read_head(&mut self.reader).expect("the gateway closed the connection");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{head}"));
        (status, head)
    }

    #[track_caller]
    fn reply(&mut self) -> Reply {
        let (status, head) = self.head();
        let mut body = String::new();
        if let Some(length) = header(&head, "content-length") {
            let mut bytes = vec![0; length.parse().unwrap()];
            self.reader.read_exact(&mut bytes).unwrap();
            body = String::from_utf8(bytes).unwrap();
        } else if header(&head, "transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk() {
                body.push_str(&chunk);
            }
        }
        Reply { status, head, body }
    }

    /// The next chunk of a stream; `None` at its end.
    #[track_caller]
    fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.reader.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut bytes = vec![0; size + 2];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes.truncate(size);
        (size > 0).then(|| String::from_utf8(bytes).unwrap())
    }

    /// Reads chunks until the text read in all holds this.
    #[track_caller]
    fn until(&mut self, part: &str) -> String {
        let mut all = String::new();
        while !all.contains(part) {
            all.push_str(&self.chunk().unwrap_or_else(|| panic!("the stream ended after {all:?}")));
        }
        all
    }
}

/// A request as it reached a scripted server.
#[derive(Clone, Debug)]
struct Asked {
    head: String,
    body: String,
}

impl Asked {
    fn message(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A scripted server.
struct Upstream {
    url: String,
    asked: Receiver<Asked>,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    /// Answers each request with what the script writes.
    fn start(script: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let (sender, asked) = channel();
        let (script, connections) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let (script, sender) = (Arc::clone(&script), sender.clone());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut stream = stream;
                    while let Some(head) = read_head(&mut reader) {
                        let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
                        let mut body = vec![0; length];
                        if reader.read_exact(&mut body).is_err() {
                            return;
                        }
                        let asked = Asked { head, body: String::from_utf8_lossy(&body).into_owned() };
                        let _ = sender.send(asked.clone());
                        script(&asked, &mut stream);
                    }
                });
            }
        });
        Self { url, asked, connections }
    }

    /// Answers each request with one response.
    fn answering(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Self {
        Self::start(move |asked, stream| {
            // A gateway that has gone is what some tests are about.
            let _ = stream.write_all(answer(asked).as_bytes());
        })
    }

    #[track_caller]
    fn next(&self) -> Asked {
        self.asked.recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)).expect("nothing reached the server")
    }

    /// No call has reached the server; the gateway may have asked it for its list, to show a person what the tool is.
    #[track_caller]
    fn uncalled(&self) {
        while let Ok(asked) = self.asked.try_recv() {
            assert_eq!(asked.message()["method"], "tools/list", "{}", asked.body);
        }
    }

    /// Nothing more has reached the server.
    #[track_caller]
    fn quiet(&self) {
        assert!(self.asked.try_recv().is_err());
    }
}

/// A response with a JSON body.
fn json_response(body: &str) -> String {
    response("200 OK", &["Content-Type: application/json"], body)
}

fn response(status: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A response with events, complete.
fn events_response(body: &str) -> String {
    response("200 OK", &["Content-Type: text/event-stream"], body)
}

/// The messages in a body of events, each with its lines of data joined.
#[track_caller]
fn messages_of(body: &str) -> Vec<Value> {
    let text = body.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let data = |event: &str| event.lines().filter_map(|line| line.strip_prefix("data:")).collect::<Vec<_>>().join("\n");
    let messages = text.split("\n\n").map(data).filter(|data| !data.trim().is_empty());
    messages.map(|data| serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data:?}"))).collect()
}

/// The head of a stream that goes on until the connection is closed.
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/// What an ordinary server answers to a message.
fn ordinary(asked: &Asked) -> String {
    let message = asked.message();
    let reply =
        |result: Value| json_response(&json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string());
    match message["method"].as_str() {
        Some("initialize") => response(
            "200 OK",
            &["Content-Type: application/json", "Mcp-Session-Id: s-1"],
            &json!({"jsonrpc": "2.0", "id": message["id"], "result": {"protocolVersion": "2025-06-18"}}).to_string(),
        ),
        Some("tools/list") => reply(json!({"tools": [{"name": "good"}, {"name": "hidden"}]})),
        Some("tools/call") => reply(json!({"content": [{"type": "text", "text": "done"}]})),
        Some(_) if message.get("id").is_some() => reply(json!({})),
        _ => response("202 Accepted", &[], ""),
    }
}

/// A sandbox whose policy allows `good`, and `limited` ten times in a window that does not end during a test.
fn usual() -> Sandbox {
    let limits = json!([{"counter": "limited_calls", "window": "8784h", "max": 10, "scope": "grant"}]);
    let mut policy = only(json!({"good": {}, "limited": {"limits": limits}}));
    policy["client"] = json!({"roots": "allow"});
    sandbox(&policy)
}
