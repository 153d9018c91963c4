//! Reads `[grants.NAME]` and `[jwt]`: which callers are known, by which tokens.

use super::GRANTS_MAX;
use super::reader::{IssuerNamed, Reader, Table, Text, TomlValue};
use crate::clock::Timestamp;
use crate::gateway::identity::{ConfiguredGrant, KnownBy, SubjectRule};
use crate::gateway::jwt::{CLAIM_BYTES_MAX, Jwks, Jwt, can_be_subject};
use crate::mcp::target::shown_address;
use crate::policy::parse_end;
use crate::state::{GRANT_SERVERS_MAX, GrantName, TokenHash};
use crate::text::{excerpt, nearest};
use std::collections::{BTreeMap, BTreeSet};
use toml::de::DeValue;

/// Most characters of a value from the file in a message.
const SHOWN_CHARS: usize = 60;

impl Reader<'_> {
    /// Reads `[grants.NAME]`. `servers` are the names of all `[servers.NAME]`, of those that are not valid too.
    pub(super) fn grants(
        &mut self,
        value: TomlValue<'_>,
        servers: &BTreeSet<String>,
        issuer: IssuerNamed,
    ) -> Vec<ConfiguredGrant> {
        let (mut grants, mut known) = (Vec::new(), BTreeMap::new());
        for (name, at, mut table) in self.named("grants", value, GRANTS_MAX) {
            let grant = GrantName::parse(&name);
            if let Err(error) = &grant {
                self.report(at, &format!("grants.{}", excerpt(&name, SHOWN_CHARS)), error.to_string(), None);
            }
            let table = &mut table;
            let good_for = self.good_for(table, servers);
            let policy = self.policy_of(table, "policy");
            let known_by = self.known_by(table, issuer);
            let (key, mark) = match &known_by {
                Some(KnownBy::Token(token)) => ("token_sha256", Some(token.hex())),
                Some(KnownBy::Subject(subject)) => ("subject", Some(subject.clone())),
                None => ("", None),
            };
            if let Some(mark) = mark
                && let Some(other) = known.insert((key, mark), name.clone())
            {
                let message = format!("is that of `{}` too", excerpt(&other, SHOWN_CHARS));
                self.report(table.at, &table.key(key), message, Some("every grant needs a caller of its own"));
            }
            let expires = self.expiry(table);
            self.finish(table);
            let (Ok(name), Some(known_by)) = (grant, known_by) else { continue };
            // Policies of grants in the store have absolute paths too: one file must have one path, from any working
            // directory.
            let policy = policy.map(|path| std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned());
            grants.push(ConfiguredGrant { name, servers: good_for, policy, expires, known_by });
        }
        grants
    }

    fn good_for(&mut self, table: &mut Table<'_>, servers: &BTreeSet<String>) -> BTreeSet<String> {
        let given = self.texts_of(table, "servers").unwrap_or_default();
        let told = self.problems.iter().any(|problem| problem.pointer.starts_with(&table.key("servers")));
        if given.is_empty() && !told {
            let help = Some("add `servers = [\"NAME\"]`");
            self.report(table.at, &table.path, "names no server that it is good for", help);
        }
        if given.len() > GRANT_SERVERS_MAX {
            let message = format!("{} servers, and {GRANT_SERVERS_MAX} are the most", given.len());
            self.report(table.at, &table.key("servers"), message, None);
        }
        for text in given.iter().filter(|text| !servers.contains(&text.text)) {
            let help = nearest(&text.text, servers.iter().map(String::as_str)).map_or_else(
                || "add it as `[servers.NAME]`, or take it out".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("no server `{}` is configured", excerpt(&text.text, SHOWN_CHARS));
            self.report(text.at, &table.key("servers"), message, Some(&help));
        }
        given.into_iter().map(|text| text.text).collect()
    }

    /// Reads `token_sha256` or `subject`, of which a grant has exactly one.
    fn known_by(&mut self, table: &mut Table<'_>, issuer: IssuerNamed) -> Option<KnownBy> {
        let token = self.text_of(table, "token_sha256");
        let subject = self.text_of(table, "subject");
        match (token, subject) {
            (Some(token), None) => self.token(table, &token).map(KnownBy::Token),
            (None, Some(subject)) => self.subject(table, subject, issuer).map(KnownBy::Subject),
            (Some(_), Some(subject)) => {
                let help = "keep the one that its caller is known by";
                self.report(subject.at, &table.path, "has both `token_sha256` and `subject`", Some(help));
                None
            }
            (None, None) => {
                // A key that is there but is no text was reported already.
                let told = self
                    .problems
                    .iter()
                    .any(|problem| ["token_sha256", "subject"].iter().any(|key| problem.pointer == table.key(key)));
                if !told {
                    let help = "add `token_sha256 = \"…\"`, or `subject = \"…\"` for tokens of the issuer in `[jwt]`";
                    self.report(table.at, &table.path, "has neither `token_sha256` nor `subject`", Some(help));
                }
                None
            }
        }
    }

    fn subject(&mut self, table: &Table<'_>, text: Text, issuer: IssuerNamed) -> Option<String> {
        let pointer = table.key("subject");
        if issuer == IssuerNamed::No {
            let help = "add `[jwt]`, or use `token_sha256`";
            self.report(text.at, &pointer, "is somebody whom an issuer knows, and there is none", Some(help));
        }
        if !can_be_subject(&text.text) {
            let message = format!("is nobody's name: 1 to {CLAIM_BYTES_MAX} bytes, and no hidden characters");
            self.report(text.at, &pointer, message, None);
            return None;
        }
        Some(text.text)
    }

    fn token(&mut self, table: &Table<'_>, text: &Text) -> Option<TokenHash> {
        let hash = TokenHash::parse(&text.text);
        if hash.is_none() {
            // The value is not shown: an operator may have put the token itself here.
            let help =
                "write its 64 hexadecimal digits; or leave the grant out here and make it with `mcpol grant create`";
            self.report(text.at, &table.key("token_sha256"), "is no SHA-256", Some(help));
        }
        hash
    }

    fn expiry(&mut self, table: &mut Table<'_>) -> Option<Timestamp> {
        let value = table.take("expires")?;
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(moment) => moment.to_string(),
            _ => String::new(),
        };
        let moment = parse_end(&text);
        if moment.is_none() {
            let help = "write the last day, `2027-06-30`, or a moment in UTC, `2027-06-30T12:00:00Z`";
            self.report(value.span().start, &table.key("expires"), "is no day or moment", Some(help));
        }
        moment
    }

    pub(super) fn jwt(&mut self, value: TomlValue<'_>) -> Option<Jwt> {
        let mut table = self.table("jwt", value)?;
        let jwks = self.required(&mut table, "jwks");
        let jwks = jwks.and_then(|text| self.jwks(&text));
        let issuer = self.required(&mut table, "issuer");
        let audience = self.required(&mut table, "audience");
        let claim = self.text_of(&mut table, "grant_claim").map_or_else(|| "sub".to_owned(), |text| text.text);
        let subjects = match self.truth_of(&mut table, "require_grant") {
            Some(true) => SubjectRule::Granted,
            Some(false) | None => SubjectRule::Any,
        };
        self.finish(&table);
        Some(Jwt { jwks: jwks?, issuer: issuer?.text, audience: audience?.text, grant_claim: claim, subjects })
    }

    fn jwks(&mut self, text: &Text) -> Option<Jwks> {
        if !text.text.contains("://") {
            return self.existing("jwt.jwks", text).map(Jwks::File);
        }
        let url = url::Url::parse(&text.text).ok();
        let safe =
            |url: &url::Url| url.scheme() == "https" || (url.scheme() == "http" && crate::mcp::http::is_loopback(url));
        let url = url.filter(safe);
        if url.is_none() {
            let message = format!("`{}` is no https URL", excerpt(&shown_address(&text.text), SHOWN_CHARS));
            let help = "whoever can change the keys on their way can issue tokens: use https or a file";
            self.report(text.at, "jwt.jwks", message, Some(help));
        }
        url.map(Jwks::Url)
    }
}
