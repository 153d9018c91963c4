//! How many tools a second the classifier judges, from parsed definitions to verdicts with evidence.
//!
//! `cargo bench --bench classify` makes its own tools; `MCPOL_BENCH_TOOLS=DIR` takes recorded lists (objects with
//! `slug` and `tools`) instead. Either is repeated to half a million tools, on one core and on two.

use mcpol_base::model::{Listing, ServerName, ServerSource, ToolDefinition};
use mcpol_classify::{Options, RuleSet, assess};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Tools to judge: about what a public registry holds.
const TOOLS: usize = 500_000;
/// The aim: all of them in this time on two cores.
const AIM: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo test --benches` runs this too: there it only shows that it works.
    let tools = if std::env::args().any(|argument| argument == "--bench") { TOOLS } else { 1_000 };
    let listings = match std::env::var_os("MCPOL_BENCH_TOOLS") {
        Some(directory) => recorded(std::path::Path::new(&directory))?,
        None => generated(),
    };
    let start = Instant::now();
    let rules = RuleSet::builtin();
    let built = start.elapsed();
    let mut out = std::io::stdout().lock();
    writeln!(out, "rules built in {:.1} ms", built.as_secs_f64() * 1e3)?;
    for cores in [1, 2] {
        let (judged, elapsed) = run(rules, &listings, tools, cores);
        writeln!(
            out,
            "{judged} tools on {cores} core(s): {:.2} s, {:.0} tools a second, {:.1} µs a tool a core",
            elapsed.as_secs_f64(),
            judged as f64 / elapsed.as_secs_f64(),
            elapsed.as_secs_f64() * 1e6 * cores as f64 / judged as f64
        )?;
        if cores == 2 {
            let ratio = elapsed.as_secs_f64() / AIM.as_secs_f64() * tools as f64 / judged as f64;
            writeln!(out, "aim: {tools} in {:.1} s on two cores; this is {ratio:.2} of it", AIM.as_secs_f64())?;
        }
    }
    Ok(())
}

/// Judges the listings again and again until enough tools are done, shared out among the cores.
fn run(rules: &RuleSet, listings: &[Listing], tools: usize, cores: usize) -> (usize, Duration) {
    let start = Instant::now();
    let judged = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|core| {
                scope.spawn(move || {
                    let mut judged = 0;
                    for listing in listings.iter().cycle().skip(core).step_by(cores) {
                        judged += black_box(assess(rules, listing, &Options::default())).len();
                        if judged * cores >= tools {
                            break;
                        }
                    }
                    judged
                })
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).sum()
    });
    (judged, start.elapsed())
}

fn recorded(directory: &std::path::Path) -> Result<Vec<Listing>, Box<dyn std::error::Error>> {
    let mut paths: Vec<_> = std::fs::read_dir(directory)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let mut listings = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let value: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        let tools = value["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        listings.push(listing(value["slug"].as_str().unwrap_or("server"), tools));
    }
    Ok(listings)
}

/// Servers as they are seen: two dozen tools, a paragraph of description, four parameters.
fn generated() -> Vec<Listing> {
    const VERBS: [&str; 8] = ["get", "list", "search", "create", "update", "delete", "run", "pause"];
    const THINGS: [&str; 6] = ["task", "calendar_event", "pull_request", "database_row", "focus_session", "invoice"];
    let text = "Takes the identifier of the record and, where more than one matches, the filter that selects among \
        them. Returns the record with its fields, or an error that says which field is wrong. Results are paged: pass \
        the cursor of the last page to go on. Use this tool only when the record is known to exist; it cannot be \
        undone for archived records. Dates are in ISO 8601, times in the zone of the account.";
    let server = |number: usize| {
        let tools: Vec<Value> = VERBS
            .iter()
            .flat_map(|verb| THINGS.iter().map(move |thing| (verb, thing)))
            .skip(number % 7)
            .step_by(2)
            .map(|(verb, thing)| {
                let words = thing.replace('_', " ");
                json!({"name": format!("app{number}_{verb}_{thing}"), "description": format!("{verb} one {words}. {text}"),
                "inputSchema": {"type": "object", "required": ["id"], "properties": {
                    "id": {"type": "string", "description": "Identifier of the record, as returned by the list"},
                    "fields": {"type": "array", "items": {"type": "string"}, "description": "Fields to return"},
                    "mode": {"type": "string", "enum": ["fast", "full"], "description": "How much to return at once"},
                    "limit": {"type": "integer", "description": "Most records to return, at most one hundred"}
                }}, "annotations": {"readOnlyHint": *verb == "get"}})
            })
            .collect();
        listing(&format!("app{number}"), &tools)
    };
    (0..100).map(server).collect()
}

fn listing(server: &str, tools: &[Value]) -> Listing {
    let parse = |tool: &Value| ToolDefinition::parse(&RawValue::from_string(tool.to_string()).ok()?).ok();
    Listing {
        server: ServerName::new(server),
        source: ServerSource::Sample,
        protocol_version: None,
        server_info: None,
        greeting: None,
        capabilities: None,
        client_capabilities: None,
        instructions: None,
        tools: tools.iter().filter_map(parse).collect(),
        unreadable: 0,
        extras: mcpol_base::model::Extras::not_recorded(),
        notes: Vec::new(),
    }
}
