//! The recommended rules about the course of a session: after a stranger's text a person is asked about what sends, pays,
//! changes who may do what, or runs what the caller hands over.

use crate::model::{Flag, Verdict};
use crate::word::{Flow, FlowAction, Word};

/// After what a session wants a person.
const AFTER: [Flag; 1] = [Flag::UntrustedContent];
/// For what it wants a person then.
const THEN: [Flag; 4] = [Flag::Egress, Flag::Financial, Flag::Privilege, Flag::CodeExecution];

/// Which flows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flows {
    /// None, and no flags.
    #[default]
    None,
    /// Every such call is asked about.
    Always,
    /// Only calls that name what stood in the stranger's text.
    Seen,
    /// None, but the flags of tools: an owner's policy has flows of its own.
    FlagsOnly,
}

impl Flows {
    /// The flows.
    pub(super) fn written(self) -> Vec<Flow> {
        let seen = match self {
            Self::None | Self::FlagsOnly => return Vec::new(),
            Self::Always => false,
            Self::Seen => true,
        };
        vec![Flow {
            comment: None,
            after: AFTER.map(Word::Flag).into(),
            then: THEN.map(Word::Flag).into(),
            action: FlowAction::RequireApproval,
            seen,
            within: None,
            reason: Some("the session has read what strangers wrote".to_owned()),
            id: None,
        }]
    }

    /// What flows take a tool for.
    pub(super) fn flags(self, verdict: &Verdict) -> Option<Vec<Word>> {
        match self {
            Self::None => None,
            Self::Always | Self::Seen | Self::FlagsOnly => {
                let flags = verdict.flags.iter().copied().map(Word::Flag);
                Some(flags.chain([Word::Category(verdict.category)]).collect())
            }
        }
    }
}
