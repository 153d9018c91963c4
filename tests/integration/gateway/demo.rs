//! `mcpol demo`, the first command that anybody runs.

use super::*;

#[test]
fn the_demo_shows_the_whole_path() {
    let sandbox = Sandbox::new();
    let out = sandbox.run(&["demo"]).quiet(0);
    for part in [
        "16 tools",
        "hidden: delete_task, purge_completed_tasks",
        "buy_focus_credits      a person is asked each time, 10 a minute",
        "create_task            30 a minute",
        "✓ ",
        "✗ error -32602: Unknown tool: delete_task",
        "✗ [POLICY DENIED] mail goes to example.com only",
        "10 passed, then: ✗ [POLICY DENIED] the limit of 10 calls per minute is reached",
        "deny        sample/delete_task  (hidden)",
        "deny        sample/email_tasks  /tools/email_tasks/require/args.to-ends_with",
        "/tools/pause_focus_session/limits/pause_focus_session_rate",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    let refusals = out.split("mcpol audit tail --denied").nth(1).unwrap();
    assert_eq!(
        refusals.lines().filter(|line| line.contains("sample/")).count(),
        3,
        "only what was refused\n{refusals}"
    );
}
