//! A file of scenarios, read from its tree. Every fault of it is found, each with its place.

pub(crate) mod cues;
pub(crate) mod parts;
mod reader;

use crate::{
    Diagnostic, Rule, Scenario,
    diagnostic::{At, Notes},
    matching::Match,
    yaml::{self, Kind, Node},
};
use reader::{Fields, Reader};
use std::collections::HashMap;

/// Scenarios in a file.
const SCENARIOS_MAX: usize = 1_000;

/// What the server knows and a file may name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Ids of operations; empty: they are not checked.
    pub operations: &'a [String],
}

/// What came of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// Its scenarios, if there is no fault.
    pub scenarios: Vec<Scenario>,
    /// What is wrong with it.
    pub faults: Vec<Diagnostic>,
    /// What is odd about it.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a file of scenarios. `file` is how people know it.
pub fn check(file: &str, text: &str, known: Known<'_>) -> Checked {
    let mut notes = Notes::new(file, text);
    let tree = yaml::tree(text, &mut notes);
    let mut warnings = Notes::new(file, text);
    let mut reader = Reader { notes: &mut notes, known, templates: true };
    let scenarios = tree.map(|tree| reader.file(file, &tree, &mut warnings)).unwrap_or_default();
    let (faults, warnings) = (notes.faults, warnings.faults);
    if faults.is_empty() {
        Checked { scenarios, faults, warnings }
    } else {
        Checked { scenarios: Vec::new(), faults, warnings }
    }
}

/// Reads one rule of what goes wrong.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check_rule(text: &str, known: Known<'_>) -> Result<Rule, Vec<Diagnostic>> {
    let mut notes = Notes::new("the body", text);
    let tree = yaml::tree(text, &mut notes);
    let mut reader = Reader { notes: &mut notes, known, templates: false };
    let rule = tree.and_then(|tree| reader.rule(&tree));
    match rule {
        Some(rule) if notes.faults.is_empty() => Ok(rule),
        _ => Err(notes.faults),
    }
}

const FILE_KEYS: [&str; 2] = ["quarterdeck", "scenarios"];
pub(crate) const SCENARIO_KEYS: [&str; 8] =
    ["name", "match", "script", "faults", "expect", "client", "templates", "description"];

impl Reader<'_, '_> {
    fn file(&mut self, file: &str, tree: &Node, warnings: &mut Notes<'_>) -> Vec<Scenario> {
        let Some(mut fields) = self.fields(tree, "a file of scenarios", &FILE_KEYS) else { return Vec::new() };
        match fields.take("quarterdeck") {
            Some(version) if version.json() == 1 => {}
            Some(version) => {
                let is = version.told();
                self.notes.add(version.at, format!("`quarterdeck` is the file's version, 1, not {is}"));
            }
            None => self.notes.add(tree.at, "the file has no `quarterdeck: 1`, which says its version"),
        }
        let Some(list) = fields.take("scenarios") else {
            self.notes.add(tree.at, "the file has no `scenarios`");
            return Vec::new();
        };
        let Some(items) = self.list(list, "scenarios") else { return Vec::new() };
        if items.len() > SCENARIOS_MAX {
            let count = items.len();
            self.notes.add(list.at, format!("there are {count} scenarios; a file holds at most {SCENARIOS_MAX}"));
        }
        let mut scenarios: Vec<(At, Scenario)> = Vec::new();
        let mut names: HashMap<String, usize> = HashMap::new();
        for item in items.iter().take(SCENARIOS_MAX) {
            let Some((at, scenario)) = self.scenario(file, item) else { continue };
            if let Some(line) = names.insert(scenario.name.clone(), at.line) {
                let name = &scenario.name;
                self.notes.add(at, format!("there is a scenario `{name}` in line {line} already"));
            }
            if let Some((_, earlier)) =
                scenarios.iter().find(|(_, known)| scenario.pattern.is_hidden_by(&known.pattern))
            {
                let (name, earlier) = (&scenario.name, &earlier.name);
                warnings.add(at, format!("`{name}` is never played: `{earlier}` before it takes all of its sessions"));
            }
            scenarios.push((at, scenario));
        }
        scenarios.into_iter().map(|(_, scenario)| scenario).collect()
    }

    fn scenario(&mut self, file: &str, node: &Node) -> Option<(At, Scenario)> {
        let mut fields = self.fields(node, "a scenario", &SCENARIO_KEYS)?;
        let name = if let Some(name) = fields.take("name") {
            (name.at, self.text(name, "name").filter(|text| !text.is_empty()))
        } else {
            self.notes.add(node.at, "this scenario has no `name`");
            (node.at, None)
        };
        let (at, name) = (name.0, name.1.unwrap_or_default());
        if let Some(description) = fields.take("description") {
            let _ = self.text(description, "description");
        }
        let templates = fields.take("templates").and_then(|node| self.boolean(node, "templates")).unwrap_or(true);
        self.templates = templates;
        let pattern = fields.take("match").map(|node| self.pattern(node)).unwrap_or_default();
        let script = if let Some(script) = fields.take("script") {
            self.script(script)
        } else {
            self.notes.add(node.at, "this scenario has no `script`");
            crate::Script::default()
        };
        let faults = fields.take("faults").map(|node| self.rules(node)).unwrap_or_default();
        let expect = fields.take("expect").map(|node| self.expectation(node)).unwrap_or_default();
        let client = fields.take("client").and_then(|node| self.boolean(node, "client")).unwrap_or(false);
        let scenario = Scenario {
            name,
            file: file.to_owned(),
            line: at.line,
            pattern,
            script,
            faults,
            expect,
            client,
            templates,
            played: None,
        };
        Some((at, scenario))
    }

    fn pattern(&mut self, node: &Node) -> Match {
        const KEYS: [&str; 5] = ["agent", "message", "group_id", "header", "times"];
        let Some(mut fields) = self.fields(node, "`match`", &KEYS) else { return Match::default() };
        let agent = fields.take("agent").map(|node| self.texts(node, "agent")).unwrap_or_default();
        let message = fields.take("message").and_then(|node| self.test(node, "message"));
        let group_id = fields.take("group_id").and_then(|node| self.test(node, "group_id"));
        let header = fields.take("header").map(|node| self.headers(node)).unwrap_or_default();
        let times = fields.take("times").and_then(|node| self.whole(node, "times", 1, u64::from(u32::MAX)));
        let times = times.and_then(|times| u32::try_from(times).ok());
        Match { agent, message, group_id, header, times }
    }
}

/// The members of a node that is a map, to take by name.
pub(crate) fn members(node: &Node) -> Fields<'_> {
    match &node.kind {
        Kind::Map(members) => Fields::of(members),
        Kind::Null | Kind::Bool(_) | Kind::Number(..) | Kind::Text(_) | Kind::List(_) => Fields::of(&[]),
    }
}

#[cfg(test)]
mod tests;
