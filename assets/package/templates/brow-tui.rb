# Homebrew: brew install --formula ./brow-tui.rb
class BrowTui < Formula
  desc "Dashboard for reaching what only a Kubernetes cluster can reach"
  version "@VERSION@"
  license "MIT"

  on_macos do
    on_arm do
      url "@BASE@/brow-tui-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256:aarch64-apple-darwin@"
    end
    on_intel do
      url "@BASE@/brow-tui-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256:x86_64-apple-darwin@"
    end
  end

  on_linux do
    on_arm do
      url "@BASE@/brow-tui-@VERSION@-aarch64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256:aarch64-unknown-linux-musl@"
    end
    on_intel do
      url "@BASE@/brow-tui-@VERSION@-x86_64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256:x86_64-unknown-linux-musl@"
    end
  end

  def install
    bin.install "brow-tui", "kubectl_complete-brow"
    bin.install_symlink "brow-tui" => "kubectl-brow"
    man1.install "brow-tui.1"
    bash_completion.install "completions/brow-tui.bash" => "brow-tui"
    fish_completion.install "completions/brow-tui.fish"
    zsh_completion.install "completions/brow-tui.zsh" => "_brow-tui"
    doc.install "config.example.toml", "rbac.yaml", "third-party.txt"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/brow-tui --version")
    assert_match "practice", shell_output("#{bin}/brow-tui --practice config list")
  end
end
