//! Deviations that the owner accepts: `[[accept]]` in mcpol.toml, each with a reason and, if wanted, its last day.

use super::finding::Drift;
use crate::code::Code;
use crate::model::{ExtraKind, ExtraName};
use crate::problem::{Place, Problem};
use serde::Deserialize;

/// Most entries of one file.
pub const ACCEPT_ENTRIES_MAX: usize = 10_000;

/// What the owner accepts.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    entries: Vec<AcceptEntry>,
}

/// One accepted deviation.
#[derive(Clone, Debug)]
struct AcceptEntry {
    code: Code,
    server: Option<String>,
    tool: Option<String>,
    extra: Option<ExtraName>,
    expires: Option<String>,
    place: Place,
}

#[derive(Deserialize)]
struct WireFile {
    #[serde(default)]
    accept: Vec<toml::Spanned<WireEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEntry {
    code: String,
    #[serde(default)]
    server: Option<String>,
    #[serde(default)]
    tool: Option<String>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    resource: Option<String>,
    #[serde(default)]
    template: Option<String>,
    reason: String,
    #[serde(default)]
    expires: Option<toml::Value>,
}

impl Accepted {
    /// Reads the section of a settings file; other sections are somebody else's.
    ///
    /// # Errors
    /// Everything that is wrong with the section, at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let problem = |place: Option<Place>, pointer: &str, message: String, help: Option<String>| Problem {
            file: file.to_owned(),
            place,
            pointer: pointer.to_owned(),
            message,
            help,
        };
        let wire: WireFile = toml::from_str(text).map_err(|error| {
            let place = error.span().map(|span| Place::of_offset(text, span.start));
            vec![problem(place, "accept", error.message().to_lowercase(), None)]
        })?;
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        if wire.accept.len() > ACCEPT_ENTRIES_MAX {
            problems.push(problem(None, "accept", format!("more than {ACCEPT_ENTRIES_MAX} entries"), None));
        }
        for spanned in wire.accept {
            let place = Place::of_offset(text, spanned.span().start);
            let entry = spanned.into_inner();
            let mut wrong = |key: &str, message: String, help: Option<&str>| {
                problems.push(problem(Some(place), &format!("accept.{key}"), message, help.map(str::to_owned)));
            };
            if entry.reason.trim().is_empty() {
                wrong("reason", "`reason` is empty".to_owned(), Some("say why, for whoever reads it next"));
            }
            let expires = entry.expires.map(|value| match value {
                toml::Value::Datetime(date) => date.to_string(),
                toml::Value::String(date) => date,
                other => other.to_string(),
            });
            if expires.as_deref().is_some_and(|date| !is_day(date)) {
                wrong("expires", "not a day".to_owned(), Some("write it as `2027-06-30`"));
            }
            let named = [
                (ExtraKind::Prompt, entry.prompt),
                (ExtraKind::Resource, entry.resource),
                (ExtraKind::Template, entry.template),
            ];
            let mut named = named.into_iter().filter_map(|(kind, key)| Some(ExtraName { kind, key: key? }));
            let extra = named.next();
            if named.next().is_some() || (extra.is_some() && entry.tool.is_some()) {
                let help = "write an entry for each";
                wrong("tool", "more than one of `tool`, `prompt`, `resource`, `template`".to_owned(), Some(help));
            }
            match entry.code.parse() {
                Ok(code) => {
                    entries.push(AcceptEntry { code, server: entry.server, tool: entry.tool, extra, expires, place });
                }
                Err(message) => wrong("code", message, None),
            }
        }
        if problems.is_empty() { Ok(Self { entries }) } else { Err(problems) }
    }

    /// Whether a difference is accepted on this day (`YYYY-MM-DD`, the last day included).
    pub fn holds(&self, drift: &Drift, today: &str) -> bool {
        self.entries.iter().any(|entry| {
            entry.code == drift.code
                && entry.expires.as_deref().is_none_or(|last| today <= last)
                && entry.server.as_deref().is_none_or(|server| server == drift.server)
                && entry.tool.as_deref().is_none_or(|tool| drift.tool.as_deref() == Some(tool))
                && entry.extra.as_ref().is_none_or(|extra| drift.extra.as_ref() == Some(extra))
        })
    }

    /// One sentence for each entry whose last day is over.
    pub fn expired<'a>(&'a self, file: &'a str, today: &'a str) -> impl Iterator<Item = String> + 'a {
        self.entries.iter().filter_map(move |entry| {
            let last = entry.expires.as_deref().filter(|last| today > *last)?;
            let Place { line, .. } = entry.place;
            Some(format!("{file}:{line}: the accepted {} expired on {last}", entry.code))
        })
    }
}

fn is_day(text: &str) -> bool {
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let number =
        |part: Option<&str>, count| part.filter(|part| digits(part, count)).and_then(|part| part.parse::<u32>().ok());
    number(year, 4).is_some()
        && number(month, 2).is_some_and(|month| (1..=12).contains(&month))
        && number(day, 2).is_some_and(|day| (1..=31).contains(&day))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use super::*;
    use crate::model::Severity;

    fn drift(code: Code, server: &str, tool: Option<&str>) -> Drift {
        Drift::new(code, Severity::Warning, server, tool, String::new())
    }

    #[test]
    fn entries_accept_what_they_name_until_their_last_day() {
        let text = "[[override]]\nx = 1\n[[accept]]\ncode = \"P003\"\nserver = \"s\"\ntool = \"t\"\nreason = \"r\"\nexpires = 2026-12-31\n";
        let accepted = Accepted::parse("mcpol.toml", text).unwrap();
        let check =
            |drift: Drift, today, expected| assert_eq!(accepted.holds(&drift, today), expected, "{drift:?} {today}");
        check(drift(Code::P003, "s", Some("t")), "2026-12-31", true);
        check(drift(Code::P003, "s", Some("t")), "2027-01-01", false);
        check(drift(Code::P003, "s", Some("u")), "2026-01-01", false);
        check(drift(Code::P003, "other", Some("t")), "2026-01-01", false);
        check(drift(Code::P002, "s", Some("t")), "2026-01-01", false);
        let told: Vec<_> = accepted.expired("mcpol.toml", "2027-01-01").collect();
        assert_eq!(told, ["mcpol.toml:3: the accepted P003 expired on 2026-12-31"]);
    }

    #[test]
    fn a_resource_is_accepted_by_its_uri() {
        let text = "[[accept]]\ncode = \"D060\"\nresource = \"file:///a\"\nreason = \"r\"\n";
        let accepted = Accepted::parse("mcpol.toml", text).unwrap();
        let about = |kind, key: &str| {
            let extra = Some(ExtraName { kind, key: key.to_owned() });
            Drift { extra, ..drift(Code::D060, "s", None) }
        };
        assert!(accepted.holds(&about(ExtraKind::Resource, "file:///a"), "2026-01-01"));
        assert!(!accepted.holds(&about(ExtraKind::Resource, "file:///b"), "2026-01-01"));
        assert!(!accepted.holds(&about(ExtraKind::Prompt, "file:///a"), "2026-01-01"));
        assert!(!accepted.holds(&drift(Code::D060, "s", None), "2026-01-01"));
        let both = text.replace("reason", "prompt = \"p\"\nreason");
        assert_eq!(Accepted::parse("m", &both).unwrap_err()[0].pointer, "accept.tool");
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let text = "[[accept]]\ncode = \"D999\"\nreason = \" \"\nexpires = \"soon\"\n";
        let problems = Accepted::parse("mcpol.toml", text).unwrap_err();
        let said: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        assert_eq!(said, ["accept.reason", "accept.expires", "accept.code"]);
        assert!(Accepted::parse("m", "[[accept]]\ncode = \"D001\"\n").unwrap_err()[0].message.contains("reason"));
        assert!(Accepted::parse("m", "[[accept]]\ncode = \"D001\"\nreason = \"r\"\nmore = 1").is_err());
    }
}
