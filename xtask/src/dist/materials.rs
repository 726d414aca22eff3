//! The bill of materials: what the binary is made of, as `CycloneDX` (<https://cyclonedx.org/docs/1.6/json/>).

use super::Release;
use crate::command::output_of;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// Writes `quarterdeck-VERSION-TARGET.cdx.json`.
pub(super) fn write(workspace: &Workspace, release: &Release, folder: &Path) -> Result<()> {
    let mut cargo = workspace.cargo(&["metadata", "--locked", "--format-version=1", "--filter-platform"]);
    let metadata = output_of(cargo.arg(&release.target))?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("reading the output of cargo metadata")?;
    let name = format!("quarterdeck-{}-{}.cdx.json", release.version, release.target);
    let text = serde_json::to_string_pretty(&document(&metadata, release)?)?;
    fs::write(folder.join(name), text + "\n")?;
    Ok(())
}

fn document(metadata: &Metadata, release: &Release) -> Result<Value> {
    let packages: BTreeMap<&str, &Package> = metadata.packages.iter().map(|package| (&*package.id, package)).collect();
    let root = metadata.packages.iter().find(|package| package.name == "quarterdeck").context("our own package")?;
    let shipped = shipped(metadata, &root.id);
    let others = shipped.keys().filter(|id| **id != root.id);
    let components: Vec<Value> = others.filter_map(|id| packages.get(id)).map(|package| component(package)).collect();
    let reference = |id: &str| packages.get(id).map(|package| reference(package));
    let dependencies: Vec<Value> = shipped
        .iter()
        .map(|(id, used)| {
            json!({"ref": reference(id), "dependsOn": used.iter().filter_map(|id| reference(id)).collect::<Vec<_>>()})
        })
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": reference(&root.id), "name": root.name, "version": release.version,
                "licenses": [{"expression": root.license}],
            },
            "properties": [{"name": "target", "value": release.target}],
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

/// What the binary holds: what our package needs, and what that needs, without what only builds or tests it.
fn shipped<'a>(metadata: &'a Metadata, root: &'a str) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (&*node.id, node)).collect();
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if found.contains_key(id) {
            continue;
        }
        let used = nodes.get(id).map(|node| node.deps.as_slice()).unwrap_or_default();
        let used = used.iter().filter(|used| used.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        let used: BTreeSet<&str> = used.map(|used| used.pkg.as_str()).collect();
        open.extend(&used);
        found.insert(id, used);
    }
    found
}

fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

fn component(package: &Package) -> Value {
    let mut component = json!({
        "type": "library", "bom-ref": reference(package), "name": package.name, "version": package.version,
        "purl": reference(package), "scope": "required",
    });
    if let (Some(license), Some(fields)) = (&package.license, component.as_object_mut()) {
        // The older way to write two licences is not that of SPDX.
        fields.insert("licenses".into(), json!([{"expression": license.replace('/', " OR ")}]));
    }
    if package.source.is_none()
        && let Some(fields) = component.as_object_mut()
    {
        fields.insert("properties".into(), json!([{"name": "origin", "value": "this repository"}]));
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_builds_or_tests_the_binary_is_no_part_of_it() {
        let package = |name: &str| json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0"});
        let uses = |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "packages": [package("quarterdeck"), package("used"), package("deeper"), package("tester"), package("builder")],
            "resolve": {"nodes": [
                {"id": "quarterdeck", "deps": [uses("used", Value::Null), uses("tester", json!("dev")), uses("builder", json!("build"))]},
                {"id": "used", "deps": [uses("deeper", Value::Null)]},
                {"id": "deeper", "deps": []}, {"id": "tester", "deps": []}, {"id": "builder", "deps": []},
            ]},
        });
        let metadata: Metadata = serde_json::from_value(metadata).unwrap();
        let release = Release { version: "1.0.0".into(), target: "x86_64-unknown-linux-gnu".into() };
        let document = document(&metadata, &release).unwrap();
        let names: Vec<&str> =
            document["components"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["deeper", "used"]);
        assert_eq!(document["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(document["dependencies"].as_array().unwrap().len(), 3);
    }
}
