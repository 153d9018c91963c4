//! Tests of what the classifier promises as a whole: the decided cases, no dependence on order, no panic.

use super::{Options, RuleSet, assess, classify, explain};
use crate::model::{
    BlastRadius, Category, Confidence, EvidenceSource, Flag, Listing, ServerName, ServerSource, ToolDefinition, Verdict,
};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(crate) fn tool(value: &Value) -> ToolDefinition {
    ToolDefinition::parse(&RawValue::from_string(value.to_string()).unwrap()).unwrap()
}

pub(crate) fn listing(tools: Vec<ToolDefinition>) -> Listing {
    Listing {
        server: ServerName::new("server"),
        source: ServerSource::Sample,
        protocol_version: None,
        server_info: None,
        greeting: None,
        capabilities: None,
        client_capabilities: None,
        instructions: None,
        tools,
        unreadable: 0,
        extras: crate::model::Extras::not_recorded(),
        notes: Vec::new(),
    }
}

fn verdict(value: &Value) -> Verdict {
    classify(RuleSet::builtin(), listing(vec![tool(value)]), &Options::default()).verdicts.swap_remove(0)
}

/// Name, description, parameters (`name: type` or `name: a|b`), expected class and flags.
fn check(name: &str, description: &str, input: &[(&str, &str)], class: &str, flags: &[Flag]) {
    let properties: serde_json::Map<String, Value> = input
        .iter()
        .map(|(name, kind)| {
            let schema = if kind.contains('|') {
                json!({"type": "string", "enum": kind.split('|').collect::<Vec<_>>()})
            } else {
                json!({"type": kind})
            };
            ((*name).to_owned(), schema)
        })
        .collect();
    let found = verdict(&json!({"name": name, "description": description, "inputSchema": {"properties": properties}}));
    assert_eq!(format!("{} {}", found.category, found.blast_radius), class, "{name}: {}", found.reason);
    for flag in flags {
        assert!(found.flags.contains(flag), "{name} lacks {flag}: {:?}", found.flags);
    }
}

#[test]
fn decided_reads() {
    check(
        "web_search",
        "Search the web",
        &[("query", "string")],
        "Read low",
        &[Flag::OpenWorld, Flag::UntrustedContent],
    );
    check("fetch", "Fetch a URL", &[("url", "string")], "Read medium", &[Flag::OpenWorld]);
    check("run_query", "Run a read-only SELECT query", &[("sql", "string")], "Read medium", &[Flag::PrivateData]);
    check("query_prometheus", "Query Prometheus", &[("query", "string")], "Read low", &[]);
    check("search_logs", "Search logs", &[("query", "string")], "Read low", &[]);
    check("take_screenshot", "Take a screenshot", &[], "Read low", &[]);
    check("export_report", "Export a report", &[], "Read low", &[]);
    check("validate_config", "Validate a configuration", &[], "Read low", &[]);
    check("test_connection", "Test the connection", &[], "Read low", &[]);
    check("generate_chart", "Generate a chart", &[], "Read low", &[Flag::Metered]);
    check("sequential_thinking", "Think step by step", &[("thought", "string")], "Read low", &[]);
    check("get_current_time", "Get the current time", &[], "Read low", &[]);
    check("list_secrets", "List the secrets", &[], "Read high", &[Flag::Credential]);
    check("get_env", "Get environment variables", &[], "Read high", &[Flag::Credential]);
    check("refund_eligibility", "Whether a refund is possible", &[], "Read low", &[]);
    check("transfer_quote", "Quote for a transfer", &[], "Read low", &[]);
    check("list_charges", "List charges", &[], "Read medium", &[]);
}

#[test]
fn decided_writes() {
    let message = [("channel", "string"), ("text", "string")];
    check("send_message", "Send a message to a channel", &message, "Write high", &[Flag::Egress]);
    check("send_email", "Send an email", &[("to", "string")], "Write high", &[Flag::Egress]);
    check("add_comment", "Add a comment", &[("issue_id", "string")], "Write medium", &[]);
    check("pause_habit", "Pause a habit", &[], "Write low", &[Flag::Reversible]);
    check("archive_note", "Archive a note", &[], "Write low", &[Flag::Reversible]);
    check("close_issue", "Close an issue", &[], "Write low", &[]);
    check("complete_task", "Complete a task", &[], "Write low", &[]);
    check("merge_tags", "Merge two tags", &[], "Write medium", &[Flag::Destructive]);
    check("get_or_create_contact", "Get or create a contact", &[], "Write medium", &[]);
    check("upsert_record", "Upsert a record", &[], "Write medium", &[]);
    check("write_file", "Write a file", &[("path", "string")], "Write medium", &[Flag::Destructive]);
    check("upload_file", "Upload a file", &[], "Write medium", &[]);
    check("git_add", "Stage files", &[], "Write medium", &[]);
    check("git_commit", "Commit changes", &[], "Write medium", &[]);
    check("git_checkout", "Check out a branch", &[], "Write medium", &[]);
    check("invite_member", "Invite a member", &[], "Write high", &[Flag::Privilege]);
    check("set_permissions", "Set permissions", &[], "Write high", &[Flag::Privilege]);
    check("share_file", "Share a file with others", &[("email", "string")], "Write high", &[Flag::Privilege]);
    check("create_invoice", "Create an invoice", &[], "Write high", &[Flag::Financial]);
    check("create_payment_link", "Create a payment link", &[], "Write high", &[Flag::Financial]);
    check("create_webhook", "Create a webhook", &[("url", "string")], "Write high", &[Flag::Egress]);
    check("remove_tag_from_task", "Remove a tag from a task", &[], "Write medium", &[]);
    check("clear_completed_filter", "Clear the filter of completed tasks", &[], "Write low", &[]);
}

#[test]
fn decided_executes() {
    check("pause_focus_session", "Pause the current focus session", &[], "Execute low", &[Flag::Reversible]);
    check("merge_pull_request", "Merge a pull request", &[], "Execute medium", &[]);
    check("execute_sql", "Execute SQL", &[("sql", "string")], "Execute high", &[]);
    check("query", "Query the database", &[("sql", "string")], "Execute high", &[]);
    check("browser_click", "Click an element", &[], "Execute medium", &[]);
    check("browser_evaluate", "Evaluate a script", &[("script", "string")], "Execute critical", &[Flag::CodeExecution]);
    check("run_command", "Run a command", &[("command", "string")], "Execute critical", &[Flag::CodeExecution]);
    check("run_tests", "Run the tests", &[], "Execute medium", &[]);
    check("git_push", "Push commits to a remote", &[("remote", "string")], "Execute high", &[Flag::Egress]);
    check("create_refund", "Create a refund", &[], "Execute critical", &[Flag::Financial]);
    check("pay_invoice", "Pay an invoice", &[], "Execute critical", &[Flag::Financial]);
    check("place_order", "Place an order", &[], "Execute critical", &[Flag::Financial]);
    check("swap_tokens", "Swap tokens", &[], "Execute critical", &[Flag::Financial]);
    check("create_instance", "Create an instance", &[], "Execute medium", &[]);
    check("scale_deployment", "Scale a deployment", &[], "Execute medium", &[]);
    check("start_container", "Start a container", &[], "Execute medium", &[]);
    let request = [("method", "GET|POST|DELETE"), ("path", "string")];
    check("api_request", "Send a request to the API", &request, "Execute critical", &[]);
    let dispatch = [("name", "string"), ("args", "object")];
    check("call_tool", "Call a tool by name", &dispatch, "Execute high", &[]);
    check("execute_workflow", "Execute a workflow", &[], "Execute high", &[]);
    check("login", "Log in", &[], "Execute medium", &[]);
    check("set_active_project", "Set the active project", &[], "Execute medium", &[]);
}

#[test]
fn decided_deletes() {
    check("list_and_delete_expired", "List and delete expired entries", &[], "Delete critical", &[Flag::Bulk]);
    check("clear_cache", "Clear the cache", &[], "Delete low", &[Flag::Ephemeral]);
    check("move_to_trash", "Move a file to the trash", &[], "Delete medium", &[Flag::Reversible]);
    check("empty_trash", "Empty the trash", &[], "Delete critical", &[]);
    check("flushall", "Flush all keys", &[], "Delete critical", &[]);
    check("drop_database", "Drop a database", &[], "Delete critical", &[]);
    check("git_reset", "Reset the repository", &[], "Delete high", &[]);
    check("git_clean", "Remove untracked files", &[], "Delete high", &[]);
    check("remove_collaborator", "Remove a collaborator", &[], "Delete high", &[Flag::Privilege]);
    check("revoke_token", "Revoke a token", &[], "Delete high", &[]);
    check("delete_role", "Delete a role", &[], "Delete high", &[Flag::Privilege]);
    check("manage_label", "Manage labels", &[("action", "create|update|delete")], "Delete high", &[]);
}

#[test]
fn a_loose_word_switches_no_floor_off() {
    let command = [("command", "string")];
    let code = &[Flag::CodeExecution];
    for text in [
        "Runs a shell command and returns its output",
        "Runs a shell command and returns a report",
        "Runs a shell command on each machine, SQL included",
        "Runs a shell command that sends keyboard output",
        "Runs a shell command. Not for drafts, templates or a sandbox",
        "[Beta] Runs a shell command, e.g. to search docs",
    ] {
        check("run_command", text, &command, "Execute critical", code);
    }
}

#[test]
fn a_parameter_is_known_by_the_last_words_of_its_name() {
    let code = &[Flag::CodeExecution];
    check("run_page", "Run a page", &[("startupJs", "string")], "Execute critical", code);
    check("start_worker", "Start a worker", &[("pythonSource", "string")], "Execute critical", code);
    check("execute", "Execute what is given", &[("shell_command", "string")], "Execute critical", code);
    check("run_code", "Run code", &[("userCode", "string")], "Execute critical", code);
    check("create_address", "Create an address", &[("zipCode", "string")], "Write medium", &[]);
    check("create_account", "Create an account", &[("rootPassword", "string")], "Write high", &[Flag::Credential]);
    check("take_picture", "Take a picture of the page", &[("resultFolder", "string")], "Write medium", &[]);
}

#[test]
fn code_deep_in_a_schema_counts_wherever_it_stands() {
    let step = json!({"type": "object", "properties": {
        "kind": {"enum": ["click", "wait", "executeJavascript"]}, "script": {"type": "string"}}});
    let options = json!({"type": "object", "properties": {"steps": {"type": "array", "items": step}}});
    let tool = json!({"name": "search_pages", "description": "Search the web and return what the pages say",
        "inputSchema": {"properties": {"query": {"type": "string"}, "options": options}}});
    let found = verdict(&tool);
    assert_eq!((found.category, found.blast_radius), (Category::Execute, BlastRadius::Critical), "{}", found.reason);
    assert!(found.flags.contains(&Flag::CodeExecution));
    // A hundred others do not hide it.
    let mut many: serde_json::Map<String, Value> =
        (0..150).map(|at| (format!("a{at}"), json!({"type": "string"}))).collect();
    many.insert("zCommand".to_owned(), json!({"type": "string"}));
    let hidden = json!({"name": "run_command", "description": "Runs it", "inputSchema": {"properties": many}});
    assert_eq!(verdict(&hidden).blast_radius, BlastRadius::Critical);
}

#[test]
fn a_status_with_an_id_is_deleted_and_one_that_is_cleared_is_changed() {
    check("delete_mood_status", "Permanently deletes the status", &[("status_id", "string")], "Delete critical", &[]);
    check("clear_mood_status", "Clear the status", &[], "Write medium", &[]);
    check("reset_theme_setting", "Reset the setting", &[], "Write medium", &[]);
}

#[test]
fn an_enum_takes_its_worst_value() {
    let operation = [("operation", "suspend|reboot|resume"), ("box_id", "string")];
    check("box_power", "Changes the power of a box", &operation, "Execute medium", &[]);
    let pairs = [("operation", "pause|resume"), ("timer_id", "string")];
    check("timer_control", "Steers a timer", &pairs, "Execute low", &[Flag::Reversible]);
    let door = [("action", "lock|unlock|format"), ("disk", "string")];
    check("disk_state", "Changes a disk", &door, "Write medium", &[]);
}

#[test]
fn what_an_open_action_may_be_is_read_from_the_text() {
    let open = |description: &str, action: &str| {
        let action = json!({"type": "string", "description": action});
        let found = verdict(
            &json!({"name": "manage_stack", "description": description, "inputSchema": {"properties": {"operation": action}}}),
        );
        (found.category, found.blast_radius)
    };
    let delete = (Category::Delete, BlastRadius::High);
    assert_eq!(open("Manage a stack", "One of: generate, describe or delete"), delete);
    assert_eq!(
        open("Manage a stack.\n\nOperations:\n- **list**: shows all\n- **delete**: for good", "What to do"),
        delete
    );
    assert_eq!(open("Manage a stack.\n\n- DescribeStack (read-only)\n- DeleteStack (write)", "What to do"), delete);
    assert_eq!(
        open("Show a stack.\n\n- Delete it elsewhere, not here", "What to show"),
        (Category::Read, BlastRadius::Low)
    );
}

#[test]
fn a_denied_name_leaves_the_act_to_the_text_and_the_means_is_an_act() {
    check(
        "do_not_sell_holding",
        "Submits an instruction not to sell a holding",
        &[("id", "string")],
        "Write medium",
        &[],
    );
    check("try_wallet", "Tests the wallet by paying a fixed invoice", &[], "Execute critical", &[Flag::Financial]);
}

#[test]
fn tags_and_words_to_the_model_stand_before_the_act() {
    for text in [
        "[Desktop only] Lists the windows",
        "Windows | Lists the windows",
        "IMPORTANT: you must log in before. Lists the windows",
        "Read-only. Lists the windows",
        "Call this before any other tool. Lists the windows",
    ] {
        check("launch_list", text, &[], "Read low", &[]);
    }
    // A warning that says what is done is no preface.
    check("tidy", "Warning: deletes all files. Lists what is left", &[], "Delete critical", &[]);
}

#[test]
fn the_text_tells_which_word_of_the_name_is_the_verb() {
    check("show_create", "Create a new show", &[], "Write medium", &[]);
    check("launch_list", "Lists past launches", &[], "Read low", &[]);
    check("estimate_update", "Estimate the cost of an update without making it", &[], "Read low", &[]);
    // What is called a removal stays one, whatever the text begins with.
    check("delete_list", "Lists the lists", &[], "Delete high", &[]);
    // A noun behind a word that no list has is not what the tool does.
    check("frobble_document", "Add a stamp to a document", &[], "Write medium", &[]);
}

#[test]
fn what_the_server_is_about_tells_what_a_bare_noun_is() {
    let rules = RuleSet::builtin();
    let read = json!({"name": "get_record", "description": "Get a record"});
    let with = |names: &[&str]| {
        let others = names.iter().map(|name| tool(&json!({"name": name})));
        let tools = std::iter::once(tool(&read)).chain(others).collect();
        assess(rules, &listing(tools), &Options::default()).swap_remove(0).verdict.blast_radius
    };
    let customers = ["list_customers", "update_customer", "create_customer", "merge_customers"];
    assert_eq!(with(&customers), BlastRadius::Medium);
    assert_eq!(with(&["list_planets", "name_planet", "create_star", "count_moons"]), BlastRadius::Low);
    // What all names begin with tells nothing, what they go on with does.
    let named = |names: &[&str]| listing(names.iter().map(|name| tool(&json!({"name": name}))).collect());
    let prefixed = named(&["customer_get_record", "customer_get_planet", "customer_get_star"]);
    let found = assess(rules, &prefixed, &Options::default()).swap_remove(0).verdict;
    assert_eq!(found.blast_radius, BlastRadius::Low, "{}", found.reason);
}

#[test]
fn nothing_known_is_not_harmless() {
    let found = verdict(&json!({"name": "frobnicator"}));
    assert_eq!((found.category, found.blast_radius), (Category::Execute, BlastRadius::High));
    assert_eq!(found.confidence, Confidence::Low);
    assert!(found.flags.contains(&Flag::Unclassified));
}

#[test]
fn the_reason_is_in_words_with_the_quote() {
    let found = verdict(&json!({"name": "pause_focus_session", "description": "Pause the current focus session"}));
    for part in ["Execute", "Pause the current focus session", "no stored record", "Blast radius low", "undone"] {
        assert!(found.reason.contains(part), "{part} in {}", found.reason);
    }
}

#[test]
fn annotations_raise_and_never_lower() {
    let delete = json!({"name": "delete_task", "annotations": {"readOnlyHint": true, "destructiveHint": false}});
    assert_eq!(verdict(&delete).category, Category::Delete);
    let trusted = Options { trust_annotations: true, ..Options::default() };
    let rules = RuleSet::builtin();
    assert_eq!(assess(rules, &listing(vec![tool(&delete)]), &trusted)[0].verdict.category, Category::Read);
    let read = json!({"name": "get_task", "annotations": {"readOnlyHint": false}});
    assert_eq!(verdict(&read).category, Category::Write);
    let raised = &assess(rules, &listing(vec![tool(&read)]), &Options::default())[0];
    assert_eq!(raised.without_annotations.category, Category::Read);
    let withheld = Options { ignore_annotations: true, ..Options::default() };
    assert_eq!(assess(rules, &listing(vec![tool(&read)]), &withheld)[0].verdict.category, Category::Read);
}

#[test]
fn evidence_from_an_annotation_names_the_hint_that_says_so() {
    let all = json!({"name": "sync_thing", "annotations":
        {"readOnlyHint": true, "destructiveHint": true, "openWorldHint": true}});
    let found = verdict(&all);
    let of = |says: &str| found.evidence.iter().find(|piece| piece.says == says).map(|piece| piece.source.clone());
    let annotation = |hint: &str| Some(EvidenceSource::Annotation(hint.to_owned()));
    assert_eq!(of("flag open_world"), annotation("openWorldHint"));
    assert_eq!(of("flag destructive"), annotation("destructiveHint"));
}

#[test]
fn a_prefix_shared_by_the_tools_is_no_evidence_and_a_verb_is_no_prefix() {
    let named = |names: &[&str]| listing(names.iter().map(|name| tool(&json!({"name": name}))).collect());
    let rules = RuleSet::builtin();
    let mail = named(&["mail_get_weather", "mail_get_time", "mail_get_place"]);
    for one in assess(rules, &mail, &Options::default()) {
        assert_eq!(one.verdict.blast_radius, BlastRadius::Low, "{}", one.verdict.reason);
    }
    let charts = named(&["generate_bar_chart", "generate_pie_chart", "generate_area_chart"]);
    for one in assess(rules, &charts, &Options::default()) {
        assert_eq!(one.verdict.category, Category::Read);
    }
}

#[test]
fn an_explanation_names_what_would_change_the_verdict() {
    let both = listing(vec![tool(&json!({"name": "get_report", "description": "Deletes a report"}))]);
    let told = explain(RuleSet::builtin(), &both, 0, &Options::default()).unwrap();
    assert_eq!(told.assessment.verdict.category, Category::Delete);
    assert!(told.runner_up.is_some_and(|(category, _)| category == Category::Read), "{:?}", told.runner_up);
    assert!(!told.changes.is_empty() && told.decided_by.is_some());
    assert!(explain(RuleSet::builtin(), &both, 1, &Options::default()).is_none());
}

const WORDS: &[&str] = &[
    "get", "delete", "list", "run", "pause", "session", "task", "all", "file", "sql", "email", "secret", "order",
    "frob", "create", "update", "or", "and", "from", "to", "cache", "merge", "pull", "request", "删除", "任务", "を",
];

fn any_definition() -> impl Strategy<Value = Value> {
    let words = proptest::collection::vec(proptest::sample::select(WORDS), 1..6);
    let text = prop_oneof![
        proptest::collection::vec(proptest::sample::select(WORDS), 0..12).prop_map(|words| words.join(" ")),
        any::<String>(),
    ];
    (words, text, any::<Option<bool>>(), proptest::sample::select(WORDS)).prop_map(|(words, text, hint, parameter)| {
        json!({"name": words.join("_"), "description": text, "annotations": {"readOnlyHint": hint},
            "inputSchema": {"properties": {parameter: {"type": "string", "description": text, "enum": words}}}})
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn order_changes_no_verdict(tools in proptest::collection::vec(any_definition(), 1..8), turn in 0usize..8) {
        let tools: Vec<ToolDefinition> = tools.iter().map(tool).collect();
        let mut turned = tools.clone();
        let turn = turn % tools.len();
        turned.rotate_left(turn);
        let options = Options::default();
        let straight = assess(RuleSet::builtin(), &listing(tools), &options);
        let mut again = assess(RuleSet::builtin(), &listing(turned), &options);
        again.rotate_right(turn);
        for (one, other) in straight.iter().zip(&again) {
            prop_assert_eq!(&one.verdict, &other.verdict);
        }
    }

    #[test]
    fn junk_never_panics_and_is_evidenced_or_unclassified(name in "\\PC{1,60}", text in any::<String>(), value in any::<String>()) {
        let found = verdict(&json!({"name": name, "title": text, "description": format!("{text} {value}"),
            "inputSchema": {"properties": {name.clone(): {"type": "string", "enum": [value, text]}}}}));
        prop_assert!(found.flags.contains(&Flag::Unclassified) || found.evidence.iter().any(|one| one.weight > 0));
        prop_assert!(found.evidence.len() <= super::EVIDENCE_MAX);
        prop_assert!(found.evidence.iter().all(|one| one.quote.len() <= super::QUOTE_BYTES_MAX));
    }
}
