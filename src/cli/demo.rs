//! Arguments of `mcpol demo`.

/// See the whole path in two seconds, offline.
///
/// Scans the sample server inside mcpol, writes a policy for it, runs the gateway over it, and makes calls: one that
/// passes, one to a hidden tool, one with an argument that is refused, and eleven to a tool that may be called ten times
/// a minute. Everything happens in a temporary directory that is removed afterwards.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {}
