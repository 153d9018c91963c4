//! Catalogue records: one JSON file a server, the same bytes whenever the server offers the same.
//!
//! A record holds no time, no host and no value of an environment variable. Members are sorted by key and tools by
//! name, so that two records can be compared line by line.

use super::canonical;
use crate::model::{
    BlastRadius, Category, Classified, Confidence, Evidence, ExtraKind, Extras, Finding, Fingerprint, Flag, Greeting,
    Offered, RiskLevel, ServerInfo, ServerName, ServerSource,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The value of `format` in every record.
pub const RECORD_FORMAT: &str = "mcpol-record";
/// The value of `version`: it grows when a member changes its meaning.
pub const RECORD_VERSION: u32 = 1;
/// Longest file name made from a server's name, without extension and suffix, in bytes.
const FILE_STEM_BYTES_MAX: usize = 80;

/// One server as it was scanned (`catalog/<server>.json`).
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol catalogue record")]
pub struct Record<'a> {
    /// Always `mcpol-record`.
    pub format: &'static str,
    /// Version of this format.
    pub version: u32,
    /// What the server is called here.
    #[schemars(with = "String")]
    pub server: &'a ServerName,
    /// Where it was found.
    pub source: &'a ServerSource,
    /// Negotiated protocol revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<&'a str>,
    /// What the server calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_info: Option<&'a ServerInfo>,
    /// What else it says of itself, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greeting: Option<&'a Greeting>,
    /// `capabilities` as received.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub capabilities: Option<&'a RawValue>,
    /// Names of the capabilities that the client declared when it asked, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_capabilities: Option<&'a BTreeSet<String>>,
    /// The server's `instructions` to the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<&'a str>,
    /// SHA-256 over the fingerprints of the tools in their order here: equal when the tools are.
    pub fingerprint: String,
    /// Sorted by name, then by fingerprint.
    pub tools: Vec<RecordedTool<'a>>,
    /// Prompts as received, sorted by name; absent where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<BTreeMap<String, serde_json::Value>>>")]
    pub prompts: Option<Vec<&'a RawValue>>,
    /// Resources as received, sorted by URI; absent where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<BTreeMap<String, serde_json::Value>>>")]
    pub resources: Option<Vec<&'a RawValue>>,
    /// Resource templates as received, sorted by URI template; absent where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<BTreeMap<String, serde_json::Value>>>")]
    pub resource_templates: Option<Vec<&'a RawValue>>,
    /// What the server declares that it offers and does not list.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unlisted: BTreeSet<ExtraKind>,
    /// Findings about the server as a whole.
    pub findings: Vec<&'a Finding>,
}

/// One tool of a record: the definition as received and how it was judged.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct RecordedTool<'a> {
    /// The tool's name, as declared.
    pub name: &'a str,
    /// The definition as received, its members sorted by key.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub definition: &'a RawValue,
    /// SHA-256 over the definition in canonical form, 64 hexadecimal digits.
    pub fingerprint: String,
    /// What the tool does at worst.
    pub category: Category,
    /// The worse of the category's nature and the blast radius.
    pub risk: RiskLevel,
    /// How much one wrong call can cost.
    pub blast_radius: BlastRadius,
    /// What else is true of it.
    pub flags: &'a BTreeSet<Flag>,
    /// How sure the rules are of the category.
    pub confidence: Confidence,
    /// Why this class, for a person.
    pub reason: &'a str,
    /// Everything that spoke for or against, strongest first.
    pub evidence: &'a [Evidence],
    /// Contradictions and warnings about this tool.
    pub findings: &'a [Finding],
}

impl<'a> Record<'a> {
    /// The record of one classified server.
    pub fn new(classified: &'a Classified) -> Self {
        let listing = &classified.listing;
        let pairs = listing.tools.iter().zip(&classified.verdicts);
        let mut tools: Vec<_> = pairs
            .map(|(tool, verdict)| RecordedTool {
                name: tool.name.as_str(),
                definition: &tool.raw,
                fingerprint: tool.fingerprint().as_str().to_owned(),
                category: verdict.category,
                risk: verdict.risk,
                blast_radius: verdict.blast_radius,
                flags: &verdict.flags,
                confidence: verdict.confidence,
                reason: &verdict.reason,
                evidence: &verdict.evidence,
                findings: &verdict.findings,
            })
            .collect();
        tools.sort_by(|a, b| (a.name, &a.fingerprint).cmp(&(b.name, &b.fingerprint)));
        let together: Vec<_> = tools.iter().map(|tool| tool.fingerprint.as_str()).collect();
        let fingerprint = Fingerprint::of(&together.into()).as_str().to_owned();
        let mut findings: Vec<_> = classified.findings.iter().collect();
        findings.sort();
        Self {
            format: RECORD_FORMAT,
            version: RECORD_VERSION,
            server: &listing.server,
            source: &listing.source,
            protocol_version: listing.protocol_version.as_deref(),
            server_info: listing.server_info.as_ref(),
            greeting: listing.greeting.as_ref(),
            capabilities: listing.capabilities.as_deref(),
            client_capabilities: listing.client_capabilities.as_ref(),
            instructions: listing.instructions.as_deref(),
            fingerprint,
            tools,
            prompts: recorded(&listing.extras, ExtraKind::Prompt),
            resources: recorded(&listing.extras, ExtraKind::Resource),
            resource_templates: recorded(&listing.extras, ExtraKind::Template),
            unlisted: unlisted(&listing.extras),
            findings,
        }
    }

    /// The file's text: sorted members, two spaces, a line break at the end.
    ///
    /// # Errors
    /// A definition nests deeper than JSON readers go.
    pub fn to_text(&self) -> serde_json::Result<String> {
        let mut text = canonical(&to_raw_value(self)?)?;
        text.push('\n');
        Ok(text)
    }
}

/// What a server lists of one kind, sorted by key, then by text; `None` where it was not asked or would not say.
pub(super) fn recorded(extras: &Extras, kind: ExtraKind) -> Option<Vec<&RawValue>> {
    match extras.of(kind) {
        Offered::NotRecorded | Offered::Refused => None,
        Offered::Listed(listed) => {
            let mut listed: Vec<_> = listed.iter().collect();
            listed.sort_by(|a, b| (&a.key, a.raw.get()).cmp(&(&b.key, b.raw.get())));
            Some(listed.into_iter().map(|extra| &*extra.raw).collect())
        }
    }
}

/// The kinds that a server declares and does not list.
pub(super) fn unlisted(extras: &Extras) -> BTreeSet<ExtraKind> {
    ExtraKind::ALL.into_iter().filter(|kind| matches!(extras.of(*kind), Offered::Refused)).collect()
}

/// Why a record was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The directory or a file could not be written.
    #[error("cannot write `{path}`: {}", crate::problem::reason(source))]
    Write {
        /// What was to be written, escaped.
        path: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A definition that cannot be spelled out.
    #[error("cannot write the record of `{server}`: {source}")]
    Spell {
        /// The server.
        server: ServerName,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// What servers are sorted by: name, then source, then what they offer. It does not depend on the order of tools.
pub fn sort_key(classified: &Classified) -> (ServerName, String, String) {
    let record = Record::new(classified);
    (record.server.clone(), serde_json::to_string(record.source).unwrap_or_default(), record.fingerprint)
}

/// Writes one record a server into `directory`, which is made if it is missing. A file whose bytes would not change is
/// not touched; any other appears whole or not at all. Returns the files in the order of `servers`.
///
/// # Errors
/// See [`SaveError`]; records written before the error stay.
pub fn save(directory: &Path, servers: &[Classified]) -> Result<Vec<PathBuf>, SaveError> {
    let failed =
        |path: &Path, source| SaveError::Write { path: crate::text::escape(&path.to_string_lossy()).into(), source };
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let mut files = Vec::with_capacity(servers.len());
    for (name, classified) in file_names(servers).into_iter().zip(servers) {
        let path = directory.join(name);
        let text = Record::new(classified)
            .to_text()
            .map_err(|source| SaveError::Spell { server: classified.listing.server.clone(), source })?;
        if std::fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
            write_whole(&path, text.as_bytes()).map_err(|error| failed(&path, error))?;
        }
        files.push(path);
    }
    Ok(files)
}

/// Writes beside the file and renames, so that nobody ever reads half of it.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".mcpol-").tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    // A temporary file is for its owner alone; a record is for everybody who may read the directory.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A file name for each server, never twice the same and the same whatever the order. Of servers with one name the
/// first by source keeps the plain one.
fn file_names(servers: &[Classified]) -> Vec<String> {
    let mut order: Vec<usize> = (0..servers.len()).collect();
    order.sort_by_cached_key(|&at| {
        let record = Record::new(&servers[at]);
        (
            file_stem(record.server.as_str()),
            serde_json::to_string(record.source).unwrap_or_default(),
            record.fingerprint,
        )
    });
    let mut used = BTreeSet::new();
    let mut names = vec![String::new(); servers.len()];
    for at in order {
        let stem = file_stem(servers[at].listing.server.as_str());
        let numbered = std::iter::once(stem.clone()).chain((2_u32..).map(|n| format!("{stem}-{n}")));
        if let Some(free) = numbered.into_iter().find(|name| used.insert(name.clone())) {
            names[at] = format!("{free}.json");
        }
    }
    names
}

/// The file that the record of a server with this name is written into, where no other server has the name.
pub fn record_file(server: &str) -> String {
    format!("{}.json", file_stem(server))
}

/// A server's name as a file name: lower-case ASCII letters, digits, `.`, `_` and `-`, never hidden, never a device.
/// Where that loses anything, eight digits of the name's hash are added, so that two names never share a file.
fn file_stem(name: &str) -> String {
    const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
    let mut stem = String::new();
    for c in name.chars() {
        let safe = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c.to_ascii_lowercase() } else { '-' };
        if !(matches!(safe, '-' | '.') && (stem.is_empty() || stem.ends_with(safe))) && stem.len() < FILE_STEM_BYTES_MAX
        {
            stem.push(safe);
        }
    }
    stem.truncate(stem.trim_end_matches(['-', '.']).len());
    let device = stem.split('.').next().is_some_and(|first| DEVICES.contains(&first));
    if stem == name && !stem.is_empty() && !device {
        return stem;
    }
    let digest: String = Sha256::digest(name.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    if stem.is_empty() { format!("server-{digest}") } else { format!("{stem}-{digest}") }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

    use super::*;
    use crate::classify::{Options, RuleSet, classify};

    fn classified(server: &str, tools: &str) -> Classified {
        let text = format!("{{\"server\":{},\"tools\":{tools}}}", serde_json::to_string(server).unwrap());
        let mut found = Vec::new();
        crate::catalog::read(text.as_bytes(), "x.json", &mut |it| found.push(it.unwrap())).unwrap();
        classify(RuleSet::builtin(), found.remove(0), &Options::default())
    }

    #[test]
    fn file_names_are_safe_and_never_shared() {
        assert_eq!(file_stem("github"), "github");
        for hostile in ["../../etc/passwd", "a/b", "A B", "", ".", "..", "nul", "con.json", "-x", "ä", "a\0b", "Github"]
        {
            let stem = file_stem(hostile);
            assert!(stem.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c)), "{stem}");
            assert!(!stem.starts_with(['.', '-']) && stem.len() <= FILE_STEM_BYTES_MAX + 9, "{stem}");
            assert_ne!(stem, hostile);
        }
        assert_ne!(file_stem("a/b"), file_stem("a:b"));
        assert_eq!(file_stem(&"x".repeat(FILE_STEM_BYTES_MAX)).len(), FILE_STEM_BYTES_MAX);
        assert_eq!(file_stem(&"x".repeat(FILE_STEM_BYTES_MAX + 1)).len(), FILE_STEM_BYTES_MAX + 9);
    }

    #[test]
    fn servers_with_one_name_get_files_of_their_own() {
        let servers = [classified("s", r#"[{"name":"a"}]"#), classified("s", r#"[{"name":"b"}]"#)];
        let mut names = file_names(&servers);
        names.sort();
        assert_eq!(names, ["s-2.json", "s.json"]);
    }

    #[test]
    fn a_record_is_the_same_whatever_the_order_and_reads_back() {
        let one = classified(
            "s",
            r#"[{"name":"b","x":12345678901234567890123,"description":"B"},{"name":"a","inputSchema":{"z":1,"a":2}}]"#,
        );
        let two = classified(
            "s",
            r#"[{"inputSchema":{"a":2,"z":1},"name":"a"},{"description":"B","x":12345678901234567890123,"name":"b"}]"#,
        );
        let text = Record::new(&one).to_text().unwrap();
        assert_eq!(text, Record::new(&two).to_text().unwrap());
        let mut back = Vec::new();
        crate::catalog::read(text.as_bytes(), "elsewhere.json", &mut |it| back.push(it.unwrap())).unwrap();
        let again = classify(RuleSet::builtin(), back.remove(0), &Options::default());
        assert_eq!(Record::new(&again).to_text().unwrap(), text);
    }

    #[test]
    fn saving_again_touches_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let servers = [classified("s", r#"[{"name":"a"}]"#)];
        let first = save(folder.path(), &servers).unwrap();
        let written = std::fs::metadata(&first[0]).unwrap().modified().unwrap();
        assert_eq!(save(folder.path(), &servers).unwrap(), first);
        assert_eq!(std::fs::metadata(&first[0]).unwrap().modified().unwrap(), written);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }
}
