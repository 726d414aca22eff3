//! Calls that a model wrote into its text, because its server has no parser for the form it was trained on, or because
//! the parser missed them. A text that is a call is no answer.
//!
//! Two kinds of places are looked at: what follows a mark that only calls have (`<tool_call>`, `[TOOL_CALLS]`,
//! `<|python_tag|>`, ...), and JSON or Python on its own or in a fence, when it has the shape of a call and names a
//! tool on offer.

pub(crate) mod fences;
mod markup;
mod shape;

use crate::{loose, model::RawCall, thinking::is_live};
use fences::Fence;
use quarterdeck_api::ToolDefinition;

/// What stands in front of calls and in front of nothing else, in lower case.
const MARKS: [&str; 34] = [
    "<tool_call",
    "<toolcall",
    "<tool_use>",
    "<function_call",
    "<functioncall",
    "<function=",
    "<function name=",
    "<invoke name=",
    "<minimax:tool_call",
    "<seed:tool_call",
    "<longcat_tool_call",
    "<steptml:",
    "<｜dsml｜",
    "<|dsml|",
    "<｜tool▁call",
    "<｜tool_call",
    "<|tool▁call",
    "<|tool_call",
    "<|tool_list",
    "<|python_tag|>",
    "<|python_start|>",
    "<|function_call",
    "<|plugin|>",
    "<|action_start|>",
    "<|start_action|>",
    "<start_function_call>",
    "<tool_code>",
    "<tools>",
    "[tool_calls]",
    "[tool_call]",
    "[tool_request]",
    "to=functions.",
    "assistantcommentary to=",
    ">>>",
];

/// Calls of one text that are read.
const CALLS_MAX: usize = 128;

/// What a text holds.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// No call: it is words.
    Words,
    /// Calls, and the words before them.
    Calls {
        words: Option<String>,
        calls: Vec<RawCall>,
        /// Whether a mark said so, and not only the shape.
        marked: bool,
    },
    /// Something that is meant as a call and cannot be made out.
    Unclear,
}

/// Looks for calls in `text`.
pub(crate) fn find(text: &str, tools: &[ToolDefinition]) -> Found {
    if !text.contains(['<', '[', '{', '(', '>', '=', ':']) {
        return Found::Words;
    }
    match mark(text) {
        Some(at) => marked(text, at, tools),
        None => unmarked(text, tools),
    }
}

/// Where the first mark stands that is not only spoken of. In a fence it may be an example.
fn mark(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let found = MARKS.iter().filter_map(|mark| {
        let places = lower.match_indices(mark).map(|(at, _)| at).take(16);
        let is_meant = |at: &usize| match *mark {
            ">>>" => text[..*at].trim().is_empty(),
            _ => is_live(text, *at),
        };
        places.into_iter().find(is_meant)
    });
    found.min()
}

fn marked(text: &str, at: usize, tools: &[ToolDefinition]) -> Found {
    let mut calls = markup::calls(&text[at..], tools);
    calls.truncate(CALLS_MAX);
    if calls.is_empty() {
        return Found::Unclear;
    }
    Found::Calls { words: said(&text[..at]), calls, marked: true }
}

fn unmarked(text: &str, tools: &[ToolDefinition]) -> Found {
    let found = |before: &str, mut calls: Vec<RawCall>| {
        calls.truncate(CALLS_MAX);
        Found::Calls { words: said(before), calls, marked: false }
    };
    let offered = |calls: &[RawCall]| !calls.is_empty() && calls.iter().all(|call| offers(tools, &call.name).is_some());
    let bare = bare(text);
    if offered(&bare) {
        return found("", bare);
    }
    let mut calls = Vec::new();
    let mut before = None;
    for fence in fences::of(text) {
        let inside = in_fence(&fence, tools);
        if offered(&inside) {
            before.get_or_insert(&text[..fence.start]);
            calls.extend(inside);
        }
    }
    if let Some(before) = before {
        return found(before, calls);
    }
    if let Some((before, calls)) =
        trailing(text).or_else(|| thought_and_action(text)).filter(|(_, calls)| offered(calls))
    {
        return found(before, calls);
    }
    if bare.is_empty() { Found::Words } else { Found::Unclear }
}

/// The calls that the whole text is: JSON, several of them, or Python.
fn bare(text: &str) -> Vec<RawCall> {
    let text = text.trim();
    match text.chars().next() {
        Some('{' | '[') => {
            let json = shape::all(text, shape::strict);
            if json.is_empty() { markup::python(text) } else { json }
        }
        Some(char) if char.is_alphabetic() && text.ends_with(')') => markup::python(text),
        _ => Vec::new(),
    }
}

fn in_fence(fence: &Fence<'_>, tools: &[ToolDefinition]) -> Vec<RawCall> {
    if mark(fence.inside).is_some() {
        return markup::calls(fence.inside, tools);
    }
    let is_for_calls = fence.label.is_empty() || fence.label.contains("tool") || fence.label.contains("function");
    match fence.inside.trim_start().chars().next() {
        Some('{' | '[') => shape::all(fence.inside, shape::strict),
        Some(_) if is_for_calls => bare(fence.inside),
        _ => Vec::new(),
    }
}

/// A call as JSON on lines of its own, at the end of words.
fn trailing(text: &str) -> Option<(&str, Vec<RawCall>)> {
    let start = text.match_indices("\n{").map(|(at, _)| at + 1).take(64).find(|at| {
        loose::prefix(&text[*at..]).is_some_and(|(_, length)| {
            let rest = text[at + length..].trim_start();
            rest.is_empty() || rest.starts_with(['{', ';', ','])
        })
    })?;
    Some((&text[..start], shape::all(&text[start..], shape::strict)))
}

/// `Action: look` and `Action Input: {"at": 1}` on lines of their own.
fn thought_and_action(text: &str) -> Option<(&str, Vec<RawCall>)> {
    let (before, action) = text.rsplit_once("Action:")?;
    let (name, input) = action.split_once('\n')?;
    let (_, input) = input.split_once("Action Input:")?;
    let input = input.trim_start();
    let arguments = loose::prefix(input).map_or_else(|| "{}".to_owned(), |(_, length)| input[..length].to_owned());
    let call = RawCall { id: None, name: name.trim().trim_matches('`').to_owned(), arguments, ..RawCall::default() };
    Some((before, vec![call]))
}

fn said(words: &str) -> Option<String> {
    let words = words.trim().trim_end_matches("```").trim();
    (!words.is_empty()).then(|| words.to_owned())
}

/// The tool on offer that is meant by `name`, if there is no doubt: hosts and models add to names (`functions.look:0`,
/// `look<|channel|>commentary`), and change their case.
pub(crate) fn offers<'a>(tools: &'a [ToolDefinition], name: &str) -> Option<&'a ToolDefinition> {
    if let Some(tool) = tools.iter().find(|tool| tool.name == name) {
        return Some(tool);
    }
    let bare = bare_name(name);
    if let Some(tool) = tools.iter().find(|tool| tool.name == bare) {
        return Some(tool);
    }
    let mut alike = tools.iter().filter(|tool| tool.name.eq_ignore_ascii_case(bare));
    alike.next().filter(|_| alike.next().is_none() && !bare.is_empty())
}

fn bare_name(name: &str) -> &str {
    const PREFIXES: [&str; 7] = ["functions.", "function.", "default_api.", "default_api:", "tools.", "call:", "to="];
    let mut name = name.split("<|").next().unwrap_or_default().trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    match name.rsplit_once(':') {
        Some((before, number)) if number.chars().all(|char| char.is_ascii_digit()) => before,
        _ => name,
    }
}

#[cfg(test)]
mod tests;
