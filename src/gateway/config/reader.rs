//! Reads tables of a configuration by taking their keys out; a problem is noted, and reading goes on. It knows no
//! section.

use super::LIST_MAX;
use super::references::{BadReference, Expanded, expand};
use crate::classify::RuleSet;
use crate::classify::settings::Settings;
use crate::gateway::reload::{self, BadPolicy, Enforcement};
use crate::model::ServerName;
use crate::policy::Policy;
use crate::problem::{Place, Problem, reason};
use crate::text::nearest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// Longest time that a configuration can give, in seconds: a week.
const SPAN_SECONDS_MAX: u64 = 7 * 86_400;

/// A value of the file, with its place.
pub(super) type TomlValue<'a> = Spanned<DeValue<'a>>;

/// A text of the file, and the byte offset where it stands.
pub(super) struct Text {
    pub text: String,
    pub at: usize,
}

/// Whether the file has `[jwt]`, without which no grant can have a `subject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IssuerNamed {
    Yes,
    No,
}

/// Reads one file: holds what all its tables share, and the problems found so far.
pub(super) struct Reader<'a> {
    pub file: &'a str,
    pub text: &'a str,
    /// The folder of the file, where relative paths begin.
    pub folder: &'a Path,
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
    /// Policies that were read already, by path; `None` for those that could not be read.
    pub policies: BTreeMap<PathBuf, Option<Arc<Policy>>>,
    /// How many tools the lock has for each server with `locked`.
    pub locks: BTreeMap<ServerName, usize>,
    /// What the list sections say, once it was read.
    corrections: Option<Arc<Settings>>,
}

/// One table of the file. `at` is its byte offset; `known` are the keys that were asked for.
pub(super) struct Table<'a> {
    /// The table's path in the file, such as `servers.github`.
    pub path: String,
    pub at: usize,
    keys: BTreeMap<String, (usize, TomlValue<'a>)>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// Takes the value of a key out. Keys that are left at the end are reported as unknown by [`Reader::finish`].
    pub fn take(&mut self, key: &'static str) -> Option<TomlValue<'a>> {
        self.known.push(key);
        self.keys.remove(key).map(|(_, value)| value)
    }

    /// Whether the value of a key is a list.
    pub fn is_list(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|(_, value)| value.get_ref().as_array().is_some())
    }

    /// Takes all keys out, with their offsets and values: for a table whose keys are names.
    pub fn take_all(&mut self) -> BTreeMap<String, (usize, TomlValue<'a>)> {
        std::mem::take(&mut self.keys)
    }

    /// The path of one of the table's keys.
    pub fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }
}

impl<'r> Reader<'r> {
    pub fn new(
        file: &'r str,
        text: &'r str,
        folder: &'r Path,
        environment: &'r dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let (problems, warnings) = (Vec::new(), Vec::new());
        let (policies, locks) = (BTreeMap::new(), BTreeMap::new());
        Self { file, text, folder, environment, problems, warnings, policies, locks, corrections: None }
    }

    /// What the file says of the classes of tools, which scans go by; read and checked when it is first asked for.
    pub fn corrections(&mut self) -> Arc<Settings> {
        if let Some(known) = &self.corrections {
            return Arc::clone(known);
        }
        let rules = RuleSet::builtin().rules().map(|rule| rule.id).collect();
        let read = Settings::parse(self.file, self.text, &rules).unwrap_or_else(|problems| {
            self.problems.extend(problems);
            Settings::default()
        });
        Arc::clone(self.corrections.insert(Arc::new(read)))
    }

    fn problem(&self, at: usize, pointer: &str, message: String, help: Option<String>) -> Problem {
        let place = Some(Place::of_offset(self.text, at));
        Problem { file: self.file.to_owned(), place, pointer: pointer.to_owned(), message, help }
    }

    pub fn report(&mut self, at: usize, pointer: &str, message: impl Into<String>, help: Option<&str>) {
        let problem = self.problem(at, pointer, message.into(), help.map(str::to_owned));
        self.problems.push(problem);
    }

    pub fn warn(&mut self, at: usize, pointer: &str, message: impl Into<String>, help: &str) {
        let problem = self.problem(at, pointer, message.into(), Some(help.to_owned()));
        self.warnings.push(problem);
    }

    /// Reads a value that must be a table.
    pub fn table<'a>(&mut self, path: &str, value: TomlValue<'a>) -> Option<Table<'a>> {
        let at = value.span().start;
        match value.into_inner() {
            DeValue::Table(table) => {
                let key = |(key, value): (Spanned<_>, _)| {
                    let key: &std::borrow::Cow<'_, str> = key.get_ref();
                    (key.to_string(), value)
                };
                let spans: Vec<usize> = table.iter().map(|(key, _)| key.span().start).collect();
                let keys = table.into_iter().map(key).zip(spans);
                let keys = keys.map(|((key, value), at)| (key, (at, value))).collect();
                Some(Table { path: path.to_owned(), at, keys, known: Vec::new() })
            }
            other => {
                let message = format!("must be a table, not {}", article(&other));
                self.report(at, path, message, Some(&format!("write `[{path}]` and its keys below")));
                None
            }
        }
    }

    /// Reports every key that was not taken out as unknown, with the nearest known one.
    pub fn finish(&mut self, table: &Table<'_>) {
        for (key, (at, _)) in &table.keys {
            let help = nearest(key, table.known.iter().copied()).map_or_else(
                || format!("known keys are {}", table.known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.report(*at, &table.path, format!("unknown key `{key}`"), Some(&help));
        }
    }

    fn wrong_kind(&mut self, value: &TomlValue<'_>, pointer: &str, wanted: &str) {
        let message = format!("must be {wanted}, not {}", article(value.get_ref()));
        self.report(value.span().start, pointer, message, None);
    }

    /// Reads a text that must not be empty or blank.
    pub fn text(&mut self, pointer: &str, value: &TomlValue<'_>) -> Option<Text> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_kind(value, pointer, "a text");
            return None;
        };
        if text.trim().is_empty() {
            self.report(value.span().start, pointer, "is empty", None);
            return None;
        }
        Some(Text { text: text.to_owned(), at: value.span().start })
    }

    pub fn text_of(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Text> {
        let value = table.take(key)?;
        self.text(&table.key(key), &value)
    }

    pub fn required(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Text> {
        let Some(value) = table.take(key) else {
            self.report(table.at, &table.path, format!("`{key}` is missing"), None);
            return None;
        };
        self.text(&table.key(key), &value)
    }

    pub fn truth_of(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<bool> {
        let value = table.take(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_kind(&value, &table.key(key), "true or false");
        }
        found
    }

    /// Takes a whole number from 0 to `most`.
    pub fn number_of(&mut self, table: &mut Table<'_>, key: &'static str, most: u32) -> Option<u32> {
        let value = table.take(key)?;
        let number = value.get_ref().as_integer().and_then(|number| {
            u32::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| *number <= most)
        });
        if number.is_none() {
            let message = format!("must be a whole number from 0 to {most}");
            self.report(value.span().start, &table.key(key), message, None);
        }
        number
    }

    /// Takes a length of time such as `30s`, `10m`, `2h` or `1d`, at most a week.
    pub fn span_of(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Duration> {
        let text = self.text_of(table, key)?;
        let span = parse_span(&text.text);
        if span.is_none() {
            let message = format!("`{}` is no length of time up to a week", text.text);
            self.report(text.at, &table.key(key), message, Some("write it as `30s`, `10m` or `2h`"));
        }
        span
    }

    /// Takes one of the `known` words.
    pub fn word_of<T: Copy>(
        &mut self,
        table: &mut Table<'_>,
        key: &'static str,
        known: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text_of(table, key)?;
        if let Some((_, value)) = known.iter().find(|(word, _)| *word == text.text) {
            return Some(*value);
        }
        let words: Vec<_> = known.iter().map(|(word, _)| format!("`{word}`")).collect();
        let help = format!("write {}", words.join(" or "));
        self.report(text.at, &table.key(key), format!("`{}` is not known here", text.text), Some(&help));
        None
    }

    /// Takes a list of at most [`LIST_MAX`] texts.
    pub fn texts_of(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Vec<Text>> {
        let value = table.take(key)?;
        let pointer = table.key(key);
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_kind(&value, &pointer, "a list of texts");
            return None;
        };
        if items.len() > LIST_MAX {
            let message = format!("{} entries, and {LIST_MAX} are the most", items.len());
            self.report(value.span().start, &pointer, message, None);
            return None;
        }
        let texts = items.iter().enumerate().map(|(index, item)| self.text(&format!("{pointer}[{index}]"), item));
        texts.collect::<Vec<_>>().into_iter().collect()
    }

    /// Takes a table of at most [`LIST_MAX`] texts by name, with the offset of each name.
    pub fn map_of(&mut self, table: &mut Table<'_>, key: &'static str) -> BTreeMap<String, (usize, Text)> {
        let pointer = table.key(key);
        let Some(mut inner) = table.take(key).and_then(|value| self.table(&pointer, value)) else {
            return BTreeMap::new();
        };
        let all = inner.take_all();
        if all.len() > LIST_MAX {
            self.report(inner.at, &pointer, format!("{} entries, and {LIST_MAX} are the most", all.len()), None);
            return BTreeMap::new();
        }
        let texts = all.into_iter().filter_map(|(name, (at, value))| {
            let text = match value.get_ref().as_str() {
                // An environment variable may be set to the empty text on purpose.
                Some("") => Text { text: String::new(), at: value.span().start },
                Some(_) | None => self.text(&format!("{pointer}.{name}"), &value)?,
            };
            Some((name, (at, text)))
        });
        texts.collect()
    }

    /// Replaces references to environment variables; those that are missing or empty are reported by name.
    pub fn expand(&mut self, pointer: &str, text: &Text) -> Option<Expanded> {
        let bad = match expand(&text.text, self.environment) {
            Ok(expanded) => return Some(expanded),
            Err(bad) => bad,
        };
        for bad in bad {
            let (message, help) = match bad {
                BadReference::Missing(name) => (
                    format!("the environment variable `{name}` is not set"),
                    format!("export `{name}` where `mcpol enforce` is started"),
                ),
                BadReference::Empty(name) => (
                    format!("the environment variable `{name}` is empty"),
                    format!("export `{name}` with a value where `mcpol enforce` is started"),
                ),
                BadReference::Malformed(shown) => (
                    format!("`{}` is no reference to a variable", crate::text::excerpt(&shown, 40)),
                    "write `${NAME}`, or `$${` for the two characters themselves".to_owned(),
                ),
            };
            self.report(text.at, pointer, message, Some(&help));
        }
        None
    }

    /// A path as the file means it: relative ones begin at the file's folder.
    pub fn path(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }

    /// Takes the path of a file that must exist.
    pub fn file_of(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<PathBuf> {
        let text = self.required(table, key)?;
        self.existing(&table.key(key), &text)
    }

    /// The path in a text that was taken already; reports it if no file is there.
    pub fn existing(&mut self, pointer: &str, text: &Text) -> Option<PathBuf> {
        let path = self.path(&text.text);
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => return Some(path),
            Ok(_) => self.report(text.at, pointer, format!("`{}` is no file", path.display()), None),
            Err(error) => {
                let message = format!("cannot read `{}`: {}", path.display(), reason(&error));
                self.report(text.at, pointer, message, Some("relative paths begin at the configuration's folder"));
            }
        }
        None
    }

    /// Takes the path of a policy, and reads the policy. Its problems are reported with their own places, and only once
    /// for a policy that several servers name.
    pub fn policy_of(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<PathBuf> {
        let text = self.text_of(table, key)?;
        let path = self.path(&text.text);
        if self.policies.contains_key(&path) {
            return Some(path);
        }
        let policy = match reload::read(&path, Enforcement::AsWritten) {
            Ok(policy) => Some(Arc::new(policy)),
            Err(BadPolicy::Unreadable { path, source }) => {
                let message = format!("cannot read `{}`: {}", path.display(), reason(&source));
                let help =
                    "`mcpol gen-policy -o FILE …` writes one; relative paths begin at the configuration's folder";
                self.report(text.at, &table.key(key), message, Some(help));
                None
            }
            Err(BadPolicy::Invalid { problems, .. }) => {
                self.problems.extend(problems);
                None
            }
        };
        self.policies.insert(path.clone(), policy);
        Some(path)
    }
}

/// The kind of a value with its article, for messages.
fn article(value: &DeValue<'_>) -> String {
    let kind = match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    kind.to_owned()
}

fn parse_span(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = digits.parse::<u64>().ok()?.checked_mul(seconds)?;
    (seconds <= SPAN_SECONDS_MAX).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit_and_an_end() {
        for (text, expected) in [
            ("0s", Some(0)),
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("2h", Some(7200)),
            ("7d", Some(604_800)),
            ("8d", None),
            ("604801s", None),
            ("10", None),
            ("m", None),
            ("-1s", None),
            ("1.5h", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(parse_span(text).map(|span| span.as_secs()), expected, "{text}");
        }
    }
}
