//! Records of servers: what they offered, how it was judged, and reading saved tool lists of other origins back in.

mod canonical;
mod record;
mod saved;

pub use canonical::canonical;
pub use record::{RECORD_FORMAT, RECORD_VERSION, Record, RecordedTool, SaveError, save, sort_key};
pub use saved::{DOCUMENT_BYTES_MAX, LINE_BYTES_MAX, read, tool_list_files};
