//! The whole site, server by server, as files.

use crate::attack::Attack;
use crate::server::Server;
use crate::survey::Survey;
use crate::{attack_page, data, index_page, machine, method_page, server_page, tool_page};
use std::collections::BTreeMap;

/// One file of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFile {
    /// Its path from the top of the site, with `/`, of letters, digits, `_`, `-` and one `.`.
    pub path: String,
    /// What stands in it.
    pub text: String,
}

/// What the feed of changes needs to know.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    /// The moment at which each entry was written first, by its id, as `2026-11-30T12:00:00Z`.
    pub seen: BTreeMap<String, String>,
    /// The moment that an entry gets which is new.
    pub now: String,
}

/// A whole site, to be written server by server.
pub struct Site {
    survey: Survey,
    order: Vec<usize>,
    base: Option<String>,
}

impl Site {
    /// The site of all servers that were looked at. `base` is the address at which it will stand, where that is known: maps
    /// of a site hold whole addresses, so without it there is none.
    pub fn new(survey: Survey, base: Option<&str>) -> Self {
        let base = base.map(|base| format!("{}/", base.trim_end_matches('/')));
        Self { order: index_page::order(&survey), survey, base }
    }

    /// The pages of one server, by its place in the order in which servers were added to the survey; none where another
    /// one had that place.
    pub fn server(&self, place: usize, server: &Server<'_>) -> Option<Vec<SiteFile>> {
        let entry = self.survey.servers.get(place)?;
        if entry.name != server.name() || entry.tools.len() != server.verdicts.len() {
            return None;
        }
        let file = |path: String, text: String| SiteFile { path: format!("servers/{path}"), text };
        let slug = &entry.slug;
        let mut files = vec![
            file(format!("{slug}.html"), server_page::server_page(&self.survey, place, server)),
            file(format!("{slug}.json"), data::server(server, slug)),
        ];
        if let Some((text, _)) = &server.policy {
            files.push(SiteFile { path: format!("policies/{slug}.json"), text: text.clone() });
        }
        for tool in server.tools() {
            files.push(file(format!("{slug}/{}.html", tool.slug), tool_page::tool_page(&self.survey, place, &tool)));
            files.push(file(format!("{slug}/{}.json", tool.slug), data::tool(&tool)));
        }
        Some(files)
    }

    /// Every page that is about no single server, and what other programs read.
    pub fn rest(&self, feed: &Feed) -> Vec<SiteFile> {
        let (survey, order) = (&self.survey, self.order.as_slice());
        let file = |path: &str, text: String| SiteFile { path: path.to_owned(), text };
        let mut files: Vec<SiteFile> = (0..index_page::pages(survey))
            .map(|number| file(&index_page::page_name(number), index_page::index_page(survey, order, number)))
            .collect();
        files.push(file("index.json", data::index(survey, order)));
        let victims: Vec<_> = (0..Attack::all().len()).map(|at| survey.victims(at)).collect();
        files.push(file("attacks.html", attack_page::attacks_page(&victims)));
        for (attack, victims) in Attack::all().iter().zip(&victims) {
            files.push(file(&format!("attacks/{}.html", attack.id), attack_page::attack_page(survey, attack, victims)));
            files.push(file(&format!("attacks/{}.json", attack.id), data::attack(survey, attack, victims)));
        }
        files.push(file("method.html", method_page::method_page()));
        files.push(file("style.css", include_str!("style.css").to_owned()));
        files.push(file("icon.svg", include_str!("icon.svg").to_owned()));
        files.push(file("search.js", include_str!("search.js").to_owned()));
        files.push(file("search-data.js", machine::search_data(survey, order)));
        files.push(file("llms.txt", machine::llms(survey, order)));
        let base = self.base.as_deref();
        let entries = machine::feed_entries(survey, order);
        files.push(file("feed.xml", machine::feed(entries, &feed.seen, &feed.now, base.unwrap_or_default())));
        files.extend(
            base.map(|base| machine::site_maps(survey, base))
                .into_iter()
                .flatten()
                .map(|(path, text)| SiteFile { path, text }),
        );
        files
    }

    /// The ids of the feed's entries.
    pub fn feed_ids(&self) -> Vec<String> {
        machine::feed_entries(&self.survey, &self.order).into_iter().map(|entry| entry.id).collect()
    }
}
