//! `mcpol annotate`: which annotations tools should have, beside those that they have.

use super::load;
use super::write::{Existing, atomically};
use super::{Failure, output};
use crate::classify::hints::{Directory, Hint, Standing, ToolAdvice, advise};
use crate::cli::{AnnotateArgs, AnnotateFail, AnnotateFormat, RuleArgs};
use crate::exit::Exit;
use crate::mcp::json::string_value;
use crate::mcp::walk::{member, members};
use crate::model::{Listing, ServerSource, ToolDefinition};
use crate::report::{self, AnnotateReport, AnnotatedServer, AnnotatedTool};
use crate::text::nearest;
use std::path::Path;

pub(super) fn run(args: &AnnotateArgs) -> Result<Exit, Failure> {
    let directory = args.profile.as_deref().map(directory).transpose()?;
    // What a tool deserves must not rest on what it claims.
    let rules = RuleArgs { ignore_annotations: true, ..args.rules.clone() };
    let classifier = load::Classifier::new(&rules)?;
    let loaded = load::listings_or_sample(&args.target)?;
    output::failures(&loaded.failed);
    loaded.some()?;
    let mut servers = Vec::new();
    for listing in &loaded.listings {
        let verdicts = classifier.one(listing.clone(), Vec::new()).verdicts;
        let tools = listing.tools.iter().zip(&verdicts).map(|(tool, verdict)| AnnotatedTool {
            advice: advise(tool, verdict),
            lacking: directory.map(|directory| directory.lacking(tool)).unwrap_or_default(),
        });
        let file = match &listing.source {
            ServerSource::File { path, .. } => Some(path.clone()),
            _ => None,
        };
        servers.push(AnnotatedServer { server: listing.server.clone(), file, tools: tools.collect() });
    }
    if let Some(path) = &args.apply {
        apply(path, &loaded.listings, &servers, args)?;
    }
    let report = AnnotateReport::new(servers, directory);
    match args.format {
        AnnotateFormat::Table => output::coloured(&report::annotate_table(&report, output::terminal_width()))?,
        AnnotateFormat::Json => output::json(&report::annotate_json(&report).map_err(output::internal)?)?,
        AnnotateFormat::Sarif => {
            let text = report::annotate_sarif(&report, &classifier.fingerprint(), &super::top::paths());
            output::json(&text.map_err(output::internal)?)?;
        }
        AnnotateFormat::Markdown => {
            let text = report::annotate_markdown(&report);
            output::machine(|out| out.write_all(text.as_bytes()))?;
        }
    }
    if !loaded.failed.is_empty() {
        return Ok(Exit::Unreachable);
    }
    let fails = match args.fail_on {
        AnnotateFail::Never => false,
        AnnotateFail::Wrong => report.has_wrong(),
        AnnotateFail::Missing => report.has_wrong() || report.has_missing(),
    };
    Ok(if fails { Exit::Findings } else { Exit::Clean })
}

fn directory(id: &str) -> Result<&'static Directory, Failure> {
    Directory::all().iter().find(|directory| directory.id == id).ok_or_else(|| {
        let known: Vec<&str> = Directory::all().iter().map(|directory| directory.id.as_str()).collect();
        let failure = Failure::usage(format!("no directory is called `{}`", crate::text::escape(id)));
        match nearest(id, known.iter().copied()) {
            Some(near) => failure.with_help(format!("did you mean `{near}`?")),
            None => failure.with_help(format!("known are {}", known.join(", "))),
        }
    })
}

/// Writes the list of the one server with what is missing filled in.
fn apply(path: &Path, listings: &[Listing], servers: &[AnnotatedServer], args: &AnnotateArgs) -> Result<(), Failure> {
    let ([listing], [server]) = (listings, servers) else {
        return Err(Failure::usage("`--apply` writes the list of one server, and several were named")
            .with_help("name one with `--server NAME`, or one file with `--tools FILE`"));
    };
    let tools = listing.tools.iter().zip(&server.tools);
    let tools: Vec<String> = tools.map(|(tool, it)| annotated(tool, &it.advice, args.correct)).collect();
    let text = format!("{{\"tools\":[\n{}\n]}}\n", tools.join(",\n"));
    atomically(path, &text, if args.force { Existing::Replace } else { Existing::Keep })
}

/// A tool's definition with the hints that it deserves, everything else to the letter. A hint that is declared stays,
/// unless it is wrong and wrong ones are to be replaced.
fn annotated(tool: &ToolDefinition, advice: &ToolAdvice, corrects: bool) -> String {
    let text = tool.raw.get();
    let mut wanted: Vec<(&str, String)> = Vec::new();
    for hint in &advice.hints {
        let is_wanted = hint.standing == Standing::Missing || (corrects && hint.standing == Standing::Wrong);
        if let Some(value) = hint.deserved.filter(|_| is_wanted) {
            wanted.push((hint.hint.as_str(), value.to_string()));
        }
    }
    if advice.title.is_none() {
        wanted.push(("title", serde_json::Value::from(advice.proposed_title.as_str()).to_string()));
    }
    let declared = member(text, "annotations").filter(|(value, _)| value.starts_with('{'));
    let kept = declared.iter().flat_map(|(value, _)| members(value).map(|(name, span)| (name, &value[span])));
    let is_replaced = |name: &str| {
        let name = string_value(name);
        let is_hint = |name: &str| name == "title" || Hint::ALL.iter().any(|hint| hint.as_str() == name);
        name.is_some_and(|name| is_hint(&name) && wanted.iter().any(|(key, _)| *key == name))
    };
    let mut entries: Vec<String> =
        kept.filter(|(name, _)| !is_replaced(name)).map(|(name, value)| format!("{name}:{value}")).collect();
    entries.extend(wanted.iter().map(|(name, value)| format!("\"{name}\":{value}")));
    let annotations = format!("{{{}}}", entries.join(","));
    match member(text, "annotations") {
        Some((_, span)) => [&text[..span.start], &annotations, &text[span.end..]].concat(),
        None => {
            let end = text.rfind('}').unwrap_or(text.len());
            format!("{},\"annotations\":{annotations}{}", text[..end].trim_end(), &text[end..])
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot read its own tool must fail")]
mod tests {
    use super::*;
    use crate::classify::{Options, RuleSet, classify};
    use serde_json::value::RawValue;

    fn check(definition: &str, corrects: bool, expected: &str) {
        let (text, mut found) = (format!("{{\"tools\":[{definition}]}}"), Vec::new());
        crate::catalog::read(text.as_bytes(), "tools.json", &mut |listing| found.push(listing.unwrap())).unwrap();
        let listing = found.remove(0);
        let options = Options { ignore_annotations: true, ..Options::default() };
        let verdict = classify(RuleSet::builtin(), listing.clone(), &options).verdicts.remove(0);
        let tool = &listing.tools[0];
        let written = annotated(tool, &advise(tool, &verdict), corrects);
        assert_eq!(written, expected);
        assert!(ToolDefinition::parse(&RawValue::from_string(written).unwrap()).is_ok());
    }

    #[test]
    fn what_is_missing_is_filled_in_and_the_rest_stays_to_the_letter() {
        check(
            r#"{"description":"List all time zones", "name":"list_zones","x":1.0}"#,
            false,
            r#"{"description":"List all time zones", "name":"list_zones","x":1.0,"annotations":{"readOnlyHint":true,"destructiveHint":false,"openWorldHint":false,"title":"List zones"}}"#,
        );
    }

    #[test]
    fn a_wrong_hint_is_replaced_only_when_that_is_asked_for() {
        let definition = r#"{"name":"delete_note","title":"D","description":"Delete a note","annotations":{"readOnlyHint":true,"extra":"é"}}"#;
        let rest = r#""destructiveHint":true,"idempotentHint":true,"openWorldHint":false}}"#;
        let head = r#"{"name":"delete_note","title":"D","description":"Delete a note","annotations":{"#;
        check(definition, false, &format!(r#"{head}"readOnlyHint":true,"extra":"é",{rest}"#));
        check(definition, true, &format!(r#"{head}"extra":"é","readOnlyHint":false,{rest}"#));
    }
}
