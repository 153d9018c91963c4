//! `mcpol explain TOOL --policy P`: what a policy decides about one call, or about something beside tools, step by step.

use super::{Failure, load, output, policy_file, state};
use crate::cli::ExplainArgs;
use crate::clock::Timestamp;
use crate::exit::Exit;
use crate::mcp::envelope::ToolCall;
use crate::model::ToolName;
use crate::policy::{self, ArgumentSchema, Beside, Caller, Course, CourseKey, Facts, News, StoreError, Trace};
use crate::problem::{Place, Problem};
use crate::report;
use crate::state::{StatePlace, open};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What the server is called where no argument says so.
const SERVER: &str = "local";

pub(super) fn run(args: &ExplainArgs, path: &Path) -> Result<Exit, Failure> {
    let policy = policy_file::read(path)?;
    if let Some(question) = beside(args) {
        let door = question.door().map_err(Failure::usage)?;
        let trace = policy::explain_door(&policy, door);
        return print(args, &question.in_words(), trace);
    }
    let tool = args.tool.as_deref().unwrap_or_default();
    let arguments = args.args.as_deref().map(read_arguments).transpose()?;
    let now = match &args.at {
        None => crate::clock::now(),
        Some(text) => time(text)?,
    };
    let schema = if policy.wants_schema(tool) { schema(args, tool)? } else { None };
    let call = ToolCall::synthetic(ToolName::new(tool), arguments);
    let facts = Facts { schema: schema.as_ref(), ..Facts::default() };
    let place = match &args.state {
        None => StatePlace::Memory,
        Some(path) => state::place(Some(path))?,
    };
    if let StatePlace::File(path) = &place
        && !path.is_file()
    {
        return Err(Failure::usage(format!("cannot read `{}`: no such file", path.display()))
            .with_help("`mcpol enforce` makes it when a limit is first counted"));
    }
    let (stores, caller) = (open(&place), caller(args)?);
    let unusable = |error: StoreError| Failure::usage(error.to_string());
    let session = args.caller.split_once('/').map(|(_, session)| session);
    let grant = caller.grant.as_deref().unwrap_or_default();
    let key = match session {
        Some(session) => CourseKey::of_server(&caller.server, session, grant),
        None => CourseKey::of(None, grant),
    };
    let mut course = Course::clone(&*stores.courses.course(now, &key).map_err(unusable)?);
    for tool in &args.after {
        let called = News::Called { words: policy.leaves(tool), server: &caller.server, tool };
        course.grow(now, key.lapses(), &called);
    }
    let facts = Facts { course: Some(key.at(&course, now)), ..facts };
    let trace = policy::explain(&policy, &*stores.limits, &caller, &call, facts, now).map_err(unusable)?;
    let exit = print(args, tool, trace)?;
    if !args.format.is_json() && policy.wants_schema(tool) && schema.is_none() {
        output::note("hint: name the server or a saved list with `--tools` to check the arguments too\n");
    }
    Ok(exit)
}

/// What the arguments ask about beside tools, if they do.
fn beside(args: &ExplainArgs) -> Option<Beside<'_>> {
    let resource = args.resource.as_deref().map(Beside::Resource);
    let prompt = args.prompt.as_deref().map(Beside::Prompt);
    resource.or(prompt).or(args.method.as_deref().map(Beside::Method))
}

fn print(args: &ExplainArgs, subject: &str, trace: Trace) -> Result<Exit, Failure> {
    if args.format.is_json() {
        output::document(&report::TraceReport::new(trace))?;
    } else {
        output::coloured(&report::policy_trace(subject, &trace, output::terminal_width()))?;
    }
    Ok(Exit::Clean)
}

fn caller(args: &ExplainArgs) -> Result<Caller, Failure> {
    let (grant, session) = match args.caller.split_once('/') {
        Some((grant, session)) => (grant, Some(Arc::from(session))),
        None => (args.caller.as_str(), None),
    };
    let server = match load::server_name(&args.target)? {
        Some(name) => name.as_str().to_owned(),
        // Counters belong to a server: of another one they would all be empty.
        None if args.state.is_some() => {
            return Err(Failure::usage("the counters of `--state` belong to a server, and none is named")
                .with_help("give `--name` with what `mcpol enforce` calls it when it starts, or its URL or command"));
        }
        None => SERVER.to_owned(),
    };
    // Someone who names no session still has one: only counters by session would know the difference.
    let session = session.or_else(|| Some(Arc::from("explain")));
    Ok(Caller {
        server: Arc::from(server),
        grant: (!grant.is_empty()).then(|| Arc::from(grant)),
        session,
        course: None,
        pledge: None,
    })
}

/// Arguments are one JSON object, or the problem says where they are not.
fn read_arguments(text: &str) -> Result<String, Failure> {
    let problem = |place, message: String| {
        let problem = Problem { file: "--args".to_owned(), place, pointer: String::new(), message, help: None };
        Failure::usage("the arguments are not a JSON object")
            .with_problems(vec![problem])
            .with_help("quote them for the shell: `--args '{\"amount\": 5}'`")
    };
    // Only the form is looked at here: numbers out of bounds and members that occur twice are for the policy to judge,
    // as they are in a call.
    match serde_json::from_str::<BTreeMap<String, serde::de::IgnoredAny>>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) if error.is_data() => Err(problem(None, "this is not an object".to_owned())),
        Err(error) => {
            let place = Place { line: error.line(), column: error.column() };
            Err(problem(Some(place), "not readable as JSON".to_owned()))
        }
    }
}

pub(super) fn time(text: &str) -> Result<Timestamp, Failure> {
    policy::parse_utc(text).ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a time")).with_help("write UTC: `2026-11-23T09:30:00Z` or `2026-11-23`")
    })
}

/// The tool's input schema, where the arguments name a server that has it.
fn schema(args: &ExplainArgs, wanted: &str) -> Result<Option<ArgumentSchema>, Failure> {
    if !load::names_anything(&args.target) {
        return Ok(None);
    }
    let loaded = load::listings(&args.target)?;
    output::failures(&loaded.failed);
    let tools = loaded.listings.iter().flat_map(|listing| &listing.tools);
    let Some(tool) = tools.into_iter().find(|tool| tool.name.as_str() == wanted) else { return Ok(None) };
    let definition: serde_json::Value = serde_json::from_str(tool.raw.get()).map_err(output::internal)?;
    match definition.get("inputSchema").map(ArgumentSchema::compile) {
        Some(Ok(schema)) => Ok(Some(schema)),
        Some(Err(why)) => {
            output::people(&format!("warning: the input schema cannot be used: {}\n", crate::text::escape(&why)));
            Ok(None)
        }
        None => Ok(None),
    }
}
