//! The gateway: stands between a client and a server and holds calls to a policy.
//!
//! `decider` decides on calls, whichever way they came. `mediate` and `answers` are the middle of a session over stdio,
//! without threads; the files below them move bytes.

pub mod absence;
pub mod alive;
pub mod answers;
pub mod admin;
pub mod audit;
pub mod config;
pub mod decider;
pub mod doors;
pub mod event;
pub mod exchange;
pub mod filter;
pub mod given_up;
mod greeting;
mod handshake;
pub mod health;
pub mod http;
pub mod identity;
pub mod jwt;
pub mod lock_watch;
pub mod locked;
pub mod loosened;
pub mod login;
pub mod mediate;
pub mod meter;
pub mod pipe_writer;
pub mod pending;
pub mod plan;
mod pledges;
pub mod policies;
pub mod process;
pub mod reach;
pub mod relist;
pub mod regular_file;
pub mod reload;
pub mod remote;
pub mod reply;
pub mod said;
mod server_stderr;
pub mod session;
pub mod shipment;
pub mod start;
pub mod status;
mod grant_tasks;
mod task_owners;
pub mod telemetry;
pub mod upstream;
pub mod watch;
pub mod watched_file;

#[cfg(test)]
mod bytes_tests;
#[cfg(test)]
mod limit_tests;
