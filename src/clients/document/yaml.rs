//! YAML as a tree with places. The parser counts characters; places here are bytes.

use super::{Node, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// How deep lists and objects may stand in each other; a configuration needs five.
const DEPTH_MAX: usize = 64;
/// Most nodes of a file, what aliases stand for included: a few lines of them could stand for millions.
const NODES_MAX: usize = 200_000;

/// The first document of a file; `None` if there is none. The error is a byte offset and what is wrong there.
pub(super) fn parse(text: &str, cut: usize) -> Result<Option<Node>, (usize, String)> {
    let mut bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    bytes.push(text.len());
    let mut reader =
        YamlReader { text, bytes, cut, open: Vec::new(), root: None, anchors: BTreeMap::new(), nodes: 0, wrong: None };
    // Event by event: the parser's own loader goes down into itself, and a file may be nested without end.
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| (reader.byte(error.marker().index()), error.info().to_owned()))?;
        if event == Event::DocumentEnd {
            break;
        }
        reader.take(event, span);
        if let Some(wrong) = reader.wrong {
            return Err(wrong);
        }
    }
    Ok(reader.root)
}

struct YamlReader<'t> {
    text: &'t str,
    /// The byte of each character, and of the end.
    bytes: Vec<usize>,
    cut: usize,
    open: Vec<OpenNode>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    wrong: Option<(usize, String)>,
}

/// A list or object whose end was not seen yet.
struct OpenNode {
    start: usize,
    /// The end of what was seen last in it.
    end: usize,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    /// The members, and the name whose value comes next.
    Map(Vec<(String, Node)>, Option<(String, Range<usize>)>),
}

impl YamlReader<'_> {
    fn byte(&self, character: usize) -> usize {
        self.bytes.get(character).copied().unwrap_or(self.text.len())
    }

    fn range(&self, span: Span) -> Range<usize> {
        self.byte(span.start.index())..self.byte(span.end.index())
    }

    fn fail(&mut self, at: usize, message: &str) {
        self.wrong.get_or_insert_with(|| (at, message.to_owned()));
    }

    fn opens(&mut self, span: Span, anchor: usize, kind: OpenKind) {
        let range = self.range(span);
        if self.open.len() >= DEPTH_MAX {
            return self.fail(range.start, "nested too deeply");
        }
        self.open.push(OpenNode { start: range.start, end: range.end, anchor, kind });
    }

    fn closes(&mut self, span: Span) {
        let Some(open) = self.open.pop() else { return };
        let closing = self.range(span);
        // A list or object without brackets ends where its last value does, not where the next line begins.
        let end = if closing.is_empty() { open.end } else { closing.end };
        let value = match open.kind {
            OpenKind::List(items) => Value::Array(items),
            OpenKind::Map(members, _) => Value::Object(members),
        };
        self.put(Node::new(open.start + self.cut..end + self.cut, value), open.anchor);
    }

    fn put(&mut self, node: Node, anchor: usize) {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return self.fail(node.range.start - self.cut, "too many values");
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let (end, cut) = (node.range.end - self.cut, self.cut);
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        if !node.borrowed {
            open.end = open.end.max(end);
        }
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map(members, name) => match name.take() {
                Some((name, written)) => members.push((name, node.named(written.start + cut..written.end + cut))),
                None => {
                    let text = match &node.value {
                        Value::Text(text) | Value::Plain(text) => text.clone(),
                        Value::Bool(value) => value.to_string(),
                        // No configuration has such names; the member is then one that nothing asks for.
                        Value::Object(_) | Value::Array(_) | Value::Null => String::new(),
                    };
                    *name = Some((text, node.range.start - cut..node.range.end - cut));
                }
            },
        }
    }

    /// What an alias stands for, with its size counted again.
    fn alias(&mut self, anchor: usize, span: Span) {
        let range = self.range(span);
        let Some(mut node) = self.anchors.get(&anchor).cloned() else {
            return self.fail(range.start, "refers to something that is not there");
        };
        self.nodes += size(&node);
        borrow(&mut node);
        node.range = range.start + self.cut..range.end + self.cut;
        self.put(node, 0);
    }

    fn take(&mut self, event: Event<'_>, span: Span) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let mut range = self.range(span);
                if style == ScalarStyle::Plain {
                    // What follows on the line is not the value's.
                    range.end = range.start + self.text[range.clone()].trim_end().len();
                }
                let value = if style == ScalarStyle::Plain && tag.is_none() {
                    plain(text)
                } else {
                    Value::Text(text.into_owned())
                };
                let mut node = Node::new(range.start + self.cut..range.end + self.cut, value);
                // A text over several lines is not written in its own place alone.
                node.borrowed = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                self.put(node, anchor);
            }
            Event::SequenceStart(anchor, _) => self.opens(span, anchor, OpenKind::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.opens(span, anchor, OpenKind::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.closes(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
    }
}

/// A text without quotes: YAML 1.2's words for nothing, yes and no, its numbers, else itself.
fn plain(text: Cow<'_, str>) -> Value {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        number
            if number.parse::<f64>().is_ok()
                && number.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) =>
        {
            Value::Plain(number.to_owned())
        }
        _ => Value::Text(text.into_owned()),
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Object(members) => members.iter().map(|(_, node)| size(node)).sum(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Text(_) | Value::Plain(_) | Value::Bool(_) | Value::Null => 0,
    }
}

fn borrow(node: &mut Node) {
    node.borrowed = true;
    match &mut node.value {
        Value::Object(members) => members.iter_mut().for_each(|(_, node)| borrow(node)),
        Value::Array(items) => items.iter_mut().for_each(borrow),
        Value::Text(_) | Value::Plain(_) | Value::Bool(_) | Value::Null => {}
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use super::*;

    #[test]
    fn places_are_bytes_of_the_value_alone() {
        let text = "é: x\nservers:\n  a:\n    command: npx  # the runner\n    args:\n      - -y\n      - \"two words\"\n    env: {A: 1}\n  b: [x, 'y']\nlast: |\n  text\n";
        let root = parse(text, 0).unwrap().unwrap();
        let at = |path: &[&str]| root.at(path).map(|node| &text[node.range.clone()]).unwrap();
        assert_eq!(at(&["servers", "a", "command"]), "npx");
        assert_eq!(at(&["servers", "a", "args", "0"]), "-y");
        assert_eq!(at(&["servers", "a", "args", "1"]), "\"two words\"");
        assert_eq!(at(&["servers", "a", "args"]), "- -y\n      - \"two words\"");
        assert_eq!(at(&["servers", "a", "env"]), "{A: 1}");
        assert_eq!(at(&["servers", "b"]), "[x, 'y']");
        let name = root.at(["servers", "a", "args"]).unwrap().name.clone();
        assert_eq!(&text[name], "args");
        assert!(at(&["servers", "a"]).starts_with("command: npx") && at(&["servers", "a"]).ends_with("{A: 1}"));
    }

    #[test]
    fn aliases_are_what_they_stand_for_and_cannot_grow_without_bound() {
        let root = parse("base: &b {command: x}\na: *b\n", 0).unwrap().unwrap();
        assert_eq!(root.at(["a", "command"]).unwrap().as_text(), Some("x"));
        assert!(root.at(["a"]).unwrap().borrowed && !root.at(["base"]).unwrap().borrowed);
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let before = format!("*a{}", n - 1);
            bomb += &format!("a{n}: &a{n} [{}]\n", vec![before; 10].join(", "));
        }
        assert_eq!(parse(&bomb, 0).unwrap_err().1, "too many values");
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(parse(&deep, 0).unwrap_err().1, "nested too deeply");
    }
}
