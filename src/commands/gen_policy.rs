//! `mcpol gen-policy`: list, classify, recommend, write.

use super::write::{Existing, atomically};
use super::{Failure, load, output, policy_file};
use crate::cli::{GenPolicyArgs, PolicyProfile};
use crate::exit::Exit;
use crate::model::Classified;
use crate::policy::{self, Merge, Policy, Profile, Recommendation, Selection};
use crate::report;
use std::collections::BTreeSet;
use std::path::PathBuf;

pub(super) fn run(args: GenPolicyArgs) -> Result<Exit, Failure> {
    // A policy that cannot be read is said before any server is started.
    let old = args.merge.as_deref().map(policy_file::read).transpose()?;
    let loaded = load::listings(&args.target)?;
    output::people(&report::failures(&loaded.failed));
    let unreachable = !loaded.failed.is_empty();
    let servers = load::classify(loaded.listings, &args.rules)?;
    if servers.iter().all(|server| server.listing.tools.is_empty()) {
        if unreachable {
            return Ok(Exit::Unreachable);
        }
        return Err(Failure::usage("no tools to write a policy for").with_exit(Exit::Nothing));
    }
    check_arguments(&args, &servers)?;
    let pages = servers.iter().map(|server| page(&args, server, old.as_ref())).collect::<Result<Vec<_>, _>>()?;
    write(&args, &pages)?;
    if !args.quiet {
        let columns = output::terminal_width();
        let tables: Vec<String> = pages
            .iter()
            .map(|page| report::policy_review(&page.server, &page.new.review, page.merge.as_ref(), columns))
            .collect();
        output::people(&tables.join("\n"));
    }
    Ok(if unreachable { Exit::Unreachable } else { Exit::Clean })
}

/// One server's policy.
struct Page {
    server: String,
    new: Recommendation,
    merge: Option<Merge>,
    text: String,
}

fn check_arguments(args: &GenPolicyArgs, servers: &[Classified]) -> Result<(), Failure> {
    if servers.len() > 1 {
        if args.merge.is_some() {
            return Err(Failure::usage("`--merge` is for one server").with_help("name it with `--server`"));
        }
        if args.output.is_none() {
            return Err(Failure::usage(format!("{} servers need one policy each", servers.len()))
                .with_help("give a directory with `-o DIR`, or name one server"));
        }
    }
    let known: BTreeSet<&str> =
        servers.iter().flat_map(|server| server.listing.tools.iter().map(|tool| tool.name.as_str())).collect();
    for name in args.only.iter().chain(&args.except) {
        if !known.contains(name.as_str()) {
            let failure = Failure::usage(format!("no tool is called `{name}`"));
            return Err(match crate::text::nearest(name, known.iter().copied()) {
                Some(near) => failure.with_help(format!("did you mean `{near}`?")),
                None => failure.with_help("`mcpol scan` lists the tools"),
            });
        }
    }
    Ok(())
}

fn page(args: &GenPolicyArgs, server: &Classified, old: Option<&Policy>) -> Result<Page, Failure> {
    let profile = match args.profile {
        PolicyProfile::Standard => Profile::Standard,
        PolicyProfile::Strict => Profile::Strict,
        PolicyProfile::ReadOnly => Profile::ReadOnly,
    };
    let selection =
        Selection { only: args.only.iter().cloned().collect(), except: args.except.iter().cloned().collect() };
    let tools = &server.listing.tools;
    let new = policy::generate(tools.iter().zip(&server.verdicts), profile, &selection);
    let declared = tools.iter().map(|tool| tool.name.as_str()).collect();
    let merge = old.map(|old| policy::merge(old.document(), &new, &declared));
    let text = merge.as_ref().map_or(&new.document, |merge| &merge.document).print();
    let name = server.listing.server.as_str().to_owned();
    // What is written must be what would be read back.
    policy::parse(&text, &name)
        .map_err(|problems| Failure::usage(format!("no policy can be written for `{name}`")).with_problems(problems))?;
    Ok(Page { server: name, new, merge, text })
}

fn write(args: &GenPolicyArgs, pages: &[Page]) -> Result<(), Failure> {
    let existing = if args.force || args.merge.is_some() { Existing::Replace } else { Existing::Keep };
    match (&args.output, pages) {
        (None, pages) => {
            let text: String = pages.iter().map(|page| page.text.as_str()).collect();
            output::json(&text)?;
        }
        (Some(path), [page]) if !path.is_dir() => atomically(path, &page.text, existing)?,
        (Some(directory), pages) => {
            std::fs::create_dir_all(directory).map_err(|error| {
                Failure::usage(format!("cannot make the directory `{}`: {error}", directory.display()))
            })?;
            for (path, page) in file_names(pages).into_iter().zip(pages) {
                atomically(&directory.join(path), &page.text, existing)?;
            }
        }
    }
    if let Some(path) = &args.notes {
        let notes: Vec<String> = pages
            .iter()
            .map(|page| report::policy_notes(&page.server, &page.new.review, page.merge.as_ref()))
            .collect();
        atomically(path, &notes.join("\n"), existing)?;
    }
    Ok(())
}

/// A file name a server. A server's name is never used as it is: it could be a path.
fn file_names(pages: &[Page]) -> Vec<PathBuf> {
    let mut taken = BTreeSet::new();
    let mut names = Vec::new();
    for page in pages {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
        let stem: String = page.server.chars().take(100).map(plain).collect();
        let stem = if stem.starts_with('.') || stem.is_empty() { format!("_{stem}") } else { stem };
        let mut name = format!("{stem}.json");
        let mut count = 1;
        while !taken.insert(name.to_ascii_lowercase()) {
            count += 1;
            name = format!("{stem}-{count}.json");
        }
        names.push(PathBuf::from(name));
    }
    names
}
