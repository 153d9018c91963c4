//! `${…}` in configurations: each client replaces other forms, and some replace none.

use super::Client;
use std::collections::BTreeSet;

/// What stands for what while one file is read.
pub(super) struct Scope<'a> {
    pub client: Client,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The folder of the project that the file belongs to.
    pub workspace: Option<&'a str>,
}

/// A text with its references replaced.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ExpandedText {
    pub text: String,
    /// A variable or an input was put in: the text must not be shown.
    pub holds_value: bool,
    /// There is text beside the references.
    pub holds_text: bool,
    /// Variables and inputs that are not set; they stay in the text as written.
    pub missing: BTreeSet<String>,
}

impl Scope<'_> {
    /// Replaces what this client would replace.
    pub fn expand(&self, text: &str) -> ExpandedText {
        let mut out = ExpandedText::default();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_text(&rest[..at]);
            rest = &rest[at..];
            let taken = match rest[1..].strip_prefix('{').and_then(|inner| inner.find('}').map(|end| &inner[..end])) {
                Some(inner) => self.braced(inner, &mut out).then_some(inner.len() + 3),
                None if self.client == Client::Gemini => self.bare(&rest[1..], &mut out),
                None => None,
            };
            let taken = taken.unwrap_or_else(|| {
                out.push_text("$");
                1
            });
            rest = &rest[taken..];
        }
        out.push_text(rest);
        out
    }

    /// `${inner}`; false if this client leaves it as it is.
    fn braced(&self, inner: &str, out: &mut ExpandedText) -> bool {
        let editor = matches!(self.client, Client::VsCode | Client::Cursor | Client::Other);
        let plain = matches!(self.client, Client::ClaudeCode | Client::Gemini | Client::Other);
        if let Some(name) = inner.strip_prefix("env:") {
            if !editor && self.client != Client::Windsurf {
                return false;
            }
            out.push_value(inner, name, (self.env)(name));
        } else if let Some(id) = inner.strip_prefix("input:") {
            if !matches!(self.client, Client::VsCode | Client::Other) {
                return false;
            }
            // Only the editor can ask for it.
            out.push_value(inner, &format!("input:{id}"), None);
        } else if let Some(folder) = self.folder(inner).filter(|_| editor) {
            out.push_text(&folder);
        } else if plain {
            let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
            if !is_variable(name) {
                return false;
            }
            match ((self.env)(name), default) {
                (None, Some(default)) => out.push_text(default),
                (value, _) => out.push_value(inner, name, value),
            }
        } else {
            return false;
        }
        true
    }

    /// `$NAME`, which only one client replaces.
    fn bare(&self, after: &str, out: &mut ExpandedText) -> Option<usize> {
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let name = after.get(..end).filter(|name| is_variable(name))?;
        match (self.env)(name) {
            Some(value) => out.put(&value),
            None => {
                out.missing.insert(name.to_owned());
                out.put(&format!("${name}"));
            }
        }
        Some(end + 1)
    }

    fn folder(&self, name: &str) -> Option<String> {
        match name {
            "workspaceFolder" => Some(self.workspace?.to_owned()),
            "workspaceFolderBasename" => Some(self.workspace?.rsplit(['/', '\\']).next()?.to_owned()),
            "userHome" => (self.env)("HOME").or_else(|| (self.env)("USERPROFILE")),
            "pathSeparator" | "/" => Some(std::path::MAIN_SEPARATOR_STR.to_owned()),
            _ => None,
        }
    }
}

impl ExpandedText {
    fn push_text(&mut self, text: &str) {
        self.holds_text |= !text.is_empty();
        self.text.push_str(text);
    }

    fn push_value(&mut self, inner: &str, name: &str, value: Option<String>) {
        match value {
            Some(value) => self.put(&value),
            None => {
                self.missing.insert(name.to_owned());
                self.put(&format!("${{{inner}}}"));
            }
        }
    }

    fn put(&mut self, value: &str) {
        self.holds_value = true;
        self.text.push_str(value);
    }
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_replaces_its_own_forms() {
        use Client::{ClaudeCode, ClaudeDesktop, Codex, Cursor, Gemini, VsCode, Windsurf};
        let env = |name: &str| (name == "KEY").then(|| "v".to_owned());
        for (client, text, expected, missing) in [
            (ClaudeCode, "a ${KEY} b", "a v b", ""),
            (ClaudeCode, "${NONE:-d}", "d", ""),
            (ClaudeCode, "${KEY:-d}", "v", ""),
            (ClaudeCode, "${NONE}", "${NONE}", "NONE"),
            (ClaudeCode, "${env:KEY} $KEY ${", "${env:KEY} $KEY ${", ""),
            (ClaudeDesktop, "${KEY}", "${KEY}", ""),
            (Codex, "${KEY}", "${KEY}", ""),
            (Cursor, "${env:KEY}${/}${workspaceFolderBasename}", if cfg!(windows) { "v\\shop" } else { "v/shop" }, ""),
            (Cursor, "${KEY}", "${KEY}", ""),
            (Windsurf, "${env:KEY}", "v", ""),
            (VsCode, "${input:token}", "${input:token}", "input:token"),
            (VsCode, "${workspaceFolder}/x", "/src/shop/x", ""),
            (Gemini, "$KEY/${KEY}/$NONE/$5", "v/v/$NONE/$5", "NONE"),
        ] {
            let scope = Scope { client, env: &env, workspace: Some("/src/shop") };
            let got = scope.expand(text);
            let names: Vec<_> = got.missing.iter().map(String::as_str).collect();
            assert_eq!((got.text.as_str(), names.join(",").as_str()), (expected, missing), "{client:?} {text}");
        }
    }

    #[test]
    fn values_are_told_from_text() {
        let env = |name: &str| (name == "KEY").then(|| "v".to_owned());
        let scope = Scope { client: Client::ClaudeCode, env: &env, workspace: None };
        let kinds = |text: &str| {
            let got = scope.expand(text);
            (got.holds_value, got.holds_text)
        };
        assert_eq!(kinds("Bearer ${KEY}"), (true, true));
        assert_eq!(kinds("${KEY}"), (true, false));
        assert_eq!(kinds("${NONE:-d}"), (false, true));
        assert_eq!(kinds("plain"), (false, true));
    }
}
