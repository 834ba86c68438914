# Nix: nix run 'git+file:.?dir=assets/package', or with the repository's URL in place of the path.
{
  description = "Dashboard for reaching what only a Kubernetes cluster can reach";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      root = ../..;
      version = (builtins.fromTOML (builtins.readFile "${root}/Cargo.toml")).workspace.package.version;
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      brow-tui = pkgs: pkgs.rustPlatform.buildRustPackage {
        pname = "brow-tui";
        inherit version;
        src = root;
        cargoLock.lockFile = "${root}/Cargo.lock";
        # The tests want a terminal and a cluster: .ci/run.
        doCheck = false;
        nativeBuildInputs = [ pkgs.installShellFiles ];
        postInstall = ''
          ln -s brow-tui $out/bin/kubectl-brow
          install -m755 assets/package/kubectl_complete-brow $out/bin
          $out/bin/brow-tui man >brow-tui.1
          installManPage brow-tui.1
          installShellCompletion --cmd brow-tui --bash assets/completions/brow-tui.bash \
            --fish assets/completions/brow-tui.fish --zsh assets/completions/brow-tui.zsh
        '';
        meta = {
          description = "Dashboard for reaching what only a Kubernetes cluster can reach";
          license = pkgs.lib.licenses.mit;
          mainProgram = "brow-tui";
        };
      };
    in
    {
      packages = each (pkgs: { default = brow-tui pkgs; });
    };
}
