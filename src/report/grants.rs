//! Grants: a table for people, or JSON. Neither holds anything of a token.

use super::document::Document;
use super::grid::grid;
use super::words::count;
use crate::clock::Timestamp;
use crate::policy::utc;
use crate::state::{Grant, GrantState};
use crate::text::escape;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The grants of a state (`mcpol grant list --format json`).
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol grant list")]
pub struct GrantDocument<'g> {
    /// Always `mcpol-grants`.
    format: &'static str,
    /// Version of this format.
    version: u32,
    /// In the order of their names.
    grants: Vec<GrantLine<'g>>,
}

/// One grant.
#[derive(Serialize, schemars::JsonSchema)]
struct GrantLine<'g> {
    /// Its name.
    name: &'g str,
    /// `active`, `expired` or `revoked`.
    state: &'static str,
    /// The servers that it is good for.
    servers: &'g BTreeSet<String>,
    /// The file of its own policy; null for the servers'.
    policy: Option<&'g str>,
    /// When it was made, in UTC.
    created: String,
    /// When it ends, in UTC; null for never.
    expires: Option<String>,
    /// When it was taken back, in UTC; null if it was not.
    revoked: Option<String>,
}

impl Document for GrantDocument<'_> {
    const SCHEMA: &'static str = "grants";
    const COMMAND: &'static str = "grant list";
}

impl<'g> GrantDocument<'g> {
    /// The document of these grants as they stand at a moment.
    pub fn new(grants: &'g [Grant], now: Timestamp) -> Self {
        Self { format: "mcpol-grants", version: 1, grants: grants.iter().map(|grant| line(grant, now)).collect() }
    }
}

fn word(state: GrantState) -> &'static str {
    match state {
        GrantState::Active => "active",
        GrantState::Expired => "expired",
        GrantState::Revoked => "revoked",
    }
}

/// To the minute; a person who wants seconds asks for JSON.
fn minute(time: Timestamp) -> String {
    let text = utc(time);
    format!("{} {}", &text[..10], &text[11..16])
}

/// For people, in at most `columns` columns; times are UTC.
pub fn grants_table(grants: &[Grant], now: Timestamp, columns: usize) -> String {
    let row = |grant: &Grant| {
        let servers: Vec<_> = grant.servers.iter().map(|server| escape(server)).collect();
        let ends = match (grant.revoked, grant.expires) {
            (Some(revoked), _) => format!("revoked {}", minute(revoked)),
            (None, Some(expires)) if expires <= now => format!("expired {}", minute(expires)),
            (None, Some(expires)) => format!("until {}", minute(expires)),
            (None, None) => "for ever".to_owned(),
        };
        let policy = grant.policy.as_deref().map_or_else(|| "(server's)".into(), escape);
        vec![grant.name.to_string(), servers.join(", "), policy.into_owned(), ends]
    };
    let rows: Vec<Vec<String>> = grants.iter().map(row).collect();
    let mut out = grid(&["GRANT", "SERVERS", "POLICY", "GOOD (UTC)"], &rows, &[0, 1, 2], columns);
    let active = grants.iter().filter(|grant| grant.state(now) == GrantState::Active).count();
    let _ = writeln!(out, "\n{}: {active} active", count(grants.len(), "grant"));
    out
}

fn line(grant: &Grant, now: Timestamp) -> GrantLine<'_> {
    let Grant { name, servers, policy, token: _, created, expires, revoked } = grant;
    GrantLine {
        name: name.as_str(),
        state: word(grant.state(now)),
        servers,
        policy: policy.as_deref(),
        created: utc(*created),
        expires: expires.map(utc),
        revoked: revoked.map(utc),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;
    use crate::state::{GrantName, TokenHash};

    fn at(days: u64) -> Timestamp {
        Timestamp::from_millis((20_000 + days) * 86_400_000)
    }

    fn grants() -> Vec<Grant> {
        let grant = |name: &str, servers: &[&str]| Grant {
            name: GrantName::parse(name).unwrap(),
            servers: servers.iter().map(|server| (*server).to_owned()).collect(),
            policy: None,
            token: TokenHash::of(b"mcpol_x"),
            created: at(0),
            expires: None,
            revoked: None,
        };
        vec![
            grant("alice", &["files", "github"]),
            Grant { expires: Some(at(30)), ..grant("bob", &["mail\u{1b}[31m"]) },
            Grant { expires: Some(at(1)), revoked: Some(at(1)), ..grant("carol", &["files"]) },
            Grant {
                expires: Some(at(1)),
                policy: Some(format!("/srv/{}/policy.json", "long/".repeat(12))),
                ..grant(&"d".repeat(64), &["one-server-with-a-long-name", "two-servers-with-a-long-name"])
            },
        ]
    }

    #[test]
    fn a_table_fits_80_columns_and_shows_no_controls() {
        let table = anstream::adapter::strip_str(&grants_table(&grants(), at(2), 80)).to_string();
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(!table.contains('\u{1b}'));
        insta::assert_snapshot!(table, @r"
        GRANT             SERVERS           POLICY           GOOD (UTC)
        alice             files, github     (server's)       for ever
        bob               mail\u{1b}[31m    (server's)       until 2024-11-03 00:00
        carol             files             (server's)       revoked 2024-10-05 00:00
        dddddddddddddddd  one-server-with-  /srv/long/long/  expired 2024-10-05 00:00
        dddddddddddddddd  a-long-name,      long/long/long/
        dddddddddddddddd  two-servers-      long/long/long/
        dddddddddddddddd  with-a-long-name  long/long/long/
                                            long//policy.
                                            json

        4 grants: 2 active
        ");
    }

    #[test]
    fn json_says_all_but_the_token() {
        let grants = grants();
        let text = serde_json::to_string_pretty(&GrantDocument::new(&grants[1..3], at(2))).unwrap();
        assert!(!text.contains(&TokenHash::of(b"mcpol_x").hex()));
        insta::assert_snapshot!(text, @r#"
        {
          "format": "mcpol-grants",
          "version": 1,
          "grants": [
            {
              "name": "bob",
              "state": "active",
              "servers": [
                "mail\u001b[31m"
              ],
              "policy": null,
              "created": "2024-10-04T00:00:00Z",
              "expires": "2024-11-03T00:00:00Z",
              "revoked": null
            },
            {
              "name": "carol",
              "state": "revoked",
              "servers": [
                "files"
              ],
              "policy": null,
              "created": "2024-10-04T00:00:00Z",
              "expires": "2024-10-05T00:00:00Z",
              "revoked": "2024-10-05T00:00:00Z"
            }
          ]
        }
        "#);
    }
}
