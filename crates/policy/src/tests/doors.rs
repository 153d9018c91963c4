//! What a policy says beside tools.

use super::super::{Door, Opening, parse};
use crate::mcp::protocol::Feature;
use proptest::prelude::*;
use serde_json::{Value, json};

fn opening(members: &Value, door: Door<'_>) -> Opening {
    let mut policy = json!({"version": "1", "default": "deny"});
    policy.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    parse(&policy.to_string(), "p").unwrap().opening(door)
}

/// `+RULE` where the door is open, `-RULE` where it is closed.
fn word(opening: Opening) -> String {
    match opening {
        Opening::Open(rule) => format!("+{rule}"),
        Opening::Closed(denial) => format!("-{}", denial.rule),
        Opening::Unsaid => "?".to_owned(),
    }
}

#[track_caller]
fn check(members: &Value, rows: &[(Door<'_>, &str)]) {
    for (door, expected) in rows {
        assert_eq!(word(opening(members, *door)), *expected, "{members} {door:?}");
    }
}

use Door::{Client, Prompt, Resource, Template, Unknown};

#[test]
fn an_operator_is_told_what_may_be_taken() {
    for (members, expected) in [
        (json!({}), "resources denied, prompts denied, client sampling denied, elicitation allowed"),
        (
            json!({"default": "allow"}),
            "resources allowed, prompts allowed, client sampling allowed, elicitation allowed",
        ),
        (
            json!({"resources": "allow", "prompts": {"allow": ["a", "b*"]}, "client": {"roots": "deny"}}),
            "resources allowed, prompts 2 allowed, client sampling denied, elicitation allowed, roots denied",
        ),
        (
            json!({"default": "allow", "resources": {"hide": ["file:///a"]}, "prompts": "deny"}),
            "resources allowed but for 1 hidden, prompts denied, client sampling allowed, elicitation allowed",
        ),
    ] {
        let mut policy = json!({"version": "1", "default": "deny"});
        policy.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        assert_eq!(parse(&policy.to_string(), "p").unwrap().beside_in_words(), expected, "{members}");
    }
}

#[test]
fn where_nothing_is_said_everything_follows_the_default() {
    let doors = [Resource("file:///a"), Template("file:///{a}"), Prompt("p"), Client(Feature::Sampling)];
    for door in doors {
        check(&json!({}), &[(door, "-(default deny)")]);
        check(&json!({"default": "allow"}), &[(door, "+(default allow)")]);
    }
    for default in ["allow", "deny"] {
        check(
            &json!({"default": default}),
            &[
                (Client(Feature::Elicitation), "+(default)"),
                (Client(Feature::Roots), "?"),
                (Unknown("acme/search"), "-(unknown method)"),
            ],
        );
    }
}

#[test]
fn a_word_decides_about_all_and_a_list_about_what_it_names() {
    check(
        &json!({"resources": "allow", "prompts": "deny"}),
        &[(Resource("x"), "+/resources"), (Prompt("p"), "-/prompts")],
    );
    let lists = json!({"resources": {"allow": ["note://1", "file:///docs/*"], "hide": ["file:///docs/secret/*"]}});
    check(
        &lists,
        &[
            (Resource("note://1"), "+/resources/allow"),
            (Resource("note://11"), "-/resources/allow"),
            (Resource("NOTE://1"), "-/resources/allow"),
            (Resource("file:///docs/a"), "+/resources/allow"),
            (Resource("file:///docs/b/../a"), "+/resources/allow"),
            (Resource("file:///docs/../etc/passwd"), "-/resources/allow"),
            (Resource("file:///docs/%2e%2e/etc/passwd"), "-/resources/allow"),
            (Resource("file:///docs/secret/a"), "-/resources/hide"),
            (Resource("file:///docs/a/../SECRET/a"), "-/resources/hide"),
            (Resource("file:///docs/%73ecret/a"), "-/resources/hide"),
            (Resource("file:///docs/..%2fa"), "-/resources/hide"),
            (Template("file:///docs/{name}"), "+/resources/allow"),
            (Template("file:///docs/secret/{name}"), "-/resources/hide"),
            (Template("file:///{+path}"), "-/resources/allow"),
            (Template("{+uri}"), "-/resources/allow"),
        ],
    );
    check(
        &json!({"prompts": {"allow": ["review", "acme_*"], "hide": ["acme_admin"]}}),
        &[
            (Prompt("review"), "+/prompts/allow"),
            (Prompt("reviews"), "-/prompts/allow"),
            (Prompt("acme_x"), "+/prompts/allow"),
            (Prompt("acme_admin"), "-/prompts/hide"),
            (Prompt("ACME-Admin"), "-/prompts/hide"),
        ],
    );
}

#[test]
fn hidden_under_an_open_default_is_hidden_however_it_is_spelled() {
    let hide =
        json!({"default": "allow", "resources": {"hide": ["file:///etc/passwd"]}, "prompts": {"hide": ["root*"]}});
    for uri in [
        "file:///etc/passwd",
        "FILE:///etc/./passwd",
        "file:///ETC/PASSWD",
        "file:///etc/passwd?x",
        "file:///etc/passwd#x",
        "file:///etc/%70asswd",
        "file:///etc//../passwd\\",
        "file:///etc%2fpasswd",
        " file:///etc/passwd",
        "file:///ｅtc/passwd",
        "file:///etc//passwd",
        "file:////etc/passwd",
        "file:///etc/passwd.",
        "file:///etc/passwd%20",
        "file:///etc/passwd/",
        "file:///etc;x/passwd;y",
        "file:///etc/pass%E2%80%8Bwd",
        "file://localhost/etc/passwd",
    ] {
        check(&hide, &[(Resource(uri), "-/resources/hide")]);
    }
    check(
        &hide,
        &[
            (Resource("file:///etc/hosts"), "+(default allow)"),
            (Template("file:///etc/{name}"), "+(default allow)"),
            (Prompt("Root_access"), "-/prompts/hide"),
            (Prompt("user"), "+(default allow)"),
        ],
    );
}

#[test]
fn a_hidden_host_is_hidden_for_every_user_and_with_a_dot_at_its_end() {
    let hide = json!({"default": "allow", "resources": {"hide": ["https://in.example/keys/*", "note:a;1"]}});
    for uri in [
        "https://in.example/keys/a",
        "https://me@in.example/keys/a",
        "https://a@b:c@in.example:443/keys/a",
        "https://in.example./keys/a",
        "https://IN.example//keys/a",
        "note:a;1",
    ] {
        check(&hide, &[(Resource(uri), "-/resources/hide")]);
    }
    for uri in ["https://in.example/keyser", "https://out.example/keys/a", "note:b"] {
        check(&hide, &[(Resource(uri), "+(default allow)")]);
    }
}

/// Pieces of paths that one reader takes for another piece than the next.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/",
        "/",
        "/",
        "/",
        "..",
        "..",
        ".",
        "a",
        "docs",
        "secret",
        "Secret",
        "SECRET",
        "etc",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%252e%252e",
        "%2f",
        "%5c",
        "\\",
        "?",
        "#",
        "//",
        ";",
        ";x",
        ". ",
        ".",
        "%20",
        "%00",
        "\t",
        "\n",
        " ",
        "\u{200b}",
        "%E2%80%8B",
        "\u{2025}",
        "\u{ff0e}",
        "\u{ff0f}",
        "se",
        "cret",
        "%73",
        "localhost",
        "@",
        ":",
        "~",
        "%c0%ae",
    ])
}

/// Where a reader that resolves steps ends up; `None` if that is above where it began.
fn resolved(path: &str) -> Option<Vec<String>> {
    let mut at = Vec::new();
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => drop(at.pop()?),
            part => at.push(part.to_owned()),
        }
    }
    Some(at)
}

/// What servers open for a URI of a file: by its path as the WHATWG reads it, or by what follows the scheme, with and
/// without query and fragment, decoded as often as they like, and with characters that stand for others.
fn opened(uri: &str) -> Vec<Option<Vec<String>>> {
    let mut texts = Vec::new();
    if let Ok(url) = url::Url::parse(uri) {
        texts.push(url.path().to_owned());
    }
    for whole in [uri, uri.split(['?', '#']).next().unwrap_or_default()] {
        let lower = whole.to_ascii_lowercase();
        let rest = ["file://localhost", "file://", "file:"]
            .iter()
            .find_map(|begin| lower.starts_with(begin).then(|| whole[begin.len()..].to_owned()));
        texts.extend(rest);
    }
    for text in texts.clone() {
        texts.push(crate::text::percent_decoded(&text).into_owned());
    }
    for text in texts.clone() {
        texts.push(crate::text::loose(&text));
    }
    texts.iter().map(|text| resolved(text)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn no_server_finds_more_below_a_beginning_than_is_below_it(pieces in prop::collection::vec(piece(), 0..9)) {
        let uri = format!("file:///docs/{}", pieces.concat());
        let allow = json!({"resources": {"allow": ["file:///docs/*"], "hide": ["file:///docs/secret/*"]}});
        if let Opening::Open(_) = opening(&allow, Resource(&uri)) {
            for opened in opened(&uri) {
                let Some(path) = opened else { return Err(TestCaseError::fail(format!("{uri} climbs out"))) };
                prop_assert!(path.first().is_none_or(|first| first == "docs"), "{} opens {:?}", uri, path);
                let part = |at: usize| {
                    let part = path.get(at).map(|part| part.split(';').next().unwrap_or_default().to_lowercase());
                    part.unwrap_or_default().trim_end_matches(['.', ' ']).to_owned()
                };
                prop_assert!(part(1) != "secret" || path.len() == 2, "{} opens {:?}", uri, path);
            }
        }
    }
}

#[test]
fn what_the_server_asks_of_the_client_has_its_rule() {
    let rules = json!({"client": {"sampling": "allow", "elicitation": "deny", "roots": "deny"}});
    check(
        &rules,
        &[
            (Client(Feature::Sampling), "+/client/sampling"),
            (Client(Feature::Elicitation), "-/client/elicitation"),
            (Client(Feature::Roots), "-/client/roots"),
        ],
    );
}

#[test]
fn an_unknown_method_passes_by_its_exact_name_and_never_as_a_known_one() {
    check(
        &json!({"unknown_methods": ["acme/search"]}),
        &[(Unknown("acme/search"), "+/unknown_methods"), (Unknown("acme/Search"), "-(unknown method)")],
    );
    let all = json!({"unknown_methods": "forward"});
    check(&all, &[(Unknown("acme/search"), "+/unknown_methods")]);
    for method in ["tools//call", "tools%2Fcall", "Tools/Call", "tools／call", "tools/call\u{200b}", "RESOURCES.READ"]
    {
        check(&all, &[(Unknown(method), "-(unknown method)")]);
    }
}

#[test]
fn what_cannot_be_meant_is_an_error() {
    for (members, expected) in [
        (json!({"resources": 1}), "says nothing about what may be taken"),
        (json!({"resources": "all"}), "`all` is not an access"),
        (json!({"resources": {"deny": []}}), "`deny` is not a member here"),
        (json!({"resources": {"allow": ["file:///{name}"]}}), "is a template, not a URI"),
        (json!({"resources": {"allow": ["file:///docs/../*"]}}), "is not how URIs begin"),
        (json!({"resources": {"hide": ["https://example.com*"]}}), "is not how URIs begin"),
        (json!({"resources": {"allow": ["a*b"]}}), "has a `*` inside"),
        (json!({"prompts": {"allow": [1]}}), "not a prompt's name"),
        (json!({"client": {"sample": "allow"}}), "`sample` is not a member here"),
        (json!({"client": {"sampling": true}}), "not an access"),
        (json!({"unknown_methods": ["tools/call"]}), "is known"),
        (json!({"unknown_methods": ["Tools.Call"]}), "servers may take it for `tools/call`"),
        (json!({"unknown_methods": ["x/*"]}), "is a pattern"),
        (json!({"unknown_methods": "all"}), "is not a word for unknown methods"),
    ] {
        let mut policy = json!({"version": "1", "default": "deny"});
        policy.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let problems = parse(&policy.to_string(), "p").err().unwrap_or_default();
        let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert!(messages.len() == 1 && messages[0].contains(expected), "{members}: {messages:?}");
    }
}
