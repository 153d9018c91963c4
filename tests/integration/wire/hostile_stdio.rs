//! What real commands do to whoever starts them, played by [`super::scripted`].

use super::{PATIENCE, codes, command, list, names, stdio};
use mcpol::exit::Exit;
use mcpol::mcp::{ConnectError, EnumerateOptions, Progress, Wanted, enumerate};
use mcpol::model::{Listing, Offered};
use serde_json::json;
use std::time::Duration;

async fn listed(script: &str) -> Listing {
    list(stdio(script)).await.unwrap_or_else(|error| panic!("{script}: {}", error.render()))
}

/// The whole story of the error that a script leads to.
async fn story(script: &str) -> String {
    refusal(script).await.render()
}

async fn refusal(script: &str) -> ConnectError {
    match list(stdio(script)).await {
        Ok(listing) => panic!("{script} was listed: {:?}", names(&listing)),
        Err(error) => {
            assert_eq!(error.exit(), Exit::Unreachable, "{script}");
            error
        }
    }
}

#[tokio::test]
async fn a_plain_server_is_listed_with_everything_it_says() {
    let listing = listed("plain").await;
    assert_eq!(names(&listing), ["a", "b"]);
    assert_eq!(listing.protocol_version.as_deref(), Some("2025-11-25"));
    assert_eq!(listing.server_info.as_ref().map(|info| info.name.as_str()), Some("scripted"));
    assert_eq!(listing.instructions.as_deref(), Some("be careful"));
    assert_eq!(listing.capabilities.as_ref().map(|raw| raw.get()), Some(r#"{"tools":{}}"#));
    assert_eq!(codes(&listing), Vec::<&str>::new());
}

#[tokio::test]
async fn junk_before_and_between_messages_is_counted_and_skipped() {
    let plain = listed("plain").await;
    let junk = listed("junk").await;
    assert_eq!(names(&junk), ["a"]);
    let count = |listing: &Listing| -> usize {
        let note = listing.notes.iter().find(|note| note.code == "junk_on_stdout").unwrap();
        note.message.split(' ').nth(1).unwrap().parse().unwrap()
    };
    assert_eq!(count(&junk) - count(&plain), 5);
}

#[tokio::test]
async fn floods_of_notifications_and_answers_for_nobody_are_skipped() {
    assert_eq!(names(&listed("notifications").await), ["a"]);
    let stray = listed("stray_answers").await;
    assert_eq!((names(&stray), codes(&stray)), (vec!["a"], vec!["stray_answer", "id_as_text"]));
    assert_eq!(names(&listed("batch").await), ["a"]);
}

#[tokio::test]
async fn requests_of_the_server_are_answered_while_we_wait() {
    assert_eq!(names(&listed("asks_back").await), ["a"]);
}

#[tokio::test]
async fn names_that_come_twice_are_kept_and_noted() {
    let listing = listed("twice").await;
    assert_eq!((names(&listing), codes(&listing)), (vec!["a", "a", "A"], vec!["duplicate_tool", "case_twins"]));
}

#[tokio::test]
async fn one_malformed_tool_does_not_hide_the_others() {
    let listing = listed("odd_tools").await;
    assert_eq!(names(&listing), ["no_schema", "no type", "hints", "foreign", "\u{202e}lanigiro", "last"]);
    assert_eq!(
        codes(&listing),
        ["malformed_tool", "odd_name", "missing_schema", "odd_annotation", "foreign_reference"]
    );
    let malformed = &listing.notes.iter().find(|note| note.code == "malformed_tool").unwrap().message;
    assert!(malformed.starts_with("4 entries of the list are no tools: `entry 3 is no `name``"), "{malformed}");
    let all: String = listing.notes.iter().map(|note| note.message.as_str()).collect();
    assert!(!all.contains('\u{202e}'), "notes are safe to show: {all}");
}

#[tokio::test]
async fn what_the_specification_does_not_know_is_kept_to_the_letter() {
    let tool = listed("extra_keys").await.tools.remove(0);
    assert_eq!(tool.extensions.get("httpMethod").map(String::as_str), Some("DELETE"));
    assert_eq!(tool.extensions.get("path").map(String::as_str), Some("/pets/{id}"));
    assert!(tool.raw.get().contains("12345678901234567890"));
}

#[tokio::test]
async fn pages_are_followed_to_the_end_and_not_beyond() {
    assert_eq!(names(&listed("pages").await), ["a", "b"]);
    assert!(story("endless").await.starts_with("the list of tools does not end: more than 1000 pages"));
    let looping = listed("cursor_loop").await;
    assert_eq!((names(&looping), codes(&looping)), (vec!["a"], vec!["repeated_cursor"]));
}

#[tokio::test]
async fn an_empty_cursor_hides_nothing() {
    let modern = listed("empty_cursor_modern").await;
    assert_eq!((names(&modern), codes(&modern)), (vec!["a", "b"], vec![]));
    let older = listed("empty_cursor").await;
    assert_eq!((names(&older), codes(&older)), (vec!["a"], vec!["empty_cursor"]));
}

#[tokio::test]
async fn an_error_that_answers_a_notification_is_not_the_answer_to_the_list() {
    let listing = listed("answers_notifications").await;
    assert_eq!((names(&listing), codes(&listing)), (vec!["a"], vec!["answers_notifications"]));
}

#[tokio::test]
async fn answers_that_nobody_can_use_are_told_for_what_they_are() {
    let said = story("other_id").await;
    assert!(said.starts_with("the server answered `tools/list` under the id `list-1`, not under the one"), "{said}");
    assert!(said.contains("help: clients match answers by their id"), "{said}");
    let said = story("null_result").await;
    assert!(said.starts_with("the answer to `tools/list` is not valid: the result is null: `null`\n"), "{said}");
}

/// `kind key` of everything beside tools.
fn extras(listing: &Listing) -> Vec<String> {
    listing.extras.listed().map(|extra| format!("{} {}", extra.kind, extra.key)).collect()
}

#[tokio::test]
async fn prompts_resources_and_templates_are_listed_beside_tools() {
    let listing = listed("everything").await;
    assert_eq!(names(&listing), ["a"]);
    assert_eq!(extras(&listing), ["prompt p1", "prompt p2", "resource file:///r", "template file:///{path}"]);
    assert_eq!(codes(&listing), ["malformed_prompt", "repeated_cursor"]);
    let raw: Vec<_> = listing.extras.resources.listed().iter().map(|extra| extra.raw.get()).collect();
    assert_eq!(raw, [r#"{"name":"r","uri":"file:///r","x-more":1.0}"#], "to the letter, and once");
    let plain = listed("plain").await;
    assert!(matches!(&plain.extras.prompts, Offered::Listed(none) if none.is_empty()), "not declared is none");
    let mut tools_only = EnumerateOptions::new(PATIENCE);
    tools_only.wanted = Wanted::Tools;
    let listing = enumerate(&stdio("everything"), &tools_only, &|_| ()).await.unwrap();
    assert!(matches!(listing.extras.prompts, Offered::NotRecorded));
}

#[tokio::test]
async fn what_is_declared_and_not_listed_is_said_and_costs_no_tool() {
    let listing = listed("declares_and_refuses").await;
    assert_eq!((names(&listing), codes(&listing)), (vec!["a"], vec!["prompts_not_listed"]));
    assert!(matches!(listing.extras.prompts, Offered::Refused));
    assert!(matches!(&listing.extras.resources, Offered::Listed(none) if none.is_empty()), "-32601 is none");
    let listing = listed("dies_of_resources").await;
    assert_eq!(names(&listing), ["a"]);
    assert_eq!(codes(&listing), ["prompts_not_listed", "resources_not_listed", "templates_not_listed"]);
    let said = &listing.notes[0].message;
    assert!(said.contains("`prompts` is no list"), "{said}");
}

#[tokio::test]
async fn large_answers_are_taken_and_endless_lines_are_not() {
    let listing = listed("large").await;
    assert_eq!(listing.tools.len(), 344);
    assert!(matches!(refusal("hundred_megabytes").await, ConnectError::TooLong { .. }));
}

#[tokio::test]
async fn capabilities_that_change_the_list_are_recorded() {
    let mut options = EnumerateOptions::new(PATIENCE);
    options.capabilities = json!({"roots": {}});
    let more = enumerate(&stdio("capabilities"), &options, &|_| ()).await.unwrap();
    assert_eq!((names(&more), codes(&more)), (vec!["a", "with_roots"], vec!["declared_capabilities"]));
    assert_eq!(names(&listed("capabilities").await), ["a"]);
}

#[tokio::test]
async fn a_server_without_a_name_is_known_by_its_command() {
    let listing = listed("anonymous").await;
    let info = listing.server_info.unwrap();
    assert_eq!((info.name.as_str(), info.version.as_str()), ("", ""));
    assert_eq!(listing.server.as_str(), "anonymous");
}

#[tokio::test]
async fn every_revision_finds_its_way() {
    for (script, version) in
        [("only_2024", "2024-11-05"), ("modern", "2026-07-28"), ("modern_that_leaves", "2026-07-28")]
    {
        let listing = listed(script).await;
        assert_eq!((names(&listing), listing.protocol_version.as_deref()), (vec!["a"], Some(version)), "{script}");
    }
    for (script, offered) in [("version_of_tomorrow", "2030-01-01"), ("version_of_1999", "1999-01-01")] {
        let story = story(script).await;
        assert!(story.contains(offered) && story.contains("which mcpol does not"), "{story}");
    }
    assert!(story("refuses_everything").await.starts_with("the server refused `initialize`: go away (-32000)"));
}

#[tokio::test]
async fn a_server_without_tools_has_none() {
    let listing = listed("no_tools").await;
    assert_eq!((names(&listing), codes(&listing)), (vec![], vec!["no_tools"]));
}

#[tokio::test]
async fn a_command_that_ends_shows_its_last_words() {
    let story_of = story("exits_with_7").await;
    assert!(story_of.starts_with("the server exited with status 7 before it answered `initialize`\n"), "{story_of}");
    assert!(story_of.contains("\n  stderr: cannot reach the database\n"), "{story_of}");
    let story_of = story("exits_between").await;
    assert!(story_of.starts_with("the server exited with status 3 before it answered `tools/list`\n"), "{story_of}");
    assert!(story_of.contains("stderr: panic: licence expired"), "{story_of}");
    let story_of = story("dies_at_import").await;
    assert!(story_of.contains("stderr: ModuleNotFoundError: No module named 'mcp.server.fastmcp'\n"), "{story_of}");
    assert!(
        story_of.contains("help: this server may need the first generation of the Python SDK: `uvx --with 'mcp<2'"),
        "{story_of}"
    );
    let story_of = story("refuses_list").await;
    assert!(story_of.starts_with("the server refused `tools/list`: Internal error (-32603)\n"), "{story_of}");
    assert!(story_of.contains("stderr: no API key: set EXAMPLE_KEY"), "{story_of}");
}

#[tokio::test]
async fn other_protocols_are_named() {
    assert!(
        story("http_on_stdout")
            .await
            .starts_with("the command speaks HTTP on standard output, not MCP: `HTTP/1.1 400 Bad Request`")
    );
    assert!(story("content_length").await.starts_with("the command speaks Content-Length framing on standard output"));
    assert!(
        story("invalid_json")
            .await
            .starts_with("the answer to `initialize` is not valid: expected value at line 1 column")
    );
    assert!(story("no_list").await.starts_with("the answer to `tools/list` is not valid: no `tools`"));
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_said_to_be_missing() {
    let error = list(command(&["no-such-program-anywhere"])).await.unwrap_err();
    assert!(
        error.render().starts_with("command `no-such-program-anywhere` does not exist\n  help: "),
        "{}",
        error.render()
    );
    let error = list(command(&["npx -y something"])).await.unwrap_err();
    assert!(error.render().contains("separate words"), "{}", error.render());
}

#[tokio::test]
async fn a_server_that_never_answers_runs_into_the_timeout() {
    let short = EnumerateOptions::new(Duration::from_millis(1500));
    let error = enumerate(&stdio("silent"), &short, &|_| ()).await.unwrap_err();
    assert!(error.render().starts_with("no answer to `initialize` within 1.5 s\n"), "{}", error.render());
    assert!(error.render().contains("--timeout"), "{}", error.render());
    let mut said = String::new();
    // Where a machine is very slow, what the command says of itself comes too late for the first.
    for patience in [short, EnumerateOptions::new(Duration::from_secs(15)), EnumerateOptions::new(PATIENCE)] {
        said = enumerate(&stdio("serves_http"), &patience, &|_| ()).await.unwrap_err().render();
        if said.contains("localhost:3000") {
            break;
        }
    }
    assert!(said.contains("scan `http://localhost:3000/mcp`"), "{said}");
}

#[tokio::test]
async fn whoever_watches_hears_of_each_step() {
    let seen = std::sync::Mutex::new(Vec::new());
    let watch = |progress: Progress| seen.lock().unwrap().push(progress.to_string());
    enumerate(&stdio("pages"), &EnumerateOptions::new(PATIENCE), &watch).await.unwrap();
    assert_eq!(
        seen.into_inner().unwrap(),
        [
            "starting",
            "waiting for the first answer",
            "connected to scripted 1",
            "1 tool",
            "1 tool on 2 pages",
            "2 tools on 3 pages",
            "closing"
        ]
    );
}
