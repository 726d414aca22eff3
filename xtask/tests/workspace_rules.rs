//! Rules that hold across the crates: which may use which, and tidiness that no linter checks.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bottom to top. A crate may use those in rows above this one's line, never those beside or below it.
const ROWS: &[&[&str]] = &[
    &["quarterdeck-api"],
    &["quarterdeck-core", "quarterdeck-scenario"],
    &["quarterdeck-store", "quarterdeck-agent", "quarterdeck-environments"],
    &["quarterdeck-engine"],
    &["quarterdeck-server"],
    &["quarterdeck", "quarterdeck-test"],
];
/// The modules of the engine, bottom to top, by the same rule.
const ENGINE_ROWS: &[&[&str]] = &[
    &["clock", "heavy", "latest"],
    &["meter", "notifier", "catalog", "virtual_clock"],
    &["error", "settings"],
    &["shared"],
    &["media"],
    &["leased_session"],
    &["environments"],
    &["worker"],
    &["sessions", "background"],
    &["time_travel"],
    &["engine"],
];
const ENGINE: &str = "crates/engine/src";
/// Stands beside the rows: for tests and developer commands only.
const TEST_SUPPORT: &str = "quarterdeck-test-support";
/// Stand above the rows: for developers, never shipped.
const DEVELOPER: &[&str] = &["xtask", "quarterdeck-bench", "quarterdeck-chaos"];
/// Dependencies that change what another one does.
const NEVER_CALLED: &[(&str, &str)] = &[("quarterdeck-store", "reqwest")];
const LINES_MAX: usize = 800;
const MAP: &str = "ARCHITECTURE.md";

#[test]
fn arrows_only_point_down() -> Result<()> {
    let upward: Vec<String> = edges()?
        .iter()
        .filter(|edge| edge.used != TEST_SUPPORT && row(&edge.used) >= row(&edge.user))
        .map(|edge| format!("{} must not use {}", edge.user, edge.used))
        .collect();
    assert_eq!(upward, Vec::<String>::new());
    Ok(())
}

#[test]
fn arrows_only_point_down_in_the_engine() -> Result<()> {
    let folder = root().join(ENGINE);
    let exported = exports(&fs::read_to_string(folder.join("lib.rs"))?);
    let row = |module: &str| ENGINE_ROWS.iter().position(|row| row.contains(&module));
    let mut upward = Vec::new();
    for path in sources()?.into_iter().filter(|path| path.starts_with(&folder)) {
        let module = module_of(path.strip_prefix(&folder)?);
        if module == "lib" {
            continue;
        }
        assert!(row(&module).is_some(), "give module {module} of the engine a row here");
        for name in used_of_the_crate(&fs::read_to_string(&path)?) {
            let used = exported.get(&name).unwrap_or(&name);
            if *used != module && row(used) >= row(&module) {
                upward.push(format!("{} must not use {name}", path.display()));
            }
        }
    }
    assert_eq!(upward, Vec::<String>::new());
    Ok(())
}

/// The module at the top of the crate to which a file belongs.
fn module_of(path: &Path) -> String {
    let first = path.iter().next().unwrap_or_default();
    Path::new(first).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// By the name of each item that a library exports, the module that it comes from.
fn exports(library: &str) -> HashMap<String, String> {
    let mut exported = HashMap::new();
    for statement in library.split("pub use ").skip(1) {
        let Some((path, _)) = statement.split_once(';') else { continue };
        let Some((module, names)) = path.split_once("::") else { continue };
        let names = names.trim_matches(['{', '}', '\n', ' ']).split(',').map(str::trim);
        exported.extend(names.map(|name| (name.to_owned(), module.to_owned())));
    }
    exported
}

/// The first names of all paths that begin with `crate::`, outside of tests.
fn used_of_the_crate(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut used = Vec::new();
    for path in text.split("crate::").skip(1) {
        match path.strip_prefix('{') {
            Some(group) => used.extend(names_of_group(group)),
            None => used.push(name_at_the_start(path)),
        }
    }
    used
}

/// The first names of the paths in a group of a `use`, up to its closing brace.
fn names_of_group(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut at_start) = (0_usize, Vec::new(), true);
    for (place, character) in group.char_indices() {
        match character {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            character if at_start && !character.is_whitespace() => {
                names.push(name_at_the_start(&group[place..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

fn name_at_the_start(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

#[test]
fn uses_are_found_in_groups_and_alone() {
    let text =
        "use crate::{\n    Clock,\n    notifier::{Snapshot, Watch},\n    shared::Shared,\n};\nlet a = crate::heavy(b);";
    assert_eq!(used_of_the_crate(text), ["Clock", "notifier", "shared", "heavy"]);
    let exported = exports("pub use a::b::{C, D};\npub use e::F;\n");
    assert_eq!((exported["F"].as_str(), exported.len()), ("e", 3));
}

#[test]
fn nothing_that_ships_uses_test_support() -> Result<()> {
    let shipped: Vec<String> = edges()?
        .into_iter()
        .filter(|edge| edge.used == TEST_SUPPORT && edge.kind != Kind::Dev && !DEVELOPER.contains(&edge.user.as_str()))
        .map(|edge| edge.user)
        .collect();
    assert_eq!(shipped, Vec::<String>::new(), "name {TEST_SUPPORT} under dev-dependencies");
    Ok(())
}

#[test]
fn every_dependency_is_used() -> Result<()> {
    let (mut unused, mut named) = (Vec::new(), HashSet::new());
    for package in packages()? {
        let words = words_of(package.manifest_path.parent().context("a manifest lies in a folder")?)?;
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            if !words.contains(&name.replace('-', "_")) && !NEVER_CALLED.contains(&(package.name.as_str(), name)) {
                unused.push(format!("{} does not use {name}", package.name));
            }
        }
        named.extend(package.dependencies.into_iter().map(|dependency| dependency.name));
    }
    let workspace: Workspace = toml::from_str(&fs::read_to_string(root().join("Cargo.toml"))?)?;
    let unnamed = workspace.workspace.dependencies.into_keys().filter(|name| !named.contains(name));
    unused.extend(unnamed.map(|name| format!("no crate names {name} of [workspace.dependencies]")));
    assert_eq!(unused, Vec::<String>::new());
    Ok(())
}

/// All that could be a name in the Rust files below a folder.
fn words_of(folder: &Path) -> Result<HashSet<String>> {
    let mut words = HashSet::new();
    for path in sources_in(vec![folder.to_owned()])? {
        let text = fs::read_to_string(path)?;
        let names = text.split(|character: char| !character.is_alphanumeric() && character != '_');
        words.extend(names.map(str::to_owned));
    }
    Ok(words)
}

#[test]
fn every_crate_has_a_row() -> Result<()> {
    let known = |name: &String| name == TEST_SUPPORT || row(name).is_some();
    let unknown: Vec<String> =
        packages()?.into_iter().map(|package| package.name).filter(|name| !known(name)).collect();
    assert_eq!(unknown, Vec::<String>::new(), "give it a row here, in DESIGN and in {MAP}");
    Ok(())
}

#[test]
fn no_file_is_longer_than_800_lines() -> Result<()> {
    check_sources(|_, text| {
        let lines = text.lines().count();
        (lines > LINES_MAX).then(|| format!("{lines} lines"))
    })
}

#[test]
fn every_library_opens_with_what_it_is_for() -> Result<()> {
    check_sources(|path, text| {
        (path.ends_with("lib.rs") && !text.starts_with("//! ")).then(|| "does not open with //!".to_owned())
    })
}

#[test]
fn nothing_is_left_to_be_done() -> Result<()> {
    let marks = [concat!("to", "do!("), concat!("FIX", "ME"), concat!("To be ", "written")];
    check_sources(|_, text| marks.iter().find(|mark| text.contains(**mark)).map(|mark| format!("holds {mark}")))
}

#[test]
fn the_map_names_every_folder_and_every_crate() -> Result<()> {
    let map = fs::read_to_string(root().join(MAP)).with_context(|| format!("reading {MAP}"))?;
    let is_named = |package: &Package| map.contains(&format!("`{}`", package.name)) || map.contains(&package.folder());
    let crates = packages()?.into_iter().filter(|package| !is_named(package)).map(|package| package.name);
    let folders = top_level_folders()?.into_iter().filter(|name| !map.contains(&format!("{name}/")));
    let missing: Vec<String> = folders.chain(crates).collect();
    assert_eq!(missing, Vec::<String>::new(), "{MAP} does not name them");
    Ok(())
}

/// The row's number; xtask stands above all, and what has no row is a fault that another test reports.
fn row(name: &str) -> Option<usize> {
    // Its doubles stand in for what the engine uses.
    let name = if name == TEST_SUPPORT { "quarterdeck-engine" } else { name };
    if DEVELOPER.contains(&name) { Some(ROWS.len()) } else { ROWS.iter().position(|row| row.contains(&name)) }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    manifest_path: PathBuf,
}

impl Package {
    /// As a map would write it: `crates/core`.
    fn folder(&self) -> String {
        let names: Vec<_> = self.manifest_path.components().rev().skip(1).take(2).collect();
        match names.as_slice() {
            [folder, crates] if crates.as_os_str() == "crates" => format!("crates/{}", folder.as_os_str().display()),
            _ => self.name.clone(),
        }
    }
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Only crates of this workspace have one.
    path: Option<PathBuf>,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Normal,
    Dev,
    Build,
}

/// The manifest of the workspace.
#[derive(Deserialize)]
struct Workspace {
    workspace: WorkspaceTable,
}

#[derive(Deserialize)]
struct WorkspaceTable {
    dependencies: BTreeMap<String, toml::Value>,
}

struct Edge {
    user: String,
    used: String,
    kind: Kind,
}

fn edges() -> Result<Vec<Edge>> {
    let edge = |user: &str, used: Dependency| Edge {
        user: user.to_owned(),
        used: used.name,
        kind: used.kind.unwrap_or(Kind::Normal),
    };
    let of_package = |package: Package| {
        let ours = package.dependencies.into_iter().filter(|dependency| dependency.path.is_some());
        ours.map(|dependency| edge(&package.name, dependency)).collect::<Vec<_>>()
    };
    Ok(packages()?.into_iter().flat_map(of_package).collect())
}

fn packages() -> Result<Vec<Package>> {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(root()).output()?;
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok(metadata.packages)
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Holds every Rust file of ours against a rule, which names what is wrong.
fn check_sources(fault: impl Fn(&Path, &str) -> Option<String>) -> Result<()> {
    let mut faults = Vec::new();
    for path in sources()? {
        let text = fs::read_to_string(&path)?;
        faults.extend(fault(&path, &text).map(|fault| format!("{}: {fault}", path.display())));
    }
    assert_eq!(faults, Vec::<String>::new());
    Ok(())
}

fn sources() -> Result<Vec<PathBuf>> {
    sources_in(vec![root().join("crates"), root().join("xtask")])
}

fn sources_in(mut folders: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Without hidden ones and what cargo makes.
fn top_level_folders() -> Result<Vec<String>> {
    let is_ours = |name: &String| !name.starts_with('.') && name != "target";
    let folders = fs::read_dir(root())?.flatten().filter(|entry| entry.path().is_dir());
    Ok(folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(is_ours).collect())
}
