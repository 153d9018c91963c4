//! Pages about MCP servers and their tools, as files: what each can do, how sure that is, the policy that it deserves, and
//! the known ways to be hurt. Pure: servers come in as values, files go out as paths and texts.
//!
//! Servers are looked at twice, so that not all of them need to be in memory at once: [`Survey::add`] keeps a few words of
//! each, and [`Site::server`] writes the pages of one with what is known of the others.

mod attack;
mod attack_page;
mod data;
mod grade;
mod index_page;
mod layout;
mod machine;
mod method_page;
mod quote;
mod rule;
mod server;
mod server_page;
mod site;
mod slug;
mod survey;
mod tool_page;
mod tool_questions;
mod words;

pub use grade::{Deduction, Grade, Letter};
pub use server::{About, Judges, Server, VersionChange, VersionChanges};
pub use site::{Feed, Site, SiteFile};
pub use survey::{Summary, Survey};

use mcpol_base::{model, text, tokens};
