//! Arguments of `mcpol completions` and `mcpol man`.

use std::path::PathBuf;

/// Print a script that lets a shell complete commands and options.
///
/// Bash: mcpol completions bash > ~/.local/share/bash-completion/completions/mcpol
///
/// Zsh: mcpol completions zsh > _mcpol, in a folder of $fpath
///
/// Fish: mcpol completions fish > ~/.config/fish/completions/mcpol.fish
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell that is to read it.
    pub shell: clap_complete::Shell,
}

/// Write a man page for each command.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder, made if it is not there; pages of the same names are replaced.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}
