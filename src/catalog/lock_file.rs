//! A lock on disk, read server by server: an index of where each entry begins, and entries on demand. The lock of a
//! whole registry needs the memory of its longest entry.

use super::lock::LockedServer;
use super::lock_text::{altered, unreadable, wrong_head};
use crate::model::ServerName;
use crate::problem::{Place, Problem};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// Longest entry of one server, in bytes.
pub const ENTRY_BYTES_MAX: usize = 64 << 20;
/// Longest text outside the entries, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Most servers of one lock.
pub const SERVERS_MAX: usize = 1_000_000;
/// Bytes read at a time.
const READ_BYTES: usize = 1 << 18;

/// What a lock can be read from.
pub trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// An open lock.
pub struct LockFile {
    file: String,
    source: Box<dyn Source>,
    rules: String,
    entries: Vec<EntryPlace>,
    by_name: BTreeMap<ServerName, Vec<usize>>,
    policies: BTreeMap<ServerName, String>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntryPlace {
    start: u64,
    bytes: usize,
    line: usize,
}

/// Everything but the entries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LockHead {
    format: String,
    version: u32,
    rules: String,
    servers: Vec<serde::de::IgnoredAny>,
}

/// The members of an entry that the index needs.
#[derive(Deserialize)]
struct EntryNames {
    server: ServerName,
    #[serde(default)]
    policy_file: Option<String>,
}

impl LockFile {
    /// Reads the whole file once, and remembers where the entries are.
    ///
    /// # Errors
    /// The file could not be read (with no place), is no lock, or is of another version.
    pub fn open(mut source: Box<dyn Source>, file: &str) -> Result<Self, Vec<Problem>> {
        let problem = |message: String, help: Option<&str>| Problem {
            file: file.to_owned(),
            place: None,
            pointer: String::new(),
            message,
            help: help.map(str::to_owned),
        };
        let scanned = scan(BufReader::with_capacity(READ_BYTES, &mut source));
        let (head, entries) = match scanned {
            Ok(Ok(scanned)) => scanned,
            Ok(Err(why)) => return Err(vec![problem(why, Some("write it anew with `mcpol lock`"))]),
            Err(error) => return Err(vec![problem(format!("cannot be read: {error}"), None)]),
        };
        let text = String::from_utf8(head).map_err(|_| vec![problem("not UTF-8".to_owned(), None)])?;
        let head: LockHead = serde_json::from_str(&text).map_err(|error| vec![unreadable(file, &text, &error)])?;
        if !head.servers.is_empty() {
            // Its entries were not left out of the head, because its name stands there in other letters.
            return Err(vec![problem("`servers` is written with escapes".to_owned(), None)]);
        }
        if let Some(problem) = wrong_head(file, &head.format, head.version) {
            return Err(vec![problem]);
        }
        let mut lock = Self {
            file: file.to_owned(),
            source,
            rules: head.rules,
            entries,
            by_name: BTreeMap::new(),
            policies: BTreeMap::new(),
        };
        let mut problems = Vec::new();
        for at in 0..lock.entries.len() {
            match lock.entry::<EntryNames>(at) {
                Ok(named) => {
                    if let Some(policy) = named.policy_file {
                        lock.policies.insert(named.server.clone(), policy);
                    }
                    lock.by_name.entry(named.server).or_default().push(at);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(lock) } else { Err(problems) }
    }

    /// SHA-256 over the rules that the classes were made with.
    pub fn rules(&self) -> &str {
        &self.rules
    }

    /// The file as the user named it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The servers by name, each with how often it occurs.
    pub fn names(&self) -> impl Iterator<Item = (&ServerName, usize)> {
        self.by_name.iter().map(|(name, entries)| (name, entries.len()))
    }

    /// The paths of the policies that were in force, by server, as they stand in the lock.
    pub fn policies(&self) -> &BTreeMap<ServerName, String> {
        &self.policies
    }

    /// Every entry of this name, verified.
    ///
    /// # Errors
    /// An entry cannot be read, is not valid, or was changed by hand: all problems of all of them.
    pub fn servers(&mut self, name: &ServerName) -> Result<Vec<(LockedServer, usize)>, Vec<Problem>> {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for at in self.by_name.get(name).cloned().unwrap_or_default() {
            match self.entry::<LockedServer>(at) {
                Ok(server) => {
                    // A definition that is not the one of its fingerprints would show a reviewer something else than
                    // what is compared.
                    let altered = self.altered(&server, at);
                    if altered.is_empty() {
                        found.push((server, self.entries[at].line));
                    }
                    problems.extend(altered);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(found) } else { Err(problems) }
    }

    /// The text of the entries of this name and the line on which each begins, for finding places in it.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn texts(&mut self, name: &ServerName) -> Result<Vec<(String, usize)>, Problem> {
        let places = self.by_name.get(name).cloned().unwrap_or_default();
        places.into_iter().map(|at| Ok((self.text(at)?, self.entries[at].line))).collect()
    }

    fn altered(&self, server: &LockedServer, at: usize) -> Vec<Problem> {
        let mut problems = altered(&self.file, &format!("/servers/{at}"), server);
        for problem in &mut problems {
            problem.place = Some(Place { line: self.entries[at].line, column: 1 });
        }
        problems
    }

    fn entry<T: for<'de> Deserialize<'de>>(&mut self, at: usize) -> Result<T, Problem> {
        let text = self.text(at)?;
        serde_json::from_str(&text).map_err(|error| {
            let mut problem = unreadable(&self.file, &text, &error);
            problem.place = problem.place.map(|place| Place { line: place.line + self.entries[at].line - 1, ..place });
            problem
        })
    }

    fn text(&mut self, at: usize) -> Result<String, Problem> {
        let entry = self.entries[at];
        let mut bytes = vec![0; entry.bytes];
        let read = self.source.seek(SeekFrom::Start(entry.start)).and_then(|_| self.source.read_exact(&mut bytes));
        let failed = |message: String| Problem {
            file: self.file.clone(),
            place: Some(Place { line: entry.line, column: 1 }),
            pointer: format!("/servers/{at}"),
            message,
            help: None,
        };
        read.map_err(|error| failed(format!("cannot be read: {error}")))?;
        String::from_utf8(bytes).map_err(|_| failed("not UTF-8".to_owned()))
    }
}

/// Where one is inside the JSON text. Only brackets, strings and commas matter: what they enclose is read later.
#[derive(Default)]
struct Scanner {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The last string at depth 1, quotes included: the key before a value.
    last: Vec<u8>,
    in_servers: bool,
    head: Vec<u8>,
    start: Option<(u64, usize)>,
    entries: Vec<EntryPlace>,
}

type Scanned = (Vec<u8>, Vec<EntryPlace>);

/// The text outside the entries, and where the entries are; a sentence where the text cannot be a lock.
fn scan(mut input: impl BufRead) -> io::Result<Result<Scanned, String>> {
    let mut scanner = Scanner::default();
    let (mut offset, mut line) = (0_u64, 1_usize);
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        let mut at = 0;
        while at < bytes.len() {
            // Long strings are most of a lock: jump to what can end them.
            if scanner.in_string && !scanner.escaped && scanner.in_servers {
                match memchr::memchr2(b'"', b'\\', &bytes[at..]) {
                    Some(skip) => at += skip,
                    None => break,
                }
            }
            let byte = bytes[at];
            if let Err(why) = scanner.byte(byte, offset + at as u64, line) {
                return Ok(Err(why));
            }
            line += usize::from(byte == b'\n');
            at += 1;
        }
        let read = bytes.len();
        offset += read as u64;
        input.consume(read);
    }
    if scanner.start.is_some() {
        return Ok(Err("not a lock: the text ends inside an entry".to_owned()));
    }
    Ok(Ok((scanner.head, scanner.entries)))
}

impl Scanner {
    fn byte(&mut self, byte: u8, offset: u64, line: usize) -> Result<(), String> {
        let outside = !self.in_servers || self.depth <= 1;
        if self.in_string {
            if self.escaped {
                self.escaped = false;
            } else if byte == b'\\' {
                self.escaped = true;
            } else if byte == b'"' {
                self.in_string = false;
            }
            if self.depth == 1 {
                self.last.push(byte);
            }
        } else {
            match byte {
                b'"' if self.in_servers && self.depth == 2 => {
                    return Err(format!("not a lock: an entry on line {line} is no object"));
                }
                b'"' => {
                    self.in_string = true;
                    if self.depth == 1 {
                        self.last.clear();
                        self.last.push(byte);
                    }
                }
                b'{' | b'[' => {
                    if self.depth == 1 && byte == b'[' && self.last == b"\"servers\"" {
                        self.in_servers = true;
                        self.depth += 1;
                        self.head.push(byte);
                        return Ok(());
                    }
                    if self.in_servers && self.depth == 2 {
                        self.start = Some((offset, line));
                    }
                    self.depth += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.checked_sub(1).ok_or("not a lock: one bracket too many")?;
                    if self.in_servers && self.depth == 2 {
                        self.close(offset)?;
                    } else if self.in_servers && self.depth == 1 {
                        self.in_servers = false;
                        self.head.push(byte);
                        return Ok(());
                    }
                }
                // Between entries stand commas and white space; anything else would be lost without a word.
                b',' | b' ' | b'\n' | b'\r' | b'\t' => {}
                _ if self.in_servers && self.depth == 2 => {
                    return Err(format!("not a lock: an entry on line {line} is no object"));
                }
                _ => {}
            }
        }
        if outside && !self.in_servers {
            if self.head.len() >= HEAD_BYTES_MAX {
                return Err(format!("not a lock: more than {} KiB outside the entries", HEAD_BYTES_MAX >> 10));
            }
            self.head.push(byte);
        }
        Ok(())
    }

    fn close(&mut self, offset: u64) -> Result<(), String> {
        let (start, line) = self.start.take().ok_or("not a lock: an entry without a beginning")?;
        let bytes = usize::try_from(offset - start + 1).unwrap_or(usize::MAX);
        if bytes > ENTRY_BYTES_MAX {
            return Err(format!("the entry on line {line} is longer than {} MiB", ENTRY_BYTES_MAX >> 20));
        }
        if self.entries.len() >= SERVERS_MAX {
            return Err(format!("more than {SERVERS_MAX} servers"));
        }
        self.entries.push(EntryPlace { start, bytes, line });
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn open(text: &str) -> Result<LockFile, Vec<String>> {
        let source = Box::new(Cursor::new(text.as_bytes().to_vec()));
        LockFile::open(source, "mcpol.lock").map_err(|problems| problems.iter().map(Problem::to_string).collect())
    }

    fn with_servers(servers: &str) -> String {
        format!("{{\"format\": \"mcpol-lock\", \"version\": 1, \"rules\": \"\\\"[{{\", \"servers\": [{servers}]}}")
    }

    #[test]
    fn entries_are_found_wherever_brackets_stand() {
        let lock =
            open(&with_servers("\n {\"server\": \"a]}\\\\\", \"x\": [[{}]]},\n\n {\"server\": \"b\\\"{\"}")).unwrap();
        let names: Vec<_> = lock.names().map(|(name, times)| (name.as_str().to_owned(), times)).collect();
        assert_eq!(names, [("a]}\\".to_owned(), 1), ("b\"{".to_owned(), 1)]);
        assert_eq!(lock.rules(), "\"[{");
        assert_eq!(lock.entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn the_size_of_the_buffer_does_not_show() {
        let text = with_servers("{\"server\": \"a\\\"\\\\\", \"x\": \"}]\"}, {\"server\": \"b\"}");
        let whole = scan(BufReader::new(text.as_bytes())).unwrap().unwrap();
        for bytes in [1, 2, 3, 7] {
            assert_eq!(scan(BufReader::with_capacity(bytes, text.as_bytes())).unwrap().unwrap(), whole);
        }
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let said = open(text).err().unwrap().join("\n");
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        refused("", "not a lock");
        refused("[]", "not a lock");
        refused("{\"format\": \"mcpol-lock\", \"version\": 1}", "missing field `rules`");
        refused(&with_servers("1"), "line 1 is no object");
        refused(&with_servers("{\"server\": \"a\""), "not a lock");
        refused(&with_servers("{}"), "missing field `server`");
        refused(&with_servers("").replace("mcpol-lock", "other"), "`other` is not `mcpol-lock`");
        refused(&with_servers("").replace(": 1,", ": 2,"), "version 2 of the lock format is not known here");
        refused(&with_servers("{}").replace("\"servers\"", "\"\\u0073ervers\""), "written with escapes");
        refused(&with_servers("").replace("\"servers\"", "\"servers\": [], \"servers\""), "duplicate field");
        refused(&with_servers("").replace("{\"format\"", "{\"more\": 1, \"format\""), "unknown field `more`");
    }

    #[test]
    fn the_head_is_bounded() {
        let with = |spaces: usize| format!("{}{}", " ".repeat(spaces), with_servers(""));
        let fits = HEAD_BYTES_MAX - with(0).len();
        assert!(open(&with(fits)).is_ok());
        refused(&with(fits + 1), "more than 64 KiB outside the entries");
    }
}
