//! A custom kind of the test's own, its objects, and the program that edits them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;

use super::common::Home;
use super::common::arrange::{Kubeconfig, script};
use super::common::kube::{Namespace, kubeconfig, kubectl, try_kubectl, until};

/// A kind in a group of its own, and a namespace. Both go with the test.
pub struct Lamps {
    pub group: String,
    namespace: Namespace,
}

/// The outcome of the program.
pub struct Done {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

impl Lamps {
    pub fn new(stem: &str) -> Self {
        let group = format!("lamps-{:08x}.example.com", rand::random::<u32>());
        let spec = json!({
            "type": "object", "required": ["color"],
            "properties": {
                "color": { "type": "string", "enum": ["red", "green", "blue"], "description": "The color. Of the light." },
                "watts": { "type": "integer", "minimum": 1, "maximum": 100, "description": "The power" },
                "tags": { "type": "array", "items": { "type": "string" } },
                "mode": { "type": "string", "default": "on" },
            },
        });
        let status = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let schema =
            json!({ "openAPIV3Schema": { "type": "object", "properties": { "spec": spec, "status": status } } });
        let version = json!({ "name": "v1", "served": true, "storage": true, "schema": schema, "subresources": { "status": {} } });
        let names = json!({ "plural": "lamps", "singular": "lamp", "kind": "Lamp" });
        let name = format!("lamps.{group}");
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": name },
            "spec": { "group": group, "scope": "Namespaced", "names": names, "versions": [version] },
        });
        give(&["create", "-f", "-"], &definition.to_string()).unwrap();
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{name}")]);
        Self { group, namespace: Namespace::new(stem) }
    }

    pub fn space(&self) -> &str {
        &self.namespace.0
    }

    /// An object as kubectl names it.
    pub fn named(&self, name: &str) -> String {
        format!("lamps.{}/{name}", self.group)
    }

    pub fn manifest(&self, name: &str, spec: &str) -> String {
        let (group, space) = (&self.group, self.space());
        format!("apiVersion: {group}/v1\nkind: Lamp\nmetadata:\n  name: {name}\n  namespace: {space}\nspec: {spec}\n")
    }

    /// Adds a lamp, as helm does. A kind is established a moment before it is served.
    pub fn add(&self, name: &str, spec: &str) {
        let manifest = self.manifest(name, spec);
        until("the lamp is there", || {
            give(&["apply", "--server-side", "--field-manager=helm", "-f", "-"], &manifest).is_ok()
        });
    }

    pub fn get(&self, name: &str, path: &str) -> String {
        kubectl(&["-n", self.space(), "get", &self.named(name), "-o", &format!("jsonpath={path}")])
    }

    pub fn kubeconfig(&self, home: &Home) -> PathBuf {
        let all = Kubeconfig::of_cluster(&kubeconfig()).context("brow-edit", "brow", "admin", self.space());
        all.write(&home.path().join("kc"))
    }

    /// Somebody who may read lamps and no more.
    pub fn person(&self, home: &Home) -> PathBuf {
        let path = self.namespace.kubeconfig(home);
        let (group, space) = (&self.group, self.space());
        let role = format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{ name: lamps, namespace: {space} }}\n\
             rules:\n- apiGroups: [{group}]\n  resources: [lamps]\n  verbs: [get, list, watch]\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{ name: lamps, namespace: {space} }}\n\
             roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: lamps }}\n\
             subjects: [{{ kind: ServiceAccount, name: person, namespace: {space} }}]\n"
        );
        give(&["apply", "-f", "-"], &role).unwrap();
        path
    }

    /// Edits by a script for sed.
    pub fn edit(&self, home: &Home, place: &str, change: &str, options: &[&str]) -> Done {
        self.edit_by(home, place, &format!("sed -i '{change}' \"$1\""), options)
    }

    /// Edits by a script for a shell.
    pub fn edit_by(&self, home: &Home, place: &str, commands: &str, options: &[&str]) -> Done {
        let editor = script(&home.path().join("an editor"), commands);
        self.edit_with(home, &format!("'{}'", editor.display()), place, options)
    }

    /// Edits by a command.
    pub fn edit_with(&self, home: &Home, editor: &str, place: &str, options: &[&str]) -> Done {
        let mut command = self.command(home);
        // Other tests have lamps, too.
        let place = place.replacen("lamp", &format!("lamp.{}", self.group), usize::from(place.starts_with("lamp")));
        command.args(["edit", "--context=brow-edit", &place]).args(options).env("EDITOR", editor).stdin(Stdio::null());
        done(&command.output().unwrap())
    }

    /// Applies a text from standard input.
    pub fn apply(&self, home: &Home, text: &str, options: &[&str]) -> Done {
        let mut command = self.command(home);
        command.args(["apply", "--context=brow-edit", "-f", "-"]).args(options);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        done(&child.wait_with_output().unwrap())
    }

    fn command(&self, home: &Home) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
        command.env("KUBECONFIG", self.kubeconfig(home));
        command
    }
}

/// The kind of upgrade plans, which goes with the test.
pub struct Plans;

impl Plans {
    pub fn new() -> Self {
        let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
        let version = json!({ "name": "v1", "served": true, "storage": true, "schema": schema, "subresources": { "status": {} } });
        let names = json!({ "plural": "plans", "singular": "plan", "kind": "Plan" });
        let name = "plans.upgrade.cattle.io";
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": name },
            "spec": { "group": "upgrade.cattle.io", "scope": "Namespaced", "names": names, "versions": [version] },
        });
        give(&["apply", "-f", "-"], &definition.to_string()).unwrap();
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{name}")]);
        Self
    }

    pub fn add(space: &str, spec: &str) {
        let manifest = format!(
            "apiVersion: upgrade.cattle.io/v1\nkind: Plan\nmetadata: {{ name: server, namespace: {space} }}\nspec: {spec}\n"
        );
        until("the plan is there", || give(&["apply", "-f", "-"], &manifest).is_ok());
    }
}

impl Drop for Plans {
    fn drop(&mut self) {
        // Another test may have it, too.
        _ = try_kubectl(&["delete", "crd/plans.upgrade.cattle.io", "--wait=false"]);
    }
}

impl Drop for Lamps {
    fn drop(&mut self) {
        let gone = try_kubectl(&["delete", &format!("crd/lamps.{}", self.group), "--wait=false"]);
        if let (Err(error), false) = (gone, std::thread::panicking()) {
            eprintln!("the kind of {} was left behind: {error}", self.group);
        }
    }
}

fn done(output: &Output) -> Done {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Done { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Runs kubectl as the admin, with that input.
pub fn give(args: &[&str], input: &str) -> Result<(), String> {
    let config = kubeconfig();
    let mut kubectl = Command::new("kubectl");
    kubectl.arg("--kubeconfig").arg(config).args(["--context", "brow-admin"]).args(args);
    let mut child = kubectl.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn state(home: &Home) -> PathBuf {
    home.path().join(".local/state/brow")
}

/// The texts that are kept.
pub fn kept(home: &Home) -> Vec<PathBuf> {
    files(&state(home).join("edits"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// The audit log.
pub fn audit(home: &Home) -> String {
    files(&state(home).join("audit")).iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}
