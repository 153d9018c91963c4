//! The server at the far end of every way. The test plays it, whether the gateway reaches it by its URL or as a command:
//! the command is a child process that hands its pipes on to the test.

use crate::gateway::http::{header, read_head};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// What a script makes of a request.
pub enum Act {
    /// The usual answer.
    Usual,
    /// None yet: the test takes it with [`Server::held`] and answers.
    Held,
    /// The script has said all there is to say.
    Said,
}

/// Looks at every message first.
pub type Script = Arc<dyn Fn(&mut Asked) -> Act + Send + Sync>;

/// A message from the gateway, or the end of the connection that it came by.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The connection: one for each child process, or for each connection over HTTP.
    pub link: usize,
    /// Request line and headers; empty from a command.
    pub head: String,
    /// What was said; null without a body, and at the end of the connection.
    pub message: Value,
    /// Whether the connection has ended.
    pub is_end: bool,
}

impl Seen {
    /// The method; empty in an answer.
    pub fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    /// The path of a request over HTTP.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// Whether the client takes a request back, by the id that the server knows.
    pub fn withdraws(&self, id: &Value) -> bool {
        self.method() == "notifications/cancelled" && self.message["params"]["requestId"] == *id
    }

    /// Whether it is a call of this tool.
    pub fn calls(&self, tool: &str) -> bool {
        self.method() == "tools/call" && self.message["params"]["name"] == tool
    }
}

/// A request and the way back.
pub struct Asked {
    /// What was asked.
    pub seen: Seen,
    stream: TcpStream,
    is_http: bool,
    has_begun: bool,
}

impl Asked {
    /// Writes to the connection as it is.
    pub fn raw(&mut self, text: &str) {
        // A gateway that has gone is what some promises are about.
        let _ = self.stream.write_all(text.as_bytes());
    }

    /// Says something before the answer: over HTTP the answer becomes a stream.
    pub fn say(&mut self, message: &Value) {
        self.say_text(&message.to_string());
    }

    /// Says a text that need not be a message.
    pub fn say_text(&mut self, message: &str) {
        if self.is_http && !self.has_begun {
            self.raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
        }
        self.has_begun = true;
        let text = if self.is_http { format!("data: {message}\n\n") } else { format!("{message}\n") };
        self.raw(&text);
    }

    /// Whether what comes now is still read by the gateway; a comment over HTTP.
    pub fn comment(&mut self) -> bool {
        self.stream.write_all(b": still here\n\n").is_ok()
    }

    /// Answers with a result and lets go.
    pub fn answer(mut self, result: &Value) {
        self.reply(result);
    }

    /// Answers with a result.
    pub fn reply(&mut self, result: &Value) {
        let message = json!({"jsonrpc": "2.0", "id": self.seen.message["id"], "result": result});
        self.finish(&message);
    }

    /// Answers with a whole message.
    pub fn finish(&mut self, message: &Value) {
        self.finish_text(&message.to_string());
    }

    /// Answers with a text that need not be a message.
    pub fn finish_text(&mut self, message: &str) {
        if !self.is_http || self.has_begun {
            self.say_text(message);
            if self.is_http {
                let _ = self.stream.shutdown(Shutdown::Write);
            }
        } else {
            self.respond("200 OK", &["Content-Type: application/json"], message);
        }
    }

    /// Answers with bytes that need not be a text.
    pub fn finish_bytes(&mut self, message: &[u8]) {
        if self.is_http {
            let length = message.len();
            self.raw(&format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"));
        }
        let _ = self.stream.write_all(message);
        if !self.is_http {
            self.raw("\n");
        }
    }

    /// Answers a request over HTTP with a response.
    pub fn respond(&mut self, status: &str, headers: &[&str], body: &str) {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        self.raw(&format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// Ends the connection; a command ends with it.
    pub fn crash(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// What is shared between the test and the threads that play.
struct Stage {
    seen: Mutex<Vec<Seen>>,
    held: Mutex<Vec<Asked>>,
    tools: Mutex<Value>,
    news: Condvar,
    links: AtomicUsize,
    script: Script,
}

/// A server.
#[derive(Clone)]
pub struct Server {
    stage: Arc<Stage>,
    /// Where it is reached over HTTP.
    pub url: String,
    /// Where a command that is this server connects to.
    pub port: u16,
    /// Longest that anything waited for may take.
    patience: Duration,
}

impl Server {
    /// Begins to play: this list of tools, and a script that looks first.
    pub fn start(tools: &Value, script: Script, patience: Duration) -> Self {
        let stage = Arc::new(Stage {
            seen: Mutex::default(),
            held: Mutex::default(),
            tools: Mutex::new(tools.clone()),
            news: Condvar::new(),
            links: AtomicUsize::new(0),
            script,
        });
        let listen = |is_http: bool| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let stage = Arc::clone(&stage);
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let stage = Arc::clone(&stage);
                    let link = stage.links.fetch_add(1, Ordering::SeqCst);
                    std::thread::spawn(move || stage.play(link, &stream, is_http));
                }
            });
            port
        };
        let (url, port) = (format!("http://127.0.0.1:{}/mcp", listen(true)), listen(false));
        Self { stage, url, port, patience }
    }

    /// Lists other tools from now on.
    pub fn set_tools(&self, tools: &Value) {
        *self.stage.tools.lock().unwrap() = tools.clone();
    }

    /// Everything that was seen so far.
    pub fn all(&self) -> Vec<Seen> {
        self.stage.seen.lock().unwrap().clone()
    }

    /// How often something like this was seen.
    pub fn count(&self, is_it: impl Fn(&Seen) -> bool) -> usize {
        self.all().iter().filter(|seen| is_it(seen)).count()
    }

    /// Waits until something like this has been seen `times` times; the last of them.
    #[track_caller]
    pub fn nth(&self, times: usize, what: &str, is_it: impl Fn(&Seen) -> bool) -> Seen {
        let deadline = Instant::now() + self.patience;
        let mut seen = self.stage.seen.lock().unwrap();
        loop {
            if let Some(found) = seen.iter().filter(|seen| is_it(seen)).nth(times - 1) {
                return found.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the server never saw {what} ({times}): {:#?}", messages(&seen));
            seen = self.stage.news.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Waits for something like this.
    #[track_caller]
    pub fn sees(&self, what: &str, is_it: impl Fn(&Seen) -> bool) -> Seen {
        self.nth(1, what, is_it)
    }

    /// Nothing like this was seen.
    #[track_caller]
    pub fn never(&self, what: &str, is_it: impl Fn(&Seen) -> bool) {
        let all = self.all();
        assert!(!all.iter().any(is_it), "the server saw {what}: {:#?}", messages(&all));
    }

    /// A request that the script holds back, if one like this is there or comes within a moment.
    pub fn held_now(&self, is_it: impl Fn(&Seen) -> bool) -> Option<Asked> {
        let find = |held: &[Asked]| held.iter().position(|asked| is_it(&asked.seen));
        let mut held = self.stage.held.lock().unwrap();
        if find(&held).is_none() {
            held = self.stage.news.wait_timeout(held, Duration::from_millis(5)).unwrap().0;
        }
        find(&held).map(|at| held.remove(at))
    }

    /// Waits for a request that the script holds back.
    #[track_caller]
    pub fn held(&self, what: &str, is_it: impl Fn(&Seen) -> bool) -> Asked {
        let deadline = Instant::now() + self.patience;
        let mut held = self.stage.held.lock().unwrap();
        loop {
            if let Some(at) = held.iter().position(|asked| is_it(&asked.seen)) {
                return held.remove(at);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the server was never asked for {what}: {:#?}", messages(&self.all()));
            held = self.stage.news.wait_timeout(held, left).unwrap().0;
        }
    }
}

/// What was said, short enough to read.
fn messages(seen: &[Seen]) -> Vec<String> {
    let line = |seen: &Seen| {
        let end = if seen.is_end { " (end)" } else { "" };
        format!("{} {} {}{end}", seen.link, seen.head.lines().next().unwrap_or_default(), seen.message)
    };
    seen.iter().map(line).collect()
}

impl Stage {
    fn note(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
        self.news.notify_all();
    }

    fn play(&self, link: usize, stream: &TcpStream, is_http: bool) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((head, body)) = if is_http { request(&mut reader) } else { line(&mut reader) } {
            // The test runner that plays the command has a banner for the gateway, none for us.
            let message = serde_json::from_str(&body).unwrap_or_default();
            let seen = Seen { link, head, message, is_end: false };
            let stream = stream.try_clone().unwrap();
            let mut asked = Asked { seen: seen.clone(), stream, is_http, has_begun: false };
            // Noted before it is answered: who has the answer finds the request among those that were seen.
            self.note(seen);
            match (self.script)(&mut asked) {
                Act::Usual => self.usual(&mut asked),
                Act::Held => {
                    self.held.lock().unwrap().push(asked);
                    self.news.notify_all();
                }
                Act::Said => {}
            }
        }
        self.note(Seen { link, head: String::new(), message: Value::Null, is_end: true });
    }

    /// What an ordinary server of both eras says.
    fn usual(&self, asked: &mut Asked) {
        let message = asked.seen.message.clone();
        let modern = message["params"]["_meta"].get("io.modelcontextprotocol/protocolVersion").is_some();
        let typed = |mut result: Value| {
            if modern {
                result["resultType"] = "complete".into();
            }
            result
        };
        let capabilities = json!({"tools": {"listChanged": true}, "resources": {}, "logging": {}});
        match message["method"].as_str() {
            Some("initialize") => {
                let result = json!({"protocolVersion": message["params"]["protocolVersion"], "capabilities": capabilities,
                    "serverInfo": {"name": "scripted", "version": "1"}});
                if asked.is_http {
                    let reply = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
                    let session = format!("Mcp-Session-Id: session-{}", self.links.fetch_add(1, Ordering::SeqCst));
                    asked.respond("200 OK", &["Content-Type: application/json", &session], &reply.to_string());
                } else {
                    asked.reply(&result);
                }
            }
            Some("server/discover") => asked.reply(&typed(
                json!({"supportedVersions": ["2026-07-28", "2025-11-25"], "capabilities": capabilities}),
            )),
            Some("tools/list") => asked.reply(&typed(json!({"tools": *self.tools.lock().unwrap()}))),
            Some("tools/call") => {
                let text = format!("ran {}", message["params"]["name"].as_str().unwrap_or_default());
                asked.reply(&typed(json!({"content": [{"type": "text", "text": text}]})));
            }
            Some(_) if message.get("id").is_some() => asked.reply(&typed(json!({}))),
            _ if !asked.is_http => {}
            None if asked.seen.head.starts_with("GET") => asked.respond("405 Method Not Allowed", &[], ""),
            _ => asked.respond("202 Accepted", &[], ""),
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let head = read_head(reader)?;
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8_lossy(&body).into_owned()))
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then(|| (String::new(), line))
}
