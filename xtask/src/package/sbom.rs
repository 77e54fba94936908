//! What the agent and the eBPF object in it are made of, as CycloneDX: every crate with version, licence and checksum.
//! Written by `cargo cyclonedx`, which is built under `target/` when it is not there. One commit has one list, whatever the
//! day and wherever its clone lies.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{process, run::cargo, workspace::Workspace};

const NAME: &str = "sentinel.cdx.json";
const TOOL: &str = "cargo-cyclonedx";
/// Newer ones may write something else.
const VERSION: &str = "0.5.9";
/// The program that is shipped, and what it carries.
const MEMBERS: [&str; 2] = ["sentinel", "sentinel-ebpf"];

/// Writes it; returns the file.
pub(super) fn write(workspace: &Workspace) -> Result<PathBuf> {
    let tool = find_or_build(workspace)?;
    let list = text(&list(workspace, &tool)?)?;
    ensure!(
        list == text(&self::list(workspace, &tool)?)?,
        "two lists of the same sources differ: `one_list` in xtask/src/package/sbom.rs leaves out what depends on the day"
    );
    let file = workspace.packages().join(NAME);
    fs::create_dir_all(workspace.packages())?;
    fs::write(&file, &list).with_context(|| format!("{} cannot be written", file.display()))?;
    println!("sbom: {} (twice the same bytes)", file.display());
    Ok(file)
}

/// Asks the tool, once.
fn list(workspace: &Workspace, tool: &Path) -> Result<Value> {
    let mut command = Command::new(tool);
    command
        .args([
            "cyclonedx",
            "--format",
            "json",
            "--override-filename",
            "sentinel.cdx",
            "--manifest-path",
        ])
        .arg(workspace.root().join("sentinel/Cargo.toml"))
        .current_dir(workspace.root());
    command.env("SOURCE_DATE_EPOCH", super::deb::date(workspace));
    let made = process::read(&mut command);
    // It writes beside each manifest of the workspace; none stays in the sources.
    let lists = MEMBERS.map(|member| fs::read_to_string(workspace.root().join(member).join(NAME)));
    let sources = walkdir::WalkDir::new(workspace.root()).max_depth(3).into_iter();
    let sources = sources.filter_entry(|entry| !entry.path().ends_with("target"));
    for written in sources.flatten().filter(|entry| entry.file_name() == NAME) {
        let _ = fs::remove_file(written.path());
    }
    made?;
    let [agent, object] = lists.map(|list| list.context("it wrote no list"));
    one_list(&agent?, &object?, workspace.root())
}

fn text(list: &Value) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(list)?))
}

/// The agent's list with that of the object it carries, each part in its order and named without where it lies.
fn one_list(agent: &str, object: &str, root: &Path) -> Result<Value> {
    // Where it was built is nobody's matter, and would make another list of the same sources.
    let root = format!("{}/", root.display());
    let read = |list: &str| serde_json::from_str::<Value>(&list.replace(&root, ""));
    let (mut agent, mut object) = (read(agent)?, read(object)?);
    let carried = object["metadata"]["component"].take();
    let (whole, part) = (reference(&agent["metadata"]["component"])?, reference(&carried)?);

    let mut components = BTreeMap::new();
    let listed = [entries(&mut agent, "components"), entries(&mut object, "components")];
    for component in listed.into_iter().flatten().chain([carried]) {
        components.insert(reference(&component)?, component);
    }
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let listed = [
        entries(&mut agent, "dependencies"),
        entries(&mut object, "dependencies"),
    ];
    for entry in listed.into_iter().flatten() {
        let from = entry["ref"].as_str().context("a dependency of nothing")?.to_owned();
        let to = entry["dependsOn"].as_array().into_iter().flatten();
        needs
            .entry(from)
            .or_default()
            .extend(to.filter_map(Value::as_str).map(str::to_owned));
    }
    needs.entry(whole).or_default().push(part);
    let needs: Vec<Value> = needs.into_iter().map(|(from, to)| dependency(&from, to)).collect();
    agent["components"] = components.into_values().collect();
    agent["dependencies"] = needs.into();

    // Tools know a list by its number, which is drawn by lot; this one follows from what is in the list.
    agent["serialNumber"] = Value::Null;
    agent["serialNumber"] = number(agent.to_string().as_bytes()).into();
    Ok(agent)
}

fn entries(list: &mut Value, name: &str) -> Vec<Value> {
    match list[name].take() {
        Value::Array(entries) => entries,
        _ => Vec::new(),
    }
}

fn reference(component: &Value) -> Result<String> {
    let name = component["bom-ref"].as_str();
    Ok(name
        .context("a component without `bom-ref` in what cargo-cyclonedx wrote")?
        .to_owned())
}

fn dependency(from: &str, mut to: Vec<String>) -> Value {
    to.sort();
    to.dedup();
    json!({ "ref": from, "dependsOn": to })
}

/// A UUID of version 8 (RFC 9562: of one's own making) from a hash of the content.
fn number(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    let mut bytes: [u8; 16] = std::array::from_fn(|at| hash[at]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    format!("urn:uuid:{}", parts.join("-"))
}

fn find_or_build(workspace: &Workspace) -> Result<PathBuf> {
    let ours = workspace.target().join("tools");
    let places = [process::which(TOOL), Some(ours.join("bin").join(TOOL))];
    if let Some(found) = places.into_iter().flatten().find(|file| serves(file)) {
        return Ok(found);
    }
    println!("sbom: building {TOOL} (a few minutes, once)");
    let mut command = cargo(workspace);
    command
        .args(["install", "--quiet", "--locked", TOOL, "--version", VERSION, "--root"])
        .arg(&ours);
    process::run(&mut command)
        .with_context(|| format!("{TOOL} could not be built; `--no-sbom` leaves the list out"))?;
    Ok(ours.join("bin").join(TOOL))
}

fn serves(file: &Path) -> bool {
    let said = process::read(Command::new(file).args(["cyclonedx", "--version"]));
    said.is_ok_and(|said| said.split_whitespace().last() == Some(VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, root: &str, number: &str, crates: &[&str]) -> String {
        let own = format!("path+file://{root}/{name}#0.1.0");
        let all: Vec<Value> = crates
            .iter()
            .map(|one| json!({ "bom-ref": one, "name": one }))
            .collect();
        json!({
            "serialNumber": number,
            "metadata": { "component": { "bom-ref": own, "name": name } },
            "components": all,
            "dependencies": [{ "ref": own, "dependsOn": crates }],
        })
        .to_string()
    }

    fn made(root: &str, number: &str, agent: &[&str], object: &[&str]) -> String {
        let (agent, object) = (
            listed("sentinel", root, number, agent),
            listed("sentinel-ebpf", root, number, object),
        );
        text(&one_list(&agent, &object, Path::new(root)).unwrap()).unwrap()
    }

    #[test]
    fn one_commit_has_one_list_wherever_and_whenever_it_is_made() {
        let one = made("/a", "urn:uuid:1", &["common", "tokio"], &["aya-ebpf", "common"]);
        let two = made("/longer/b", "urn:uuid:2", &["tokio", "common"], &["common", "aya-ebpf"]);
        assert_eq!(one, two);
        assert!(!one.contains("/a/") && !one.contains("urn:uuid:1\""), "{one}");
    }

    #[test]
    fn another_crate_is_another_list_with_another_number() {
        let number = |text: &str| serde_json::from_str::<Value>(text).unwrap()["serialNumber"].clone();
        let one = made("/a", "", &["common", "tokio"], &["aya-ebpf"]);
        let two = made("/a", "", &["common", "tokio"], &["aya-ebpf", "more"]);
        assert_ne!(number(&one), number(&two));
        assert!(number(&one).as_str().unwrap().starts_with("urn:uuid:"));
    }

    #[test]
    fn crates_of_the_object_are_in_the_list_once_and_the_agent_needs_the_object() {
        let text = made("/a", "", &["common", "tokio"], &["aya-ebpf", "common"]);
        let list: Value = serde_json::from_str(&text).unwrap();
        let names: Vec<&str> = list["components"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|one| one["name"].as_str())
            .collect();
        assert_eq!(names, ["aya-ebpf", "common", "sentinel-ebpf", "tokio"]);
        let agent = "path+file://sentinel#0.1.0";
        let own = list["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["ref"] == agent)
            .unwrap();
        assert_eq!(
            own["dependsOn"],
            json!(["common", "path+file://sentinel-ebpf#0.1.0", "tokio"])
        );
    }
}
