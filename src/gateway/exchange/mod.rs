//! The heart of the gateway: what a client asked, what it has been shown, and what a server's answer means. Pure: no
//! socket, thread or clock. The blocking driver is [`super::mediate`], the asynchronous one [`super::http::exchange`].

mod answer;
mod asked;
mod doors;
mod flight;
mod memo;
mod note;
mod outcome;
mod own_list;
mod party;
mod schema;
mod served_hints;
mod server_requests;
mod view;
mod wait;
mod wishes;

pub use answer::{AnswerFor, Fate, Shared, answer, error, invalid, needs_policy, same_list};
pub use asked::Asked;
pub use doors::{
    Asker, DoorRefusal, DoorRuling, MessageForm, OPERATORS_ROOTS, UnknownMethods, names_plainly, shown_uri,
};
pub use flight::{Cleared, Flight};
pub use note::Note;
pub use outcome::CallOutcome;
pub use own_list::{LIST_WAIT, LISTS_MAX, OwnList, PAGES_MAX, not_listed};
pub use party::{Party, PolicySource};
pub use schema::{Schema, Schemas, essence};
pub use served_hints::{HintPlan, ServedHints};
pub use server_requests::{NotTaken, ServerRequests};
pub use view::{Coming, Facts, Keep, LISTED_TOOLS_MAX, Listing, Moment, View, is_listed};
pub use wait::{PROGRESS_EVERY, Question, Telling};
pub use wishes::{KEPT_BYTES_MAX, Wishes, request};
