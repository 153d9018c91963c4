//! The policies that gateways are measured with.

/// A limit of one counter over a day.
pub fn limit(counter: &str, max: u64) -> String {
    format!(r#","limits":[{{"counter":"{counter}","window":"day","max":{max},"scope":"grant"}}]"#)
}

/// Allows `tools` up to an amount of 100, with `limits` (as [`limit`] writes them, or none), and `more` tools of five
/// rules each; denies the rest.
pub fn policy(tools: &[&str], limits: &str, more: usize) -> String {
    let condition = r#""require":[{"path":"args.amount","op":"lte","value":100}]"#;
    let named = tools.iter().map(|tool| format!(r#""{tool}":{{{condition}{limits}}}"#));
    let others = (0..more).map(|tool| {
        let rules: Vec<String> =
            (0..5).map(|rule| format!(r#"{{"path":"args.a{rule}","op":"lte","value":{rule}}}"#)).collect();
        format!(r#""tool_{tool}":{{"require":[{}]}}"#, rules.join(","))
    });
    let all: Vec<String> = named.chain(others).collect();
    format!(r#"{{"version":"1","default":"deny","tools":{{{}}}}}"#, all.join(","))
}
