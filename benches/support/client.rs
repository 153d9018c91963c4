//! A client of MCP over HTTP that does as little as possible: one connection, one call at a time, blocking.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest that an answer may take before it counts as lost.
const ANSWER_SECONDS_MAX: Duration = Duration::from_secs(30);

/// One connection, and the session that was begun on it.
pub struct Client {
    stream: TcpStream,
    address: SocketAddr,
    session: Option<String>,
    /// What was read and not used yet is between `from` and `to`.
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    request: Vec<u8>,
    body: Vec<u8>,
}

/// What came back: the body is in [`Client::body`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_SECONDS_MAX))?;
        let (request, body) = (Vec::with_capacity(1 << 10), Vec::with_capacity(1 << 10));
        Ok(Self { stream, address, session: None, buffer: vec![0; 4 << 10], from: 0, to: 0, request, body })
    }

    /// Connects and begins a session.
    pub fn begin(address: SocketAddr) -> Result<Self> {
        let mut client = Self::connect(address)?;
        client.initialize()?;
        Ok(client)
    }

    /// Begins a session on this connection.
    pub fn initialize(&mut self) -> Result<()> {
        self.session = None;
        let hello = br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"load","version":"1"}}}"#;
        let Status(status) = self.post(hello)?;
        if status != 200 {
            return Err(Error::other(format!("initialize: {status} {}", String::from_utf8_lossy(&self.body))));
        }
        let Status(status) = self.post(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)?;
        if status != 202 {
            return Err(Error::other(format!("initialized: {status}")));
        }
        Ok(())
    }

    /// Posts a message and reads the whole answer.
    pub fn post(&mut self, message: &[u8]) -> Result<Status> {
        self.send("POST", message)?;
        self.read_answer()
    }

    /// Writes a request without waiting for what it brings.
    pub fn send(&mut self, method: &str, message: &[u8]) -> Result<()> {
        let session = self.session.as_ref().map(|session| format!("Mcp-Session-Id: {session}\r\n"));
        self.write(method, &format!("MCP-Protocol-Version: 2025-06-18\r\n{}", session.unwrap_or_default()), message)
    }

    pub(super) fn write(&mut self, method: &str, headers: &str, message: &[u8]) -> Result<()> {
        self.request.clear();
        write!(self.request, "{method} /mcp HTTP/1.1\r\nHost: {}\r\n{headers}", self.address)?;
        self.request.extend_from_slice(b"Accept: application/json, text/event-stream\r\n");
        write!(self.request, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", message.len())?;
        self.request.extend_from_slice(message);
        self.stream.write_all(&self.request)
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn unused(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    fn fill(&mut self) -> Result<()> {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        } else if self.to == self.buffer.len() {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        if self.to == self.buffer.len() {
            self.buffer.resize(2 * self.to, 0);
        }
        match self.stream.read(&mut self.buffer[self.to..])? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => {
                self.to += count;
                Ok(())
            }
        }
    }

    /// Reads until `end` is there and returns how many bytes stand before it.
    fn until(&mut self, end: &[u8]) -> Result<usize> {
        loop {
            if let Some(at) = memchr::memmem::find(self.unused(), end) {
                return Ok(at);
            }
            self.fill()?;
        }
    }

    pub(super) fn read_answer(&mut self) -> Result<Status> {
        self.body.clear();
        let end = self.until(b"\r\n\r\n")?;
        let head = std::str::from_utf8(&self.buffer[self.from..self.from + end]).map_err(|_| ErrorKind::InvalidData)?;
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then_some(value.trim())
            })
        };
        let status = head.get(9..12).and_then(|text| text.parse().ok()).ok_or(ErrorKind::InvalidData)?;
        let session = header("mcp-session-id").map(str::to_owned);
        let length =
            header("content-length").map(str::parse::<usize>).transpose().map_err(|_| ErrorKind::InvalidData)?;
        let in_chunks = header("transfer-encoding").is_some();
        self.from += end + 4;
        self.session = session.or(self.session.take());
        if let Some(length) = length {
            self.take(length)?;
        } else if in_chunks {
            self.take_chunks()?;
        }
        Ok(Status(status))
    }

    /// Moves so many bytes to the body.
    fn take(&mut self, mut length: usize) -> Result<()> {
        while length > 0 {
            if self.from == self.to {
                self.fill()?;
            }
            let count = length.min(self.to - self.from);
            self.body.extend_from_slice(&self.buffer[self.from..self.from + count]);
            self.from += count;
            length -= count;
        }
        Ok(())
    }

    fn take_chunks(&mut self) -> Result<()> {
        loop {
            let end = self.until(b"\r\n")?;
            let text = std::str::from_utf8(&self.unused()[..end]).map_err(|_| ErrorKind::InvalidData)?;
            let length = usize::from_str_radix(text, 16).map_err(|_| ErrorKind::InvalidData)?;
            self.from += end + 2;
            self.take(length)?;
            // The line that ends the chunk is empty.
            self.from += self.until(b"\r\n")? + 2;
            if length == 0 {
                return Ok(());
            }
        }
    }
}

/// A call of `tool`; `more` goes into its arguments.
pub fn call(id: u64, tool: &str, more: &str) -> Vec<u8> {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{"text":"hello","amount":{more}}}}}}}"#
    )
    .into_bytes()
}
