//! What all servers have in common: a few words of each server and tool, kept while their pages are written one by one.

use crate::attack::Attack;
use crate::grade::Letter;
use crate::model::{BlastRadius, Category, RiskLevel};
use crate::server::{Server, Tool, VersionChanges};
use crate::slug::Slugs;
use crate::text::excerpt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

/// Longest part of a description that lists repeat, in characters.
pub(crate) const ABOUT_CHARS_MAX: usize = 90;
/// Most tools that an attack's page names, and most of one server.
const EXAMPLES_MAX: usize = 40;
const EXAMPLES_OF_SERVER_MAX: usize = 3;
/// Most tools of one job that are looked through for related ones.
const JOB_TOOLS_MAX: usize = 64;

/// What is kept of every server.
#[derive(Debug, Default)]
pub struct Survey {
    pub(crate) servers: Vec<ServerEntry>,
    pub(crate) tools: Vec<ToolEntry>,
    /// How many tools or servers have each finding.
    pub(crate) findings: BTreeMap<String, usize>,
    slugs: Slugs,
    jobs: HashMap<Box<str>, Vec<u32>>,
}

/// How many tools give an attack what it needs, and some of them.
pub(crate) type Victims<'s> = (usize, Vec<&'s ToolEntry>);

/// What is kept of one server.
#[derive(Debug)]
pub(crate) struct ServerEntry {
    pub slug: String,
    pub name: String,
    pub registry: String,
    pub version: String,
    pub grade: Letter,
    pub tools: Range<usize>,
    /// Tools of each category, in the order of [`Category::ALL`].
    pub categories: [usize; 4],
    pub worst: Option<RiskLevel>,
    pub tokens: u64,
    /// What changed, for the feed: version before and after, sentences.
    pub changes: Vec<EntryChange>,
}

/// A change of one server's version.
#[derive(Debug)]
pub(crate) struct EntryChange {
    pub from: String,
    pub to: String,
    pub sentences: Vec<String>,
    pub more: usize,
}

/// What is kept of one tool.
#[derive(Debug)]
pub(crate) struct ToolEntry {
    pub server: u32,
    pub slug: Box<str>,
    pub name: Box<str>,
    pub about: Box<str>,
    pub category: Category,
    pub risk: RiskLevel,
    pub radius: BlastRadius,
    /// One bit an attack, in their order.
    attacks: u32,
}

/// Most sentences of a change that the feed repeats.
const CHANGES_MAX: usize = 12;

/// What the survey keeps of one server, before it has its place.
#[derive(Debug)]
pub struct Summary {
    server: ServerEntry,
    tools: Vec<ToolEntry>,
    /// A finding once for each tool that has it, and once for the server.
    findings: Vec<String>,
}

impl Server<'_> {
    /// What a survey keeps of it.
    pub fn summary(&self) -> Summary {
        let mut categories = [0; 4];
        for verdict in &self.verdicts {
            categories[verdict.category as usize] += 1;
        }
        let mut found: Vec<String> = Vec::new();
        for verdict in &self.verdicts {
            found.extend(once(verdict.findings.iter().map(|finding| finding.id.as_str())));
        }
        let own = self.own_findings().map(|finding| finding.id.as_str());
        found.extend(once(own.chain(self.flows.iter().map(|flow| flow.id.as_str()))));
        Summary {
            server: ServerEntry {
                slug: String::new(),
                name: self.name().to_owned(),
                registry: self.registry().to_owned(),
                version: self.version().unwrap_or_default().to_owned(),
                grade: self.grade.letter,
                tools: 0..0,
                categories,
                worst: self.verdicts.iter().map(|verdict| verdict.risk).max(),
                tokens: self.tokens.iter().sum(),
                changes: self.about.changes.iter().map(EntryChange::of).collect(),
            },
            tools: self.tools().map(|tool| entry(&tool)).collect(),
            findings: found,
        }
    }
}

fn once<'f>(ids: impl Iterator<Item = &'f str>) -> impl Iterator<Item = String> {
    ids.collect::<BTreeSet<_>>().into_iter().map(str::to_owned)
}

impl EntryChange {
    fn of(versions: &VersionChanges) -> Self {
        Self {
            from: versions.from.clone(),
            to: versions.to.clone(),
            sentences: versions.changes.iter().take(CHANGES_MAX).map(|it| it.message.clone()).collect(),
            more: versions.changes.len().saturating_sub(CHANGES_MAX),
        }
    }
}

impl Survey {
    /// Takes a server in. The order in which servers are taken in is the order in which their pages are asked for.
    pub fn add(&mut self, summary: Summary) {
        let Summary { mut server, mut tools, findings } = summary;
        let at = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        server.slug = self.slugs.take(&server.name);
        server.tools = self.tools.len()..self.tools.len() + tools.len();
        for (tool, place) in tools.iter_mut().zip(server.tools.clone()) {
            tool.server = at;
            let job = self.jobs.entry(job(&tool.name, tool.category)).or_default();
            if job.len() < JOB_TOOLS_MAX {
                job.push(u32::try_from(place).unwrap_or(u32::MAX));
            }
        }
        self.tools.append(&mut tools);
        self.servers.push(server);
        for id in findings {
            *self.findings.entry(id).or_default() += 1;
        }
    }

    /// How many servers it has.
    pub fn servers(&self) -> usize {
        self.servers.len()
    }

    /// How many tools they have together.
    pub fn tools(&self) -> usize {
        self.tools.len()
    }

    /// Tools of other servers that are likely to do the same job, one a server, at most `most`.
    pub(crate) fn same_job(&self, server: usize, name: &str, category: Category, most: usize) -> Vec<&ToolEntry> {
        let known = self.jobs.get(&job(name, category)).map_or(&[][..], Vec::as_slice);
        let mut seen = Vec::new();
        let mut found = Vec::new();
        for tool in known.iter().filter_map(|at| self.tools.get(*at as usize)) {
            if tool.server as usize != server && !seen.contains(&tool.server) && found.len() < most {
                seen.push(tool.server);
                found.push(tool);
            }
        }
        found
    }

    /// Servers that offer tools for the jobs of this one, those with most in common first, with how many.
    pub(crate) fn alike(&self, server: usize, most: usize) -> Vec<(&ServerEntry, usize)> {
        let Some(entry) = self.servers.get(server) else { return Vec::new() };
        let mut shared: BTreeMap<u32, usize> = BTreeMap::new();
        for tool in self.tools.get(entry.tools.clone()).unwrap_or_default() {
            for other in self.same_job(server, &tool.name, tool.category, JOB_TOOLS_MAX) {
                *shared.entry(other.server).or_default() += 1;
            }
        }
        let mut alike: Vec<_> =
            shared.into_iter().filter_map(|(at, count)| Some((self.servers.get(at as usize)?, count))).collect();
        alike.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.name.cmp(&b.0.name)));
        alike.truncate(most);
        alike
    }

    /// The server of a tool.
    pub(crate) fn server_of(&self, tool: &ToolEntry) -> Option<&ServerEntry> {
        self.servers.get(tool.server as usize)
    }

    /// How many tools give an attack what it needs, by its place, and some of them: the worst, few of one server.
    pub(crate) fn victims(&self, attack: usize) -> Victims<'_> {
        let has = |tool: &&ToolEntry| tool.attacks >> attack & 1 == 1;
        let count = self.tools.iter().filter(has).count();
        let mut some: Vec<&ToolEntry> = self.tools.iter().filter(has).collect();
        some.sort_by(|a, b| {
            (b.risk, b.radius).cmp(&(a.risk, a.radius)).then_with(|| (a.server, &a.name).cmp(&(b.server, &b.name)))
        });
        let mut of_server: HashMap<u32, usize> = HashMap::new();
        some.retain(|tool| {
            let count = of_server.entry(tool.server).or_default();
            *count += 1;
            *count <= EXAMPLES_OF_SERVER_MAX
        });
        some.truncate(EXAMPLES_MAX);
        (count, some)
    }
}

fn entry(tool: &Tool<'_, '_>) -> ToolEntry {
    let attacks = Attack::all().iter().enumerate().filter(|(_, attack)| attack.access(tool.verdict).is_some());
    ToolEntry {
        server: 0,
        slug: tool.slug.into(),
        name: tool.definition.name.as_str().into(),
        about: excerpt(first_sentence(tool.definition.description.as_deref().unwrap_or_default()), ABOUT_CHARS_MAX)
            .into(),
        category: tool.verdict.category,
        risk: tool.verdict.risk,
        radius: tool.verdict.blast_radius,
        attacks: attacks.fold(0, |bits, (at, _)| bits | 1 << at),
    }
}

/// A text up to its first full stop, question or exclamation mark that ends a word, or its first line's end.
pub(crate) fn first_sentence(text: &str) -> &str {
    let text = text.trim();
    let mut chars = text.char_indices().peekable();
    let mut open = 0_u32;
    while let Some((at, c)) = chars.next() {
        match c {
            '(' => open += 1,
            ')' => open = open.saturating_sub(1),
            _ => {}
        }
        let ends = match chars.peek() {
            None => true,
            Some((_, next)) => next.is_whitespace(),
        };
        if c == '\n' {
            return text[..at].trim_end();
        }
        let is_short = ["e.g.", "i.e.", "etc.", "vs."]
            .iter()
            .any(|short| text.get(..=at).is_some_and(|before| before.ends_with(short)));
        if matches!(c, '.' | '!' | '?') && ends && open == 0 && !is_short || c == '。' {
            return &text[..at + c.len_utf8()];
        }
    }
    text
}

/// What two tools have in common that do the same job: the class, and the last two words of the name in the singular.
fn job(name: &str, category: Category) -> Box<str> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut last = ' ';
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && last.is_lowercase() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        last = c;
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    let last: Vec<&str> = words.iter().rev().take(2).rev().map(|word| singular(word)).collect();
    format!("{category} {}", last.join(" ")).into()
}

fn singular(word: &str) -> &str {
    let is_plural = word.len() > 3 && word.ends_with('s') && !word.ends_with("ss");
    if is_plural { word.strip_suffix('s').unwrap_or(word) } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_sentence_ends_where_it_does() {
        for (text, expected) in [
            ("Pause it. Then more.", "Pause it."),
            ("Reads v1.2 files", "Reads v1.2 files"),
            ("One\nTwo", "One"),
            ("  Ends here.", "Ends here."),
            ("", ""),
            ("Get a name (e.g. one. Or two.) of it. More", "Get a name (e.g. one. Or two.) of it."),
            ("Use it, e.g. for this. More", "Use it, e.g. for this."),
            ("删除任务。更多", "删除任务。"),
        ] {
            assert_eq!(first_sentence(text), expected);
        }
    }

    #[test]
    fn tools_with_one_job_share_their_key() {
        let key = |name| job(name, Category::Write);
        assert_eq!(key("create_issue"), key("gitlab_create_issues"));
        assert_eq!(key("createIssue"), key("create-issue"));
        assert_ne!(key("create_issue"), key("create_branch"));
        assert_ne!(key("create_issue"), job("create_issue", Category::Read));
    }
}
