//! Collects problems while a policy is read: places, pointers, types, and the nearest valid name.

use crate::json::{Json, Member, Node, escape_token};
use crate::problem::{Place, Problem};
use std::fmt::Write as _;

/// Most problems that are reported; a file with more is wrong in one way many times.
const PROBLEMS_MAX: usize = 100;
/// Longest text of a reason, a message or a name, in bytes.
pub const TEXT_BYTES_MAX: usize = 4096;

/// Where the reader stands in the document: a chain of tokens, put together only when there is something to say.
#[derive(Clone, Copy)]
pub(super) struct At<'p> {
    parent: Option<&'p At<'p>>,
    token: Token<'p>,
}

#[derive(Clone, Copy)]
enum Token<'p> {
    Root,
    Name(&'p str),
    Index(usize),
}

impl<'p> At<'p> {
    pub const ROOT: &'static At<'static> = &At { parent: None, token: Token::Root };

    pub fn pointer(&self) -> String {
        let mut out = self.parent.map(At::pointer).unwrap_or_default();
        match self.token {
            Token::Root => {}
            Token::Name(name) => {
                out.push('/');
                out.push_str(&escape_token(name));
            }
            Token::Index(index) => {
                let _ = write!(out, "/{index}");
            }
        }
        out
    }

    pub fn name(&'p self, name: &'p str) -> At<'p> {
        At { parent: Some(self), token: Token::Name(name) }
    }

    pub fn index(&'p self, index: usize) -> At<'p> {
        At { parent: Some(self), token: Token::Index(index) }
    }
}

/// Collects what is wrong.
pub(super) struct Checker<'t> {
    text: &'t str,
    file: &'t str,
    problems: Vec<Problem>,
    more: usize,
}

impl<'t> Checker<'t> {
    pub fn new(text: &'t str, file: &'t str) -> Self {
        Self { text, file, problems: Vec::new(), more: 0 }
    }

    pub fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place);
        if self.more > 0 {
            self.problems.push(Problem {
                file: self.file.to_owned(),
                place: None,
                pointer: String::new(),
                message: format!("{} more problems", self.more),
                help: None,
            });
        }
        self.problems
    }

    pub fn problem(&mut self, node: &Node<'_>, at: &At<'_>, message: String, help: Option<String>) {
        self.problem_at(node.start as usize, at.pointer(), message, help);
    }

    pub fn problem_at(&mut self, offset: usize, pointer: String, message: String, help: Option<String>) {
        if self.problems.len() >= PROBLEMS_MAX {
            self.more += 1;
            return;
        }
        let place = Some(Place::of_offset(self.text, offset));
        self.problems.push(Problem { file: self.file.to_owned(), place, pointer, message, help });
    }

    /// The line that a byte offset is on, from 1.
    pub fn line(&self, offset: usize) -> usize {
        Place::of_offset(self.text, offset).line
    }

    fn wrong(&mut self, node: &Node<'_>, at: &At<'_>, wanted: &str) {
        let kind = node.json.type_name();
        let article = if kind.starts_with(['a', 'o']) { "an " } else { "a " };
        let kind = if kind == "null" { kind.to_owned() } else { format!("{article}{kind}") };
        self.problem(node, at, format!("this is {kind}, not {wanted}"), None);
    }

    /// The members of an object; nothing, and a problem, where it is none.
    pub fn object<'n, 'a>(&mut self, node: &'n Node<'a>, at: &At<'_>) -> &'n [Member<'a>] {
        match &node.json {
            Json::Object(members) => members,
            _ => {
                self.wrong(node, at, "an object");
                &[]
            }
        }
    }

    /// The items of a list; nothing, and a problem, where it is none or too long.
    pub fn list<'n, 'a>(&mut self, node: &'n Node<'a>, at: &At<'_>, max: usize) -> &'n [Node<'a>] {
        match &node.json {
            Json::Array(items) if items.len() > max => {
                self.problem(node, at, format!("this list has {} entries, and the most is {max}", items.len()), None);
                &[]
            }
            Json::Array(items) => items,
            _ => {
                self.wrong(node, at, "a list");
                &[]
            }
        }
    }

    /// A string that is not empty and not too long.
    pub fn text<'n>(&mut self, node: &'n Node<'_>, at: &At<'_>, wanted: &str) -> Option<&'n str> {
        match node.as_str() {
            Some("") => self.problem(node, at, format!("this is empty, not {wanted}"), None),
            Some(text) if text.len() > TEXT_BYTES_MAX => {
                self.problem(node, at, format!("this has more than {TEXT_BYTES_MAX} bytes"), None);
            }
            Some(text) => return Some(text),
            None => self.wrong(node, at, wanted),
        }
        None
    }

    /// One of a closed set of words.
    pub fn word<T: Copy>(&mut self, node: &Node<'_>, at: &At<'_>, known: &[(&str, T)], wanted: &str) -> Option<T> {
        let Some(text) = node.as_str() else {
            self.wrong(node, at, wanted);
            return None;
        };
        if let Some((_, value)) = known.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        self.problem(node, at, format!("`{text}` is not {wanted}"), Some(suggest(text, &words)));
        None
    }

    /// `true` or `false`.
    pub fn truth(&mut self, node: &Node<'_>, at: &At<'_>) -> bool {
        match node.json {
            Json::Bool(truth) => truth,
            _ => {
                self.wrong(node, at, "true or false");
                false
            }
        }
    }

    /// An integer from `min` to `max`, by value: `10.0` and `1e1` are ten.
    pub fn integer(&mut self, node: &Node<'_>, at: &At<'_>, min: u64, max: u64) -> Option<u64> {
        let number = match node.json {
            Json::Number(text) => crate::decimal::Decimal::parse(text).and_then(|number| number.scaled(0).ok()),
            _ => {
                self.wrong(node, at, "an integer");
                return None;
            }
        };
        let found = number.filter(|number| (min..=max).contains(number));
        if found.is_none() {
            let message =
                format!("{} is not an integer from {min} to {max}", crate::text::excerpt(&node.compact(), 40));
            self.problem(node, at, message, None);
        }
        found
    }
}

/// "did you mean", or all that is valid.
pub(super) fn suggest(text: &str, known: &[&str]) -> String {
    match crate::text::nearest(text, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => match known {
            [one] => format!("the only one is `{one}`"),
            _ => {
                let quoted: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
                let (last, rest) = quoted.split_last().map_or((String::new(), &[][..]), |(l, r)| (l.clone(), r));
                format!("use {} or {last}", rest.join(", "))
            }
        },
    }
}

/// The members of an object of which only some names are known.
pub(super) struct Members<'n, 'a> {
    members: &'n [Member<'a>],
}

impl<'n, 'a> Members<'n, 'a> {
    /// Reports every member that is not known.
    pub fn of(checker: &mut Checker<'_>, node: &'n Node<'a>, at: &At<'_>, known: &[&str]) -> Option<Self> {
        let Json::Object(members) = &node.json else {
            checker.wrong(node, at, "an object");
            return None;
        };
        for member in members.iter().filter(|member| !known.contains(&&*member.name)) {
            let pointer = at.name(&member.name).pointer();
            let message = format!("`{}` is not a member here", member.name);
            checker.problem_at(member.start as usize, pointer, message, Some(suggest(&member.name, known)));
        }
        Some(Self { members })
    }

    pub fn get(&self, name: &str) -> Option<&'n Node<'a>> {
        self.members.iter().find(|member| member.name == name).map(|member| &member.value)
    }
}
