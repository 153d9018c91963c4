//! Puts another command in front of a server in the text of a client's file, and takes it away again. Only the bytes of
//! the entry's own words change: comments, order and layout around them are the user's.

use super::document::{self, Node, Syntax, Value};
use super::entry::{COMMANDS, ENVIRONMENTS, HEADERS, URLS, first};
use super::table::Form;
use super::{Client, Configured};
use std::ops::Range;
use thiserror::Error;

/// What is put in front of a server.
#[derive(Clone, Debug)]
pub struct Front {
    /// The program, by its whole path.
    pub program: String,
    /// Its arguments, up to those that say where the server is.
    pub words: Vec<String>,
}

/// A piece of a file as it was, and as it is since it was changed. It may hold secrets that the file holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    /// The bytes before.
    pub before: String,
    /// What stands there instead.
    pub after: String,
}

/// Why an entry cannot be changed in place.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NotEdited {
    /// The file is not what it was when the entry was read.
    #[error("the entry is not there any more")]
    Gone,
    /// Its client is none that is known to start commands in this form, or the file is no client's.
    #[error("it is no entry of a client that starts servers")]
    NoClient,
    /// It is written in a way that cannot be changed without writing it anew.
    #[error("{0}")]
    Unusual(&'static str),
}

const SHARED: NotEdited = NotEdited::Unusual("a part of the entry stands elsewhere in the file, and others use it too");

/// A change of a text: these bytes become that.
type Splice = (Range<usize>, String);

/// A file's text, with how it is written.
struct FileText<'t> {
    text: &'t str,
    syntax: Syntax,
}

/// The file with a command in front of a server, and what changed.
///
/// # Errors
/// The entry cannot be changed in place.
pub fn put_in_front(
    file: &str,
    text: &str,
    server: &Configured,
    front: &Front,
) -> Result<(String, Replaced), NotEdited> {
    let form = form_of(server.client)?;
    let root = document::parse(file, text).map_err(|_| NotEdited::Gone)?;
    let entry = root.at(&server.path).filter(|entry| entry.is_object()).ok_or(NotEdited::Gone)?;
    if entry.borrowed {
        return Err(SHARED);
    }
    let page = FileText { text, syntax: document::syntax_of(file, text) };
    let splices = match entry.get("command").filter(|command| command.is_object()) {
        Some(nested) => page.before_command(nested, "path", front)?,
        None => match (first(entry, &COMMANDS), first(entry, &URLS)) {
            (Some((name, _)), _) => page.before_command(entry, name, front)?,
            (None, Some((_, url))) => page.before_url(entry, url, form, front)?,
            (None, None) => return Err(NotEdited::Gone),
        },
    };
    page.changed(file, &root, &server.path, splices)
}

/// The file with a piece as it was before; `None` if the piece does not stand there exactly once.
pub fn put_back(text: &str, piece: &Replaced) -> Option<String> {
    let mut places = text.match_indices(&piece.after);
    let (at, _) = places.next().filter(|_| !piece.after.is_empty())?;
    places.next().is_none().then(|| format!("{}{}{}", &text[..at], piece.before, &text[at + piece.after.len()..]))
}

/// The file with the command in front of a server taken away, by what the entry itself says: the words up to `--` go. For
/// an entry whose bytes are not those that were written into it.
///
/// # Errors
/// The entry is another, or is one of a URL: that cannot be told from the entry alone.
pub fn take_away(file: &str, text: &str, server: &Configured) -> Result<(String, Replaced), NotEdited> {
    let root = document::parse(file, text).map_err(|_| NotEdited::Gone)?;
    let entry = root.at(&server.path).ok_or(NotEdited::Gone)?;
    let page = FileText { text, syntax: document::syntax_of(file, text) };
    let nested = entry.get("command").filter(|command| command.is_object());
    let of = nested.unwrap_or(entry);
    let (_, command) = nested
        .and_then(|nested| first(nested, &["path"]))
        .or_else(|| first(entry, &COMMANDS))
        .ok_or(NotEdited::Gone)?;
    let list =
        if matches!(command.value, Value::Array(_)) { command } else { of.get("args").ok_or(NotEdited::Gone)? };
    let Value::Array(words) = &list.value else { return Err(NotEdited::Gone) };
    let dashes = words
        .iter()
        .position(|word| word.as_text() == Some("--"))
        .ok_or(NotEdited::Unusual("it is reached by a URL, and what stood there before is not known"))?;
    let mut splices = Vec::new();
    let mut rest = dashes + 1;
    if list.range != command.range {
        let program = words.get(rest).and_then(Node::as_text).ok_or(NotEdited::Gone)?;
        splices.push((command.range.clone(), page.quoted(program)));
        rest += 1;
    }
    splices.push(match (words.first(), words.get(rest)) {
        (Some(from), Some(to)) => (page.item(list, from)..page.item(list, to), String::new()),
        _ => (list.range.clone(), "[]".to_owned()),
    });
    page.changed(file, &root, &server.path, splices)
}

fn form_of(client: Client) -> Result<&'static Form, NotEdited> {
    // What a manifest or the registry describes is no file that a client starts servers from.
    if matches!(client.id(), "bundle" | "registry") {
        return Err(NotEdited::NoClient);
    }
    Ok(&client.row().form)
}

impl FileText<'_> {
    /// Program and arguments of an entry, with the front's before them.
    fn before_command(&self, entry: &Node, name: &str, front: &Front) -> Result<Vec<Splice>, NotEdited> {
        let command = entry.get(name).ok_or(NotEdited::Gone)?;
        if command.borrowed {
            return Err(SHARED);
        }
        let dashes = || front.words.iter().cloned().chain(["--".to_owned()]);
        if matches!(command.value, Value::Array(_)) {
            let words: Vec<String> = std::iter::once(front.program.clone()).chain(dashes()).collect();
            return Ok(vec![self.at_head(command, &words)?]);
        }
        let program = command.as_text().ok_or(NotEdited::Gone)?;
        let words: Vec<String> = dashes().chain([program.to_owned()]).collect();
        let args = match entry.get("args") {
            Some(args) if matches!(args.value, Value::Null) => {
                if args.range.is_empty() {
                    return Err(NotEdited::Unusual("`args` is there, and empty"));
                }
                (args.range.clone(), self.list(&words))
            }
            Some(args) => self.at_head(args, &words)?,
            None => {
                let member = self.member(command, "args", &self.list(&words));
                (command.range.end..command.range.end, format!("{}{member}", self.between(entry, command)))
            }
        };
        Ok(vec![(command.range.clone(), self.quoted(&front.program)), args])
    }

    /// A command in the place of a URL. Headers become variables of the command, under names of their own, so that no
    /// value stands among its arguments.
    fn before_url(&self, entry: &Node, url: &Node, form: &Form, front: &Front) -> Result<Vec<Splice>, NotEdited> {
        if url.borrowed {
            return Err(SHARED);
        }
        let address = url.as_text().ok_or(NotEdited::Gone)?.trim().to_owned();
        let mut words: Vec<String> = front.words.iter().cloned().chain(["--upstream".to_owned(), address]).collect();
        let mut splices = self.headers(entry, form, &mut words)?;
        if let Some(variable) = entry.get("bearer_token_env_var") {
            let text = variable.as_text().ok_or(NotEdited::Gone)?;
            words.extend(["--bearer-env".to_owned(), text.to_owned()]);
            let passed = self.member(variable, "env_vars", &self.list(&[text.to_owned()]));
            splices.push((variable.name.start..variable.range.end, passed));
        }
        let member = match form.args {
            Some(args) => format!(
                "{}{}{}",
                self.member(url, form.command, &self.quoted(&front.program)),
                self.between(entry, url),
                self.member(url, args, &self.list(&words)),
            ),
            None => {
                words.insert(0, front.program.clone());
                self.member(url, form.command, &self.list(&words))
            }
        };
        splices.push((url.name.start..url.range.end, member));
        if let Some(kind) = entry.get("type").filter(|kind| kind.as_text().is_some()) {
            splices.push((kind.range.clone(), self.quoted(form.stdio)));
        }
        Ok(splices)
    }

    fn headers(&self, entry: &Node, form: &Form, words: &mut Vec<String>) -> Result<Vec<Splice>, NotEdited> {
        let present: Vec<_> = HEADERS.iter().filter_map(|path| Some((*path, entry.at(*path)?))).collect();
        if present.is_empty() && entry.get("env_http_headers").is_none() {
            return Ok(Vec::new());
        }
        if entry.get("env_http_headers").is_some() || present.len() > 1 || first(entry, &ENVIRONMENTS).is_some() {
            return Err(NotEdited::Unusual("it takes headers from several places"));
        }
        let mut splices = Vec::new();
        for (path, headers) in present {
            let mut variables = Vec::new();
            for (header, value) in headers.members() {
                let variable = variable_of(header);
                words.extend(["--header-env".to_owned(), format!("{header}={variable}")]);
                variables.push((variable, value));
            }
            if headers.borrowed || variables.iter().any(|(_, value)| value.borrowed) {
                return Err(SHARED);
            }
            if let [_] = path {
                splices.push((headers.name.clone(), self.named(headers, form.env)));
                splices.extend(
                    variables.iter().map(|(variable, value)| (value.name.clone(), self.named(value, variable))),
                );
                continue;
            }
            // Headers inside an object of their own: it goes as a whole, if it holds nothing else.
            let outer = entry.get(path[0]).filter(|outer| outer.members().len() == 1);
            let outer = outer.ok_or(NotEdited::Unusual("it has settings for its requests beside the headers"))?;
            let pairs = variables
                .iter()
                .map(|(variable, value)| Some(format!("{}: {}", self.quoted(variable), self.quoted(value.as_text()?))));
            let pairs: Option<Vec<_>> = pairs.collect();
            let pairs = pairs.ok_or(NotEdited::Unusual("a header is no text"))?.join(", ");
            splices.push((outer.name.start..outer.range.end, self.member(outer, form.env, &format!("{{{pairs}}}"))));
        }
        Ok(splices)
    }

    /// The change that puts words before those of a list, laid out as the list is.
    fn at_head(&self, list: &Node, words: &[String]) -> Result<Splice, NotEdited> {
        let Value::Array(items) = &list.value else { return Err(NotEdited::Unusual("its arguments are no list")) };
        if list.borrowed {
            return Err(SHARED);
        }
        let words: Vec<String> = words.iter().map(|word| self.quoted(word)).collect();
        let Some(head) = items.first() else {
            let inside = list.range.start + 1;
            return Ok((inside..inside, words.join(", ")));
        };
        let at = self.item(list, head);
        let before = self.line_before(at);
        if self.is_block(list) {
            if !before.trim().is_empty() {
                return Err(NotEdited::Unusual("its arguments are a list inside a list"));
            }
            let lines: String = words.iter().map(|word| format!("- {word}{}{before}", self.line_end(at))).collect();
            return Ok((at..at, lines));
        }
        let joint = if before.trim().is_empty() { format!(",{}{before}", self.line_end(at)) } else { ", ".to_owned() };
        Ok((at..at, words.iter().map(|word| format!("{word}{joint}")).collect()))
    }

    /// Where an item of a list begins: at its dash, in a list without brackets.
    fn item(&self, list: &Node, item: &Node) -> usize {
        let start = item.range.start;
        if self.is_block(list) { self.text[..start].rfind('-').unwrap_or(start) } else { start }
    }

    fn is_block(&self, list: &Node) -> bool {
        self.syntax == Syntax::Yaml && !self.text[list.range.clone()].starts_with('[')
    }

    fn quoted(&self, text: &str) -> String {
        match self.syntax {
            Syntax::Json | Syntax::Yaml => serde_json::Value::from(text).to_string(),
            Syntax::Toml => toml::Value::from(text).to_string(),
        }
    }

    fn list(&self, words: &[String]) -> String {
        format!("[{}]", words.iter().map(|word| self.quoted(word)).collect::<Vec<_>>().join(", "))
    }

    /// A name, quoted as that of a member beside it is.
    fn named(&self, like: &Node, name: &str) -> String {
        match self.text[like.name.clone()].chars().next() {
            Some(quote @ ('"' | '\'')) => format!("{quote}{name}{quote}"),
            _ => name.to_owned(),
        }
    }

    /// A member, with the sign between name and value of one beside it.
    fn member(&self, like: &Node, name: &str, value: &str) -> String {
        let sign = &self.text[like.name.end..like.range.start];
        let sign = if sign.contains('\n') || sign.contains('#') || sign.contains('/') { ": " } else { sign };
        format!("{}{sign}{value}", self.named(like, name))
    }

    /// What stands between a member and the next, laid out as the object is.
    fn between(&self, entry: &Node, member: &Node) -> String {
        let (at, before) = (member.name.start, self.line_before(member.name.start));
        let flow = self.text[entry.range.clone()].starts_with('{');
        match self.syntax {
            Syntax::Toml if !flow => format!("{}{before}", self.line_end(at)),
            // A member may be the first of a list's item, behind its dash.
            Syntax::Yaml if !flow => format!("{}{}", self.line_end(at), " ".repeat(before.chars().count())),
            Syntax::Json | Syntax::Toml | Syntax::Yaml if before.trim().is_empty() => {
                format!(",{}{before}", self.line_end(at))
            }
            Syntax::Json | Syntax::Toml | Syntax::Yaml => ", ".to_owned(),
        }
    }

    /// The part of a line before a place.
    fn line_before(&self, at: usize) -> &str {
        let start = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        self.text[start..at].trim_start_matches('\u{feff}')
    }

    /// How lines end around a place.
    fn line_end(&self, at: usize) -> &'static str {
        let end = self.text[at..].find('\n').map(|end| at + end).or_else(|| self.text[..at].rfind('\n'));
        if end.is_some_and(|end| self.text[..end].ends_with('\r')) { "\r\n" } else { "\n" }
    }

    /// The text with the changes, after a look at it: it must be read as before, but for the one entry.
    fn changed(
        &self,
        file: &str,
        root: &Node,
        path: &[String],
        mut splices: Vec<Splice>,
    ) -> Result<(String, Replaced), NotEdited> {
        splices.sort_by_key(|(range, _)| (range.start, range.end));
        let (Some(from), Some(to)) =
            (splices.first().map(|(range, _)| range.start), splices.iter().map(|(range, _)| range.end).max())
        else {
            return Err(NotEdited::Gone);
        };
        let (mut after, mut at) = (String::new(), from);
        for (range, new) in &splices {
            let kept = self.text.get(at..range.start).ok_or(NotEdited::Unusual("its parts overlap"))?;
            after.push_str(kept);
            after.push_str(new);
            at = range.end;
        }
        let piece = Replaced { before: self.text[from..to].to_owned(), after };
        let text = format!("{}{}{}", &self.text[..from], piece.after, &self.text[to..]);
        let read = document::parse(file, &text).map_err(|_| UNREADABLE)?;
        if !same_but(root, &read, path) {
            return Err(UNREADABLE);
        }
        Ok((text, piece))
    }
}

const UNREADABLE: NotEdited = NotEdited::Unusual("it is written in a way that cannot be changed in place");

/// The variable that carries a header.
fn variable_of(header: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("MCPOL_HEADER_{}", header.chars().map(plain).collect::<String>())
}

/// Whether two documents say the same everywhere but at one place, where both say something.
fn same_but(one: &Node, other: &Node, path: &[String]) -> bool {
    let Some((name, rest)) = path.split_first() else { return true };
    match (&one.value, &other.value) {
        (Value::Object(ones), Value::Object(others)) => {
            ones.len() == others.len()
                && ones.iter().zip(others).all(|((key, one), (same, other))| {
                    key == same && if key == name { same_but(one, other, rest) } else { is_same(one, other) }
                })
        }
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len()
                && ones.iter().zip(others).enumerate().all(|(at, (one, other))| {
                    if at.to_string() == *name { same_but(one, other, rest) } else { is_same(one, other) }
                })
        }
        _ => false,
    }
}

fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Object(ones), Value::Object(others)) => {
            ones.len() == others.len()
                && ones.iter().zip(others).all(|((key, one), (same, other))| key == same && is_same(one, other))
        }
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| is_same(one, other))
        }
        (Value::Text(one), Value::Text(other)) | (Value::Plain(one), Value::Plain(other)) => one == other,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Null, Value::Null) => true,
        _ => false,
    }
}
