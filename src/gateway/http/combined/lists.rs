//! Lists that all servers have a part of, as one page each.

use super::super::Server;
use super::ask::{Ask, PART_WAIT};
use super::edit::text_at;
use super::learned::{Age, Listed};
use super::replies::{done, failed, quoted};
use super::request::ClientRequest;
use super::{Answered, names};
use crate::gateway::exchange::request;
use crate::gateway::identity::Identity;
use crate::mcp::envelope::{Id, MESSAGE_BYTES_MAX};
use crate::mcp::json::string_value;
use crate::mcp::walk::{elements, member};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Pages of one server's list that are read.
pub const PAGES_MAX: usize = 100;

/// A list that all servers have a part of.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) method: &'static str,
    pub(super) key: &'static str,
    /// What a server says that it has if it has such a list; tools are asked for in any case.
    capability: Option<&'static str>,
    /// Its entries have names, which are told apart by the server's.
    is_renamed: bool,
}

pub(super) const TOOLS: List = List { method: "tools/list", key: "tools", capability: None, is_renamed: true };
pub(super) const PROMPTS: List =
    List { method: "prompts/list", key: "prompts", capability: Some("prompts"), is_renamed: true };
pub(super) const RESOURCES: List =
    List { method: "resources/list", key: "resources", capability: Some("resources"), is_renamed: false };
pub(super) const TEMPLATES: List = List {
    method: "resources/templates/list",
    key: "resourceTemplates",
    capability: Some("resources"),
    is_renamed: false,
};
const TASKS: List = List { method: "tasks/list", key: "tasks", capability: Some("tasks"), is_renamed: false };

/// The list that a method asks for.
pub(super) fn list_of(method: &str) -> Option<List> {
    [TOOLS, PROMPTS, RESOURCES, TEMPLATES, TASKS].into_iter().find(|list| list.method == method)
}

impl ClientRequest {
    /// The lists of all servers as one page.
    pub(super) async fn list(self: &Arc<Self>, id: &Id, params: Option<&str>, list: List) -> Answered {
        if params.and_then(|params| member(params, "cursor")).is_some_and(|(cursor, _)| cursor != "null") {
            return failed(id, -32602, "no such cursor: the list has one page");
        }
        let servers = match list.capability {
            Some(capability) => self.offering(capability),
            None => self.servers().collect(),
        };
        let asked =
            servers.into_iter().map(|(server, who)| async move { (server, self.items(server, who, id, list).await) });
        let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
        for (server, items) in futures_util::future::join_all(asked).await {
            match items {
                Ok(items) => all.extend(items),
                Err(why) => self.missing(server.name.as_str(), &why),
            }
        }
        if list.is_renamed {
            // Two that a client could not tell apart are both left out: neither may stand for the other.
            let name = |item: &String| member(item, "name").map(|(literal, _)| literal.to_owned());
            let twice: BTreeSet<_> = all.iter().filter_map(name).filter(|name| !seen.insert(name.clone())).collect();
            all.retain(|item| name(item).is_some_and(|name| !twice.contains(&name)));
        }
        let typed =
            if self.is_stateless { ",\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\"" } else { "" };
        done(id, &format!("{{\"{}\":[{}]{typed}}}", list.key, all.join(",")))
    }

    /// One server's list, all pages of it, and what is learnt from it.
    pub(super) async fn items(
        self: &Arc<Self>,
        server: &Arc<Server>,
        who: &Identity,
        id: &Id,
        list: List,
    ) -> Result<Vec<String>, String> {
        let read = tokio::time::timeout(PART_WAIT, self.pages(server, who, id, list)).await;
        let read = read.unwrap_or_else(|_| Err("it does not answer".to_owned()));
        let (items, name) = (read.as_deref().unwrap_or_default(), server.name.as_str());
        let texts = |member: &'static str| items.iter().filter_map(move |item| text_at(item, &[member]));
        // A list that cannot be read just now does not take the place of one that was.
        let learns = |listed| read.is_ok() || self.memory.age(name, listed) == Age::Unknown;
        match list.key {
            // Also if it has none: it need not be asked again for each resource.
            "resources" if learns(Listed::Resources) => learn(self, name, Listed::Resources, texts("uri")),
            "resourceTemplates" if learns(Listed::Templates) => {
                learn(self, name, Listed::Templates, texts("uriTemplate"));
            }
            "tasks" => texts("taskId").for_each(|task| {
                self.tasks().learn(&task, name);
            }),
            _ => {}
        }
        read
    }

    async fn pages(
        self: &Arc<Self>,
        server: &Arc<Server>,
        who: &Identity,
        id: &Id,
        list: List,
    ) -> Result<Vec<String>, String> {
        let base: Vec<String> = self.meta.iter().map(|meta| format!("\"_meta\":{meta}")).collect();
        let (mut cursor, mut items, mut bytes) = (None::<String>, Vec::new(), 0);
        for _ in 0..PAGES_MAX {
            let (mut parts, is_first) = (base.clone(), cursor.is_none());
            parts.extend(cursor.take().map(|cursor| format!("\"cursor\":{cursor}")));
            let body = request(id, list.method, &parts.join(","));
            let part = self.part(server, who, &Ask::unnamed(list.method, body), id).await?;
            let Some(result) = part.result else {
                let why = if is_first { "it has no such list" } else { "a page of its list is an error" };
                return Err(why.to_owned());
            };
            let Some((array, _)) = member(&result, list.key) else { return Err("its list cannot be read".to_owned()) };
            for span in elements(array) {
                let item = &array[span];
                bytes += item.len();
                if bytes > MESSAGE_BYTES_MAX {
                    return Err("its list is too long".to_owned());
                }
                items.push(self.renamed(server, list, item));
            }
            match member(&result, "nextCursor") {
                Some((literal, _)) if literal.starts_with('"') => cursor = Some(literal.to_owned()),
                _ => return Ok(items),
            }
        }
        Err("its list has too many pages".to_owned())
    }

    fn renamed(&self, server: &Server, list: List, item: &str) -> String {
        let Some((literal, span)) = member(item, "name").filter(|_| list.is_renamed) else { return item.to_owned() };
        let Some(name) = string_value(literal) else { return item.to_owned() };
        let joined = names::joined(server.name.as_str(), &name);
        self.memory.learn_name(server.name.as_str(), list.key, &name, &joined);
        [&item[..span.start], &quoted(&joined), &item[span.end..]].concat()
    }
}

fn learn(turn: &ClientRequest, server: &str, listed: Listed, all: impl Iterator<Item = String>) {
    let all: Vec<String> = all.collect();
    turn.memory.learn_places(server, listed, all.iter().map(String::as_str));
}
