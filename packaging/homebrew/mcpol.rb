class Mcpol < Formula
  desc "See what MCP tools can do, write the policy they deserve, and hold agents to it"
  homepage "https://github.com/mcpol/mcpol"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "https://github.com/mcpol/mcpol/releases/download/v@VERSION@/mcpol-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@aarch64-apple-darwin@"
    end
    on_intel do
      url "https://github.com/mcpol/mcpol/releases/download/v@VERSION@/mcpol-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@x86_64-apple-darwin@"
    end
  end
  on_linux do
    on_arm do
      url "https://github.com/mcpol/mcpol/releases/download/v@VERSION@/mcpol-@VERSION@-aarch64-unknown-linux-musl.tar.gz"
      sha256 "@aarch64-unknown-linux-musl@"
    end
    on_intel do
      url "https://github.com/mcpol/mcpol/releases/download/v@VERSION@/mcpol-@VERSION@-x86_64-unknown-linux-musl.tar.gz"
      sha256 "@x86_64-unknown-linux-musl@"
    end
  end

  def install
    # The supervisor must stand beside mcpol.
    bin.install "mcpol", "mcpol-supervise"
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/mcpol.bash" => "mcpol"
    zsh_completion.install "completions/mcpol.zsh" => "_mcpol"
    fish_completion.install "completions/mcpol.fish"
  end

  test do
    assert_match "POLICY DENIED", shell_output("#{bin}/mcpol demo")
  end
end
