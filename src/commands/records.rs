//! `mcpol catalog search|show|stats|diff`: questions to a directory of records.

use super::load::{self, Classifier, Item, Problems};
use super::site::changes;
use super::{Failure, output};
use crate::catalog::index::{Index, IndexError, Query};
use crate::cli::{CatalogDiffArgs, CatalogSearchArgs, CatalogShowArgs, CatalogStatsArgs};
use crate::exit::Exit;
use crate::model::{Classified, Fingerprint, Listing};
use crate::report::{self, Detail, ScanReport, TableOptions};
use crate::state;
use crate::text::{escape, nearest};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The index of a directory, as the records are now.
fn index(directory: &Path, classifier: &Classifier) -> Result<Index, Failure> {
    let whole = directory.canonicalize().map_err(|error| {
        Failure::usage(format!("cannot read `{}`: {}", directory.display(), crate::problem::reason(&error)))
    })?;
    let mut index = Index::open(place(&whole).as_deref()).map_err(unusable)?;
    let judge = |listings: Vec<Listing>| {
        classifier.several(listings.into_iter().map(|listing| (listing, Vec::new())).collect())
    };
    let found = index.update(&whole, &classifier.fingerprint(), &judge).map_err(unusable)?;
    let mut problems = Problems::default();
    found.into_iter().for_each(|problem| problems.push(problem));
    problems.check()?;
    Ok(index)
}

/// The file of a directory's index among what may be thrown away; none where there is no place for it.
fn place(directory: &Path) -> Option<PathBuf> {
    let folder = state::cache_folder(|name| std::env::var_os(name))?;
    std::fs::create_dir_all(&folder).ok()?;
    let name = Fingerprint::of(&directory.to_string_lossy().into());
    Some(folder.join(format!("catalogue-{}.db", name.as_str().get(..16)?)))
}

fn unusable(error: IndexError) -> Failure {
    Failure::usage(error.to_string())
}

pub(super) fn search(args: &CatalogSearchArgs) -> Result<Exit, Failure> {
    let classifier = Classifier::new(&args.rules)?;
    let query = Query {
        words: args.words.clone(),
        category: args.category,
        risk: args.risk,
        flag: args.flag,
        finding: args.finding.clone(),
        limit: args.limit,
    };
    let hits = index(&args.records, &classifier)?.search(&query).map_err(unusable)?;
    if args.json {
        let text = serde_json::to_string_pretty(&hits).map_err(output::internal)? + "\n";
        output::json(&text)?;
    } else {
        output::coloured(&report::hits(&hits, output::terminal_width()))?;
    }
    Ok(if hits.is_empty() { Exit::Nothing } else { Exit::Clean })
}

pub(super) fn stats(args: &CatalogStatsArgs) -> Result<Exit, Failure> {
    let classifier = Classifier::new(&args.rules)?;
    let counts = index(&args.records, &classifier)?.counts().map_err(unusable)?;
    if args.json {
        let text = serde_json::to_string_pretty(&counts).map_err(output::internal)? + "\n";
        output::json(&text)?;
    } else {
        output::coloured(&report::counts(&counts))?;
    }
    Ok(Exit::Clean)
}

pub(super) fn show(args: &CatalogShowArgs) -> Result<Exit, Failure> {
    let classifier = Classifier::new(&args.rules)?;
    let index = index(&args.records, &classifier)?;
    let known = index.servers().map_err(unusable)?;
    // A server's name may hold a `/` itself: the whole is tried before its parts.
    let parts = || args.what.rsplit_once('/');
    let (server, tool) = match parts() {
        Some((server, tool)) if !known.contains(&args.what) => (server, Some(tool)),
        Some(_) | None => (args.what.as_str(), None),
    };
    let files: Vec<PathBuf> = index.files_of(server).map_err(unusable)?.into_iter().map(PathBuf::from).collect();
    if files.is_empty() {
        let failure = Failure::usage(format!("no record of a server `{server}`")).with_exit(Exit::Nothing);
        return Err(match nearest(server, known.iter().map(String::as_str)) {
            Some(near) => failure.with_help(format!("did you mean `{near}`?")),
            None => failure.with_help("`mcpol catalog search` finds servers and tools by their words"),
        });
    }
    let listings = read(&files)?.into_iter().filter(|listing| listing.server.as_str() == server);
    let listings: Vec<Listing> = listings.collect();
    let columns = output::terminal_width();
    let Some(tool) = tool else {
        let judged: Vec<Classified> = listings.into_iter().map(|listing| classifier.one(listing, Vec::new())).collect();
        let together = classifier.together(&judged);
        let scan = ScanReport::new(&judged, together, &[]);
        if args.json {
            output::document(&scan)?;
        } else {
            let options = TableOptions { width: columns, detail: Detail::Rows, min_risk: crate::model::RiskLevel::Low };
            output::coloured(&report::scan_table(&scan, options))?;
        }
        return Ok(Exit::Clean);
    };
    let explained: Vec<_> = listings
        .iter()
        .flat_map(|listing| {
            let named = listing.tools.iter().enumerate().filter(|(_, it)| it.name.as_str() == tool);
            named.map(|(at, _)| classifier.explain(listing, at)).collect::<Vec<_>>()
        })
        .collect();
    if explained.is_empty() {
        let names = listings.iter().flat_map(|listing| &listing.tools).map(|tool| tool.name.as_str());
        let failure = Failure::usage(format!("`{server}` has no tool `{tool}`")).with_exit(Exit::Nothing);
        return Err(match nearest(tool, names) {
            Some(near) => failure.with_help(format!("did you mean `{near}`?")),
            None => failure,
        });
    }
    if args.json {
        let text = serde_json::to_string_pretty(&explained).map_err(output::internal)? + "\n";
        output::json(&text)?;
    } else {
        let text: Vec<_> = explained.iter().map(|one| report::explanation(one, columns)).collect();
        output::coloured(&text.join("\n"))?;
    }
    Ok(Exit::Clean)
}

/// What is different between two records, or between two directories of them: server by server.
pub(super) fn diff(args: &CatalogDiffArgs) -> Result<Exit, Failure> {
    let classifier = Classifier::new(&args.rules)?;
    let side = |path: &PathBuf| -> Result<BTreeMap<String, Classified>, Failure> {
        let listings = read(std::slice::from_ref(path))?;
        let judged = listings.into_iter().map(|listing| classifier.one(listing, Vec::new()));
        Ok(judged.map(|it| (it.listing.server.as_str().to_owned(), it)).collect())
    };
    let (was, now) = (side(&args.old)?, side(&args.new)?);
    let mut out = String::new();
    for (name, before) in &was {
        let shown = escape(name);
        // Writing to a string cannot fail.
        match now.get(name) {
            None => {
                let _ = writeln!(out, "{shown}: gone");
            }
            Some(after) => {
                for change in changes(before, after).changes {
                    let _ = writeln!(
                        out,
                        "{shown}: {} {} {}",
                        change.code,
                        report::severity(change.severity),
                        change.message
                    );
                }
            }
        }
    }
    for (name, server) in now.iter().filter(|(name, _)| !was.contains_key(*name)) {
        let _ = writeln!(out, "{}: new, {}", escape(name), report::count(server.listing.tools.len(), "tool"));
    }
    output::coloured(&out)?;
    Ok(if out.is_empty() { Exit::Clean } else { Exit::Findings })
}

fn read(paths: &[PathBuf]) -> Result<Vec<Listing>, Failure> {
    let (mut listings, mut problems) = (Vec::new(), Problems::default());
    load::saved(paths, &mut |item| {
        match item {
            Item::Listing(listing, _) => listings.push(*listing),
            // A file fails with a problem.
            Item::Failed(_) => {}
            Item::Problem(problem) => problems.push(problem),
        }
        Ok(())
    })?;
    problems.check()?;
    Ok(listings)
}
