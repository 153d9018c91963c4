//! The policy may change while the gateway runs.

use super::*;

fn wait_for_change(gateway: &Gateway) {
    assert_eq!(gateway.message()["method"], "notifications/tools/list_changed");
}

#[test]
fn an_edit_takes_over_at_once_and_the_client_is_told() {
    let sandbox = sandbox(&only(json!({"list_tasks": {}})));
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    let count = |gateway: &mut Gateway, id| {
        gateway.ask(id, "tools/list", &json!({}))["result"]["tools"].as_array().unwrap().len()
    };
    assert_eq!(count(&mut gateway, 1), 1);
    // Written in place.
    let text = only(json!({"list_tasks": {}, "get_task": {}})).to_string();
    std::fs::write(sandbox.dir().join("policy.json"), text).unwrap();
    wait_for_change(&gateway);
    assert_eq!(count(&mut gateway, 2), 2);
    // Another file put in its place.
    sandbox.write("policy.json", &only(json!({})).to_string());
    wait_for_change(&gateway);
    assert_eq!(count(&mut gateway, 3), 0);
    assert_eq!(gateway.ask_tool(4, "list_tasks", &json!({}))["error"]["code"], -32602);
    let (code, _, stderr) = gateway.close();
    assert_eq!(code, Some(0));
    assert_eq!(stderr.matches("policy reloaded").count(), 2, "{stderr}");
    // What the second one lets pass less is no news of this kind.
    assert!(stderr.contains("LOOSER (1):\n") && stderr.contains("  get_task: was not listed\n"), "{stderr}");
    assert_eq!(stderr.matches("LOOSER").count(), 1, "{stderr}");
    assert_eq!(events(&log(&sandbox), "reload").len(), 2);
}

#[cfg(unix)]
#[test]
fn a_link_that_points_elsewhere_is_an_edit() {
    let sandbox = sandbox(&only(json!({})));
    let dir = sandbox.dir();
    sandbox.write("v1/policy.json", &only(json!({"list_tasks": {}})).to_string());
    sandbox.write("v2/policy.json", &only(json!({"get_task": {}, "list_tasks": {}})).to_string());
    // As a deployment does it: a link to a folder is swapped, and the file is reached through it.
    std::os::unix::fs::symlink("v1", dir.join("current")).unwrap();
    std::fs::remove_file(dir.join("policy.json")).unwrap();
    std::os::unix::fs::symlink("current/policy.json", dir.join("policy.json")).unwrap();
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    std::os::unix::fs::symlink("v2", dir.join("next")).unwrap();
    std::fs::rename(dir.join("next"), dir.join("current")).unwrap();
    wait_for_change(&gateway);
    passed(&gateway.ask_tool(1, "get_task", &json!({"id": 1})));
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn a_bad_policy_is_refused_loudly_and_the_old_one_stays() {
    let sandbox = sandbox(&only(json!({"list_tasks": {}})));
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    sandbox.write("policy.json", r#"{"version":"1","default":"allow","tools":{"x":{"limits":5}}}"#);
    sandbox.write("other.json", "x");
    // A good one after it is the sign that the bad one was looked at, or was passed over.
    let deadline = std::time::Instant::now() + Duration::from_secs(LINE_SECONDS_MAX);
    while events(&log(&sandbox), "reload_refused").is_empty() {
        assert!(std::time::Instant::now() < deadline, "nothing was logged");
        assert_eq!(gateway.ask_tool(1, "get_task", &json!({"id": 1}))["error"]["code"], -32602, "the old policy stays");
    }
    sandbox.write("policy.json", &only(json!({"get_task": {}})).to_string());
    wait_for_change(&gateway);
    let (_, _, stderr) = gateway.close();
    assert!(stderr.contains("the old policy stays in force") && stderr.contains("/tools/x/limits"), "{stderr}");
}
