//! `mcpol policy test`: the cases beside a policy, and cases made for it.

use crate::cli::PolicyTestArgs;
use crate::commands::write::{Existing, atomically};
use crate::commands::{Failure, output, policy_file};
use crate::exit::Exit;
use crate::policy::{self, Case, CaseResult, Policy};
use crate::report::{self, PolicyTest};
use crate::state::MemoryStore;
use std::path::{Path, PathBuf};

pub(super) fn run(args: &PolicyTestArgs) -> Result<Exit, Failure> {
    let policy = policy_file::read(&args.policy)?;
    let path = args.cases.clone().unwrap_or_else(|| beside(&args.policy));
    if args.generate {
        return generate(args, &policy, &path);
    }
    if !path.is_file() {
        return Err(Failure::usage(format!("no test cases: `{}` is not there", path.display()))
            .with_exit(Exit::Nothing)
            .with_help("`--generate` writes cases at the bounds of every rule"));
    }
    let text = policy_file::text_within(&path, policy::CASES_BYTES_MAX)?;
    let file = path.to_string_lossy();
    let cases = policy::parse_cases(&text, &file)
        .map_err(|problems| Failure::usage(format!("`{file}` is not a file of test cases")).with_problems(problems))?;
    if cases.is_empty() {
        return Err(Failure::usage(format!("`{file}` has no cases")).with_exit(Exit::Nothing));
    }
    let results: Vec<CaseResult> = cases.iter().map(|case| decide(&policy, case)).collect();
    let unexercised = policy::unexercised(&policy, &results);
    let test = PolicyTest { file: &file, cases: &cases, results: &results, unexercised: &unexercised };
    if args.format.is_json() {
        output::document(&test.document())?;
    } else {
        output::coloured(&report::policy_test_table(&test, output::terminal_width()))?;
    }
    let failed = cases.iter().zip(&results).any(|(case, result)| !case.agrees(result));
    Ok(if failed { Exit::Findings } else { Exit::Clean })
}

/// `policy.json` has its cases in `policy.test.toml`.
fn beside(policy: &Path) -> PathBuf {
    policy.with_extension("test.toml")
}

fn decide(policy: &Policy, case: &Case) -> CaseResult {
    let store = MemoryStore::new();
    policy::run_case(policy, case, &store, &store, &store)
}

fn generate(args: &PolicyTestArgs, policy: &Policy, path: &Path) -> Result<Exit, Failure> {
    let cases = policy::generate_cases(policy, &mut |case| decide(policy, case));
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    atomically(path, &policy::print_cases(&cases), existing)?;
    output::people(&format!(
        "wrote {} cases to {}\nread them once: they say what the policy decides today, not what it should\n",
        cases.len(),
        path.display()
    ));
    Ok(Exit::Clean)
}
