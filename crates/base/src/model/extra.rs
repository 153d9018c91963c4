//! What a server offers beside tools: prompts, resources, resource templates. Definitions as received.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// A kind of thing that a server offers beside tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExtraKind {
    /// A text with arguments that a person picks and the model reads (`prompts/list`).
    Prompt,
    /// Data at a URI (`resources/list`).
    Resource,
    /// A URI with variables (`resources/templates/list`).
    Template,
}

impl ExtraKind {
    /// Every kind, in order.
    pub const ALL: [Self; 3] = [Self::Prompt, Self::Resource, Self::Template];

    /// The word for one of them.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::Template => "template",
        }
    }

    /// The request that lists them.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Prompt => "prompts/list",
            Self::Resource => "resources/list",
            Self::Template => "resources/templates/list",
        }
    }

    /// The member of the answer that holds them.
    pub const fn member(self) -> &'static str {
        match self {
            Self::Prompt => "prompts",
            Self::Resource => "resources",
            Self::Template => "resourceTemplates",
        }
    }

    /// The member of a server's `capabilities` that declares them.
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Prompt => "prompts",
            Self::Resource | Self::Template => "resources",
        }
    }

    /// The member of a definition that tells it from others of its kind.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Prompt => "name",
            Self::Resource => "uri",
            Self::Template => "uriTemplate",
        }
    }
}

impl fmt::Display for ExtraKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which prompt, resource or template something is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExtraName {
    /// What it is.
    pub kind: ExtraKind,
    /// A prompt's name, a resource's URI, a template's URI template, verbatim.
    pub key: String,
}

/// One prompt, resource or template as received.
#[derive(Clone, Debug)]
pub struct Extra {
    /// What it is.
    pub kind: ExtraKind,
    /// What tells it from others of its kind, as declared: a prompt's name, a resource's URI, a template's URI template.
    pub key: String,
    /// The definition to the letter.
    pub raw: Box<RawValue>,
}

impl Extra {
    /// Reads the key of a definition.
    ///
    /// # Errors
    /// What is wrong with it, in a few words: it is no object, or has no key.
    pub fn parse(kind: ExtraKind, raw: &RawValue) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Keys {
            #[serde(default)]
            name: serde_json::Value,
            #[serde(default)]
            uri: serde_json::Value,
            #[serde(default, rename = "uriTemplate")]
            uri_template: serde_json::Value,
        }
        if !raw.get().starts_with('{') {
            return Err("no object".to_owned());
        }
        let keys: Keys = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
        let key = match kind {
            ExtraKind::Prompt => keys.name,
            ExtraKind::Resource => keys.uri,
            ExtraKind::Template => keys.uri_template,
        };
        match key {
            serde_json::Value::String(key) => Ok(Self { kind, key, raw: raw.to_owned() }),
            _ => Err(format!("without `{}`", kind.key())),
        }
    }
}

/// What is known of one kind.
#[derive(Clone, Debug)]
pub enum Offered {
    /// The server was not asked, or the file does not say.
    NotRecorded,
    /// The server declares that it has some, and does not list them.
    Refused,
    /// Everything that it lists, in the order received.
    Listed(Vec<Extra>),
}

/// What a server offers beside tools.
#[derive(Clone, Debug)]
pub struct Extras {
    /// Prompts.
    pub prompts: Offered,
    /// Resources.
    pub resources: Offered,
    /// Resource templates.
    pub templates: Offered,
}

impl Extras {
    /// Nothing is known of any kind.
    pub const fn not_recorded() -> Self {
        Self { prompts: Offered::NotRecorded, resources: Offered::NotRecorded, templates: Offered::NotRecorded }
    }

    /// What is known of a kind.
    pub const fn of(&self, kind: ExtraKind) -> &Offered {
        match kind {
            ExtraKind::Prompt => &self.prompts,
            ExtraKind::Resource => &self.resources,
            ExtraKind::Template => &self.templates,
        }
    }

    /// Notes what is known of a kind.
    pub fn set(&mut self, kind: ExtraKind, offered: Offered) {
        match kind {
            ExtraKind::Prompt => self.prompts = offered,
            ExtraKind::Resource => self.resources = offered,
            ExtraKind::Template => self.templates = offered,
        }
    }

    /// Everything that is listed: prompts, then resources, then templates, each in the order received.
    pub fn listed(&self) -> impl Iterator<Item = &Extra> {
        ExtraKind::ALL.into_iter().flat_map(|kind| self.of(kind).listed())
    }
}

impl Offered {
    /// What is listed; nothing where nothing is known.
    pub fn listed(&self) -> &[Extra] {
        match self {
            Self::NotRecorded | Self::Refused => &[],
            Self::Listed(extras) => extras,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_known_by_its_key() {
        let parse = |kind, text: &str| {
            let raw = RawValue::from_string(text.to_owned()).unwrap_or_default();
            Extra::parse(kind, &raw).map(|extra| extra.key)
        };
        assert_eq!(parse(ExtraKind::Prompt, r#"{"name":"a"}"#), Ok("a".to_owned()));
        assert_eq!(parse(ExtraKind::Resource, r#"{"name":"a","uri":"x:1"}"#), Ok("x:1".to_owned()));
        assert_eq!(parse(ExtraKind::Template, r#"{"uriTemplate":"x:{a}"}"#), Ok("x:{a}".to_owned()));
        assert_eq!(parse(ExtraKind::Resource, r#"{"name":"a"}"#), Err("without `uri`".to_owned()));
        assert_eq!(parse(ExtraKind::Prompt, r#"["a"]"#), Err("no object".to_owned()));
    }
}
