//! A Redis that answers nonsense, goes away in the middle of an answer, or answers something else than was asked: nothing
//! is held, approved, taken or known by it.

#![expect(clippy::unwrap_used, reason = "a test that cannot start its server must fail")]

use super::*;
use crate::policy::{Answer, ApprovalStore, LimitStore as _, Receipt, Reserve, Settlement};
use crate::state::contract::{at, charge, question};
use crate::state::grants::{GrantStore, TokenHash};
use crate::state::tasks::{TaskKey, TaskStore as _};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Accepts connections, answers what they begin with as a Redis does, and everything else with the same bytes.
struct Liar {
    port: u16,
    connections: Arc<AtomicUsize>,
}

/// What a liar does once it has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Stays,
    HangsUp,
}

impl Liar {
    fn start(answer: &[u8], then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answer, connections) = (answer.to_vec(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                std::thread::spawn(move || lie(stream, &answer, then));
            }
        });
        Self { port, connections }
    }

    fn store(&self) -> RedisStore {
        RedisStore::new(RedisAddress::parse(&format!("redis://127.0.0.1:{}", self.port)).unwrap())
    }
}

/// Reads commands until the client has gone.
fn lie(stream: TcpStream, answer: &[u8], then: Then) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(command) = command(&mut reader) {
        let is_greeting = ["CLIENT", "INFO", "HELLO", "SELECT"].iter().any(|known| command.eq_ignore_ascii_case(known));
        let sent = writer.write_all(if is_greeting { b"+OK\r\n" } else { answer });
        if sent.is_err() || (!is_greeting && then == Then::HangsUp) {
            return;
        }
    }
}

/// The name of the next command, which is an array of texts.
fn command(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let count = number(reader, '*')?;
    let mut name = None;
    for _ in 0..count {
        let mut text = vec![0; number(reader, '$')? + 2];
        reader.read_exact(&mut text).ok()?;
        name = name.or_else(|| String::from_utf8(text).ok());
    }
    name.map(|name| name.trim_end().to_owned())
}

fn number(reader: &mut BufReader<TcpStream>, sign: char) -> Option<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    line.trim_end().strip_prefix(sign)?.parse().ok()
}

const NONSENSE: [&str; 30] = [
    "+OK\r\n",
    "+held\r\n",
    ":1\r\n",
    ":-1\r\n",
    ":99999999999999999999\r\n",
    "$-1\r\n",
    "$4\r\nheld\r\n",
    "$0\r\n\r\n",
    "*0\r\n",
    "*-1\r\n",
    "*1\r\n$-1\r\n",
    "*2\r\n:1\r\n*0\r\n",
    "*2\r\n$1\r\n5\r\n*1\r\n*0\r\n",
    // As many outcomes as calls, and not as many windows as charges; a window that is none; a charge that is none.
    "*2\r\n$1\r\n5\r\n*1\r\n*1\r\n$4\r\nheld\r\n",
    "*2\r\n$1\r\n5\r\n*1\r\n*3\r\n$4\r\nheld\r\n$1\r\n0\r\n$1\r\n0\r\n",
    "*2\r\n$1\r\n5\r\n*1\r\n*2\r\n$4\r\nheld\r\n$2\r\n-1\r\n",
    "*2\r\n$3\r\nnan\r\n*1\r\n*2\r\n$4\r\nheld\r\n$1\r\n0\r\n",
    "*2\r\n$1\r\n5\r\n*1\r\n*4\r\n$7\r\nrefused\r\n$1\r\n7\r\n$1\r\n0\r\n$1\r\n0\r\n",
    "*2\r\n$1\r\n5\r\n*2\r\n*2\r\n$4\r\nheld\r\n$1\r\n0\r\n*2\r\n$4\r\nheld\r\n$1\r\n0\r\n",
    "*2\r\n$1\r\n5\r\n*1\r\n*2\r\n$4\r\nHELD\r\n$1\r\n0\r\n",
    "-ERR no\r\n",
    "-\r\n",
    "-MCPOLJUMPED\r\n",
    "-MCPOLJUMPED nan nan\r\n",
    "-MOVED 1 127.0.0.1:1\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
    "\0\0\0\0\r\n",
    "_\r\n#t\r\n,nan\r\n",
    "%1\r\n+held\r\n+0\r\n",
    "\u{ff}\u{fe}\r\n",
];

/// Nothing that a store says goes by such answers.
fn believes_nothing(liar: &Liar, what: &str) {
    let one = vec![charge("a", "day", 1, 9)];
    let reserved = liar.store().reserve(at(0), std::slice::from_ref(&one));
    assert!(!matches!(reserved.as_deref(), Ok([Reserve::Held(_)])), "{what:?}: {reserved:?}");
    assert!(reserved.is_err(), "{what:?}: {reserved:?}");
    let (key, id) = (question("t").binding.key(), "0123456789");
    assert!(!matches!(liar.store().take(at(0), &key), Ok(true)), "{what:?}");
    assert!(!matches!(ApprovalStore::find(&liar.store(), at(0), &key), Ok(Some(_))), "{what:?}");
    assert!(liar.store().request(at(0), &question("t")).is_err(), "{what:?}");
    assert!(
        !matches!(liar.store().decide(at(0), id, Answer::Approve), Ok(crate::policy::Answered::Done(_))),
        "{what:?}"
    );
    assert!(!matches!(GrantStore::find(&liar.store(), &TokenHash::of(b"mcpol_a")), Ok(Some(_))), "{what:?}");
    let task = TaskKey::of("s", "t");
    let own = liar.store().are_of(at(0), std::slice::from_ref(&task), "alice");
    assert!(!matches!(own.as_deref(), Ok([true])), "{what:?}: {own:?}");
    // What cannot be told is no crash either.
    let counter = one[0].counter.clone();
    let receipt = Receipt { counter, window_start: at(0), amount: 1 };
    let store = liar.store();
    let _ = (store.settle(at(0), &[Settlement { receipts: vec![receipt] }]), store.stored(), store.usage(at(0), &one));
    let _ = (store.begin(at(0), &task, "alice"), ApprovalStore::list(&store, at(0)));
}

#[test]
fn nonsense_holds_nothing_and_approves_nothing() {
    for answer in NONSENSE {
        believes_nothing(&Liar::start(answer.as_bytes(), Then::Stays), answer);
    }
}

#[test]
fn a_server_that_goes_in_the_middle_of_an_answer_has_said_nothing() {
    let held = "*2\r\n$1\r\n5\r\n*1\r\n*2\r\n$4\r\nheld\r\n$1\r\n0\r\n";
    for length in 0..held.len() {
        let liar = Liar::start(&held.as_bytes()[..length], Then::HangsUp);
        assert!(liar.store().reserve(at(0), &[vec![charge("a", "day", 1, 9)]]).is_err(), "{length}");
    }
    let whole = Liar::start(held.as_bytes(), Then::HangsUp);
    assert!(whole.store().reserve(at(0), &[vec![charge("a", "day", 1, 9)]]).is_ok());
    for endless in ["*1\r\n".repeat(10_000), "$9999999999\r\nx".to_owned(), "*1000000000\r\n".to_owned()] {
        believes_nothing(&Liar::start(endless.as_bytes(), Then::HangsUp), &endless[..4]);
    }
}

#[test]
fn after_an_answer_to_something_else_the_connection_is_not_used_again() {
    // The rest of what such a server has sent would be taken for the answer to the next question.
    let liar = Liar::start(b":1\r\n*2\r\n$1\r\n5\r\n*1\r\n*2\r\n$4\r\nheld\r\n$1\r\n0\r\n", Then::Stays);
    let store = liar.store();
    let one = [vec![charge("a", "day", 1, 9)]];
    // A server that could not be used is left alone for a moment, so more than two uses may be needed.
    let since = std::time::Instant::now();
    while liar.connections.load(Ordering::SeqCst) < 2 {
        let reserved = store.reserve(at(0), &one);
        assert!(reserved.is_err(), "{reserved:?}");
        assert!(since.elapsed() < std::time::Duration::from_secs(30), "it never connects again");
        std::thread::yield_now();
    }
}
