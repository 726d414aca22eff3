//! Calls behind a mark. Formats differ in their marks more than in what they mark: elements with a name and
//! parameters, keys and values, JSON with the name in it or before it, or Python.

use super::{offers, shape};
use crate::{loose, model::RawCall};
use quarterdeck_api::ToolDefinition;
use serde_json::{Map, Value};

/// Calls of one text that are read.
const CALLS_MAX: usize = 128;
/// Places of one text that may fail to be read before the search ends.
const MISSES_MAX: usize = 64;
/// Bytes before JSON in which a tool's name is looked for.
const HEADER_MAX: usize = 200;

/// Reads calls of one kind; none when there are none of it.
type Reader = fn(&str, &[ToolDefinition]) -> Vec<RawCall>;

/// The calls in what follows a mark.
pub(crate) fn calls(text: &str, tools: &[ToolDefinition]) -> Vec<RawCall> {
    let readers: [Reader; 4] = [elements, keys_and_values, json, |text, _| python(behind_mark(text))];
    readers.iter().map(|read| read(text, tools)).find(|calls| !calls.is_empty()).unwrap_or_default()
}

fn call(name: &str, arguments: String) -> RawCall {
    RawCall { id: None, name: name.to_owned(), arguments, ..RawCall::default() }
}

/// `<function=NAME>`, `<invoke name="NAME">` and their kin, with an element for each parameter or JSON inside.
fn elements(text: &str, tools: &[ToolDefinition]) -> Vec<RawCall> {
    let openings = places(text, &["invoke name=", "function=", "function name="]);
    let ends = openings.iter().skip(1).map(|(start, _)| *start).chain([text.len()]);
    let bodies = openings.iter().zip(ends).map(|((_, after), end)| &text[*after..end.max(*after)]);
    bodies.filter_map(|body| element(body, tools)).collect()
}

/// Where one of `openings` stands right behind a mark of an element, and where it ends.
fn places(text: &str, openings: &[&str]) -> Vec<(usize, usize)> {
    let of = |opening: &&str| {
        let found = text.match_indices(*opening).map(|(at, found)| (at, at + found.len()));
        let in_mark = |(at, _): &(usize, usize)| text[..*at].ends_with(['<', '|', '｜', ':']);
        found.filter(in_mark).take(CALLS_MAX).collect::<Vec<_>>()
    };
    let mut places: Vec<_> = openings.iter().flat_map(of).collect();
    places.sort_unstable();
    places.truncate(CALLS_MAX);
    places
}

fn element(text: &str, tools: &[ToolDefinition]) -> Option<RawCall> {
    let text = text.trim_start_matches(['"', '\'']);
    let name = &text[..text.find(['"', '\'', '>', '{', '\n', ' ', ',', '('])?];
    let rest = text[name.len()..].trim_start_matches(['"', '\'', ',', ' ']);
    let body = if rest.starts_with('{') { rest } else { rest.split_once('>')?.1.trim_start() };
    if let Some((arguments @ Value::Object(_), _)) = loose::prefix(body) {
        return Some(call(name, arguments.to_string()));
    }
    let arguments = parameters(body, offers(tools, name))?;
    Some(call(name, Value::Object(arguments).to_string()))
}

/// The parameters of an element that is closed.
fn parameters(body: &str, tool: Option<&ToolDefinition>) -> Option<Map<String, Value>> {
    let openings = places(body, &["parameter=", "parameter name=", "param name=", "arg name="]);
    if openings.is_empty() {
        return body.contains("</").then(Map::new);
    }
    let mut arguments = Map::new();
    for (_, after) in openings {
        let text = body[after..].trim_start_matches(['"', '\'']);
        let name = &text[..text.find(['"', '\'', '>', ' '])?];
        let (attributes, value) = text[name.len()..].split_once('>')?;
        let end = [value.find("</"), value.find("<parameter")].into_iter().flatten().min();
        let end = closing(value).or(end)?;
        arguments.insert(name.to_owned(), typed(&value[..end], name, attributes, tool));
    }
    Some(arguments)
}

/// Where a parameter's own closing mark stands: its value may hold marks of others.
fn closing(value: &str) -> Option<usize> {
    let ends = ["parameter>", "param>", "arg>"];
    value.match_indices("</").map(|(at, _)| at).take(CALLS_MAX).find(|at| {
        let mark = value[at + 2..].split('\n').next().unwrap_or_default();
        mark.find('>').is_some_and(|end| ends.iter().any(|known| mark[..=end].ends_with(known)))
    })
}

/// A value is text unless the tool or the element says that it is something else.
fn typed(value: &str, name: &str, attributes: &str, tool: Option<&ToolDefinition>) -> Value {
    let value = value.strip_prefix('\n').unwrap_or(value);
    let value = value.strip_suffix('\n').unwrap_or(value);
    let kind = tool.and_then(|tool| tool.input_schema.get("properties")?.get(name)?.get("type")?.as_str());
    if kind == Some("string") || attributes.contains("string=\"true\"") {
        return value.into();
    }
    loose::value(value.trim()).unwrap_or_else(|| value.into())
}

/// `<tool_call>NAME`, then pairs of `<arg_key>` and `<arg_value>`; or the name alone.
fn keys_and_values(text: &str, tools: &[ToolDefinition]) -> Vec<RawCall> {
    let mut calls = Vec::new();
    for part in text.split("<tool_call>").skip(1).take(CALLS_MAX) {
        let Some((body, _)) = part.split_once("</tool_call>") else { continue };
        let name = body.split(['<', '\n', '{']).next().unwrap_or_default().trim();
        let Some(tool) = offers(tools, name).filter(|_| !body.contains('{') || body.contains("<arg_key>")) else {
            continue;
        };
        let mut arguments = Map::new();
        for pair in body.split("<arg_key>").skip(1) {
            let (key, rest) = pair.split_once("</arg_key>").unwrap_or((pair, ""));
            let value = rest.split_once("<arg_value>").map_or("", |(_, value)| value);
            let value = value.split_once("</arg_value>").map_or(value, |(value, _)| value);
            arguments.insert(key.trim().to_owned(), typed(value, key.trim(), "", Some(tool)));
        }
        calls.push(call(name, Value::Object(arguments).to_string()));
    }
    calls
}

/// JSON with the name in it, or arguments with the name before them.
fn json(text: &str, tools: &[ToolDefinition]) -> Vec<RawCall> {
    let mut calls = Vec::new();
    let (mut from, mut header, mut misses) = (0, 0, 0);
    while misses < MISSES_MAX
        && calls.len() < CALLS_MAX
        && let Some(at) = text[from..].find(['{', '[']).map(|at| from + at)
    {
        let Some((value, length)) = loose::prefix(&text[at..]) else {
            misses += 1;
            from = at + 1;
            continue;
        };
        match named(&text[header..at], tools).filter(|_| value.is_object()) {
            Some(name) => calls.push(call(name, value.to_string())),
            None => calls.extend(shape::lax(&value)),
        }
        from = at + length;
        header = from;
    }
    calls
}

/// The last tool on offer that is named in what stands before JSON.
fn named<'a>(header: &str, tools: &'a [ToolDefinition]) -> Option<&'a str> {
    let from = header.ceil_char_boundary(header.len().saturating_sub(HEADER_MAX));
    let words = header[from..].rsplit(|char: char| !char.is_alphanumeric() && !"_-.:".contains(char));
    words.filter(|word| !word.is_empty()).find_map(|word| offers(tools, word)).map(|tool| tool.name.as_str())
}

fn behind_mark(text: &str) -> &str {
    let close = text.find("|>").map(|at| at + 2).or_else(|| text.find('>').map(|at| at + 1));
    text[close.unwrap_or(0)..].trim_start()
}

/// Calls as Python writes them: one, or several in a list or on lines of their own, with nothing else beside them.
pub(crate) fn python(text: &str) -> Vec<RawCall> {
    let text = text.trim();
    let text = text.strip_prefix("print(").unwrap_or(text);
    let mut rest = text.trim_start_matches(['[', ' ', '\n']);
    let mut calls = Vec::new();
    while calls.len() < CALLS_MAX
        && let Some((name, arguments, length)) = loose::python_call(rest)
    {
        let name = name.strip_suffix(".call").unwrap_or(&name);
        calls.push(call(name, Value::Object(arguments).to_string()));
        rest = rest[length..].trim_start_matches([',', ';', ' ', '\n', '\r']);
    }
    let is_over = rest.is_empty() || rest.starts_with([']', '<', '`', ')']);
    if is_over { calls } else { Vec::new() }
}
