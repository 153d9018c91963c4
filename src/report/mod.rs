//! Results for people and machines: one file a format. Everything here makes text; nobody prints.

mod scan;
mod explain;
mod grid;
mod json;
mod lines;
mod markdown;
mod policy_check;
mod policy_diff;
mod policy_review;
mod policy_test;
mod policy_trace;
mod rules;
mod sarif;
mod table;
mod words;

pub use explain::{Explained, explanation};
pub use json::{line_schema, record_schema, scan_json, scan_schema};
pub use lines::{SORT_BYTES_MAX, SortedLines};
pub use markdown::scan_markdown;
pub use policy_check::{PolicyCheck, invalid_policy, policy_check_json, policy_check_sarif, policy_check_table};
pub use policy_diff::{policy_diff_json, policy_diff_table};
pub use policy_review::{policy_notes, policy_review};
pub use policy_test::{PolicyTest, policy_test_json, policy_test_table};
pub use policy_trace::policy_trace;
pub use rules::{evaluation, kind_page, rule_list, rule_page};
pub use sarif::{SarifResult, sarif};
pub use scan::{Failed, ScanLine, ScanReport, ScannedServer, ScannedTool, Summary};
pub use table::{TableOptions, failures, scan_table};
pub use words::{evidence_in_words, quoted, why};
