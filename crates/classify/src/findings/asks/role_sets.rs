//! Sets of roles, and those that are taken together.

use super::roles::Role;

/// Roles that are taken together as one.
pub(crate) const GROUPS: [(Role, Roles); 8] = [
    (Role::Moves, Roles::of(&[Role::Carry, Role::Send, Role::Derive, Role::ToAddress])),
    (
        Role::Harms,
        Roles::of(&[
            Role::Destroy,
            Role::Disable,
            Role::Grant,
            Role::Buy,
            Role::Install,
            Role::Advocate,
            Role::Shell,
            Role::Manipulate,
        ]),
    ),
    (Role::Hides, Roles::of(&[Role::Hush, Role::NotTell, Role::NotAsk, Role::Lie])),
    (
        Role::Presses,
        Roles::of(&[
            Role::Authority,
            Role::Consent,
            Role::Fault,
            Role::Consequence,
            Role::Urgency,
            Role::Polite,
            Role::Override,
            Role::Excuse,
        ]),
    ),
    (
        Role::Scopes,
        Roles::of(&[Role::Each, Role::Before, Role::After, Role::Later, Role::Session, Role::IfFound, Role::Whole]),
    ),
    (Role::Orders, Roles::of(&[Role::Imperative, Role::MustAct])),
    (
        Role::Into,
        Roles::of(&[
            Role::OwnParameter,
            Role::OwnSideChannel,
            Role::Argument,
            Role::Answer,
            Role::Destination,
            Role::ToAddress,
            Role::Parameter,
        ]),
    ),
    (
        Role::Honest,
        Roles::of(&[
            Role::HUse,
            Role::HReturn,
            Role::HExample,
            Role::HDefault,
            Role::HConstraint,
            Role::Restraint,
            Role::ObtainId,
            Role::OwnAuth,
        ]),
    ),
];

/// Acts that change or move something.
pub(crate) const ACTS: Roles = Roles::of(&[
    Role::Carry,
    Role::Send,
    Role::Reach,
    Role::Run,
    Role::Alter,
    Role::Destroy,
    Role::Disable,
    Role::Grant,
    Role::Buy,
    Role::Advocate,
    Role::Install,
    Role::Store,
]);

/// What is wanted of a person, an assistant or a machine.
pub(crate) const WANTED: Roles = Roles::of(&[
    Role::Context,
    Role::Secret,
    Role::Personal,
    Role::PlacePrivate,
    Role::StorePrivate,
    Role::Environment,
    Role::Settings,
]);

/// How many roles there are.
pub(crate) const ROLES: usize = 132;

/// Every role, in order.
const ALL: [Role; ROLES] = [
    Role::Assistant,
    Role::You,
    Role::User,
    Role::Us,
    Role::Must,
    Role::Each,
    Role::Before,
    Role::After,
    Role::Later,
    Role::Session,
    Role::IfFound,
    Role::Polite,
    Role::Urgency,
    Role::Authority,
    Role::Consent,
    Role::Not,
    Role::Tell,
    Role::Ask,
    Role::Hush,
    Role::Lie,
    Role::Carry,
    Role::Send,
    Role::Reach,
    Role::Derive,
    Role::Run,
    Role::Call,
    Role::Alter,
    Role::Destroy,
    Role::Disable,
    Role::Grant,
    Role::Buy,
    Role::Advocate,
    Role::Install,
    Role::Store,
    Role::Context,
    Role::Secret,
    Role::Personal,
    Role::PlacePrivate,
    Role::StorePrivate,
    Role::Environment,
    Role::File,
    Role::Whole,
    Role::OtherTool,
    Role::Settings,
    Role::Answer,
    Role::Argument,
    Role::Destination,
    Role::Tag,
    Role::Override,
    Role::Obey,
    Role::Fault,
    Role::Consequence,
    Role::Excuse,
    Role::Version,
    Role::Shell,
    Role::CodeTalk,
    Role::Praise,
    Role::Rivals,
    Role::Blame,
    Role::Manipulate,
    Role::HUse,
    Role::HReturn,
    Role::HExample,
    Role::HDefault,
    Role::HConstraint,
    Role::Restraint,
    Role::ObtainId,
    Role::OwnAuth,
    Role::Threat,
    Role::SideChannel,
    Role::Imperative,
    Role::MustAct,
    Role::NotAct,
    Role::NotTell,
    Role::NotAsk,
    Role::OwnParameter,
    Role::OwnSideChannel,
    Role::OtherName,
    Role::Url,
    Role::MailAddress,
    Role::ToAddress,
    Role::Path,
    Role::SecretVariable,
    Role::Reference,
    Role::Quoted,
    Role::Code,
    Role::OffTopic,
    Role::OnTopic,
    Role::Encoded,
    Role::Short,
    Role::OwnBusiness,
    Role::Foreign,
    Role::AboutThreats,
    Role::First,
    Role::Parameter,
    Role::Required,
    Role::Value,
    Role::Title,
    Role::Instructions,
    Role::Prompt,
    Role::Resource,
    Role::Output,
    Role::NearHush,
    Role::NearWanted,
    Role::NearMove,
    Role::NearAuthority,
    Role::NearTag,
    Role::NearFault,
    Role::NearCode,
    Role::NearRestraint,
    Role::Moves,
    Role::Harms,
    Role::Hides,
    Role::Presses,
    Role::Scopes,
    Role::Orders,
    Role::Into,
    Role::Honest,
    Role::MovesWanted,
    Role::ReachesWanted,
    Role::MovesInto,
    Role::SendsTo,
    Role::UserNotTold,
    Role::AssistantActs,
    Role::UserAgreed,
    Role::ToolBent,
    Role::AllWanted,
    Role::ValueWanted,
    Role::RuleBroken,
    Role::HarmsOther,
    Role::EachAct,
    Role::WantedInto,
];

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Roles {
    low: u128,
    high: u128,
}

impl Roles {
    const fn one(role: Role) -> Self {
        let at = role as u32;
        if at < u128::BITS { Self { low: 1 << at, high: 0 } } else { Self { low: 0, high: 1 << (at - u128::BITS) } }
    }

    pub(crate) const fn of(roles: &[Role]) -> Self {
        let (mut of, mut at) = (Self { low: 0, high: 0 }, 0);
        while at < roles.len() {
            of = of.union(Self::one(roles[at]));
            at += 1;
        }
        of
    }

    pub(crate) const fn has(self, role: Role) -> bool {
        self.meets(Self::one(role))
    }

    pub(crate) const fn meets(self, other: Self) -> bool {
        self.low & other.low != 0 || self.high & other.high != 0
    }

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.low & other.low == other.low && self.high & other.high == other.high
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self { low: self.low & other.low, high: self.high & other.high }
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self { low: self.low | other.low, high: self.high | other.high }
    }

    pub(crate) fn add(&mut self, role: Role) {
        *self = self.union(Self::one(role));
    }

    pub(crate) fn add_if(&mut self, role: Role, is_so: bool) {
        if is_so {
            self.add(role);
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Role> {
        let (mut low, mut high) = (self.low, self.high);
        std::iter::from_fn(move || {
            let at = if low != 0 { low.trailing_zeros() } else { u128::BITS + high.trailing_zeros() };
            if low != 0 {
                low &= low - 1
            } else {
                high &= high.wrapping_sub(1)
            }
            ALL.get(at as usize).copied()
        })
    }
}
