//! Results for people and machines: one file a format. Everything here makes text; nobody prints.

mod annotate;
mod catalogue;
mod scan;
mod clients;
mod config;
mod explain;
mod grants;
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
mod sarif_log;
mod scan_sarif;
mod status;
mod table;
mod check;
mod check_fold;
mod check_markdown;
mod check_pages;
mod check_sarif;
mod check_table;
mod github;
mod junit;
mod words;

pub use annotate::{
    AnnotateReport, AnnotatedServer, AnnotatedTool, annotate_json, annotate_markdown, annotate_sarif, annotate_schema,
    annotate_table,
};
pub use catalogue::{counts, hits};
pub use check::{CHECK_VERSION, CheckFinding, CheckReport, CheckSummary, CheckedServer, check_json};
pub use check_markdown::check_markdown;
pub use check_pages::{check_page, page_address};
pub use check_sarif::check_sarif;
pub use check_table::check_table;
pub use clients::{ClientFile, ClientServer, ClientsReport, clients_json, clients_schema, clients_table};
pub use config::{PlannedServer, config_table};
pub use explain::{Explained, explanation};
pub use github::check_github;
pub use grants::{grants_json, grants_table};
pub use json::{check_schema, line_schema, lock_schema, record_schema, scan_json, scan_schema, status_schema};
pub use junit::check_junit;
pub use lines::{SORT_BYTES_MAX, SortedLines};
pub use markdown::scan_markdown;
pub use policy_check::{PolicyCheck, invalid_policy, policy_check_json, policy_check_sarif, policy_check_table};
pub use policy_diff::{policy_diff_json, policy_diff_table};
pub use policy_review::{PolicyReview, policy_notes, policy_review};
pub use policy_test::{PolicyTest, policy_test_json, policy_test_table};
pub use policy_trace::policy_trace;
pub use rules::{evaluation, kind_page, rule_list, rule_page};
pub use scan::{Failed, FoundIn, ScanLine, ScanReport, ScannedServer, ScannedTool, Summary};
pub use scan_sarif::scan_sarif;
pub use status::status_table;
pub use table::{Detail, TableOptions, failures, scan_table};
pub use words::{count, evidence_in_words, quoted, severity, why};
