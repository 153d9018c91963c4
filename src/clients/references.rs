//! `${…}` in configurations: each client replaces other forms, and some replace none.

use super::Client;
use super::table::Reference;
use std::collections::BTreeSet;

/// What stands for what while one file is read.
pub(super) struct Scope<'a> {
    pub client: Client,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Looks up what a client would ask its user for, by its id.
    pub input: &'a dyn Fn(&str) -> Option<String>,
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
        while let Some(at) = rest.find(['$', '{']) {
            out.push_text(&rest[..at]);
            rest = &rest[at..];
            let taken = self.reference(rest, &mut out).unwrap_or_else(|| {
                out.push_text(&rest[..1]);
                1
            });
            rest = &rest[taken..];
        }
        out.push_text(rest);
        out
    }

    /// The reference that a text begins with, put in; its length in bytes. `None` if this client leaves it as it is.
    fn reference(&self, text: &str, out: &mut ExpandedText) -> Option<usize> {
        let inside = |start: &str, end: &str| {
            let inner = text.strip_prefix(start)?;
            inner.find(end).map(|at| (&inner[..at], start.len() + at + end.len()))
        };
        if let Some((inner, length)) = inside("{env:", "}") {
            return self.client.replaces(Reference::BraceEnv).then(|| {
                // Here a variable that is not set is nothing at all, but the server would miss it.
                out.push_value(&text[..length], inner, (self.env)(inner));
                length
            });
        }
        if let Some((inner, length)) = inside("${{", "}}").filter(|_| self.client.replaces(Reference::Secrets)) {
            let name = inner.trim().strip_prefix("secrets.")?;
            out.push_value(&text[..length], name, (self.env)(name));
            return Some(length);
        }
        if text.starts_with("$${") && self.client.replaces(Reference::Own) {
            out.push_text("${");
            return Some("$${".len());
        }
        if let Some((inner, length)) = inside("${", "}") {
            return self.braced(inner, out).then_some(length);
        }
        let after = text.strip_prefix('$').filter(|_| self.client.replaces(Reference::Bare))?;
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let name = after.get(..end).filter(|name| is_variable(name))?;
        out.push_value(&text[..=end], name, (self.env)(name));
        Some(end + 1)
    }

    /// `${inner}`; false if this client leaves it as it is.
    fn braced(&self, inner: &str, out: &mut ExpandedText) -> bool {
        let whole = format!("${{{inner}}}");
        if let Some(name) = inner.strip_prefix("env:").filter(|_| self.client.replaces(Reference::Env)) {
            out.push_value(&whole, name, (self.env)(name));
        } else if let Some(id) = inner.strip_prefix("input:").filter(|_| self.client.replaces(Reference::Input)) {
            out.push_value(&whole, inner, (self.input)(id));
        } else if let Some(id) = inner.strip_prefix("user_config.").filter(|_| self.client.replaces(Reference::Bundle))
        {
            out.push_value(&whole, &format!("input:{id}"), (self.input)(id));
        } else if let Some(folder) = self.folder(inner) {
            out.push_text(&folder);
        } else if self.client.replaces(Reference::Own) {
            if !is_variable(inner) {
                return false;
            }
            out.push_value(&whole, inner, (self.env)(inner).filter(|value| !value.is_empty()));
        } else if self.client.replaces(Reference::Braced) {
            let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
            if !is_variable(name) {
                return false;
            }
            match ((self.env)(name), default) {
                (None, Some(default)) => out.push_text(default),
                (value, _) => out.push_value(&whole, name, value),
            }
        } else {
            return false;
        }
        true
    }

    fn folder(&self, name: &str) -> Option<String> {
        if name == "__dirname" && self.client.replaces(Reference::Bundle) {
            return self.workspace.map(str::to_owned);
        }
        if !self.client.replaces(Reference::Folders) {
            return None;
        }
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

    /// Puts a value in, or notes that it is missing and leaves the reference as it is `written`.
    fn push_value(&mut self, written: &str, name: &str, value: Option<String>) {
        match value {
            Some(value) => self.put(&value),
            None => {
                self.missing.insert(name.to_owned());
                self.put(written);
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
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use super::*;

    #[test]
    fn each_client_replaces_its_own_forms() {
        let env = |name: &str| (name == "KEY").then(|| "v".to_owned());
        for (client, text, expected, missing) in [
            ("claude-code", "a ${KEY} b", "a v b", ""),
            ("claude-code", "${NONE:-d}", "d", ""),
            ("claude-code", "${KEY:-d}", "v", ""),
            ("claude-code", "${NONE}", "${NONE}", "NONE"),
            ("claude-code", "${env:KEY} $KEY ${", "${env:KEY} $KEY ${", ""),
            ("claude-desktop", "${KEY}", "${KEY}", ""),
            ("codex", "${KEY}", "${KEY}", ""),
            (
                "cursor",
                "${env:KEY}${/}${workspaceFolderBasename}",
                if cfg!(windows) { "v\\shop" } else { "v/shop" },
                "",
            ),
            ("cursor", "${KEY}", "${KEY}", ""),
            ("windsurf", "${env:KEY}", "v", ""),
            ("vs-code", "${input:token}", "${input:token}", "input:token"),
            ("vs-code", "${workspaceFolder}/x", "/src/shop/x", ""),
            ("vs-code", "${input:given}", "i", ""),
            ("opencode", "{env:KEY} {env:NONE} ${KEY} {x}", "v {env:NONE} ${KEY} {x}", "NONE"),
            ("continue", "${{ secrets.KEY }} ${{ other }}", "v ${{ other }}", ""),
            (
                "bundle",
                "${__dirname}/x ${user_config.given} ${user_config.none}",
                "/src/shop/x i ${user_config.none}",
                "input:none",
            ),
            ("gemini", "$KEY/${KEY}/$NONE/$5", "v/v/$NONE/$5", "NONE"),
        ] {
            let input = |id: &str| (id == "given").then(|| "i".to_owned());
            let client = Client::of_id(client).unwrap();
            let scope = Scope { client, env: &env, input: &input, workspace: Some("/src/shop") };
            let got = scope.expand(text);
            let names: Vec<_> = got.missing.iter().map(String::as_str).collect();
            assert_eq!((got.text.as_str(), names.join(",").as_str()), (expected, missing), "{client:?} {text}");
        }
    }

    #[test]
    fn values_are_told_from_text() {
        let env = |name: &str| (name == "KEY").then(|| "v".to_owned());
        let client = Client::of_id("claude-code").unwrap();
        let scope = Scope { client, env: &env, input: &|_| None, workspace: None };
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
