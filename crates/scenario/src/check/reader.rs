//! Reading values of a tree: what does not fit is noted, and reading goes on.

use super::Known;
use crate::{
    TextTest,
    condition::compiled,
    diagnostic::Notes,
    distance::meant,
    template, units,
    yaml::{Key, Kind, Node},
};
use std::{collections::BTreeMap, time::Duration};

pub(crate) struct Reader<'n, 't> {
    pub(crate) notes: &'n mut Notes<'t>,
    pub(crate) known: Known<'n>,
    /// Whether texts are templates.
    pub(crate) templates: bool,
}

/// Members of a map that are still to be read.
pub(crate) struct Fields<'a>(Vec<(&'a Key, &'a Node)>);

impl<'a> Fields<'a> {
    pub(crate) fn of(members: &'a [(Key, Node)]) -> Self {
        Self(members.iter().map(|(key, node)| (key, node)).collect())
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<&'a Node> {
        self.take_with_key(name).map(|(_, node)| node)
    }

    pub(crate) fn take_with_key(&mut self, name: &str) -> Option<(&'a Key, &'a Node)> {
        let place = self.0.iter().position(|(key, _)| key.name == name)?;
        Some(self.0.remove(place))
    }

    pub(crate) fn rest(self) -> Vec<(&'a Key, &'a Node)> {
        self.0
    }
}

impl Reader<'_, '_> {
    /// The members of a map that may have these names.
    pub(crate) fn fields<'a>(&mut self, node: &'a Node, what: &str, names: &[&str]) -> Option<Fields<'a>> {
        let Kind::Map(members) = &node.kind else {
            self.notes.add(node.at, format!("{what} is a map, not {}", node.told()));
            return None;
        };
        for (key, _) in members.iter().filter(|(key, _)| !names.contains(&key.name.as_str())) {
            let message = format!("{what} has no `{}`; it has {}", key.name, names.join(", "));
            self.notes.add_meant(key.at, message, meant(&key.name, names.iter().copied()));
        }
        Some(Fields::of(members))
    }

    pub(crate) fn list<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a [Node]> {
        match &node.kind {
            Kind::List(items) => Some(items),
            Kind::Null | Kind::Bool(_) | Kind::Number(..) | Kind::Text(_) | Kind::Map(_) => {
                self.notes.add(node.at, format!("`{what}` is a list, not {}", node.told()));
                None
            }
        }
    }

    /// A text, or a number as it stands.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.kind {
            Kind::Text(text) | Kind::Number(_, text) => Some(text.clone()),
            Kind::Null | Kind::Bool(_) | Kind::List(_) | Kind::Map(_) => {
                self.notes.add(node.at, format!("`{what}` is a text, not {}", node.told()));
                None
            }
        }
    }

    /// Words of a cue: one trailing line break is YAML's, not theirs.
    pub(crate) fn words(&mut self, node: &Node, what: &str) -> Option<String> {
        let mut text = self.text(node, what)?;
        if text.ends_with('\n') {
            text.pop();
        }
        self.look_for_templates(node, &text);
        Some(text)
    }

    pub(crate) fn look_for_templates(&mut self, node: &Node, text: &str) {
        if !self.templates {
            return;
        }
        if let Some(fault) = template::fault(text) {
            let root = match &fault {
                template::TemplateFault::UnknownRoot(root) => meant(root, template::ROOTS),
                template::TemplateFault::Open
                | template::TemplateFault::NoPath(_)
                | template::TemplateFault::Missing(_) => None,
            };
            self.notes.add_meant(node.at, fault.to_string(), root);
        }
    }

    /// Any JSON; the texts in it may be templates.
    pub(crate) fn value(&mut self, node: &Node) -> serde_json::Value {
        self.look_inside(node);
        node.json()
    }

    fn look_inside(&mut self, node: &Node) {
        match &node.kind {
            Kind::Text(text) => self.look_for_templates(node, text),
            Kind::List(items) => items.iter().for_each(|item| self.look_inside(item)),
            Kind::Map(members) => members.iter().for_each(|(_, member)| self.look_inside(member)),
            Kind::Null | Kind::Bool(_) | Kind::Number(..) => {}
        }
    }

    pub(crate) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.kind {
            Kind::Bool(value) => Some(*value),
            Kind::Null | Kind::Number(..) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {
                self.notes.add(node.at, format!("`{what}` is true or false, not {}", node.told()));
                None
            }
        }
    }

    pub(crate) fn whole(&mut self, node: &Node, what: &str, least: u64, most: u64) -> Option<u64> {
        let number = match &node.kind {
            Kind::Number(number, _) => number.as_u64(),
            Kind::Null | Kind::Bool(_) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.notes.add(node.at, format!("`{what}` is a number from {least} to {most}, not {}", node.told()));
        }
        number
    }

    pub(crate) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let text = self.text(node, what)?;
        self.noted(node, units::duration(&text))
    }

    /// What a parser of ours made of a node.
    pub(crate) fn noted<T>(&mut self, node: &Node, read: Result<T, String>) -> Option<T> {
        read.map_err(|fault| self.notes.add(node.at, fault)).ok()
    }

    /// One text or several.
    pub(crate) fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        match &node.kind {
            Kind::List(items) => items.iter().filter_map(|item| self.text(item, what)).collect(),
            Kind::Null | Kind::Bool(_) | Kind::Number(..) | Kind::Text(_) | Kind::Map(_) => {
                self.text(node, what).into_iter().collect()
            }
        }
    }

    /// What is asked of a text: a bare one is what it has to be.
    pub(crate) fn test(&mut self, node: &Node, what: &str) -> Option<TextTest> {
        const KEYS: [&str; 4] = ["equals", "contains", "regex", "absent"];
        if !matches!(node.kind, Kind::Map(_)) {
            return self.text(node, what).map(TextTest::Equals);
        }
        let mut fields = self.fields(node, &format!("`{what}`"), &KEYS)?;
        let given: Vec<(&str, &Node)> =
            KEYS.into_iter().filter_map(|key| fields.take(key).map(|node| (key, node))).collect();
        if given.is_empty() && !fields.rest().is_empty() {
            return None; // it was told of what stands there in its place
        }
        let &[(key, value)] = given.as_slice() else {
            self.notes.add(node.at, format!("`{what}` asks one of {}, not {}", KEYS.join(", "), given.len()));
            return None;
        };
        match key {
            "equals" => self.text(value, key).map(TextTest::Equals),
            "contains" => self.text(value, key).map(TextTest::Contains),
            "absent" => self.boolean(value, key).map(TextTest::Absent),
            _ => {
                let pattern = self.text(value, key)?;
                if let Err(error) = compiled(&pattern) {
                    let why = error.to_string();
                    let why = why.lines().last().unwrap_or_default().trim();
                    self.notes.add(value.at, format!("`{pattern}` is no regex: {why}"));
                    return None;
                }
                Some(TextTest::Regex(pattern))
            }
        }
    }

    pub(crate) fn headers(&mut self, node: &Node) -> BTreeMap<String, TextTest> {
        let Kind::Map(members) = &node.kind else {
            self.notes.add(node.at, format!("`header` is a map of names, not {}", node.told()));
            return BTreeMap::new();
        };
        let tests = members.iter().filter_map(|(key, value)| {
            let test = self.test(value, &key.name)?;
            Some((key.name.to_ascii_lowercase(), test))
        });
        tests.collect()
    }
}
