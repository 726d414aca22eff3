//! Skills: what an agent can read up on when it needs it, by the tool `load_skill`.
//!
//! They are the agent's own, and those that came with messages; of two by one name the later counts.

use quarterdeck_api::{Agent, AgentEvent, JsonObject, Reference, Skill, ToolDefinition};
use quarterdeck_core::{CallError, Output, SKILL};
use serde_json::{Value, json};
use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _, sync::Arc};

/// The tool that loads a skill. A tool of the client's by this name takes its place.
pub(crate) const LOAD_SKILL: &str = "load_skill";

/// The skills of a session, in the order they became known.
pub(crate) struct Skills<'a>(Vec<Cow<'a, Skill>>);

impl<'a> Skills<'a> {
    pub(crate) fn of(agent: &'a Agent, transcript: &[Arc<AgentEvent>]) -> Self {
        let mut skills = Self(Vec::new());
        for skill in agent.skills.iter().flatten() {
            match skill {
                Reference::Inline(skill) => skills.add(Cow::Borrowed(skill)),
                Reference::Name(_) => {}
            }
        }
        for skill in transcript.iter().filter_map(|event| from_message(event)) {
            skills.add(Cow::Owned(skill));
        }
        skills
    }

    fn add(&mut self, skill: Cow<'a, Skill>) {
        self.0.retain(|known| known.name != skill.name);
        self.0.push(skill);
    }

    /// The tool, if there is anything to load.
    pub(crate) fn tool(&self) -> Option<ToolDefinition> {
        if self.0.is_empty() {
            return None;
        }
        let parameters = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "The skill's name."},
                "file": {"type": "string", "description": "One of its helper files; without it, its instructions."},
            },
            "required": ["name"],
        });
        let description = "Reads a skill: its instructions and the list of its helper files, or one of those files.";
        Some(ToolDefinition {
            name: LOAD_SKILL.into(),
            description: description.into(),
            input_schema: object(parameters),
        })
    }

    /// Runs a call of the tool.
    pub(crate) fn load(&self, arguments: &JsonObject) -> Result<Output, CallError> {
        let text = |field: &str| arguments.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let name = text("name").ok_or_else(|| CallError("the argument `name` is missing".into()))?;
        let skill = self.0.iter().find(|skill| skill.name == name).ok_or_else(|| self.unknown(name))?;
        text("file").map_or_else(|| Ok(body(skill)), |path| file(skill, path))
    }

    fn unknown(&self, name: &str) -> CallError {
        let known: Vec<_> = self.0.iter().map(|skill| skill.name.as_str()).collect();
        CallError(format!("there is no skill {name:?}; there are: {}", known.join(", ")))
    }
}

fn body(skill: &Skill) -> Output {
    let mut result = json!({"name": skill.name, "instructions": skill.body});
    if !skill.files.is_empty() {
        result["files"] = skill.files.keys().map(String::as_str).collect();
    }
    if !skill.executable_files.is_empty() {
        result["executable_files"] = json!(skill.executable_files);
    }
    Output::of(result)
}

/// Text is shown as text; of anything else only the size can be told.
fn file(skill: &Skill, path: &str) -> Result<Output, CallError> {
    let Some(bytes) = skill.file(path) else {
        let known: Vec<_> = skill.files.keys().map(String::as_str).collect();
        return Err(CallError(format!("the skill has no file {path:?}; it has: {}", known.join(", "))));
    };
    let size = bytes.len();
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(Output::of(json!({"file": path, "text": text}))),
        Ok(_) | Err(_) => Err(CallError(format!("the file {path:?} is not text; it has {size} bytes"))),
    }
}

/// The skill that an observation of the log stands for.
fn from_message(event: &AgentEvent) -> Option<Skill> {
    let AgentEvent::ObservationEvent { source, text: Some(body), metadata, .. } = event else { return None };
    let text = |field: &str| metadata.get(field).and_then(Value::as_str).map(str::to_owned);
    (source == SKILL).then_some(())?;
    Some(Skill {
        name: text("name")?,
        description: text("description")?,
        body: body.clone(),
        source: None,
        url_pattern: text("url_pattern"),
        compatibility: text("compatibility"),
        files: BTreeMap::new(),
        executable_files: Vec::new(),
    })
}

/// A line for each of the agent's own skills, as the system message lists them. Those of messages are told where
/// they came in.
pub(crate) fn listed(agent: &Agent) -> Option<String> {
    let lines = agent.skills.iter().flatten().filter_map(|skill| match skill {
        Reference::Inline(skill) => Some(line(skill)),
        Reference::Name(_) => None,
    });
    let lines: String = lines.collect();
    (!lines.is_empty()).then_some(lines)
}

fn line(skill: &Skill) -> String {
    let mut line = format!("- {}: {}", skill.name, skill.description);
    if let Some(pattern) = &skill.url_pattern {
        let _ = write!(line, " (for pages whose address matches `{pattern}`)");
    }
    if let Some(needs) = &skill.compatibility {
        let _ = write!(line, " (needs: {needs})");
    }
    line + "\n"
}

/// What the model is told where a message brought a skill.
pub(crate) fn announced(event: &AgentEvent) -> Option<String> {
    let skill = from_message(event)?;
    Some(format!("The user gave you a skill; `{LOAD_SKILL}` reads it.\n{}", line(&skill)))
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => JsonObject::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{agent, events};

    #[test]
    fn a_skill_is_read_and_its_files_one_by_one() {
        let agent = agent(json!({"skills": [{
            "name": "s/one", "description": "When in doubt.", "body": "Think.",
            "files": {"a.txt": "aGk=", "b.bin": "AP8="}, "executable_files": ["a.txt"],
        }]}));
        let skills = Skills::of(&agent, &[]);
        let load = |arguments: Value| skills.load(&object(arguments)).map(|output| output.result);
        let whole = json!({
            "name": "s/one", "instructions": "Think.", "files": ["a.txt", "b.bin"], "executable_files": ["a.txt"],
        });
        assert_eq!(load(json!({"name": "s/one"})), Ok(whole));
        assert_eq!(load(json!({"name": "s/one", "file": "a.txt"})), Ok(json!({"file": "a.txt", "text": "hi"})));
        for (arguments, fault) in [
            (json!({"name": "s/one", "file": "b.bin"}), "is not text; it has 2 bytes"),
            (json!({"name": "s/one", "file": "../a"}), "it has: a.txt, b.bin"),
            (json!({"name": "s/two"}), "there are: s/one"),
            (json!({}), "`name` is missing"),
        ] {
            let told = load(arguments).unwrap_err().to_string();
            assert!(told.contains(fault), "{told}");
        }
    }

    #[test]
    fn a_skill_of_a_message_takes_the_place_of_an_older_one() {
        let agent = agent(json!({"skills": [{"name": "s", "description": "d", "body": "old"}]}));
        let brought = json!({"kind": "observation_event", "type": "skill", "text": "new", "image": null,
            "metadata": {"name": "s", "description": "d2"}});
        let page = json!({"kind": "observation_event", "type": "web", "text": "x", "image": null,
            "metadata": {"name": "t", "description": "not a skill"}});
        let transcript = events([&brought, &page]);
        let skills = Skills::of(&agent, &transcript);
        let arguments = JsonObject::from_iter([("name".to_owned(), "s".into())]);
        assert_eq!(skills.load(&arguments).unwrap().result["instructions"], "new");
        assert_eq!(skills.0.len(), 1);
        assert!(announced(&transcript[0]).unwrap().contains("- s: d2"));
        assert_eq!(announced(&transcript[1]), None);
    }

    #[test]
    fn without_skills_there_is_nothing_to_load() {
        assert_eq!(Skills::of(&agent(json!({})), &[]).tool(), None);
    }
}
