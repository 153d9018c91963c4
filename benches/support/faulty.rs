//! A server behind a URL that misbehaves on demand: the tool that is called says how. Plain sockets, because no HTTP
//! library would do such things.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Error, Read as _, Result, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What `slow` takes its time for.
const SLOW: Duration = Duration::from_millis(20);
/// The text of a large result, in bytes.
const LARGE_BYTES: usize = 256 << 10;

/// The tools: what each does instead of a plain answer.
pub const TOOLS: [&str; 13] = [
    "plain", "stream", "slow", "large", "limited", "twice", "cut", "hang", "die", "garbage", "page", "forget",
    "stranger",
];

/// What all connections share.
struct Shared {
    sessions: Mutex<HashSet<String>>,
    /// One byte for each call of `limited`: it outlives this process.
    ledger: File,
}

/// Listens on a port of loopback (0 takes a free one), prints it, and answers until standard input ends.
pub fn serve(port: u16, ledger: &str) {
    std::thread::spawn(|| {
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        std::process::exit(0);
    });
    let ledger = File::options().append(true).create(true).open(ledger).unwrap();
    let shared = Arc::new(Shared { sessions: Mutex::default(), ledger });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    for stream in listener.incoming() {
        let (stream, shared) = (stream.unwrap(), Arc::clone(&shared));
        // An error is a client that went away, or a fault that was asked for.
        std::thread::spawn(move || connection(&stream, &shared).ok());
    }
}

struct Asked {
    method: String,
    session: Option<String>,
    body: String,
}

fn read(reader: &mut BufReader<&TcpStream>) -> Result<Asked> {
    let mut asked = Asked { method: String::new(), session: None, body: String::new() };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(Error::other("closed"));
        }
        let line = line.trim_end();
        match line.split_once(": ") {
            _ if line.is_empty() => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().map_err(Error::other)?;
            }
            Some((name, value)) if name.eq_ignore_ascii_case("mcp-session-id") => {
                asked.session = Some(value.to_owned())
            }
            Some(_) => {}
            None => asked.method = line.split(' ').next().unwrap_or_default().to_owned(),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    asked.body = String::from_utf8(body).map_err(Error::other)?;
    Ok(asked)
}

fn connection(mut stream: &TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let asked = read(&mut reader)?;
        let known = asked.session.as_ref().is_some_and(|session| sessions(shared).contains(session));
        let modern = asked.body.contains("2026-07-28");
        let id = member(&asked.body, "\"id\":").unwrap_or_default();
        if asked.method == "DELETE" {
            sessions(shared).remove(asked.session.as_deref().unwrap_or_default());
            reply(stream, "200 OK", "", None, "")?;
        } else if asked.body.contains("\"initialize\"") {
            let session = new_session(shared);
            let result = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"faulty","version":"1"}}"#;
            reply(stream, "200 OK", "application/json", Some(&session), &answer(id, result))?;
        } else if !known && !modern {
            reply(stream, "404 Not Found", "", None, "")?;
        } else if asked.method == "GET" {
            begin_stream(stream)?;
            event(stream, r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#)?;
            // Until the other side has enough.
            reader.read_exact(&mut [0])?;
        } else if id.is_empty() {
            reply(stream, "202 Accepted", "", None, "")?;
        } else if asked.body.contains("\"tools/list\"") {
            let tools = TOOLS.map(|tool| format!(r#"{{"name":"{tool}","inputSchema":{{"type":"object"}}}}"#)).join(",");
            reply(stream, "200 OK", "application/json", None, &answer(id, &format!(r#"{{"tools":[{tools}]}}"#)))?;
        } else {
            let tool = member(&asked.body, "\"name\":\"").unwrap_or_default();
            act(&mut stream, &mut reader, shared, &asked, tool, id)?;
        }
    }
}

/// Does what the tool is called for. An error ends the connection.
fn act(
    stream: &mut &TcpStream,
    reader: &mut BufReader<&TcpStream>,
    shared: &Shared,
    asked: &Asked,
    tool: &str,
    id: &str,
) -> Result<()> {
    let text = |text: &str| answer(id, &format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#));
    let done = text("done");
    let json = |status, body: &str| reply(stream, status, "application/json", None, body);
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"on it"}}"#;
    match tool {
        "stream" | "twice" => {
            begin_stream(stream)?;
            event(stream, progress)?;
            event(stream, &done)?;
            if tool == "twice" {
                event(stream, &done)?;
            }
            stream.write_all(b"0\r\n\r\n")
        }
        "slow" => {
            std::thread::sleep(SLOW);
            json("200 OK", &done)
        }
        "large" => json("200 OK", &text(&"x".repeat(LARGE_BYTES))),
        "limited" => {
            (&shared.ledger).write_all(b".")?;
            json("200 OK", &done)
        }
        "cut" => {
            begin_stream(stream)?;
            event(stream, progress)?;
            stream.write_all(b"40\r\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":")?;
            Err(Error::other("as asked"))
        }
        // Until the other side has enough.
        "hang" => reader.read_exact(&mut [0]),
        "die" => Err(Error::other("as asked")),
        "garbage" => json("200 OK", "{\"jsonrpc\":"),
        "page" => reply(stream, "500 Internal Server Error", "text/html", None, "<h1>Oh no</h1>"),
        "forget" => {
            sessions(shared).remove(asked.session.as_deref().unwrap_or_default());
            json("200 OK", &done)
        }
        // An answer to somebody else's request.
        "stranger" => json("200 OK", &answer("\"nobody's\"", "{\"content\":[]}")),
        _ => json("200 OK", &done),
    }
}

fn sessions(shared: &Shared) -> std::sync::MutexGuard<'_, HashSet<String>> {
    shared.sessions.lock().unwrap()
}

fn new_session(shared: &Shared) -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    let session: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    sessions(shared).insert(session.clone());
    session
}

/// What stands after `name`, up to the end of a string or a member. Our own client writes messages so that this holds.
fn member<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let rest = &body[body.find(name)? + name.len()..];
    Some(&rest[..rest.find(['"', ',', '}'])?])
}

fn answer(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

fn reply(mut stream: &TcpStream, status: &str, kind: &str, session: Option<&str>, body: &str) -> Result<()> {
    let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
    let session = session.map_or_else(String::new, |session| format!("Mcp-Session-Id: {session}\r\n"));
    let head = format!("HTTP/1.1 {status}\r\n{kind}{session}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes())
}

fn begin_stream(mut stream: &TcpStream) -> Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn event(mut stream: &TcpStream, message: &str) -> Result<()> {
    let event = format!("event: message\ndata: {message}\n\n");
    stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
}
