//! What a client may hear whatever a server says: of each open request one answer and no more, of other requests none,
//! and only lines that every reader reads alike.
//!
//! Shared by the fuzzer and by the property tests of the gateway, as the readers in `readings` are.

use super::readings::{HABITS, Habit, Tree};

/// Requests that the client has open, one a line. The ids look alike to a careless reader.
pub const ASKED: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":1}}}
{"jsonrpc":"2.0","id":"1","method":"ping"}
{"jsonrpc":"2.0","id":2,"method":"tools/list"}
{"jsonrpc":"2.0","id":3,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}
"#;

/// Their ids.
fn open() -> Vec<Tree> {
    let text = Tree::Text("1".to_owned());
    [1.0, 2.0, 3.0].map(Tree::Number).into_iter().chain([text]).collect()
}

/// Checks what the client has heard, and what it hears when the server has ended.
///
/// # Errors
/// The promise does not hold; why.
pub fn check(heard: &[u8], at_the_end: &[u8]) -> Result<(), String> {
    let mut open = open();
    lines(heard, &mut open)?;
    lines(at_the_end, &mut open)?;
    if open.is_empty() { Ok(()) } else { Err(format!("never answered: {open:?}")) }
}

fn lines(heard: &[u8], open: &mut Vec<Tree>) -> Result<(), String> {
    let text = std::str::from_utf8(heard).map_err(|error| error.to_string())?;
    if !(text.is_empty() || text.ends_with('\n')) {
        return Err(format!("half a line: {text:?}"));
    }
    for line in text.split_terminator('\n') {
        message(line, open).map_err(|why| format!("{why}: {line:?}"))?;
    }
    Ok(())
}

fn message(line: &str, open: &mut Vec<Tree>) -> Result<(), String> {
    let tree: Tree = serde_json::from_str(&plain(line)).map_err(|error| error.to_string())?;
    let Tree::Object(_) = tree else { return Err("no object".to_owned()) };
    let strict = Habit::Strict.reading(&tree);
    for habit in HABITS {
        let reading = habit.reading(&tree);
        // Method, id and result: what kind of message it is, and whose. What a result holds is the server's own.
        if reading.seen[..3] != strict.seen[..3] {
            return Err(format!("{habit:?} reads it otherwise"));
        }
    }
    let [method, id, result, ..] = &strict.seen;
    if method.is_some() {
        return if result.is_none() { Ok(()) } else { Err("a request with a result".to_owned()) };
    }
    let Some(id) = id else { return Err("neither a request nor an answer".to_owned()) };
    let Some(at) = open.iter().position(|waits| waits == id) else {
        return Err("an answer that nobody waits for".to_owned());
    };
    open.remove(at);
    if *id == Tree::Number(2.0) { listed(&tree) } else { Ok(()) }
}

/// The text with what some readers take and `serde_json` does not put plainly: numbers that no float holds, `NaN`, half a
/// surrogate pair. They may stand in a result, which is the server's own; whose answer it is shows all the same.
fn plain(line: &str) -> String {
    let (mut text, mut rest, mut in_string) = (String::new(), line, false);
    while let Some(first) = rest.chars().next() {
        let (taken, put) = if in_string {
            let escape = if first == '\\' { rest.get(..2).unwrap_or(rest) } else { &rest[..first.len_utf8()] };
            match rest.get(..6) {
                Some(half)
                    if ["\\ud8", "\\ud9", "\\uda", "\\udb", "\\udc", "\\udd", "\\ude", "\\udf"]
                        .iter()
                        .any(|start| half.to_ascii_lowercase().starts_with(start)) =>
                {
                    (half, "x")
                }
                _ => (escape, escape),
            }
        } else if let Some(word) = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| rest.starts_with(word)) {
            (word, "0")
        } else {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
            let token = &rest[..end.max(first.len_utf8())];
            let is_endless = first != 'I' && token.parse::<f64>().is_ok_and(f64::is_infinite);
            (token, if is_endless { "0" } else { token })
        };
        in_string ^= taken == "\"";
        text.push_str(put);
        rest = &rest[taken.len()..];
    }
    text
}

/// However the list of tools is read, it names the one tool that may be called, and no other.
fn listed(reply: &Tree) -> Result<(), String> {
    for habit in HABITS {
        let Some(Tree::List(tools)) = habit.member(reply, "result").and_then(|result| habit.member(result, "tools"))
        else {
            continue;
        };
        for tool in tools {
            if habit.member(tool, "name") != Some(&Tree::Text("a".to_owned())) {
                return Err(format!("{habit:?} reads a tool that may not be called"));
            }
        }
    }
    Ok(())
}
