//! Parameters and values that make an opening worse: whoever fills them in decides what is run, touched, reached, who
//! gets something, as whom it is done, or what no longer protects.
//!
//! A name alone gives no power: what a parameter takes and what is said of it count as well.

use super::hazard_words::{
    ABOUT, ACTIONS, BULK, CONTENT, ELSEWHERE, FORCE, FORCE_TOLD, FORCED, FORMULAS, GUARDS, HARMLESS, HOLDS, HazardKind,
    KINDS, LOCATING, PARTS, READING, REQUESTS, SENDERS, STATES, VALUES,
};
use crate::model::{Category, Parameter, TypeSet};

/// What a parameter hands to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hazard {
    /// Code, a command, a statement.
    Code,
    /// A place in a file system.
    Path,
    /// A URL or host.
    Url,
    /// Who receives something.
    Recipient,
    /// As whom it is done: a profile, a token, a key.
    Credentials,
    /// Headers of a request.
    Headers,
    /// Arguments and flags of a program that is started.
    Arguments,
    /// What is sent along: a stored message, a file that is attached.
    Content,
    /// Many things at once.
    Bulk,
    /// A switch that sets a safeguard aside, or does more harm.
    Force,
}

/// What a parameter hands over, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handed {
    /// What it is.
    pub hazard: Hazard,
    /// Whether the parameter's own text says so, and not its name alone.
    pub is_told: bool,
    /// Whether its text says something else.
    pub is_denied: bool,
}

impl Hazard {
    /// What a parameter of this dotted path would take, by the words of its last part alone.
    pub fn of_name(path: &str) -> Option<Self> {
        let words = words(last_name(path));
        let last = words.last()?;
        let is_harmless = words.iter().any(|word| HARMLESS.contains(&word.as_str()));
        let is_it = |kind: &&HazardKind| {
            let harmless = is_harmless && matches!(kind.hazard, Self::Code | Self::Credentials);
            // A `profile_name` is the profile, an `api_key` the key.
            let named =
                last == "name" && words.iter().rev().nth(1).is_some_and(|word| kind.names.contains(&word.as_str()));
            let key = kind.hazard == Self::Credentials && last == "key" && is_key(&words);
            !harmless
                && (kind.names.contains(&last.as_str())
                    || key
                    || (named && matches!(kind.hazard, Self::Credentials | Self::Path)))
        };
        // Whom something comes from gets nothing.
        let is_sender = self::words(path).iter().any(|word| SENDERS.contains(&word.as_str()));
        let found = KINDS.iter().find(is_it).map(|kind| kind.hazard);
        found.filter(|hazard| *hazard != Self::Recipient || !is_sender)
    }

    /// What a parameter takes, by its name, its types and its text.
    pub fn of(parameter: &Parameter) -> Option<Handed> {
        let text = parameter.description.as_deref().unwrap_or_default().to_lowercase();
        let tells = |known: &[&str]| known.iter().any(|word| text.contains(word));
        let names = words(&parameter.name);
        let has = |known: &[&str]| names.iter().any(|word| known.contains(&word.as_str()));
        if takes_text(parameter) {
            let hazard = Self::of_name(&parameter.path);
            let hazard = hazard.and_then(|hazard| KINDS.iter().find(|kind| kind.hazard == hazard));
            // An id says which one of those that the service has.
            let is_id = text.split(|c: char| !c.is_alphanumeric()).any(|word| matches!(word, "id" | "ids" | "uuid"));
            if let Some(kind) = hazard.filter(|kind| kind.hazard != Self::Path || !is_id) {
                // A formula computes, and runs nothing; nor does what only says where code stands.
                let runs_nothing = match names.last().map(String::as_str) {
                    Some("expression") => tells(&FORMULAS),
                    Some("function" | "statement") => tells(&LOCATING),
                    _ => false,
                };
                // The `header` of a page or a table is printed; a request has `headers`.
                let is_printed = names.last().is_some_and(|word| word == "header") && !tells(&REQUESTS);
                if (kind.hazard == Self::Code && runs_nothing) || (kind.hazard == Self::Headers && is_printed) {
                    return None;
                }
                let is_told = tells(kind.told) && (kind.hazard != Self::Path || !tells(&ELSEWHERE));
                return Some(Handed { hazard: kind.hazard, is_told, is_denied: !is_told && !text.is_empty() });
            }
            if has(&CONTENT) {
                return Some(Handed { hazard: Self::Content, is_told: tells(&CONTENT), is_denied: false });
            }
            let is_list = parameter.types.has(TypeSet::ARRAY) && !parameter.types.has(TypeSet::STRING);
            return (is_list && (has(&BULK) || parameter.name.ends_with("ids") || parameter.name.ends_with("Ids")))
                .then_some(Handed {
                    hazard: Self::Bulk,
                    is_told: tells(&["all", "each", "every", "multiple"]),
                    is_denied: false,
                });
        }
        if !parameter.types.has(TypeSet::BOOLEAN) || !parameter.values.is_empty() {
            return None;
        }
        // What `force` makes so is no safeguard unless it is an act or what holds one back: `force_push`, not `force_json`.
        let forces = names.iter().any(|word| word == "force");
        let is_act = |word: &String| {
            let word = word.as_str();
            FORCED.contains(&word) || GUARDS.contains(&word) || VALUES.iter().any(|(value, _)| *value == word)
        };
        let is_forced = forces && (names.len() == 1 || names.iter().filter(|word| *word != "force").any(is_act));
        let is_told = tells(&FORCE_TOLD);
        if names.iter().any(|word| word != "force" && FORCE.contains(&word.as_str()))
            || is_forced
            || (forces && is_told)
        {
            return Some(Handed { hazard: Self::Force, is_told, is_denied: !is_told && !text.is_empty() });
        }
        // Who sees it, is who gets it.
        if has(&["public", "publicly"]) {
            return Some(Handed { hazard: Self::Recipient, is_told: false, is_denied: false });
        }
        has(&BULK).then_some(Handed { hazard: Self::Bulk, is_told: tells(&["all", "every"]), is_denied: false })
    }

    /// What an agent can do with such a parameter, after `an agent can `.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Code => "hand over code or a command to run",
            Self::Path => "choose which file or directory is touched",
            Self::Url => "choose which address is reached",
            Self::Recipient => "choose who receives something",
            Self::Credentials => "choose which credentials or account are used",
            Self::Headers => "choose which headers are sent",
            Self::Arguments => "choose the arguments that a program is started with",
            Self::Content => "choose which stored content is sent along",
            Self::Bulk => "act on many things at once",
            Self::Force => "set a safeguard aside or do more harm",
        }
    }
}

/// Whether a parameter holds a call back, tries it out, or has to be given before anything happens.
pub(super) fn is_guard(parameter: &Parameter) -> bool {
    let names = words(&parameter.name);
    let text = parameter.description.as_deref().unwrap_or_default().to_lowercase();
    let lifts = ["skip", "without", "bypass", "suppress"].iter().any(|word| text.contains(word));
    let numbers = TypeSet::NUMBER.with(TypeSet::INTEGER);
    let is_named = names.iter().any(|word| GUARDS.contains(&word.as_str())) || names == ["read", "only"];
    // What has to be so still, or nothing is done: the state that a caller has seen.
    let is_state = names.iter().any(|word| STATES.contains(&word.as_str())) && takes_text(parameter);
    let holds = is_state && HOLDS.iter().any(|words| text.contains(words)) && Hazard::of(parameter).is_none();
    (is_named || holds)
        && !lifts
        && !parameter.types.has(numbers)
        && !names.iter().any(|word| FORCE.contains(&word.as_str()))
}

/// Whether a list of ids names what is put on the one thing that a tool of this name acts on: labels, tags. They are no
/// further things to act on, unless the tool is about them.
pub(super) fn is_part(parameter: &Parameter, tool: &str) -> bool {
    let words = words(&parameter.name);
    let alone = |word: &str| PARTS.iter().copied().find(|part| word == *part || word.strip_suffix('s') == Some(part));
    let part = words.iter().rev().nth(1).and_then(|word| alone(word));
    part.is_some_and(|part| !self::words(tool).iter().any(|word| alone(word) == Some(part)))
}

/// Whether an object holds what is said about a thing beside the thing itself.
pub(super) fn is_about(path: &str) -> bool {
    words(last_name(path)).last().is_some_and(|word| ABOUT.contains(&word.as_str()))
}

/// Whether a tool of this name only prepares what another call sends.
pub(super) fn is_draft(tool: &str) -> bool {
    let words = words(tool);
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    has(&["draft", "drafts"]) && !has(&["forward", "post", "publish", "reply", "send", "submit"])
}

/// Whether the value of this parameter says what is done.
pub(super) fn is_action(path: &str) -> bool {
    words(last_name(path)).last().is_some_and(|word| ACTIONS.contains(&word.as_str()))
}

/// The worst category of what a value says, where it is one that destroys, runs or opens.
pub(super) fn category_of_value(value: &str) -> Option<Category> {
    let words = words(value);
    // `getDeployStatus` tells of it.
    if asks(value) {
        return None;
    }
    let known = words.iter().filter_map(|word| VALUES.iter().find(|(known, _)| known == word));
    known.map(|(_, category)| *category).max()
}

/// Whether a value asks for something, by its first word.
pub(super) fn asks(value: &str) -> bool {
    words(value).first().is_some_and(|first| READING.contains(&first.as_str()))
}

/// Whether free text can be given, alone or in a list.
fn takes_text(parameter: &Parameter) -> bool {
    let types = parameter.types;
    let texts = TypeSet::STRING.with(TypeSet::ARRAY).with(TypeSet::OBJECT);
    parameter.values.is_empty() && (types.is_any() || types.has(texts))
}

/// Whether a name that ends in `key` is that of a secret: keys of issues, objects and maps are none.
fn is_key(words: &[String]) -> bool {
    let before = words.iter().rev().nth(1).map(String::as_str);
    matches!(before, Some("access" | "api" | "auth" | "encryption" | "private" | "secret" | "ssh"))
}

/// The last part of a dotted path, without `[*]`.
pub fn last_name(path: &str) -> &str {
    path.rsplit(['.', '/'])
        .map(|part| part.trim_end_matches("[*]"))
        .find(|part| !part.is_empty() && *part != "*")
        .unwrap_or(path)
}

/// The words of an identifier in lower case: `snake_case`, `camelCase`, `kebab-case`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_alphanumeric() {
            before = ' ';
            continue;
        }
        let begins = before == ' ' || (before.is_lowercase() && c.is_uppercase());
        match words.last_mut() {
            Some(word) if !begins => word.extend(c.to_lowercase()),
            _ => words.push(c.to_lowercase().collect()),
        }
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(path: &str, types: TypeSet, text: &str) -> Parameter {
        Parameter {
            path: path.to_owned(),
            name: last_name(path).to_owned(),
            types,
            required: false,
            description: (!text.is_empty()).then(|| text.to_owned()),
            values: Vec::new(),
            format: None,
            default: None,
        }
    }

    #[test]
    fn names_tell_what_would_be_handed_over() {
        let check = |path, expected| assert_eq!(Hazard::of_name(path), expected, "{path}");
        check("script", Some(Hazard::Code));
        check("options.outputPath", Some(Hazard::Path));
        check("items[*].callback_url", Some(Hazard::Url));
        check("message.to", Some(Hazard::Recipient));
        check("aws_profile_name", Some(Hazard::Credentials));
        check("apiKey", Some(Hazard::Credentials));
        check("extraHeaders", Some(Hazard::Headers));
        check("countryCode", None);
        check("next_token", None);
        check("issue_key", None);
        check("folderUid", None);
        check("query", None);
        check("page", None);
    }

    #[test]
    fn what_a_parameter_takes_counts_more_than_its_name() {
        let check = |path, types, text, expected: Option<(Hazard, bool)>| {
            let handed = Hazard::of(&parameter(path, types, text)).map(|handed| (handed.hazard, handed.is_told));
            assert_eq!(handed, expected, "{path}: {text}");
        };
        let text = TypeSet::STRING;
        check("target", text, "Where to save it", None);
        check("url", text, "", Some((Hazard::Url, false)));
        check("followUrl", TypeSet::BOOLEAN, "Follow it", None);
        check("url", TypeSet::INTEGER, "", None);
        check("file", text, "Save the result to this local file", Some((Hazard::Path, true)));
        check("file", text, "The file in the repository to save", Some((Hazard::Path, false)));
        check("force", TypeSet::BOOLEAN, "", Some((Hazard::Force, false)));
        check("public", TypeSet::BOOLEAN, "Customers see it", Some((Hazard::Recipient, false)));
        check("overwrite", TypeSet::BOOLEAN, "Overwrite what is there", Some((Hazard::Force, true)));
        check("forceful", TypeSet::BOOLEAN, "", None);
        check("force_json", TypeSet::BOOLEAN, "Answer in JSON", None);
        check("force_push", TypeSet::BOOLEAN, "", Some((Hazard::Force, false)));
        check("force_refresh", TypeSet::BOOLEAN, "Even if it is protected", Some((Hazard::Force, true)));
        check("item_ids", TypeSet::ARRAY, "All of these", Some((Hazard::Bulk, true)));
        check("tags", TypeSet::ARRAY, "", None);
        check("function", text, "Address by symbol name: break on entry to it when it is executed", None);
        check("statement", text, "The text of the target line, which is executed next", None);
        check("function", text, "JavaScript function to run", Some((Hazard::Code, true)));
        check("statement", text, "SQL statement to execute", Some((Hazard::Code, true)));
        check("forward_message_id", text, "Forward that message", Some((Hazard::Content, true)));
        check("forward_to", text, "", Some((Hazard::Recipient, false)));
        check("author.email", text, "", None);
        check("print_setup.header", text, "Codes: &P page", None);
        check("header", text, "HTTP header to send along", Some((Hazard::Headers, true)));
    }

    #[test]
    fn labels_of_one_thing_are_parts_of_it() {
        let check = |name, tool, expected| {
            assert_eq!(is_part(&parameter(name, TypeSet::ARRAY, ""), tool), expected, "{name} of {tool}");
        };
        check("tag_uuids", "create_contact", true);
        check("labelIds", "update_issue", true);
        check("label_ids", "delete_labels", false);
        check("contact_ids", "create_contact", false);
    }

    #[test]
    fn a_draft_is_not_sent() {
        assert_eq!(["draft_mail", "saveDraft", "send_draft", "send_mail"].map(is_draft), [true, true, false, false]);
    }

    #[test]
    fn guards_are_told_from_switches_that_lift_them() {
        let check = |path, text, expected| {
            assert_eq!(is_guard(&parameter(path, TypeSet::BOOLEAN, text)), expected, "{path}: {text}");
        };
        check("dryRun", "Only show what would be done", true);
        check("confirm", "Has to be true", true);
        check("confirm", "Skip the question", false);
        check("skip_confirmation", "", false);
        check("verbose", "", false);
        let sha = |text| is_guard(&parameter("sha", TypeSet::STRING, text));
        assert!(sha("If given, it is merged only when HEAD still matches"));
        assert!(!sha("The commit to merge"));
        check("command", "Run it only if HEAD still matches", false);
    }

    #[test]
    fn values_that_destroy_are_known_by_a_word() {
        assert_eq!(category_of_value("delete_all"), Some(Category::Delete));
        assert_eq!(category_of_value("undelete"), None);
        assert_eq!(category_of_value("list"), None);
        assert_eq!(category_of_value("getDeployStatus"), None);
        assert_eq!(category_of_value("deploy_status"), Some(Category::Execute));
    }
}
