//! Values that are looked up while a scenario is played: `{{ results.look.price }}`. Paths only: no expressions, no loops.

use crate::{
    condition::compiled,
    cue::{Act, Arguments, CallResult, Cue},
    matching::Scenario,
};
use serde_json::{Map, Value, json};
use thiserror::Error;

/// What a path can begin with.
pub(crate) const ROOTS: [&str; 8] = ["message", "agent", "session", "group_id", "header", "results", "turn", "now"];

/// A template that cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateFault {
    /// Braces that do not close.
    #[error("`{{{{` is not closed by `}}}}`")]
    Open,
    /// What is between the braces is no path.
    #[error("`{0}` is no path such as results.look.price; templates hold nothing else")]
    NoPath(String),
    /// The path begins with something unknown.
    #[error(
        "a template cannot begin with `{0}`; there are message, agent, session, group_id, header, results, turn and now"
    )]
    UnknownRoot(String),
    /// The path leads nowhere in this session.
    #[error("`{{{{ {0} }}}}` leads nowhere in this session")]
    Missing(String),
}

/// What is known of a session when a cue's turn comes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The agent's name.
    pub agent: String,
    /// The session's id.
    pub session: String,
    /// Its label.
    pub group_id: Option<String>,
    /// Headers of the creating request that the scenario names.
    pub header: Map<String, Value>,
    /// The text of the first message.
    pub message: Option<String>,
    /// The latest result of each tool.
    pub results: Map<String, Value>,
    /// The turn, from 1.
    pub turn: u64,
    /// Now, as RFC 3339.
    pub now: String,
}

impl Facts {
    /// As templates see it.
    fn tree(&self, scenario: &Scenario) -> Value {
        let regex = match &scenario.pattern.message {
            Some(crate::TextTest::Regex(pattern)) => compiled(pattern).ok(),
            _ => None,
        };
        let text = self.message.as_deref();
        let groups = regex.as_ref().zip(text).and_then(|(regex, text)| {
            let captures = regex.captures(text)?;
            let groups = captures.iter().map(|group| group.map_or(Value::Null, |group| group.as_str().into()));
            Some(groups.collect::<Vec<_>>())
        });
        let mut message = Map::new();
        message.extend(text.map(|text| ("text".to_owned(), text.into())));
        message.extend(groups.map(|groups| ("match".to_owned(), groups.into())));
        let mut tree = json!({
            "message": message, "agent": {"name": self.agent}, "session": {"id": self.session},
            "header": self.header, "results": self.results, "turn": self.turn, "now": self.now,
        });
        if let (Value::Object(tree), Some(group_id)) = (&mut tree, &self.group_id) {
            tree.insert("group_id".into(), group_id.clone().into());
        }
        tree
    }

    /// The cue with everything looked up.
    ///
    /// # Errors
    /// [`TemplateFault::Missing`] when a path leads nowhere.
    pub fn fill(&self, cue: &Cue, scenario: &Scenario) -> Result<Cue, TemplateFault> {
        if !scenario.templates {
            return Ok(cue.clone());
        }
        let tree = self.tree(scenario);
        let text = |text: &str| filled(text, &tree).map(|value| as_text(&value));
        let maybe = |words: &Option<String>| words.as_deref().map(text).transpose();
        let mut cue = cue.clone();
        (cue.say, cue.think) = (maybe(&cue.say)?, maybe(&cue.think)?);
        for seen in &mut cue.observations {
            (seen.url, seen.title, seen.text) = (maybe(&seen.url)?, maybe(&seen.title)?, maybe(&seen.text)?);
        }
        cue.act = match cue.act {
            Act::Text(words) => Act::Text(text(&words)?),
            Act::Ask(words) => Act::Ask(maybe(&words)?),
            Act::Calls(mut calls) => {
                for call in &mut calls {
                    if let Arguments::Json(arguments) = &mut call.arguments {
                        fill_value(arguments, &tree)?;
                    }
                    match &mut call.result {
                        Some(CallResult::Value(value)) => fill_value(value, &tree)?,
                        Some(CallResult::Error(error)) => *error = text(error)?,
                        None => {}
                    }
                }
                Act::Calls(calls)
            }
            act @ (Act::Fail(_) | Act::End(_)) => act,
        };
        Ok(cue)
    }
}

fn fill_value(value: &mut Value, tree: &Value) -> Result<(), TemplateFault> {
    match value {
        Value::String(text) => *value = filled(text, tree)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill_value(item, tree))?,
        Value::Object(members) => members.values_mut().try_for_each(|member| fill_value(member, tree))?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A text that is one template alone becomes what it leads to, whatever that is.
fn filled(text: &str, tree: &Value) -> Result<Value, TemplateFault> {
    let parts = parts(text)?;
    match parts.as_slice() {
        [Part::Path(path)] => lookup(path, tree),
        parts => {
            let mut whole = String::new();
            for part in parts {
                match part {
                    Part::Text(text) => whole.push_str(text),
                    Part::Path(path) => whole.push_str(&as_text(&lookup(path, tree)?)),
                }
            }
            Ok(Value::String(whole))
        }
    }
}

enum Part<'a> {
    Text(&'a str),
    Path(&'a str),
}

fn parts(mut text: &str) -> Result<Vec<Part<'_>>, TemplateFault> {
    let mut parts = Vec::new();
    while let Some((before, rest)) = text.split_once("{{") {
        let (path, after) = rest.split_once("}}").ok_or(TemplateFault::Open)?;
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        parts.push(Part::Path(checked(path.trim())?));
        text = after;
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

fn checked(path: &str) -> Result<&str, TemplateFault> {
    let is_step = |step: &str| !step.is_empty() && step.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
    if !path.split('.').all(is_step) {
        return Err(TemplateFault::NoPath(path.to_owned()));
    }
    let root = path.split('.').next().unwrap_or_default();
    if ROOTS.contains(&root) { Ok(path) } else { Err(TemplateFault::UnknownRoot(root.to_owned())) }
}

fn lookup(path: &str, tree: &Value) -> Result<Value, TemplateFault> {
    let found = path.split('.').try_fold(tree, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        Value::Object(members) => members.get(step),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    });
    found.cloned().ok_or_else(|| TemplateFault::Missing(path.to_owned()))
}

/// What is wrong with a text as a template, whatever session it is played for.
pub(crate) fn fault(text: &str) -> Option<TemplateFault> {
    parts(text).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_values_and_nothing_else_does() {
        let tree = json!({"results": {"look": {"price": 3, "tags": ["a"]}}, "turn": 2});
        for (text, wanted) in [
            ("plain", json!("plain")),
            ("{{ results.look.price }}", json!(3)),
            ("{{results.look.tags.0}} at {{ results.look.price }} €", json!("a at 3 €")),
            ("{{ results.look }}", json!({"price": 3, "tags": ["a"]})),
        ] {
            assert_eq!(filled(text, &tree), Ok(wanted), "{text}");
        }
        for (text, wanted) in [
            ("{{ results.look.size }}", TemplateFault::Missing("results.look.size".into())),
            ("{{ result.look }}", TemplateFault::UnknownRoot("result".into())),
            ("{{ turn + 1 }}", TemplateFault::NoPath("turn + 1".into())),
            ("{{ turn", TemplateFault::Open),
        ] {
            assert_eq!(filled(text, &tree), Err(wanted), "{text}");
        }
    }
}
