//! `mcpol catalog build`: records in, a site out. Every record is read twice, so that memory holds a few words of each
//! server, the pages of a few servers, and the records of versions before.

mod older;
mod write;

use super::load::{self, Classifier, Item, Problems};
use super::{Failure, output};
use crate::catalog::drift::Hazard;
use crate::catalog::public_source;
use crate::cli::CatalogBuildArgs;
use crate::exit::Exit;
use crate::model::{Classified, Finding, Listing, Parameter};
use crate::policy::utc;
use mcpol_site::{About, Feed, Judges, Server, Site, Survey};
use older::OlderRecords;
pub(super) use older::between as changes;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use write::SiteFolder;
pub(super) use write::is_site;

/// Servers that are held in memory at the same time.
const SERVERS_AT_ONCE: usize = 64;
/// Most threads that make pages.
const THREADS_MAX: usize = 8;

pub(super) fn build(args: &CatalogBuildArgs) -> Result<Exit, Failure> {
    let classifier = Classifier::new(&args.rules)?;
    let (servers, tools) = make(&args.records, &args.output, args.base_url.as_deref(), &classifier)?;
    classifier.say_what_did_not_apply();
    let shown = crate::text::escape(&args.output.to_string_lossy()).into_owned();
    output::note(&format!("{shown}: {servers} servers, {tools} tools; open {shown}/index.html\n"));
    Ok(Exit::Clean)
}

/// Writes the site of these records into a directory; answers how many servers and tools it is about.
///
/// # Errors
/// A record is not valid, there is none, or the directory cannot be written.
fn make(
    records: &[PathBuf],
    directory: &Path,
    base: Option<&str>,
    classifier: &Classifier,
) -> Result<(usize, usize), Failure> {
    let target = SiteFolder::open(directory)?;
    let maker = Maker { classifier, older: OlderRecords::read(records, classifier)? };
    let mut survey = Survey::default();
    maker.each(records, &mut |judged| {
        let servers = maker.at_once(judged, |_, server| Ok(server.summary()))?;
        servers.into_iter().for_each(|summary| survey.add(summary));
        Ok(())
    })?;
    let (servers, tools) = (survey.servers(), survey.tools());
    if servers == 0 {
        return Err(Failure::usage("there is no record to make pages of")
            .with_exit(Exit::Nothing)
            .with_help("`mcpol scan --save catalog` writes records, and saved lists of tools are taken as well"));
    }
    let site = Site::new(survey, base);
    let now = utc(crate::clock::now());
    let mut feed = Feed { seen: target.seen(), now: now.clone() };
    let ids = site.feed_ids();
    let known: BTreeSet<&String> = ids.iter().collect();
    feed.seen.retain(|id, _| known.contains(id));
    // What tells the directory as a site of ours is written first: a run that is interrupted can be run again.
    target.write(site.rest(&feed))?;
    feed.seen.extend(
        ids.into_iter().filter(|id| !feed.seen.contains_key(id)).map(|id| (id, now.clone())).collect::<Vec<_>>(),
    );
    target.note(&feed.seen)?;
    let mut place = 0;
    maker.each(records, &mut |judged| {
        let count = judged.len();
        maker.at_once(judged, |at, server| {
            let changed = || Failure::usage("the records changed while they were read").with_help("run it again");
            target.write(site.server(place + at, &server).ok_or_else(changed)?)
        })?;
        place += count;
        Ok(())
    })?;
    target.sweep()?;
    Ok((servers, tools))
}

/// Makes servers ready out of their records.
struct Maker<'m> {
    classifier: &'m Classifier,
    older: OlderRecords,
}

/// What works on some servers that were judged.
type OnServers<'o> = &'o mut dyn FnMut(Vec<Classified>) -> Result<(), Failure>;

impl Maker<'_> {
    /// Reads the records and hands their servers over, a few at a time, in the order of the files.
    fn each(&self, records: &[PathBuf], on: OnServers<'_>) -> Result<(), Failure> {
        let (mut waiting, mut problems): (Vec<(Listing, Vec<Finding>)>, _) = (Vec::new(), Problems::default());
        load::saved(records, &mut |item| {
            match item {
                // A saved list has no configuration that could be wrong.
                Item::Listing(listing, _) => waiting.push((*listing, Vec::new())),
                // A file fails with a problem.
                Item::Failed(_) => {}
                Item::Problem(problem) => problems.push(problem),
            }
            if waiting.len() >= SERVERS_AT_ONCE {
                on(self.judged(std::mem::take(&mut waiting)))?;
            }
            Ok(())
        })?;
        problems.check()?;
        if waiting.is_empty() { Ok(()) } else { on(self.judged(waiting)) }
    }

    /// The verdicts of some servers, with nothing secret in what their records say of where they are.
    fn judged(&self, waiting: Vec<(Listing, Vec<Finding>)>) -> Vec<Classified> {
        let mut judged = self.classifier.several(waiting);
        for classified in &mut judged {
            classified.listing.source = public_source(&classified.listing.source);
        }
        judged
    }

    /// Makes servers ready and does something with each, on all processors; answers in their order.
    fn at_once<T: Send>(
        &self,
        judged: Vec<Classified>,
        work: impl Fn(usize, Server<'_>) -> Result<T, Failure> + Sync,
    ) -> Result<Vec<T>, Failure> {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
        let share = judged.len().div_ceil(threads).max(1);
        let off = self.classifier.off();
        let is_off = |id: &str| off.contains(id);
        let judges = Judges {
            rules: self.classifier.rules(),
            options: self.classifier.options(),
            is_off: &is_off,
            signal: &signal,
        };
        let older = &self.older;
        let one = |at: usize, classified: &Classified| {
            let about = About { changes: older.changes(classified), ..About::default() };
            work(at, Server::new(classified, about, &judges))
        };
        let (one, judged) = (&one, &judged);
        let parts: Vec<Result<Vec<T>, Failure>> = thread::scope(|scope| {
            let parts = judged.chunks(share).enumerate().map(|(part, servers)| {
                let work = move || servers.iter().enumerate().map(|(at, it)| one(part * share + at, it)).collect();
                scope.spawn(work)
            });
            let parts: Vec<_> = parts.collect();
            parts.into_iter().map(|part| part.join().unwrap_or_else(|it| std::panic::resume_unwind(it))).collect()
        });
        let parts: Vec<Vec<T>> = parts.into_iter().collect::<Result<_, _>>()?;
        Ok(parts.into_iter().flatten().collect())
    }
}

/// What an agent can do with a parameter that is worth a second look.
fn signal(parameter: &Parameter) -> Option<&'static str> {
    Hazard::of(parameter).filter(|handed| !handed.is_denied).map(|handed| handed.hazard.in_words())
}
