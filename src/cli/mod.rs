//! The command line as types: values checked by clap, no I/O. One file a subcommand.

mod annotate;
mod catalog;
mod scan;
mod schema;
mod target;
mod explain;
mod format;
mod gen_policy;
mod policy;
mod rules;
mod limits;
mod lock;
mod login;
mod check;
mod enforce;
mod grant;
mod audit;
mod approvals;
mod demo;
mod groups;
mod init;
mod sample_server;
mod shell;
mod state;
mod status;
mod wrap;

pub use annotate::{AnnotateArgs, AnnotateFail, AnnotateFormat};
pub use approvals::{ApprovalsArgs, ApprovalsCommand};
pub use audit::{AuditArgs, AuditCommand, LogArgs, ShowArgs, StatsArgs, TailArgs};
pub use catalog::{
    CatalogArgs, CatalogBuildArgs, CatalogCommand, CatalogDiffArgs, CatalogSearchArgs, CatalogServeArgs,
    CatalogShowArgs, CatalogStatsArgs,
};
pub use check::{CheckArgs, DriftFormat, FailOn};
pub use demo::DemoArgs;
pub use enforce::{AnnotateArg, EnforceArgs, LOCAL_GRANT, LogFormat, OnChangeArg, wrapped_command};
pub use explain::ExplainArgs;
pub use format::{FormatArgs, PlainFormat};
pub use gen_policy::{GenPolicyArgs, PolicyFlows, PolicyProfile};
pub(crate) use grant::servers_fit;
pub use grant::{Expiry, GrantArgs, GrantCommand, GrantCreateArgs};
pub use groups::{command, command_without_help, parse};
pub use init::{ConfigArgs, ConfigCheckArgs, ConfigCommand, InitArgs};
pub use limits::{LimitsArgs, LimitsCommand, ResetArgs, WhichCounters};
pub use lock::LOCK_FILE;
pub use lock::LockArgs;
pub use login::{LoginArgs, LoginServer, LogoutArgs};
pub use policy::{
    CheckFormat, DiffFail, FailLevel, PolicyArgs, PolicyCheckArgs, PolicyCommand, PolicyDiffArgs, PolicyTestArgs,
};
pub use rules::{EvalArgs, ExplainRuleArgs, LayerArgs, ListArgs, RulesArgs, RulesCommand, RulesFormat};
pub use sample_server::SampleServerArgs;
pub use scan::{Format, ScanArgs};
pub use schema::SchemaArgs;
pub use shell::{CompletionsArgs, ManArgs};
pub use state::StateArgs;
pub use status::{StatusArgs, StatusFormat};
pub use target::{ClientCapability, FreshArgs, KeptScans, RuleArgs, TargetArgs};
pub use wrap::{ClientsArgs, UnwrapArgs, WhichArgs, WrapArgs};

use clap::{Parser, Subcommand};

/// See what MCP tools can do, write the policy they deserve, and hold agents to it.
#[derive(Debug, Parser)]
#[command(name = "mcpol", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How it is said.
    #[command(flatten)]
    pub voice: VoiceArgs,
}

/// How much is said, and in colour or not: the same for every command.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub struct VoiceArgs {
    /// Say nothing but results, warnings and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: of each of several servers that failed, all that is known.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Colours [default: on a terminal, unless `NO_COLOR` is set].
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = ColourArg::Auto, hide_default_value = true)]
    pub color: ColourArg,
}

/// When colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ColourArg {
    /// On a terminal.
    Auto,
    /// Also into files and pipes.
    Always,
    /// Not at all.
    Never,
}

/// The subcommands; each has a file here with its arguments and a file in `commands` with its work.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What can these servers do? List and classify their tools.
    Scan(ScanArgs),
    /// Why a tool has its class, or what a policy decides about a call.
    Explain(ExplainArgs),
    /// Which annotations should these tools have, and which have they?
    Annotate(AnnotateArgs),
    /// Keep records of servers: one file for each.
    Catalog(CatalogArgs),
    /// Write a recommended default-deny policy.json.
    GenPolicy(GenPolicyArgs),
    /// Check, test and compare policies.
    Policy(PolicyArgs),
    /// List, test, explain and measure the classification rules.
    Rules(RulesArgs),
    /// Write down what was reviewed, or accept what changed.
    Lock(LockArgs),
    /// What differs from what was reviewed, and does it matter?
    Check(Box<CheckArgs>),
    /// Who has which servers, and which are behind the gateway?
    Clients(ClientsArgs),
    /// Put the gateway in front of servers, in their clients' files.
    Wrap(WrapArgs),
    /// Take the gateway away again: the files are as they were.
    Unwrap(UnwrapArgs),
    /// Write a configuration of the gateway from what the clients have.
    Init(InitArgs),
    /// Check the gateway's configuration by itself.
    Config(ConfigArgs),
    /// Stand between a client and a server and hold calls to a policy.
    Enforce(EnforceArgs),
    /// Log in at a server that asks for OAuth, in a browser.
    Login(LoginArgs),
    /// Forget the login at a server.
    Logout(LogoutArgs),
    /// Say who may call which servers through the HTTP gateway.
    Grant(GrantArgs),
    /// Read and verify the gateway's audit log.
    Audit(AuditArgs),
    /// List, approve and deny calls that wait for a person.
    Approvals(ApprovalsArgs),
    /// See where counters of limits stand, and set them to nothing.
    Limits(LimitsArgs),
    /// Look at a running gateway: servers, sessions, decisions.
    Status(StatusArgs),
    /// See the whole path in two seconds, offline.
    Demo(DemoArgs),
    /// Serve the embedded sample MCP server over stdio.
    SampleServer(SampleServerArgs),
    /// Print the JSON Schema of what a command prints, or of a file.
    Schema(SchemaArgs),
    /// Print a script that lets a shell complete commands and options.
    Completions(CompletionsArgs),
    /// Write a man page for each command.
    Man(ManArgs),
}
