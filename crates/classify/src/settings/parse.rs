//! `mcpol.toml` from text to checked values: every problem at once, each with its place and the nearest valid name.

use super::{Date, Disable, Override, Settings};
use crate::findings;
use crate::model::{BlastRadius, Category, Flag, RiskLevel};
use crate::problem::{Place, Problem};
use crate::text::nearest;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Largest settings file that is read, in bytes.
pub const SETTINGS_BYTES_MAX: usize = 1 << 20;
/// Most entries of one section.
pub const ENTRIES_MAX: usize = 10_000;

/// The one place where sections of `mcpol.toml` are registered: the key, and what reads its entries.
const SECTIONS: &[(&str, ReadEntry)] = &[
    // Accepted deviations are no matter of classes: `catalog::drift::Accepted` reads and checks them.
    ("accept", |_, _| {}),
    ("disable", |reader, table| reader.disable(table)),
    ("override", |reader, table| reader.override_(table)),
];

/// Sections that are lists of tables, `[[NAME]]`.
pub const LIST_SECTIONS: [&str; 3] = ["accept", "disable", "override"];
/// Sections about the gateway: `gateway::config` reads and checks them.
pub const GATEWAY_SECTIONS: [&str; 4] = ["gateway", "grants", "jwt", "servers"];

type ReadEntry = for<'a, 'b, 'c> fn(&'a mut SettingsReader<'b>, Table<'c>);

/// Reads a settings file. `rules` are the ids of the rules that it may switch off.
pub(super) fn parse(file: &str, text: &str, rules: &BTreeSet<String>) -> Result<Settings, Vec<Problem>> {
    let mut reader = SettingsReader {
        file,
        text,
        rules,
        problems: Vec::new(),
        settings: Settings { file: file.to_owned(), ..Settings::default() },
    };
    reader.file();
    if reader.problems.is_empty() {
        return Ok(reader.settings);
    }
    reader.problems.sort();
    Err(reader.problems)
}

/// A section's name as it is written above its keys.
fn written(section: &str) -> String {
    match section {
        "grants" | "servers" => format!("[{section}.NAME]"),
        _ if GATEWAY_SECTIONS.contains(&section) => format!("[{section}]"),
        _ => format!("[[{section}]]"),
    }
}

struct SettingsReader<'a> {
    file: &'a str,
    text: &'a str,
    rules: &'a BTreeSet<String>,
    problems: Vec<Problem>,
    settings: Settings,
}

/// One `[[…]]` entry while its keys are taken out of it.
struct Table<'a> {
    name: String,
    at: usize,
    keys: BTreeMap<String, (usize, Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.keys.remove(key).map(|(_, value)| value)
    }
}

impl SettingsReader<'_> {
    fn file(&mut self) {
        if self.text.len() > SETTINGS_BYTES_MAX {
            self.report(0, "", format!("longer than {SETTINGS_BYTES_MAX} bytes"), None);
            return;
        }
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.report(error.span().map_or(0, |span| span.start), "", error.message().to_lowercase(), None);
        }
        for (key, value) in table.into_inner() {
            let name = key.get_ref().as_ref();
            match SECTIONS.iter().find(|(known, _)| *known == name) {
                Some((section, read)) => self.entries(section, value, *read),
                None if GATEWAY_SECTIONS.contains(&name) => {}
                None => {
                    let known = LIST_SECTIONS.iter().chain(&GATEWAY_SECTIONS).copied();
                    let help = nearest(name, known.clone()).map(|near| format!("did you mean `{}`?", written(near)));
                    let all: Vec<_> = known.map(|section| format!("`{}`", written(section))).collect();
                    let help = help.unwrap_or_else(|| format!("there are {}", all.join(", ")));
                    self.report(key.span().start, "", format!("unknown section `{name}`"), Some(help));
                }
            }
        }
    }

    fn entries(&mut self, section: &str, value: Spanned<DeValue<'_>>, read: ReadEntry) {
        let at = value.span().start;
        let DeValue::Array(items) = value.into_inner() else {
            self.report(at, section, "must be a list of tables".to_owned(), Some(format!("write `[[{section}]]`")));
            return;
        };
        if items.len() > ENTRIES_MAX {
            self.report(at, section, format!("{} entries, and {ENTRIES_MAX} are the most", items.len()), None);
            return;
        }
        for (index, item) in items.into_iter().enumerate() {
            let at = item.span().start;
            let name = format!("{section}[{index}]");
            let DeValue::Table(table) = item.into_inner() else {
                self.report(at, &name, "must be a table".to_owned(), Some(format!("write `[[{section}]]`")));
                continue;
            };
            let keys =
                table.into_iter().map(|(key, value)| (key.get_ref().to_string(), (key.span().start, value))).collect();
            read(self, Table { name, at, keys, known: Vec::new() });
        }
    }

    fn override_(&mut self, mut table: Table<'_>) {
        let server = self.text_of(&mut table, "server");
        let tool = self.text_of(&mut table, "tool");
        let category: Option<Category> = self.word_of(&mut table, "category", Category::ALL.iter().map(|v| v.as_str()));
        let blast_radius: Option<BlastRadius> =
            self.word_of(&mut table, "blast_radius", BlastRadius::ALL.iter().map(|v| v.as_str()));
        let risk: Option<RiskLevel> = self.word_of(&mut table, "risk", RiskLevel::ALL.iter().map(|v| v.as_str()));
        let flags = self.flags_of(&mut table);
        let reason = self.text_of(&mut table, "reason");
        let expires = self.date_of(&mut table, "expires");
        let says_nothing = !["category", "blast_radius", "risk", "flags"].iter().any(|key| self.was_given(&table, key));
        if says_nothing && category.is_none() && blast_radius.is_none() && risk.is_none() && flags.is_none() {
            let help = "add `category`, `blast_radius`, `risk` or `flags`".to_owned();
            self.report(table.at, &table.name, "overrides nothing".to_owned(), Some(help));
        }
        if tool.as_deref() == Some("*") || server.as_deref() == Some("*") {
            let help = "name one server and one tool; a rule in `--rules DIR` speaks for many".to_owned();
            self.report(table.at, &table.name, "`*` is no name here".to_owned(), Some(help));
        }
        self.finish(&table);
        let (Some(server), Some(tool), Some(reason)) = (server, tool, reason) else { return };
        if let Some(first) = self.settings.overrides.iter().find(|known| known.server == server && known.tool == tool) {
            let message = format!("`{tool}` of `{server}` is overridden already at line {}", first.place.line);
            self.report(table.at, &table.name, message, None);
            return;
        }
        let place = Place::of_offset(self.text, table.at);
        self.settings.overrides.push(Override {
            server,
            tool,
            category,
            blast_radius,
            risk,
            flags,
            reason,
            expires,
            place,
        });
    }

    fn disable(&mut self, mut table: Table<'_>) {
        let at = table.keys.get("id").map_or(table.at, |(_, value)| value.span().start);
        let id = self.text_of(&mut table, "id");
        let reason = self.text_of(&mut table, "reason");
        self.finish(&table);
        let (Some(id), Some(reason)) = (id, reason) else { return };
        if findings::find(&id).is_none() && !self.rules.contains(&id) {
            let known = self.rules.iter().map(String::as_str).chain(findings::KINDS.iter().map(|kind| kind.id));
            let help = nearest(&id, known).map_or_else(
                || "`mcpol rules list` shows every id".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.report(at, &format!("{}.id", table.name), format!("no rule or finding has the id `{id}`"), Some(help));
            return;
        }
        let place = Place::of_offset(self.text, table.at);
        if self.settings.disabled.insert(id.clone(), Disable { reason, place }).is_some() {
            self.report(at, &format!("{}.id", table.name), format!("`{id}` is disabled twice"), None);
        }
    }

    /// Whatever nobody took is unknown.
    fn finish(&mut self, table: &Table<'_>) {
        for (key, (at, _)) in &table.keys {
            let help = nearest(key, table.known.iter().copied()).map_or_else(
                || format!("known keys are {}", table.known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.report(*at, &table.name, format!("unknown key `{key}`"), Some(help));
        }
    }

    /// Whether a value of this key was refused, so that it counts as given.
    fn was_given(&self, table: &Table<'_>, key: &str) -> bool {
        let pointer = format!("{}.{key}", table.name);
        self.problems.iter().any(|problem| problem.pointer == pointer)
    }

    /// A required text that is not empty.
    fn text_of(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<String> {
        let Some(value) = table.take(key) else {
            self.report(table.at, &table.name, format!("`{key}` is missing"), None);
            return None;
        };
        let text = self.string(table, key, &value)?;
        if text.trim().is_empty() {
            self.report(value.span().start, &format!("{}.{key}", table.name), "is empty".to_owned(), None);
            return None;
        }
        Some(text)
    }

    /// A word of a closed set.
    fn word_of<T: FromStr<Err = String>>(
        &mut self,
        table: &mut Table<'_>,
        key: &'static str,
        known: impl Iterator<Item = &'static str>,
    ) -> Option<T> {
        let value = table.take(key)?;
        let text = self.string(table, key, &value)?;
        self.word(table, key, value.span().start, &text, known)
    }

    fn word<T: FromStr<Err = String>>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        at: usize,
        text: &str,
        known: impl Iterator<Item = &'static str>,
    ) -> Option<T> {
        match text.parse() {
            Ok(word) => Some(word),
            Err(message) => {
                let help = nearest(text, known).map(|near| format!("did you mean `{near}`?"));
                self.report(at, &format!("{}.{key}", table.name), message, help);
                None
            }
        }
    }

    fn flags_of(&mut self, table: &mut Table<'_>) -> Option<BTreeSet<Flag>> {
        let value = table.take("flags")?;
        let Some(items) = value.get_ref().as_array() else {
            let message = format!("must be a list of flags, not {}", value.get_ref().type_str());
            self.report(value.span().start, &format!("{}.flags", table.name), message, None);
            return None;
        };
        let mut flags = BTreeSet::new();
        for item in items.iter() {
            let known = Flag::ALL.iter().map(|flag| flag.as_str());
            if let Some(text) = self.string(table, "flags", item)
                && let Some(flag) = self.word(table, "flags", item.span().start, &text, known)
            {
                flags.insert(flag);
            }
        }
        Some(flags)
    }

    /// A date, written as a string or as a TOML date.
    fn date_of(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Date> {
        let value = table.take(key)?;
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(moment) => moment.to_string(),
            other => {
                let message = format!("must be a date, not {}", other.type_str());
                self.report(value.span().start, &format!("{}.{key}", table.name), message, None);
                return None;
            }
        };
        let date = Date::parse(&text);
        if date.is_none() {
            let help = Some("write the last day on which it applies, for example \"2027-06-30\"".to_owned());
            self.report(value.span().start, &format!("{}.{key}", table.name), format!("`{text}` is no date"), help);
        }
        date
    }

    fn string(&mut self, table: &Table<'_>, key: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref().as_str() {
            Some(text) => Some(text.to_owned()),
            None => {
                let message = format!("must be a string, not {}", value.get_ref().type_str());
                self.report(value.span().start, &format!("{}.{key}", table.name), message, None);
                None
            }
        }
    }

    fn report(&mut self, at: usize, pointer: &str, message: String, help: Option<String>) {
        let place = Some(Place::of_offset(self.text, at));
        self.problems.push(Problem { file: self.file.to_owned(), place, pointer: pointer.to_owned(), message, help });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let rules = BTreeSet::from(["radius.bulk".to_owned()]);
        parse("mcpol.toml", text, &rules).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        })
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(read(text).err().unwrap_or_default(), expected.join("\n"), "{text}");
    }

    #[test]
    fn a_valid_file_is_read_whole() {
        let text = "[[override]]\nserver = \"s\"\ntool = \"t\"\ncategory = \"Read\"\nblast_radius = \"low\"\nflags = [\"metered\"]\n\
                    reason = \"looked at the code\"\nexpires = 2027-01-31\n\n[[disable]]\nid = \"radius.bulk\"\nreason = \"noise\"\n\n\
                    [[disable]]\nid = \"unpinned-package\"\nreason = \"pinned elsewhere\"\n";
        let settings = read(text);
        let settings = settings
            .as_ref()
            .map(|s| (s.overrides.len(), s.disabled.len(), s.overrides[0].place.line, s.overrides[0].expires));
        assert_eq!(settings, Ok((1, 2, 1, Date::parse("2027-01-31"))));
        assert!(read("").is_ok());
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_place() {
        check(
            "[[override]]\nserver = \"s\"\ntool = \"\"\ncategory = \"Reed\"\nflags = [\"bulkk\", 3]\nresaon = \"x\"\n\n[[disable]]\nid = \"radius.bulq\"\nreason = \"x\"\n\n[[overide]]\n",
            &[
                "mcpol.toml:1:1  override[0]: `reason` is missing",
                "mcpol.toml:3:8  override[0].tool: is empty",
                "mcpol.toml:4:12  override[0].category: `Reed` is not one of Read, Write, Execute, Delete\n  help: did you mean `Read`?",
                "mcpol.toml:5:10  override[0].flags: `bulkk` is not one of bulk, code_execution, credential, destructive, egress, ephemeral, \
                 filesystem, financial, irreversible, metered, open_world, physical, private_data, privilege, reversible, unclassified, \
                 untrusted_content\n  help: did you mean `bulk`?",
                "mcpol.toml:5:19  override[0].flags: must be a string, not integer",
                "mcpol.toml:6:1  override[0]: unknown key `resaon`\n  help: did you mean `reason`?",
                "mcpol.toml:9:6  disable[0].id: no rule or finding has the id `radius.bulq`\n  help: did you mean `radius.bulk`?",
                "mcpol.toml:12:3: unknown section `overide`\n  help: did you mean `[[override]]`?",
            ],
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let base = "[[override]]\nserver = \"s\"\ntool = \"t\"\nreason = \"r\"\n";
        check(
            base,
            &[
                "mcpol.toml:1:1  override[0]: overrides nothing\n  help: add `category`, `blast_radius`, `risk` or `flags`",
            ],
        );
        let twice = format!("{base}risk = \"low\"\n{base}risk = \"low\"\n");
        check(&twice, &["mcpol.toml:6:1  override[1]: `t` of `s` is overridden already at line 1"]);
        let date = format!("{base}risk = \"low\"\nexpires = \"2026-02-30\"\n");
        check(
            &date,
            &[
                "mcpol.toml:6:11  override[0].expires: `2026-02-30` is no date\n  help: write the last day on which it applies, for example \"2027-06-30\"",
            ],
        );
        check("override = 3\n", &["mcpol.toml:1:12  override: must be a list of tables\n  help: write `[[override]]`"]);
        check(
            "other = 3\n",
            &[
                "mcpol.toml:1:1: unknown section `other`\n  help: there are `[[accept]]`, `[[disable]]`, `[[override]]`, `[gateway]`, `[grants.NAME]`, `[jwt]`, `[servers.NAME]`",
            ],
        );
        let near = "unknown section `server`\n  help: did you mean `[servers.NAME]`?";
        check("[server.a]\n", &[&format!("mcpol.toml:1:2: {near}")]);
        assert!(read("[[override]\n").is_err());
        let star = "[[override]]\nserver = \"s\"\ntool = \"*\"\nreason = \"r\"\nrisk = \"low\"\n";
        assert!(read(star).is_err());
    }

    #[test]
    fn the_gateways_sections_pass_unread() {
        check("[gateway]\nlisten = 3\n[servers.a]\nx = 1\n[grants.g]\n[jwt]\n", &[""; 0]);
        let lists: Vec<_> = SECTIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(lists, LIST_SECTIONS, "one table of sections, two lists of names");
    }

    #[test]
    fn a_file_beyond_the_bound_is_refused() {
        let fits = format!("#{}", "x".repeat(SETTINGS_BYTES_MAX - 1));
        assert!(read(&fits).is_ok());
        assert!(read(&format!("{fits}x")).is_err());
        let many = |count: usize| format!("disable = [{}]\n", "3,".repeat(count));
        assert!(read(&many(ENTRIES_MAX)).err().is_some_and(|text| text.contains("disable[0]")));
        assert!(read(&many(ENTRIES_MAX + 1)).err().is_some_and(|text| text.contains("are the most")));
    }
}
