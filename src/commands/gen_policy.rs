//! `mcpol gen-policy`: list, classify, recommend, write.

use super::load::{self, Classifier};
use super::write::{Existing, atomically};
use super::{Failure, output, policy_file, project};
use crate::cli::{GenPolicyArgs, PolicyFlows, PolicyProfile};
use crate::exit::Exit;
use crate::model::{Classified, ExtraKind, Listing, Offered, ServerSource};
use crate::policy::{self, Flows, Form, Left, Merge, Policy, Profile, Recommendation, Selection, Wishes};
use crate::report::{self, PolicyReview};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;

pub(super) fn run(args: GenPolicyArgs) -> Result<Exit, Failure> {
    let (exit, review) = work(args)?;
    output::note(&review);
    Ok(exit)
}

/// Writes the policies; answers the review, for whoever is to read it.
pub(super) fn work(mut args: GenPolicyArgs) -> Result<(Exit, String), Failure> {
    args.target.kept = args.fresh.kept();
    // A policy that cannot be read is said before any server is started.
    let old = args.merge.as_deref().map(policy_file::read).transpose()?;
    let loaded = load::listings(&project::with_servers(&args.target)?)?;
    output::failures(&loaded.failed);
    let failed = loaded.failed.len();
    let unreachable = failed > 0;
    let classifier = Classifier::new(&args.rules)?;
    let servers: Vec<Classified> =
        loaded.listings.into_iter().map(|listing| classifier.one(listing, Vec::new())).collect();
    classifier.say_what_did_not_apply();
    let offers_nothing =
        |server: &Classified| server.listing.tools.is_empty() && server.listing.extras.listed().next().is_none();
    if servers.iter().all(offers_nothing) {
        if unreachable {
            return Ok((Exit::Unreachable, String::new()));
        }
        return Err(Failure::usage("no tools to write a policy for").with_exit(Exit::Nothing));
    }
    check_arguments(&args, &servers)?;
    let pages = servers.iter().map(|server| page(&args, &classifier, server, old.as_ref()));
    let pages = pages.collect::<Result<Vec<_>, _>>()?;
    write(&args, &pages, pages.len() + failed > 1)?;
    let columns = output::terminal_width();
    let tables: Vec<String> = pages.iter().map(|page| report::policy_review(&page.review(), columns)).collect();
    Ok((if unreachable { Exit::Unreachable } else { Exit::Clean }, tables.join("\n")))
}

/// One server's policy.
struct PolicyPage {
    server: String,
    new: Recommendation,
    merge: Option<Merge>,
    left: Left,
    unlisted: Vec<ExtraKind>,
    text: String,
}

impl PolicyPage {
    fn review(&self) -> PolicyReview<'_> {
        PolicyReview {
            server: &self.server,
            new: &self.new,
            merge: self.merge.as_ref(),
            left: self.left,
            unlisted: &self.unlisted,
        }
    }
}

fn check_arguments(args: &GenPolicyArgs, servers: &[Classified]) -> Result<(), Failure> {
    if args.portable == Some(true) && args.profile == PolicyProfile::Strict {
        return Err(Failure::usage("the strict profile cannot be portable")
            .with_help("it asks people and checks schemas, which the format of others does not know"));
    }
    if args.portable == Some(true) && matches!(args.flows, Some(PolicyFlows::Always | PolicyFlows::Seen)) {
        return Err(Failure::usage("flows cannot be portable")
            .with_help("the format of others does not know the course of a session"));
    }
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

/// The text of the policy that a server deserves that is asked for what it offers.
///
/// # Errors
/// A name or a schema of the server cannot stand in a policy.
pub(super) fn recommended(
    server: &Classified,
    strictness: PolicyProfile,
    classifier: &Classifier,
) -> Result<String, Failure> {
    let judge = classifier.judge_like(&server.listing);
    let flows = flows(None, strictness, None);
    let wishes = Wishes { profile: profile(strictness), judge: Some(&judge), flows, ..Wishes::standard(Form::Full) };
    let mut new = policy::generate(server.listing.tools.iter().zip(&server.verdicts_with_all_findings()), &wishes);
    add_offers(&mut new, server, classifier);
    checked(&new.document, server.listing.server.as_str()).map(|(text, _)| text)
}

/// Adds what the server offers beside tools; returns the kinds that it has and does not list.
fn add_offers(new: &mut Recommendation, server: &Classified, classifier: &Classifier) -> Vec<ExtraKind> {
    let extras = &server.listing.extras;
    let found: Vec<_> = extras.listed().map(|extra| (extra, classifier.of_extra(extra))).collect();
    policy::add_offers(new, found.iter().map(|(extra, findings)| (*extra, findings.as_slice())));
    ExtraKind::ALL.into_iter().filter(|kind| matches!(extras.of(*kind), Offered::Refused)).collect()
}

fn profile(given: PolicyProfile) -> Profile {
    match given {
        PolicyProfile::Standard => Profile::Standard,
        PolicyProfile::Strict => Profile::Strict,
        PolicyProfile::ReadOnly => Profile::ReadOnly,
    }
}

/// Which flows are written: those that are asked for, else by the profile. A policy that has some keeps them.
fn flows(asked: Option<PolicyFlows>, profile: PolicyProfile, old: Option<&Policy>) -> Flows {
    if old.is_some_and(Policy::has_flows) {
        return Flows::FlagsOnly;
    }
    match (asked, profile) {
        (Some(PolicyFlows::Always), _) | (None, PolicyProfile::Strict) => Flows::Always,
        (Some(PolicyFlows::Seen), _) => Flows::Seen,
        (Some(PolicyFlows::None), _) | (None, PolicyProfile::Standard | PolicyProfile::ReadOnly) => Flows::None,
    }
}

/// A policy as text, and as it is read back: what is written must be that.
fn checked(document: &policy::Document, name: &str) -> Result<(String, Policy), Failure> {
    let text = crate::text::visible_json(&document.print()).into_owned();
    let policy = policy::parse(&text, name)
        .map_err(|problems| Failure::usage(format!("no policy can be written for `{name}`")).with_problems(problems))?;
    Ok((text, policy))
}

/// Whether only what others know of the format is written. A saved list of tools alone says nothing of a session, and
/// whoever keeps such lists may use the policy elsewhere.
fn is_portable(args: &GenPolicyArgs, listing: &Listing) -> bool {
    let is_unknown = |kind| matches!(listing.extras.of(kind), Offered::NotRecorded);
    let is_plain_list =
        matches!(listing.source, ServerSource::File { .. }) && ExtraKind::ALL.into_iter().all(is_unknown);
    let wants_more =
        args.profile == PolicyProfile::Strict || args.flows.is_some_and(|flows| flows != PolicyFlows::None);
    args.portable.unwrap_or(is_plain_list && !wants_more)
}

fn page(
    args: &GenPolicyArgs,
    classifier: &Classifier,
    server: &Classified,
    old: Option<&Policy>,
) -> Result<PolicyPage, Failure> {
    let profile = profile(args.profile);
    let tools = &server.listing.tools;
    let portable = is_portable(args, &server.listing);
    let judge = classifier.judge_like(&server.listing);
    let wishes = Wishes {
        profile,
        form: if portable { Form::Portable } else { Form::Full },
        selection: Selection {
            only: args.only.iter().cloned().collect(),
            except: args.except.iter().cloned().collect(),
        },
        judge: Some(&judge),
        flows: flows(args.flows, args.profile, old),
    };
    let verdicts = server.verdicts_with_all_findings();
    let mut new = policy::generate(tools.iter().zip(&verdicts), &wishes);
    // A policy for some tools is for these tools.
    let beside_tools = !portable && args.only.is_empty();
    let unlisted = if beside_tools { add_offers(&mut new, server, classifier) } else { Vec::new() };
    let declared = tools.iter().map(|tool| tool.name.as_str()).collect();
    let merge = old.map(|old| policy::merge(old, &mut new, &declared));
    let name = server.listing.server.as_str().to_owned();
    let (text, policy) = checked(merge.as_ref().map_or(&new.document, |merge| &merge.document), &name)?;
    let left = policy::left(&policy, tools);
    Ok(PolicyPage { server: name, new, merge, left, unlisted, text })
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
        let notes: Vec<String> = pages.iter().map(|page| report::policy_notes(&page.review())).collect();
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
