//! `mcpol policy check`: the policy alone, and against the tools that it is for.

use crate::cli::{CheckFormat, FailLevel, PolicyCheckArgs};
use crate::commands::load::Classifier;
use crate::commands::{Failure, load, output, policy_file, top};
use crate::exit::Exit;
use crate::gateway::reach::{self, KeptFile};
use crate::mcp::target::StdioTarget;
use crate::model::{Classified, ExtraKind, Finding, Listing, Offered, ServerName, Severity, Verdict};
use crate::policy::{self, Against, Lint, OfferSubject, Places, Subject};
use crate::report::{self, PolicyCheck};

pub(super) fn run(args: &PolicyCheckArgs) -> Result<Exit, Failure> {
    let text = policy_file::text(&args.policy)?;
    let file = args.policy.to_string_lossy();
    let policy = match policy::parse(&text, &file) {
        Ok(policy) => policy,
        Err(problems) => {
            if args.format != CheckFormat::Table {
                let lints = report::invalid_policy(&problems);
                print(args, &PolicyCheck { file: &file, lints: &lints, against: "not a policy", hint: None }, "")?;
            }
            return Err(Failure::usage(format!("`{file}` is not a valid policy")).with_problems(problems));
        }
    };
    let command = &args.target.command;
    let target = (!command.is_empty()).then(|| StdioTarget::new(ServerName::new("server"), command.clone()));
    for warning in reach::warnings(&[KeptFile { what: "policy", path: &args.policy }], target.as_ref()) {
        output::people(&format!("warning: {warning}\n"));
    }
    let (servers, rules, unreachable) = servers(args)?;
    let offers: Vec<OfferSubject<'_>> = servers
        .iter()
        .flat_map(|server| server.classified.listing.extras.listed().zip(server.of_extras.iter().map(Vec::as_slice)))
        .collect();
    let listed: Vec<ExtraKind> = ExtraKind::ALL
        .into_iter()
        .filter(|kind| servers.iter().all(|one| matches!(one.classified.listing.extras.of(*kind), Offered::Listed(_))))
        .collect();
    let servers: Vec<&Classified> = servers.iter().map(|server| &server.classified).collect();
    let verdicts: Vec<Verdict> = servers.iter().flat_map(|server| server.verdicts_with_all_findings()).collect();
    let tools = servers.iter().flat_map(|server| &server.listing.tools);
    let subjects: Vec<Subject<'_>> = tools.zip(verdicts.iter().map(Some)).collect();
    let places = Places::of(&text);
    // Without a tool there is nothing to compare with, and every name would seem wrong.
    let against = Against { tools: &subjects, offers: &offers, listed: &listed };
    let mut lints = policy::check(&policy, &places, (!servers.is_empty()).then_some(&against));
    if args.portable {
        lints.extend(policy::check_portable(&policy, &places));
        lints.sort_by_key(|lint| lint.place);
    }
    let against = match servers.as_slice() {
        [] => "by itself".to_owned(),
        [one] => format!("against {} tools of {}", subjects.len(), one.listing.server.as_str()),
        many => format!("against {} tools of {} servers", subjects.len(), many.len()),
    };
    let hint = servers.is_empty().then_some("`--tools FILE`, a URL or a command also checks it against the tools");
    print(args, &PolicyCheck { file: &file, lints: &lints, against: &against, hint }, &rules)?;
    if unreachable {
        return Ok(Exit::Unreachable);
    }
    Ok(if fails(&lints, args.fail_on) { Exit::Findings } else { Exit::Clean })
}

/// A server with the findings about the texts of what it offers beside tools, in the order of its lists.
struct Judged {
    classified: Classified,
    of_extras: Vec<Vec<Finding>>,
}

/// The servers that the arguments name, if they name any, with the fingerprint of the rules that judged them, and whether
/// one could not be listed.
fn servers(args: &PolicyCheckArgs) -> Result<(Vec<Judged>, String, bool), Failure> {
    if !load::names_anything(&args.target) {
        return Ok((Vec::new(), String::new(), false));
    }
    let loaded = load::listings(&args.target)?;
    output::failures(&loaded.failed);
    let rules = Classifier::new(&args.rules)?;
    let judge = |listing: Listing| {
        let of_extras = listing.extras.listed().map(|extra| rules.of_extra(extra)).collect();
        Judged { classified: rules.one(listing, Vec::new()), of_extras }
    };
    let judged = loaded.listings.into_iter().map(judge).collect();
    rules.say_what_did_not_apply();
    Ok((judged, rules.fingerprint(), !loaded.failed.is_empty()))
}

fn print(args: &PolicyCheckArgs, check: &PolicyCheck<'_>, rules: &str) -> Result<(), Failure> {
    let text = match args.format {
        CheckFormat::Table => {
            return output::coloured(&report::policy_check_table(check, output::terminal_width()));
        }
        CheckFormat::Json => return output::document(&check.document()),
        CheckFormat::Sarif => report::policy_check_sarif(check, &top::paths()(check.file), rules),
    };
    let text = text.map_err(output::internal)?;
    output::json(&text)
}

fn fails(lints: &[Lint], level: FailLevel) -> bool {
    let least = match level {
        FailLevel::Note => Severity::Note,
        FailLevel::Warning => Severity::Warning,
        FailLevel::Error => Severity::Error,
        FailLevel::Never => return false,
    };
    lints.iter().any(|lint| lint.severity >= least)
}
