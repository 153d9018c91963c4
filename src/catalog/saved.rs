//! Saved lists: a `tools/list` result or response, a list of tools, an object with `slug` or `server` and
//! `tools`, a catalogue record, or JSON lines of any of these. Lines are read one at a time, so that a file of any
//! length needs the memory of its longest line.

use super::record::RECORD_FORMAT;
use crate::model::{
    Extra, ExtraKind, Extras, Greeting, Listing, Note, Offered, Package, ServerInfo, ServerName, ServerSource,
    ToolDefinition,
};
use crate::problem::{Place, Problem};
use crate::text::excerpt;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read as _};
use std::path::{Path, PathBuf};

/// Longest line of a JSON-lines file, in bytes.
pub const LINE_BYTES_MAX: usize = 64 << 20;
/// Longest file that is one document over several lines, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 256 << 20;
/// Most malformed tools of one list that are noted one by one.
const MALFORMED_NOTES_MAX: usize = 20;

/// What a document may hold; everything is optional until it is known which kind it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SavedDocument<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow)]
    slug: Option<&'a RawValue>,
    #[serde(borrow)]
    server: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    package: Option<&'a RawValue>,
    #[serde(borrow)]
    registry: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow, alias = "protocol_version")]
    protocol_version: Option<&'a RawValue>,
    #[serde(borrow, alias = "server_info")]
    server_info: Option<&'a RawValue>,
    #[serde(borrow)]
    greeting: Option<&'a RawValue>,
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow, alias = "client_capabilities")]
    client_capabilities: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow)]
    prompts: Option<&'a RawValue>,
    #[serde(borrow)]
    resources: Option<&'a RawValue>,
    #[serde(borrow, alias = "resource_templates")]
    resource_templates: Option<&'a RawValue>,
    #[serde(borrow)]
    unlisted: Option<&'a RawValue>,
}

impl<'a> SavedDocument<'a> {
    fn member(&self, kind: ExtraKind) -> Option<&'a str> {
        let member = match kind {
            ExtraKind::Prompt => self.prompts,
            ExtraKind::Resource => self.resources,
            ExtraKind::Template => self.resource_templates,
        };
        member.map(RawValue::get)
    }
}

/// One entry of a catalogue record.
#[derive(Deserialize)]
struct RecordedDefinition<'a> {
    #[serde(borrow)]
    definition: &'a RawValue,
}

/// Reads every tool list of `input` and hands each to `found`, as soon as it is read; a line or document that is none
/// goes to `found` as a problem with its place, and reading goes on with the next line.
///
/// # Errors
/// `input` could not be read.
pub fn read(mut input: impl BufRead, file: &str, found: &mut dyn FnMut(Result<Listing, Problem>)) -> io::Result<()> {
    let mut first = Vec::new();
    let mut line = 0;
    // The first line with something on it tells the kind: complete JSON means one document a line.
    loop {
        line += 1;
        first.clear();
        if !next_line(&mut input, &mut first)? {
            if line == 1 && first.is_empty() {
                found(Err(problem(file, None, "the file is empty", None)));
            }
            return Ok(());
        }
        if first.len() > LINE_BYTES_MAX || !first.trim_ascii().is_empty() {
            break;
        }
    }
    // Some editors begin a file with a byte order mark.
    if let Some(rest) = first.strip_prefix("\u{feff}".as_bytes()) {
        first = rest.to_vec();
    }
    let complete = std::str::from_utf8(&first).is_ok_and(|text| serde_json::from_str::<&RawValue>(text.trim()).is_ok());
    if !complete && first.len() <= LINE_BYTES_MAX {
        return read_whole(input, first, file, line, found);
    }
    let mut loose = Loose::default();
    let mut bytes = first;
    loop {
        if bytes.len() > LINE_BYTES_MAX {
            let place = Some(Place { line, column: 1 });
            found(Err(problem(file, place, &format!("line longer than {} MiB", LINE_BYTES_MAX >> 20), None)));
        } else if !bytes.trim_ascii().is_empty() {
            match std::str::from_utf8(&bytes) {
                Ok(text) => document(text, &Origin { file, line, several: true }, &mut loose, found),
                Err(_) => found(Err(problem(file, Some(Place { line, column: 1 }), "not UTF-8", None))),
            }
        }
        bytes.clear();
        line += 1;
        if !next_line(&mut input, &mut bytes)? {
            break;
        }
    }
    loose.hand_over(file, found);
    Ok(())
}

/// The files of a directory that may hold tool lists, in the order of their names; not those of its subdirectories.
///
/// # Errors
/// The directory could not be read.
pub fn tool_list_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let known = path.extension().and_then(|extension| extension.to_str());
        if matches!(known, Some("json" | "jsonl" | "ndjson")) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Where a document comes from: what errors and unnamed servers are called after.
struct Origin<'a> {
    file: &'a str,
    /// Line on which the document begins, from 1.
    line: usize,
    /// Whether the file may hold more documents.
    several: bool,
}

/// Tools that stand on lines of their own, without a server: one list for the whole file.
#[derive(Default)]
struct Loose {
    tools: Vec<ToolDefinition>,
}

impl Loose {
    fn hand_over(self, file: &str, found: &mut dyn FnMut(Result<Listing, Problem>)) {
        if !self.tools.is_empty() {
            found(Ok(listing(name_of_file(file), file_source(file, None), self.tools)));
        }
    }
}

/// Reads up to and including the next line break, but never more than one byte past the bound: the rest of a longer
/// line is skipped and `line` keeps its beginning, one byte too long. `false` at the end of the input.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    if input.take(limit).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > LINE_BYTES_MAX {
        input.skip_until(b'\n')?;
    }
    Ok(true)
}

fn read_whole(
    input: impl BufRead,
    mut bytes: Vec<u8>,
    file: &str,
    line: usize,
    found: &mut dyn FnMut(Result<Listing, Problem>),
) -> io::Result<()> {
    bytes.push(b'\n');
    let limit = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    input.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let help = "write one server a line (JSON lines): such files may have any length";
        let message = format!("document longer than {} MiB", DOCUMENT_BYTES_MAX >> 20);
        found(Err(problem(file, None, &message, Some(help))));
        return Ok(());
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => {
            let mut loose = Loose::default();
            document(text, &Origin { file, line, several: false }, &mut loose, found);
            loose.hand_over(file, found);
        }
        Err(_) => found(Err(problem(file, None, "not UTF-8", None))),
    }
    Ok(())
}

/// One document: every tool list in it goes to `found`, a single tool to `loose`.
fn document(text: &str, origin: &Origin<'_>, loose: &mut Loose, found: &mut dyn FnMut(Result<Listing, Problem>)) {
    let parsed = match text.trim_start().as_bytes().first() {
        Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(text).map(|items| list(&items, origin, loose, found)),
        Some(b'{') => serde_json::from_str::<&RawValue>(text).and_then(|_| object(text, origin, loose, found)),
        _ => serde_json::from_str::<&RawValue>(text).map(|_| found(Err(unknown(origin)))),
    };
    if let Err(error) = parsed {
        let place = place_in(text, &error, origin.line);
        found(Err(problem(origin.file, Some(place), &message_of(&error), None)));
    }
}

/// A list: of tools, or of objects with tools.
fn list(items: &[&RawValue], origin: &Origin<'_>, loose: &mut Loose, found: &mut dyn FnMut(Result<Listing, Problem>)) {
    let holds_lists = !items.is_empty()
        && items.iter().all(|item| {
            serde_json::from_str::<SavedDocument<'_>>(item.get())
                .is_ok_and(|it| it.tools.is_some() || it.result.is_some())
        });
    if holds_lists {
        for item in items {
            if let Err(error) = object(item.get(), origin, loose, found) {
                found(Err(problem(origin.file, None, &message_of(&error), None)));
            }
        }
        return;
    }
    let (tools, unreadable, notes) = definitions(items.iter().map(|item| Ok(*item)));
    if tools.is_empty() && !items.is_empty() {
        found(Err(unknown(origin)));
        return;
    }
    let mut listing = listing(unnamed(origin), file_source(origin.file, None), tools);
    (listing.unreadable, listing.notes) = (unreadable, notes);
    found(Ok(listing));
}

fn object(
    text: &str,
    origin: &Origin<'_>,
    loose: &mut Loose,
    found: &mut dyn FnMut(Result<Listing, Problem>),
) -> serde_json::Result<()> {
    let outer: SavedDocument<'_> = serde_json::from_str(text)?;
    // A JSON-RPC response keeps the list in `result`.
    let inner: Option<SavedDocument<'_>> = match (outer.tools, outer.result) {
        (None, Some(result)) => serde_json::from_str(result.get()).ok(),
        _ => None,
    };
    let inside = inner.as_ref().unwrap_or(&outer);
    let Some(tools) = inside.tools else {
        if outer.name.is_some() {
            match serde_json::from_str::<&RawValue>(text).map(ToolDefinition::parse)? {
                Ok(tool) => loose.tools.push(tool),
                Err(_) => found(Err(unknown(origin))),
            }
        } else {
            found(Err(unknown(origin)));
        }
        return Ok(());
    };
    let entries: Vec<&RawValue> = serde_json::from_str(tools.get())?;
    let is_record = string(outer.format).as_deref() == Some(RECORD_FORMAT);
    let (tools, unreadable, notes) = definitions(entries.into_iter().map(|entry| {
        if is_record {
            serde_json::from_str::<RecordedDefinition<'_>>(entry.get()).map(|it| it.definition)
        } else {
            Ok(entry)
        }
    }));
    let either = |outer: Option<&RawValue>, inner: Option<&RawValue>| string(outer).or_else(|| string(inner));
    let name = either(outer.slug, inside.slug).or_else(|| either(outer.server, inside.server));
    let package = either(outer.package, inside.package).map(|name| Package {
        registry: either(outer.registry, inside.registry).unwrap_or_default(),
        name,
        version: either(outer.version, inside.version),
    });
    let recorded: Option<ServerSource> = outer.source.and_then(|source| serde_json::from_str(source.get()).ok());
    let info = outer.server_info.or(inside.server_info);
    let (extras, odd) = extras(&outer, inside);
    let mut listing = listing(
        name.filter(|name| !name.is_empty()).map_or_else(|| unnamed(origin), ServerName::new),
        recorded.unwrap_or_else(|| file_source(origin.file, package)),
        tools,
    );
    (listing.unreadable, listing.notes) = (unreadable, notes);
    listing.notes.extend(odd);
    listing.extras = extras;
    listing.protocol_version = either(outer.protocol_version, inside.protocol_version);
    listing.server_info = info.and_then(|info| serde_json::from_str::<ServerInfo>(info.get()).ok());
    listing.greeting = greeting(outer.greeting.or(inside.greeting), info);
    listing.capabilities =
        outer.capabilities.or(inside.capabilities).filter(|it| it.get() != "null").map(RawValue::to_owned);
    listing.client_capabilities = outer.client_capabilities.and_then(|names| serde_json::from_str(names.get()).ok());
    listing.instructions = either(outer.instructions, inside.instructions);
    found(Ok(listing));
    Ok(())
}

/// What a document says of how the server greets: under `greeting`, or in a `serverInfo` that is there whole. One that has
/// name, title and version alone may have been cut, and says nothing of the rest.
fn greeting(greeting: Option<&RawValue>, info: Option<&RawValue>) -> Option<Greeting> {
    if let Some(greeting) = greeting.and_then(|greeting| serde_json::from_str(greeting.get()).ok()) {
        return Some(greeting);
    }
    let server_info = Greeting::of_server_info(serde_json::from_str(info?.get()).ok()?);
    (!server_info.is_empty()).then(|| Greeting { server_info, ..Greeting::default() })
}

/// What a document says of prompts, resources and templates. A kind that it does not name is not recorded, unless it is
/// sure that there are none: the server does not declare them, or others are there and only what is empty was left out.
fn extras(outer: &SavedDocument<'_>, inside: &SavedDocument<'_>) -> (Extras, Vec<Note>) {
    let (mut extras, mut notes) = (Extras::not_recorded(), Vec::new());
    let unlisted = outer.unlisted.or(inside.unlisted);
    let unlisted: BTreeSet<ExtraKind> =
        unlisted.and_then(|kinds| serde_json::from_str(kinds.get()).ok()).unwrap_or_default();
    let capabilities = outer.capabilities.or(inside.capabilities);
    let declared: Option<BTreeMap<String, &RawValue>> = capabilities.and_then(|it| serde_json::from_str(it.get()).ok());
    let has_others =
        ExtraKind::ALL.into_iter().any(|kind| outer.member(kind).or_else(|| inside.member(kind)).is_some());
    for kind in ExtraKind::ALL {
        let text = outer.member(kind).or_else(|| inside.member(kind));
        match text.and_then(|text| serde_json::from_str::<Vec<Box<RawValue>>>(text).ok()) {
            Some(entries) => {
                let (mut listed, mut malformed) = (Vec::new(), 0_usize);
                for entry in &entries {
                    match Extra::parse(kind, entry) {
                        Ok(extra) => listed.push(extra),
                        Err(_) => malformed += 1,
                    }
                }
                if malformed > 0 {
                    notes.push(note(&format!("malformed_{kind}"), format!("{malformed} entries are no {kind}s")));
                }
                extras.set(kind, Offered::Listed(listed));
            }
            None if unlisted.contains(&kind) => extras.set(kind, Offered::Refused),
            None if has_others || declared.as_ref().is_some_and(|it| !it.contains_key(kind.capability())) => {
                extras.set(kind, Offered::Listed(Vec::new()));
            }
            None => {}
        }
    }
    (extras, notes)
}

/// The tools among the entries, how many entries are none, and a note for each of these.
fn definitions<'a>(
    entries: impl Iterator<Item = serde_json::Result<&'a RawValue>>,
) -> (Vec<ToolDefinition>, usize, Vec<Note>) {
    let (mut tools, mut notes, mut malformed) = (Vec::new(), Vec::new(), 0_usize);
    for (at, entry) in entries.enumerate() {
        let parsed = entry.map_err(|error| error.to_string());
        let parsed = parsed.and_then(|raw| ToolDefinition::parse(raw).map_err(|problem| problem.to_string()));
        match parsed {
            Ok(tool) => tools.push(tool),
            Err(why) => {
                malformed += 1;
                if malformed <= MALFORMED_NOTES_MAX {
                    notes.push(note("malformed_tool", format!("entry {} is no tool: {}", at + 1, excerpt(&why, 200))));
                }
            }
        }
    }
    if malformed > MALFORMED_NOTES_MAX {
        notes.push(note("malformed_tool", format!("{} more are no tools", malformed - MALFORMED_NOTES_MAX)));
    }
    let mut names = BTreeSet::new();
    let twice: BTreeSet<_> = tools.iter().map(|tool| &tool.name).filter(|name| !names.insert(*name)).collect();
    for name in twice {
        notes.push(note("duplicate_tool", format!("`{}` is listed more than once", excerpt(name.as_str(), 80))));
    }
    (tools, malformed, notes)
}

fn note(code: &str, message: String) -> Note {
    Note { code: code.to_owned(), message }
}

fn listing(server: ServerName, source: ServerSource, tools: Vec<ToolDefinition>) -> Listing {
    Listing {
        server,
        source,
        protocol_version: None,
        server_info: None,
        greeting: None,
        capabilities: None,
        client_capabilities: None,
        instructions: None,
        tools,
        unreadable: 0,
        extras: Extras::not_recorded(),
        notes: Vec::new(),
    }
}

fn string(raw: Option<&RawValue>) -> Option<String> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

fn file_source(file: &str, package: Option<Package>) -> ServerSource {
    ServerSource::File { path: file.to_owned(), package }
}

/// What a server is called whose document does not say: after the file, and after the line where there are several.
fn unnamed(origin: &Origin<'_>) -> ServerName {
    let stem = name_of_file(origin.file);
    if origin.several && origin.line > 1 { ServerName::new(format!("{}:{}", stem.as_str(), origin.line)) } else { stem }
}

fn name_of_file(file: &str) -> ServerName {
    let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str());
    ServerName::new(if file == "-" { "stdin" } else { stem.unwrap_or(file) })
}

fn unknown(origin: &Origin<'_>) -> Problem {
    let help = "expected a tools/list result, a list of tools, or an object with `server` and `tools`";
    problem(origin.file, Some(Place { line: origin.line, column: 1 }), "no tool list in here", Some(help))
}

fn problem(file: &str, place: Option<Place>, message: &str, help: Option<&str>) -> Problem {
    let file = if file == "-" { "standard input" } else { file };
    Problem {
        file: file.to_owned(),
        place,
        pointer: String::new(),
        message: message.to_owned(),
        help: help.map(str::to_owned),
    }
}

/// The place that serde_json names, in characters and counted from the beginning of the file.
fn place_in(text: &str, error: &serde_json::Error, first_line: usize) -> Place {
    let line = error.line().max(1);
    let before = text.lines().nth(line - 1).unwrap_or("");
    let mut end = error.column().saturating_sub(1).min(before.len());
    while !before.is_char_boundary(end) {
        end -= 1;
    }
    Place { line: first_line + line - 1, column: before[..end].chars().count() + 1 }
}

/// serde_json's message without the place, which is shown in front.
fn message_of(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    format!("not readable as JSON: {}", &message[..end])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

    use super::*;

    fn all(text: &str) -> (Vec<Listing>, Vec<String>) {
        let (mut listings, mut problems) = (Vec::new(), Vec::new());
        read(text.as_bytes(), "dir/list.json", &mut |found| match found {
            Ok(listing) => listings.push(listing),
            Err(problem) => problems.push(problem.to_string()),
        })
        .unwrap();
        (listings, problems)
    }

    /// `server: tool tool` a listing.
    fn check(text: &str, expected: &[&str]) {
        let (listings, problems) = all(text);
        let shown: Vec<String> = listings
            .iter()
            .map(|it| {
                let tools: Vec<_> = it.tools.iter().map(|tool| tool.name.as_str()).collect();
                format!("{}: {}", it.server, tools.join(" "))
            })
            .collect();
        assert_eq!((shown.as_slice(), problems.as_slice()), (expected.map_to_strings().as_slice(), &[][..]), "{text}");
    }

    trait Strings {
        fn map_to_strings(&self) -> Vec<String>;
    }
    impl Strings for [&str] {
        fn map_to_strings(&self) -> Vec<String> {
            self.iter().map(|&text| text.to_owned()).collect()
        }
    }

    fn check_problem(text: &str, expected: &str) {
        let (_, problems) = all(text);
        assert_eq!(problems.first().map(String::as_str).and_then(|it| it.lines().next()), Some(expected), "{text}");
    }

    #[test]
    fn every_usual_shape_is_read() {
        check(r#"{"tools":[{"name":"a"}]}"#, &["list: a"]);
        check("{\n \"result\": {\"tools\": [{\"name\": \"a\"}]}, \"jsonrpc\": \"2.0\", \"id\": 1}", &["list: a"]);
        check(r#"[{"name":"a"},{"name":"b"}]"#, &["list: a b"]);
        check(r#"{"slug":"s","tools":[{"name":"a"}]}"#, &["s: a"]);
        check(r#"{"server":"s","tools":[]}"#, &["s: "]);
        check(
            "{\"server\":\"s\",\"tools\":[{\"name\":\"a\"}]}\n\n{\"tools\":[{\"name\":\"b\"}]}\n",
            &["s: a", "list:3: b"],
        );
        check("{\"name\":\"a\"}\n{\"name\":\"b\"}", &["list: a b"]);
        check("\u{feff}[{\"server\":\"s\",\"tools\":[{\"name\":\"a\"}]}]", &["s: a"]);
        check("\n\n[\n{\"name\":\"a\"}\n]\n", &["list: a"]);
    }

    #[test]
    fn what_a_saver_left_out_as_empty_is_known_to_be_empty() {
        let check = |more: &str, expected: [&str; 3]| {
            let (listings, _) = all(&format!(r#"{{"tools": [{{"name": "a"}}]{more}}}"#));
            let known = |kind| match listings[0].extras.of(kind) {
                Offered::NotRecorded => "unknown".to_owned(),
                Offered::Refused => "refused".to_owned(),
                Offered::Listed(listed) => listed.len().to_string(),
            };
            assert_eq!(ExtraKind::ALL.map(known), expected, "{more}");
        };
        check("", ["unknown", "unknown", "unknown"]);
        check(r#", "prompts": [{"name": "p"}]"#, ["1", "0", "0"]);
        check(r#", "capabilities": {"tools": {}}"#, ["0", "0", "0"]);
        check(r#", "capabilities": {"resources": {}}"#, ["0", "unknown", "unknown"]);
        check(r#", "capabilities": {"resources": {}}, "unlisted": ["resource"]"#, ["0", "refused", "unknown"]);
    }

    #[test]
    fn what_is_no_list_is_a_problem_with_its_place() {
        check_problem("", "dir/list.json: the file is empty");
        check_problem("{\"tools\": [\n  {\"name\": }\n]}", "dir/list.json:2:12: not readable as JSON: expected value");
        check_problem("{\"tools\":[]}\n{\"tö\":}\n", "dir/list.json:2:7: not readable as JSON: expected value");
        check_problem("{\"other\":1}", "dir/list.json:1:1: no tool list in here");
        check_problem("17", "dir/list.json:1:1: no tool list in here");
        check_problem("[17]", "dir/list.json:1:1: no tool list in here");
    }

    #[test]
    fn a_bad_line_does_not_hide_the_next() {
        let (listings, problems) = all("{\"tools\":[{\"name\":\"a\"}]}\n{oops\n{\"tools\":[{\"name\":\"b\"}]}");
        assert_eq!((listings.len(), problems.len()), (2, 1));
    }

    #[test]
    fn a_malformed_tool_is_noted_and_hides_nothing() {
        let (listings, _) = all(r#"{"tools":[{"name":"a"},5,{"title":"x"},{"name":"a"}]}"#);
        let notes: Vec<_> = listings[0].notes.iter().map(|note| note.message.as_str()).collect();
        assert_eq!(listings[0].tools.len(), 2);
        let expected =
            ["entry 2 is no tool: not an object", "entry 3 is no tool: no `name`", "`a` is listed more than once"];
        assert_eq!(notes, expected);
    }

    #[test]
    fn lines_are_bounded() {
        let at = format!("[{}]", " ".repeat(LINE_BYTES_MAX - 2));
        let past = format!("[{}]\n{{\"tools\":[{{\"name\":\"b\"}}]}}", " ".repeat(LINE_BYTES_MAX - 1));
        assert_eq!(all(&at).1, Vec::<String>::new());
        let (listings, problems) = all(&past);
        assert_eq!(problems, ["dir/list.json:1:1: line longer than 64 MiB"]);
        assert_eq!(listings.len(), 1, "the line after it is read");
    }
}
