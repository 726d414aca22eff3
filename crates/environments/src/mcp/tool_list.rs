//! The tools of one server, as it lists them. An odd tool costs itself: the others are offered.

use super::{TOOLS_MAX, TOOLS_MAX_BYTES, json};
use quarterdeck_api::JsonObject;
use serde_json::{Value, value::RawValue};
use std::{collections::HashSet, sync::Arc};

/// Tools of one page that are looked at.
const PAGE_MAX: usize = 2_000;
/// Characters of what a server says of a tool that the model is shown.
const DESCRIPTION_MAX: usize = 2_000;
/// A tool whose schema or name is larger is not offered, nor one whose schema is nested deeper: no model's host takes
/// such a schema.
const SCHEMA_MAX_BYTES: usize = 64 * 1024;
const SCHEMA_MAX_DEPTH: usize = 64;
const NAME_MAX_BYTES: usize = 1_024;
const CURSOR_MAX_BYTES: usize = 64 * 1024;
/// Tools that are not offered and are named for it.
const REFUSED_MAX: usize = 20;

/// What is kept of a tool.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) input_schema: Arc<JsonObject>,
}

/// The tools of one server, no more than could be offered if it were alone.
#[derive(Debug, Default)]
pub(super) struct ToolList {
    pub(super) tools: Vec<Listed>,
    /// Sentences on tools that are not offered.
    pub(super) refused: Vec<String>,
    names: HashSet<String>,
    cursors: HashSet<String>,
    bytes: usize,
    is_full: bool,
}

impl ToolList {
    /// Adds a page. Returns where the next one begins, if there is one that may bring something new.
    ///
    /// # Errors
    /// The page is no list of tools.
    pub(super) fn add_page(&mut self, page: &str) -> Result<Option<String>, String> {
        let [tools, cursor] = json::members(page, ["tools", "nextCursor"]).unwrap_or_default();
        let listed = tools.and_then(|tools| json::items(tools.get(), PAGE_MAX));
        let (tools, more) = listed.ok_or("it gave no list of tools")?;
        self.is_full |= more > 0;
        let before = self.names.len();
        for tool in tools {
            self.add(tool.get());
        }
        let is_new = self.names.len() > before;
        let cursor = cursor.and_then(cursor_text).filter(|cursor| self.cursors.insert(cursor.clone()));
        Ok(cursor.filter(|_| is_new && !self.is_full))
    }

    fn add(&mut self, tool: &str) {
        match Listed::read(tool) {
            Ok(tool) => {
                if self.is_full || !self.names.insert(tool.name.clone()) {
                    return;
                }
                self.bytes = self.bytes.saturating_add(tool.size());
                self.is_full = self.tools.len() >= TOOLS_MAX || self.bytes > TOOLS_MAX_BYTES;
                if !self.is_full {
                    self.tools.push(tool);
                }
            }
            Err(why) if self.refused.len() < REFUSED_MAX => self.refused.push(why),
            Err(_) => {}
        }
    }
}

/// A cursor is opaque: one that is no text goes back as it came. An empty one is the end.
fn cursor_text(cursor: &RawValue) -> Option<String> {
    let text = json::string(Some(cursor)).unwrap_or_else(|| cursor.get().to_owned());
    Some(text).filter(|text| !text.is_empty() && text.len() <= CURSOR_MAX_BYTES)
}

impl Listed {
    /// Reads a tool, as much of it as is offered to the model. The error names it.
    fn read(tool: &str) -> Result<Self, String> {
        let names = ["name", "description", "inputSchema", "input_schema"];
        let [name, description, schema, snake] = json::members(tool, names).ok_or("a tool that is no object")?;
        let name = json::string(name).filter(|name| !name.trim().is_empty()).ok_or("a tool without a name")?;
        if name.len() > NAME_MAX_BYTES {
            return Err(format!("a tool whose name has {} bytes", name.len()));
        }
        let refused = |why: &str| format!("the tool {name:?}, {why}");
        let schema = schema.or(snake).ok_or_else(|| refused("which has no inputSchema"))?.get();
        if schema.len() > SCHEMA_MAX_BYTES {
            return Err(refused("whose inputSchema is too large"));
        }
        let input_schema = match serde_json::from_str(schema) {
            Ok(Value::Object(schema)) => schema,
            Ok(_) => return Err(refused("whose inputSchema is no object")),
            Err(_) => return Err(refused("whose inputSchema cannot be read")),
        };
        if input_schema.values().any(|value| is_deeper(value, SCHEMA_MAX_DEPTH)) {
            return Err(refused("whose inputSchema is nested too deep"));
        }
        let description = json::string(description).unwrap_or_default().chars().take(DESCRIPTION_MAX).collect();
        Ok(Self { name, description, input_schema: Arc::new(object_schema(input_schema)) })
    }

    fn size(&self) -> usize {
        self.name.len() + self.description.len() + super::size(&self.input_schema)
    }
}

/// Arguments are an object, whatever the schema says or leaves out.
fn object_schema(mut schema: JsonObject) -> JsonObject {
    if schema.get("type").is_none_or(Value::is_null) {
        schema.insert("type".into(), "object".into());
    }
    schema
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    let inside = |mut values: Box<dyn Iterator<Item = &Value> + '_>| match levels.checked_sub(1) {
        Some(levels) => values.any(|value| is_deeper(value, levels)),
        None => true,
    };
    match value {
        Value::Object(members) => inside(Box::new(members.values())),
        Value::Array(items) => inside(Box::new(items.iter())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_odd_tool_costs_itself() {
        let mut deep = json!({"type": "object"});
        for _ in 0..120 {
            deep = json!({"properties": {"a": deep}});
        }
        let schema = json!({"type": "object"});
        let page = json!({"tools": [
            {"name": "good", "inputSchema": schema},
            {"name": "annotated", "inputSchema": schema, "annotations": {"readOnlyHint": "yes"}, "execution": 5, "icons": {}},
            {"name": "bare"},
            {"name": "list", "inputSchema": []},
            {"name": "deep", "inputSchema": deep},
            {"name": 5, "inputSchema": schema},
            "text",
            {"name": "untyped", "description": 5, "inputSchema": {"type": null}},
            {"name": "good", "inputSchema": schema},
        ]});
        let mut listing = ToolList::default();
        assert_eq!(listing.add_page(&page.to_string()), Ok(None));
        let names: Vec<_> = listing.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["good", "annotated", "untyped"]);
        assert_eq!(listing.tools[2].input_schema["type"], "object");
        assert_eq!(listing.refused.len(), 5);
        assert_eq!(listing.refused[0], "the tool \"bare\", which has no inputSchema");
    }

    #[test]
    fn pages_are_read_as_long_as_they_bring_something() {
        let page = |name: &str, cursor: Value| {
            json!({"tools": [{"name": name, "inputSchema": {}}], "nextCursor": cursor}).to_string()
        };
        let mut listing = ToolList::default();
        assert_eq!(listing.add_page(&page("a", json!("1"))), Ok(Some("1".into())));
        assert_eq!(listing.add_page(&page("b", json!(2))), Ok(Some("2".into())));
        assert_eq!(listing.add_page(&page("b", json!("3"))), Ok(None), "nothing new");
        assert_eq!(listing.add_page(&page("c", json!("1"))), Ok(None), "a cursor again");
        assert_eq!(listing.add_page(&page("d", json!(""))), Ok(None));
        assert_eq!(listing.tools.len(), 4);
        assert!(listing.add_page("{}").is_err());
    }
}
