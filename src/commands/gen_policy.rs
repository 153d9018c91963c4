//! `mcpol gen-policy`: list, classify, recommend, write.

use super::write::{Existing, atomically};
use super::{Failure, load, output, policy_file};
use crate::cli::{GenPolicyArgs, PolicyProfile};
use crate::exit::Exit;
use crate::model::Classified;
use crate::policy::{self, Left, Merge, Policy, Profile, Recommendation, Selection};
use crate::report;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;

pub(super) fn run(args: GenPolicyArgs) -> Result<Exit, Failure> {
    // A policy that cannot be read is said before any server is started.
    let old = args.merge.as_deref().map(policy_file::read).transpose()?;
    let loaded = load::listings(&args.target)?;
    output::people(&report::failures(&loaded.failed));
    let failed = loaded.failed.len();
    let unreachable = failed > 0;
    let servers = load::classify(loaded.listings, &args.rules)?;
    if servers.iter().all(|server| server.listing.tools.is_empty()) {
        if unreachable {
            return Ok(Exit::Unreachable);
        }
        return Err(Failure::usage("no tools to write a policy for").with_exit(Exit::Nothing));
    }
    check_arguments(&args, &servers)?;
    let pages = servers.iter().map(|server| page(&args, server, old.as_ref())).collect::<Result<Vec<_>, _>>()?;
    write(&args, &pages, pages.len() + failed > 1)?;
    if !args.quiet {
        let columns = output::terminal_width();
        let tables: Vec<String> = pages
            .iter()
            .map(|page| report::policy_review(&page.server, &page.new.review, page.merge.as_ref(), page.left, columns))
            .collect();
        output::people(&tables.join("\n"));
    }
    Ok(if unreachable { Exit::Unreachable } else { Exit::Clean })
}

/// One server's policy.
struct PolicyPage {
    server: String,
    new: Recommendation,
    merge: Option<Merge>,
    left: Left,
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

/// The text of the policy that a server's tools deserve.
///
/// # Errors
/// A name or a schema of the server cannot stand in a policy.
pub(super) fn recommended(server: &Classified, strictness: PolicyProfile) -> Result<String, Failure> {
    let pairs = server.listing.tools.iter().zip(&server.verdicts);
    let new = policy::generate(pairs, profile(strictness), &Selection::default());
    checked(&new.document, server.listing.server.as_str()).map(|(text, _)| text)
}

fn profile(given: PolicyProfile) -> Profile {
    match given {
        PolicyProfile::Standard => Profile::Standard,
        PolicyProfile::Strict => Profile::Strict,
        PolicyProfile::ReadOnly => Profile::ReadOnly,
    }
}

/// A policy as text, and as it is read back: what is written must be that.
fn checked(document: &policy::Document, name: &str) -> Result<(String, Policy), Failure> {
    let text = crate::text::visible_json(&document.print()).into_owned();
    let policy = policy::parse(&text, name)
        .map_err(|problems| Failure::usage(format!("no policy can be written for `{name}`")).with_problems(problems))?;
    Ok((text, policy))
}

fn page(args: &GenPolicyArgs, server: &Classified, old: Option<&Policy>) -> Result<PolicyPage, Failure> {
    let profile = profile(args.profile);
    let selection =
        Selection { only: args.only.iter().cloned().collect(), except: args.except.iter().cloned().collect() };
    let tools = &server.listing.tools;
    let mut new = policy::generate(tools.iter().zip(&server.verdicts), profile, &selection);
    let declared = tools.iter().map(|tool| tool.name.as_str()).collect();
    let merge = old.map(|old| policy::merge(old.document(), &mut new, &declared));
    let name = server.listing.server.as_str().to_owned();
    let (text, policy) = checked(merge.as_ref().map_or(&new.document, |merge| &merge.document), &name)?;
    let left = policy::left(&policy, tools);
    Ok(PolicyPage { server: name, new, merge, left, text })
}

/// Writes everything, or nothing where something is in the way. `several`: the arguments name more than one server, of
/// which some may have failed.
fn write(args: &GenPolicyArgs, pages: &[PolicyPage], several: bool) -> Result<(), Failure> {
    let mut files: Vec<(PathBuf, Cow<'_, str>)> = Vec::new();
    let mut directory = None;
    if let Some(path) = &args.output {
        let named_so = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
        match pages {
            [page] if !several && !named_so && !path.is_dir() => files.push((path.clone(), page.text.as_str().into())),
            pages => {
                directory = Some(path);
                let names = file_names(pages).into_iter().map(|name| path.join(name));
                files.extend(names.zip(pages.iter().map(|page| Cow::from(page.text.as_str()))));
            }
        }
    }
    if let Some(path) = &args.notes {
        let notes: Vec<String> = pages
            .iter()
            .map(|page| report::policy_notes(&page.server, &page.new.review, page.merge.as_ref(), page.left))
            .collect();
        if files.iter().any(|(file, _)| file == path) {
            return Err(Failure::usage(format!("`{}` cannot be the policy and the notes", path.display()))
                .with_help("give `--notes` a name of its own"));
        }
        files.push((path.clone(), notes.join("\n").into()));
    }
    let existing = if args.force || args.merge.is_some() { Existing::Replace } else { Existing::Keep };
    if existing == Existing::Keep
        && let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok())
    {
        return Err(Failure::usage(format!("`{}` exists", path.display()))
            .with_help("`--force` overwrites it, `--merge` adds to a policy"));
    }
    if let Some(directory) = directory {
        std::fs::create_dir_all(directory)
            .map_err(|error| Failure::usage(format!("cannot make the directory `{}`: {error}", directory.display())))?;
    }
    for (path, text) in &files {
        atomically(path, text, existing)?;
    }
    if args.output.is_none() {
        let text: String = pages.iter().map(|page| page.text.as_str()).collect();
        output::json(&text)?;
    }
    Ok(())
}

/// What files of a server are called. Its name is never used as it is: it could be a path.
pub(super) fn file_stem(server: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let stem: String = server.chars().take(100).map(plain).collect();
    if stem.starts_with('.') || stem.is_empty() { format!("_{stem}") } else { stem }
}

/// A file name a server.
fn file_names(pages: &[PolicyPage]) -> Vec<PathBuf> {
    let mut taken = BTreeSet::new();
    let mut names = Vec::new();
    for page in pages {
        let stem = file_stem(&page.server);
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
