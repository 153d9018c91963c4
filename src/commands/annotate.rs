//! `mcpol annotate`: which annotations tools should have, beside those that they have.

use super::load;
use super::write::{Existing, atomically};
use super::{Failure, output, project};
use crate::classify::annotated::{self, Filling};
use crate::classify::hints::{Directory, ToolAdvice, advise};
use crate::cli::{AnnotateArgs, AnnotateFail, AnnotateFormat, RuleArgs, TargetArgs};
use crate::exit::Exit;
use crate::model::{Listing, ServerSource, ToolDefinition};
use crate::report::{self, AnnotateReport, AnnotatedServer, AnnotatedTool};
use crate::text::nearest;
use std::path::Path;

pub(super) fn run(args: &AnnotateArgs) -> Result<Exit, Failure> {
    let directory = args.profile.as_deref().map(directory).transpose()?;
    // What a tool deserves must not rest on what it claims.
    let rules = RuleArgs { ignore_annotations: true, ..args.rules.clone() };
    let classifier = load::Classifier::new(&rules)?;
    let target = TargetArgs { kept: args.fresh.kept(), ..project::with_servers(&args.target)? };
    let loaded = load::listings_or_sample(&target)?;
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
        AnnotateFormat::Json => output::document(&report)?,
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
    let filling = if args.correct { Filling::Wrong } else { Filling::Missing };
    let tools: Vec<String> = tools.map(|(tool, it)| annotated(tool, &it.advice, filling)).collect();
    let text = format!("{{\"tools\":[\n{}\n]}}\n", tools.join(",\n"));
    atomically(path, &text, if args.force { Existing::Replace } else { Existing::Keep })
}

/// A tool's definition with the hints, and the title, that it deserves.
fn annotated(tool: &ToolDefinition, advice: &ToolAdvice, filling: Filling) -> String {
    let definition = tool.raw.get();
    let title = advice.title.is_none().then_some(&*advice.proposed_title);
    annotated::annotated(definition, &advice.changes(filling), title).unwrap_or_else(|| definition.to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot read its own tool must fail")]
mod tests {
    use super::*;
    use crate::classify::{Options, RuleSet, classify};
    use serde_json::value::RawValue;

    fn check(definition: &str, expected: &str) {
        let (text, mut found) = (format!("{{\"tools\":[{definition}]}}"), Vec::new());
        crate::catalog::read(text.as_bytes(), "tools.json", &mut |listing| found.push(listing.unwrap())).unwrap();
        let listing = found.remove(0);
        let options = Options { ignore_annotations: true, ..Options::default() };
        let verdict = classify(RuleSet::builtin(), listing.clone(), &options).verdicts.remove(0);
        let tool = &listing.tools[0];
        let written = annotated(tool, &advise(tool, &verdict), Filling::Missing);
        assert_eq!(written, expected);
        assert!(ToolDefinition::parse(&RawValue::from_string(written).unwrap()).is_ok());
    }

    #[test]
    fn a_title_is_filled_in_with_the_hints_and_one_that_is_there_stays() {
        let hints = r#""readOnlyHint":true,"destructiveHint":false,"openWorldHint":false"#;
        check(
            r#"{"description":"List all time zones", "name":"list_zones","x":1.0}"#,
            &format!(
                r#"{{"description":"List all time zones", "name":"list_zones","x":1.0,"annotations":{{{hints},"title":"List zones"}}}}"#
            ),
        );
        check(
            r#"{"name":"list_zones","title":"Z","description":"List all time zones"}"#,
            &format!(
                r#"{{"name":"list_zones","title":"Z","description":"List all time zones","annotations":{{{hints}}}}}"#
            ),
        );
    }
}
