//! Records of servers: what they offered, how it was judged, reading saved tool lists of other origins back in; the lock
//! of what was reviewed, and what is different since.

mod canonical;
mod record;
mod saved;
mod normal;
mod kept;
mod redact;
mod lock;
mod lock_text;
mod lock_file;
pub mod places;
pub mod drift;
pub mod index;

pub use canonical::canonical;
pub use kept::{kept_text, read_kept};
pub use lock::{LOCK_FORMAT, LOCK_VERSION, Lock, LockedServer, LockedTool};
pub use lock_file::{ENTRY_BYTES_MAX, HEAD_BYTES_MAX, LockFile, SERVERS_MAX};
pub use lock_text::LockPrinter;
pub use normal::{PartFingerprints, Parts, extra as canonical_extra, texts_as_read};
pub use record::{RECORD_FORMAT, RECORD_VERSION, Record, RecordedTool, SaveError, record_file, save, sort_key};
pub use redact::{REDACTED, source as public_source};
pub use saved::{DOCUMENT_BYTES_MAX, LINE_BYTES_MAX, read, tool_list_files};
