//! The real binary, in an empty home with a scrubbed environment. One module a topic; `harness` runs and checks.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on must fail")]

mod harness;
mod login;

mod annotate;
mod beside_tools;
mod catalog;
mod check;
mod check_ci;
mod check_pairs;
mod check_review;
mod cli;
mod clients;
mod documents;
mod explain;
mod gateway;
mod grants;
mod kept_scans;
mod policy;
mod project;
mod readme;
mod records;
mod rules;
mod scan_files;
mod scan_live;
mod site;
mod terminal;
mod ways;
mod wire;
mod wrap;
