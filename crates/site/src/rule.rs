//! The rule that a tool deserves: as policy.json, in a sentence, and how to apply it.

use crate::model::{Package, ServerSource};
use crate::server::{Server, Tool, readable};
use crate::text::is_hidden;
use mcpol_policy::{AllTools, Document, Review, Ruling};

/// Longest command line that a page repeats, in characters.
const COMMAND_CHARS_MAX: usize = 300;

/// A policy with this tool alone; none where none can be written for its name.
pub(crate) fn document(tool: &Tool<'_, '_>) -> Option<String> {
    let name = tool.definition.name.as_str();
    let whole = &tool.server.recommendation.document;
    let document = Document {
        hide: whole.hide.iter().filter(|hidden| *hidden == name).cloned().collect(),
        tools: whole.tools.get(name).map(|rules| (name.to_owned(), rules.clone())).into_iter().collect(),
        all_tools: AllTools::default(),
        resources: None,
        prompts: None,
        ..whole.clone()
    };
    if document.hide.is_empty() && document.tools.is_empty() {
        return None;
    }
    readable(&document).map(|(text, _)| text)
}

/// What the rule does, in a sentence or two.
pub(crate) fn sentence(review: &Review) -> String {
    let mut out = match review.ruling {
        Ruling::Allow => "It lets every call pass.".to_owned(),
        Ruling::Limit(max) => format!(
            "It lets {max} calls a minute pass for each caller and refuses what is beyond that until the minute is over."
        ),
        Ruling::Approve(max) => format!("It asks a person about every call, and lets at most {max} a minute pass."),
        Ruling::Refuse => "It refuses every call and says that a person has to do it.".to_owned(),
        Ruling::LeaveOut => "No rule names it, so the default refuses it.".to_owned(),
        Ruling::Hide => {
            "It takes the tool out of the list that the agent sees, and answers calls of it as if there were no such tool."
                .to_owned()
        }
    };
    if let Some(narrowed) = &review.narrowed {
        let path = crate::text::excerpt(&narrowed.path, 60);
        out.push_str(&format!(" The argument “{path}” is held to the values that remove nothing."));
    }
    if review.validated {
        out.push_str(" Arguments must satisfy the tool's own schema.");
    }
    out
}

/// The command line that starts a server, fit to be pasted into a shell: one version of a package by a program that fetches
/// it. What else a record says is a command stays with the record: who copies it from here would run it on our word.
pub(crate) fn command(server: &Server<'_>) -> Option<String> {
    let source = &server.classified.listing.source;
    if matches!(source, ServerSource::Sample) {
        return Some("mcpol sample-server".to_owned());
    }
    let package = source.package()?;
    let mut words = of_package(package)?;
    if let ServerSource::Command { argv, .. } = source {
        // Arguments of the package, where nothing in them could mean something to a shell.
        let pinned = words.last().cloned().unwrap_or_default();
        let own = argv.iter().skip_while(|word| **word != pinned).skip(1);
        words.extend(own.cloned());
    }
    let (program, rest) = words.split_first()?;
    let plain: Option<Vec<String>> = rest.iter().map(|word| shell_word(word).filter(|shown| shown == word)).collect();
    let line = format!("{program} {}", plain?.join(" "));
    (line.chars().count() <= COMMAND_CHARS_MAX).then_some(line)
}

fn of_package(package: &Package) -> Option<Vec<String>> {
    let version = package.version.as_deref()?;
    // What begins so would be an option of the program that fetches it.
    if package.name.starts_with('-') {
        return None;
    }
    let pinned = format!("{}@{version}", package.name);
    match package.registry.as_str() {
        "npm" => Some(vec!["npx".to_owned(), "-y".to_owned(), pinned]),
        "pypi" => Some(vec!["uvx".to_owned(), pinned]),
        _ => None,
    }
}

/// A word as a POSIX shell reads it back; none for what a person could not see.
fn shell_word(word: &str) -> Option<String> {
    if word.chars().any(|c| is_hidden(c) || matches!(c, '\n' | '\t')) {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._/:=+,%-".contains(c);
    if word.starts_with(|c: char| c.is_ascii_alphanumeric() || "@./-".contains(c)) && word.chars().all(plain) {
        return Some(word.to_owned());
    }
    Some(format!("'{}'", word.replace('\'', r"'\''")))
}

/// How a server is named in a command: behind `--`, by its URL, or with a placeholder.
pub(crate) fn target(server: &Server<'_>) -> String {
    if let ServerSource::Url { url, .. } = &server.classified.listing.source
        && let Some(url) = shell_word(url)
    {
        return url;
    }
    command(server).map_or_else(|| "-- COMMAND OF THE SERVER".to_owned(), |line| format!("-- {line}"))
}

/// Three lines that put a policy to work.
pub(crate) fn apply(server: &Server<'_>, file: &str) -> String {
    let target = target(server);
    let enforced = match &server.classified.listing.source {
        ServerSource::Url { .. } => format!("--upstream {target}"),
        _ => target.clone(),
    };
    format!(
        "mcpol policy check {file} {target}\nmcpol enforce --policy {file} {enforced}\nmcpol wrap   # or: in front of every server that your clients have\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_runs_nothing_else() {
        for (word, expected) in [
            ("@scope/pkg@1.2.3", Some("@scope/pkg@1.2.3")),
            ("a b", Some("'a b'")),
            ("$(rm -rf ~)", Some("'$(rm -rf ~)'")),
            ("it's", Some(r"'it'\''s'")),
            ("", Some("''")),
            ("a\u{202e}b", None),
            ("a\nb", None),
        ] {
            assert_eq!(shell_word(word).as_deref(), expected, "{word:?}");
        }
    }
}
