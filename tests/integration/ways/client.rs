//! The client at the near end of every way: one that speaks over standard streams, or over HTTP with a connection for each
//! request.

use super::way::{Era, Front, Way};
use crate::gateway::Gateway;
use crate::gateway::http::{header, read_head};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// What reaches a client.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Message(Value),
    /// The end of the response to a request over HTTP: the number of the request and the status; 0 without one.
    Ended(u64, u16),
    /// Status line and headers of the response to a request over HTTP.
    Head(u64, String),
}

enum Line {
    Stdio(Gateway),
    Http(Http),
}

struct Http {
    address: String,
    path: String,
    /// Headers of every request.
    headers: Vec<String>,
    content_type: String,
    open: BTreeMap<u64, TcpStream>,
    sender: Sender<Heard>,
    heard: Receiver<Heard>,
}

/// A client, after its handshake.
pub struct Client {
    way: Way,
    line: Line,
    next: u64,
    capabilities: Value,
    /// What was heard and not yet asked for.
    kept: Vec<Heard>,
    patience: Duration,
}

/// The revision of requests that stand alone.
pub const STATELESS: &str = "2026-07-28";
/// The revision of a session.
const SESSION: &str = "2025-11-25";

impl Client {
    /// A client of a gateway's standard streams.
    pub fn stdio(way: Way, gateway: Gateway, patience: Duration) -> Self {
        Self { way, line: Line::Stdio(gateway), next: 0, capabilities: json!({}), kept: Vec::new(), patience }
    }

    /// A client over HTTP; headers that go with every request.
    pub fn http(way: Way, address: &str, path: &str, headers: Vec<String>, patience: Duration) -> Self {
        let (sender, heard) = channel();
        let (address, path) = (address.to_owned(), path.to_owned());
        let content_type = "application/json".to_owned();
        let http = Http { address, path, headers, content_type, open: BTreeMap::new(), sender, heard };
        Self { way, line: Line::Http(http), next: 0, capabilities: json!({}), kept: Vec::new(), patience }
    }

    /// It can do these things.
    pub fn with_capabilities(self, capabilities: &Value) -> Self {
        Self { capabilities: capabilities.clone(), ..self }
    }

    /// Sends these headers with every request over HTTP from now on, after those of the headers before.
    pub fn set_headers(&mut self, headers: &[&str]) {
        if let Line::Http(http) = &mut self.line {
            http.headers.extend(headers.iter().map(|line| (*line).to_owned()));
        }
    }

    /// Sends no header any more whose name begins like this.
    pub fn unset_headers(&mut self, begin: &str) {
        if let Line::Http(http) = &mut self.line {
            http.headers.retain(|line| !line.starts_with(begin));
        }
    }

    /// Says of every body over HTTP that it is this.
    pub fn set_content_type(&mut self, kind: &str) {
        if let Line::Http(http) = &mut self.line {
            http.content_type = kind.to_owned();
        }
    }

    /// Shakes hands, where the way has sessions.
    #[track_caller]
    pub fn greet(&mut self) {
        if self.way.era == Era::Stateless {
            return;
        }
        let reply = self.ask("initialize", &self.greeting());
        assert!(reply.get("result").is_some(), "{reply}");
        self.notify("notifications/initialized", &json!({}));
    }

    /// What it says of itself in a handshake.
    pub fn greeting(&self) -> Value {
        json!({"protocolVersion": SESSION, "capabilities": self.capabilities, "clientInfo": {"name": "t", "version": "1"}})
    }

    /// Sends a request; its id.
    pub fn request(&mut self, method: &str, params: &Value) -> u64 {
        self.next += 1;
        self.request_as(self.next, method, params);
        self.next
    }

    /// Sends a request under an id of the test's choice.
    pub fn request_as(&mut self, id: u64, method: &str, params: &Value) {
        self.next = self.next.max(id);
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
    }

    /// Calls a tool by the server's own name; the id.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> u64 {
        let params = json!({"name": self.way.tool(tool), "arguments": arguments});
        self.request("tools/call", &params)
    }

    /// Sends a notification. Over HTTP the gateway has taken it when this returns.
    #[track_caller]
    pub fn notify(&mut self, method: &str, params: &Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
        if let Line::Http(_) = &self.line {
            assert_eq!(self.ended(0), 202, "{method}");
        }
    }

    /// Sends a message.
    fn send(&mut self, message: &Value) {
        let mut message = message.clone();
        if self.way.era == Era::Stateless && message.get("id").is_some() {
            let meta = json!({"io.modelcontextprotocol/protocolVersion": STATELESS,
                "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {}});
            let params = message["params"].as_object_mut().unwrap();
            let own = params.entry("_meta").or_insert_with(|| json!({}));
            own.as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
        }
        match &mut self.line {
            Line::Stdio(gateway) => {
                gateway.stdin.as_mut().unwrap().write_all(format!("{message}\n").as_bytes()).unwrap()
            }
            Line::Http(http) => http.post(&message, self.way.era),
        }
    }

    /// Sends a text that need not be a message, as the call of a tool with this name where a name is given.
    pub fn raw(&mut self, text: &str, name: &str) {
        let method = if name.is_empty() { None } else { Some("tools/call") };
        match &mut self.line {
            Line::Stdio(gateway) => gateway.stdin.as_mut().unwrap().write_all(format!("{text}\n").as_bytes()).unwrap(),
            Line::Http(http) => http.post_text(text, 0, method, Some(name), self.way.era),
        }
    }

    /// Sends an answer. Over HTTP the gateway has taken it, or has not, when this returns.
    #[track_caller]
    pub fn answer(&mut self, text: &str) {
        self.raw(text, "");
        if self.is_http() {
            self.ended(0);
        }
    }

    /// Withdraws a request: by a notification, or, where requests stand alone over HTTP, by closing its connection.
    #[track_caller]
    pub fn withdraw(&mut self, id: u64) {
        match &self.line {
            Line::Http(http) if self.way.era == Era::Stateless => http.hang_up(id),
            Line::Stdio(_) | Line::Http(_) => {
                self.notify("notifications/cancelled", &json!({"requestId": id, "reason": "changed my mind"}));
            }
        }
    }

    /// Goes away without a word: closes its end, or the connection of the request.
    pub fn hang_up(&mut self, id: u64) {
        match &mut self.line {
            Line::Stdio(gateway) => drop(gateway.stdin.take()),
            Line::Http(http) => http.hang_up(id),
        }
    }

    /// The next thing heard from the line; `None` at its end.
    #[track_caller]
    fn next(&mut self) -> Option<Heard> {
        let patience = self.patience;
        let late = || panic!("nothing was heard in {patience:?}");
        match &self.line {
            Line::Stdio(gateway) => match gateway.lines.recv_timeout(patience) {
                Ok(line) => Some(Heard::Message(serde_json::from_str(&line).unwrap())),
                Err(RecvTimeoutError::Disconnected) => None,
                Err(RecvTimeoutError::Timeout) => late(),
            },
            Line::Http(http) => match http.heard.recv_timeout(patience) {
                Ok(heard) => Some(heard),
                Err(RecvTimeoutError::Disconnected) => None,
                Err(RecvTimeoutError::Timeout) => late(),
            },
        }
    }

    /// Waits for the first that is like this; everything else is kept.
    #[track_caller]
    fn find<T>(&mut self, what: &str, is_it: impl Fn(&Heard) -> Option<T>) -> T {
        if let Some(at) = self.kept.iter().position(|heard| is_it(heard).is_some()) {
            return is_it(&self.kept.remove(at)).unwrap();
        }
        loop {
            let Some(heard) = self.next() else { panic!("the gateway ended before {what}; kept: {:#?}", self.kept) };
            match is_it(&heard) {
                Some(found) => return found,
                None => self.kept.push(heard),
            }
        }
    }

    /// Waits for a message.
    #[track_caller]
    pub fn hears(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.find(what, |heard| match heard {
            Heard::Message(message) if is_it(message) => Some(message.clone()),
            Heard::Message(_) | Heard::Ended(..) | Heard::Head(..) => None,
        })
    }

    /// Whether the answer to a request is there; everything that has been heard is kept.
    pub fn has_reply(&mut self, id: u64) -> bool {
        let heard: Vec<Heard> = match &self.line {
            Line::Stdio(gateway) => {
                gateway.lines.try_iter().map(|line| Heard::Message(serde_json::from_str(&line).unwrap())).collect()
            }
            Line::Http(http) => http.heard.try_iter().collect(),
        };
        self.kept.extend(heard);
        let is_it = |it: &Value| it["id"] == id && it.get("method").is_none();
        self.kept.iter().any(|heard| matches!(heard, Heard::Message(message) if is_it(message)))
    }

    /// Waits for the answer to a request.
    #[track_caller]
    pub fn reply(&mut self, id: u64) -> Value {
        self.hears(&format!("an answer to {id}"), |it| it["id"] == id && it.get("method").is_none())
    }

    /// Waits until the response to a request over HTTP is over; its status. 0 is the number of a notification.
    #[track_caller]
    pub fn ended(&mut self, id: u64) -> u16 {
        self.find(&format!("the end of the response to {id}"), |heard| match heard {
            Heard::Ended(of, status) if *of == id => Some(*status),
            Heard::Message(_) | Heard::Ended(..) | Heard::Head(..) => None,
        })
    }

    /// Status line and headers of the response to a request over HTTP.
    #[track_caller]
    pub fn head(&mut self, id: u64) -> String {
        self.find(&format!("the head of the response to {id}"), |heard| match heard {
            Heard::Head(of, head) if *of == id => Some(head.clone()),
            Heard::Message(_) | Heard::Ended(..) | Heard::Head(..) => None,
        })
    }

    /// Asks and waits for the answer.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.request(method, params);
        self.reply(id)
    }

    /// Calls a tool and waits for the answer.
    #[track_caller]
    pub fn ask_tool(&mut self, tool: &str, arguments: &Value) -> Value {
        let id = self.call(tool, arguments);
        self.reply(id)
    }

    /// The tools of the server on all pages, with its own names.
    #[track_caller]
    pub fn tools(&mut self) -> Vec<Value> {
        let (mut tools, mut params) = (Vec::new(), json!({}));
        loop {
            let reply = self.ask("tools/list", &params);
            tools.extend(reply["result"]["tools"].as_array().unwrap_or_else(|| panic!("{reply}")).clone());
            match &reply["result"]["nextCursor"] {
                Value::Null => break,
                cursor => params = json!({"cursor": cursor}),
            }
        }
        tools.into_iter().filter_map(|tool| self.way.own(tool)).collect()
    }

    /// The one tool that the server has, as the client is to call it.
    #[track_caller]
    pub fn listed_name(&mut self) -> String {
        let reply = self.ask("tools/list", &json!({}));
        let names = reply["result"]["tools"].as_array().unwrap_or_else(|| panic!("{reply}")).iter();
        let mut names = names.map(|tool| tool["name"].as_str().unwrap().to_owned());
        names.next().unwrap_or_else(|| panic!("{reply}"))
    }

    /// The names of [`Self::tools`].
    #[track_caller]
    pub fn names(&mut self) -> Vec<String> {
        self.tools().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Every message that nothing has asked for. A request is answered first, so that all before it is there.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<Value> {
        self.ask("ping", &json!({}));
        let message = |heard: Heard| match heard {
            Heard::Message(message) => Some(message),
            Heard::Ended(..) | Heard::Head(..) => None,
        };
        std::mem::take(&mut self.kept).into_iter().filter_map(message).collect()
    }

    /// Waits for the end of the gateway that this client alone had.
    #[track_caller]
    pub fn is_over(&mut self) {
        while let Some(heard) = self.next() {
            self.kept.push(heard);
        }
    }

    /// Waits until the gateway that this client alone has says something like this on standard error.
    #[track_caller]
    pub fn hears_said(&self, part: &str) {
        let Line::Stdio(gateway) = &self.line else { panic!("it is not this client's") };
        let deadline = std::time::Instant::now() + self.patience;
        while !gateway.said().contains(part) {
            assert!(std::time::Instant::now() < deadline, "nothing like {part:?} in {:?}", gateway.said());
            // Nothing tells when a pipe was read; this only keeps the looks apart.
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// The process of a gateway that this client alone has.
    pub fn pid(&self) -> u32 {
        match &self.line {
            Line::Stdio(gateway) => gateway.pid(),
            Line::Http(_) => panic!("it is not this client's"),
        }
    }

    /// Whether it speaks over HTTP.
    pub fn is_http(&self) -> bool {
        self.way.front != Front::Stdio
    }
}

impl Http {
    fn post(&mut self, message: &Value, era: Era) {
        let params = &message["params"];
        // What the request names, and so a header of it.
        let key = match message["method"].as_str().unwrap_or_default() {
            method if method.starts_with("resources/") => "uri",
            method if method.starts_with("tasks/") => "taskId",
            _ => "name",
        };
        let name = params[key].as_str();
        self.post_text(
            &message.to_string(),
            message["id"].as_u64().unwrap_or(0),
            message["method"].as_str(),
            name,
            era,
        );
    }

    fn post_text(&mut self, body: &str, id: u64, method: Option<&str>, name: Option<&str>, era: Era) {
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
            self.path,
            self.content_type,
            body.len()
        );
        if let (Era::Stateless, Some(method)) = (era, method) {
            head.push_str(&format!("MCP-Protocol-Version: {STATELESS}\r\nMcp-Method: {method}\r\n"));
            if let Some(name) = name {
                head.push_str(&format!("Mcp-Name: {}\r\n", encoded(name)));
            }
        } else if method != Some("initialize") {
            head.push_str(&format!("MCP-Protocol-Version: {SESSION}\r\n"));
        }
        for line in &self.headers {
            head.push_str(&format!("{line}\r\n"));
        }
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        self.open.insert(id, stream.try_clone().unwrap());
        let sender = self.sender.clone();
        if method == Some("initialize") {
            // The session is needed before anything else can be said.
            let session = read_response(stream, id, &sender);
            self.headers.extend(session.map(|session| format!("Mcp-Session-Id: {session}")));
        } else {
            std::thread::spawn(move || read_response(stream, id, &sender));
        }
    }

    fn hang_up(&self, id: u64) {
        // The gateway may have closed it first.
        let _ = self.open[&id].shutdown(Shutdown::Both);
    }
}

/// A name as it stands in a header: encoded where no header could hold it.
fn encoded(name: &str) -> String {
    use base64::Engine as _;
    if name.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
        return name.to_owned();
    }
    format!("=?base64?{}?=", base64::engine::general_purpose::STANDARD.encode(name))
}

/// Reads a response to its end and hands on what it says; the session that it begins.
fn read_response(stream: TcpStream, id: u64, sender: &Sender<Heard>) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let head = read_head(&mut reader).unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let _ = sender.send(Heard::Head(id, head.clone()));
    let hear = |text: &str| {
        if let Ok(message) = serde_json::from_str(text) {
            let _ = sender.send(Heard::Message(message));
        }
    };
    let length = header(&head, "content-length").and_then(|length| length.parse().ok());
    let chunked = header(&head, "transfer-encoding").is_some();
    let mut body = BufReader::new(Body { reader, left: length.unwrap_or(0), chunked });
    if header(&head, "content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
        for line in body.lines().map_while(Result::ok) {
            if let Some(data) = line.strip_prefix("data:") {
                hear(data);
            }
        }
    } else {
        let mut text = String::new();
        let _ = body.read_to_string(&mut text);
        hear(&text);
    }
    let _ = sender.send(Heard::Ended(id, status));
    header(&head, "mcp-session-id").map(str::to_owned)
}

/// A body, whichever way its length is told.
struct Body {
    reader: BufReader<TcpStream>,
    left: usize,
    chunked: bool,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.chunked {
            let mut size = String::new();
            // The line break after the chunk before.
            while size.trim().is_empty() {
                size.clear();
                if self.reader.read_line(&mut size)? == 0 {
                    return Ok(0);
                }
            }
            self.left = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            self.chunked = self.left > 0;
        }
        if self.left == 0 {
            // Asking for nothing would wait for something.
            return Ok(0);
        }
        let wanted = buffer.len().min(self.left);
        let read = self.reader.read(&mut buffer[..wanted])?;
        self.left -= read;
        Ok(read)
    }
}
