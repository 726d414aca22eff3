//! Scripts: each step has one act, and beside it what says more about it.

use super::{members, reader::Fields, reader::Reader};
use crate::{
    cue::{ANSWER, Act, Arguments, Branch, Call, CallResult, Cue, End, Failure, Observe, Place, Script, Step, Usage},
    distance::meant,
    units,
    yaml::{Key, Kind, Node},
};
use quarterdeck_api::Outcome;
use serde_json::Value;
use std::time::Duration;

/// What a step can do.
pub(crate) const ACTS: [&str; 13] =
    ["answer", "text", "call", "calls", "empty", "garbage", "fail", "ask", "end", "observe", "result", "error", "if"];
/// What says more about it.
pub(crate) const MODIFIERS: [&str; 8] = ["say", "think", "outcome", "wait", "usage", "times", "after", "then"];
const ELSE: &str = "else";
/// Cues of a script.
const CUES_MAX: usize = 10_000;

/// Which modifiers an act takes.
fn allowed(act: &str) -> &'static [&'static str] {
    match act {
        "answer" => &["say", "think", "outcome", "wait", "usage", "times", "calls", "result", "error"],
        "call" | "calls" => &["say", "think", "wait", "usage", "times", "result", "error"],
        "text" | "empty" => &["say", "think", "wait", "usage", "times"],
        "ask" => &["say", "think", "wait", "usage"],
        "fail" => &["wait", "times", "after"],
        "garbage" => &["wait", "times"],
        "end" => &["wait"],
        "if" => &["then", ELSE],
        _ => &[],
    }
}

impl Reader<'_, '_> {
    pub(crate) fn script(&mut self, node: &Node) -> Script {
        let Some(items) = self.list(node, "script") else { return Script::default() };
        if items.is_empty() {
            self.notes.add(node.at, "the script is empty");
        }
        let script = Script { steps: self.steps(items) };
        let count = script.cues().len();
        if count > CUES_MAX {
            self.notes.add(node.at, format!("the script has {count} cues; it may have {CUES_MAX}"));
        }
        script
    }

    fn steps(&mut self, items: &[Node]) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut seen: Vec<Observe> = Vec::new();
        for item in items {
            let Some((act, key, value)) = self.act_of(item) else { continue };
            let mut fields = members(item);
            let _ = fields.take(act);
            match act {
                "observe" => seen.extend(self.observe(value)),
                "result" | "error" => self.results(act, value, &mut steps, key),
                "if" => steps.extend(self.branch(value, fields).map(|branch| Step::If(Box::new(branch)))),
                _ => {
                    let Some(mut cue) = self.cue(item, act, value, fields) else { continue };
                    cue.observations = std::mem::take(&mut seen);
                    steps.push(Step::Cue(Box::new(cue)));
                }
            }
        }
        if !seen.is_empty() {
            let at = items.last().map(|item| item.at).unwrap_or_default();
            self.notes.add(at, "no reply follows `observe`: what an agent sees stands before what it does");
        }
        steps
    }

    /// The one act of a step; everything else in it has to be a modifier of that.
    fn act_of<'a>(&mut self, item: &'a Node) -> Option<(&'static str, &'a Key, &'a Node)> {
        let Kind::Map(members) = &item.kind else {
            self.notes.add(item.at, format!("a step of a script is a map such as `answer: 42`, not {}", item.told()));
            return None;
        };
        let is_beside = |act: &str, name: &str| allowed(act).contains(&name);
        let acts: Vec<&'static str> =
            ACTS.into_iter().filter(|act| members.iter().any(|(key, _)| key.name == **act)).collect();
        let main = acts.iter().copied().find(|act| acts.iter().all(|other| other == act || is_beside(act, other)));
        let mut is_misspelt = false;
        for (key, _) in members {
            let name = key.name.as_str();
            if Some(name) == main || main.is_some_and(|main| is_beside(main, name)) {
                continue;
            }
            let is_known = ACTS.contains(&name) || MODIFIERS.contains(&name) || name == ELSE;
            match main {
                _ if !is_known => {
                    is_misspelt = true;
                    let words = ACTS.into_iter().chain(MODIFIERS);
                    self.notes.add_meant(key.at, format!("there is no cue `{name}`"), meant(name, words));
                }
                Some(main) => self.notes.add(key.at, format!("`{name}` cannot stand beside `{main}`")),
                None if acts.len() > 1 && acts.contains(&name) => {
                    self.notes.add(key.at, format!("a step does one thing, and this does {}", acts.join(" and ")));
                    return None;
                }
                None => {}
            }
        }
        // What else is wrong with such a step follows from that.
        let Some(main) = main.filter(|_| !is_misspelt) else {
            if !is_misspelt && acts.is_empty() {
                self.notes.add(item.at, format!("this step does nothing: it needs one of {}", ACTS.join(", ")));
            }
            return None;
        };
        let (key, value) = members.iter().find(|(key, _)| key.name == main)?;
        Some((main, key, value))
    }

    fn cue(&mut self, item: &Node, act: &str, value: &Node, mut fields: Fields<'_>) -> Option<Cue> {
        let say = fields.take("say").and_then(|node| self.words(node, "say"));
        let think = fields.take("think").and_then(|node| self.words(node, "think"));
        let usage = fields.take("usage").and_then(|node| self.usage(node));
        let wait = fields.take("wait").and_then(|node| self.duration(node, "wait")).unwrap_or(Duration::ZERO);
        let most = units::TIMES_MAX as u64;
        let times = fields.take("times").and_then(|node| self.whole(node, "times", 1, most)).unwrap_or(1);
        let times = usize::try_from(times).unwrap_or(1);
        let act = self.act(act, value, &mut fields)?;
        Some(Cue { wait, times, say, think, usage, ..Cue::of(item.at.line, act) })
    }

    fn act(&mut self, act: &str, value: &Node, fields: &mut Fields<'_>) -> Option<Act> {
        Some(match act {
            "answer" => {
                let outcome = fields.take("outcome").map(|node| {
                    let word = self.text(node, "outcome")?;
                    self.noted(node, units::outcome(&word))
                });
                let outcome = outcome.map_or(Some(Some(Outcome::Success)), |outcome| outcome)?;
                let mut calls = vec![Call::answer(&self.answer(value)?, outcome)];
                calls.extend(fields.take("calls").map(|node| self.calls(node)).unwrap_or_default());
                self.own_results(&mut calls, fields);
                Act::Calls(calls)
            }
            "text" => Act::Text(self.words(value, "text")?),
            "call" | "calls" => {
                let mut calls = if act == "call" { self.call(value) } else { self.calls(value) };
                if act == "call" && calls.len() > 1 {
                    let count = calls.len();
                    self.notes.add(value.at, format!("`call` makes one call, not {count}; write `calls` with a list"));
                }
                self.own_results(&mut calls, fields);
                Act::Calls(calls)
            }
            "empty" => self.is_true(value, "empty").map(|()| Act::Calls(Vec::new()))?,
            "garbage" => self.is_true(value, "garbage").map(|()| Act::Fail(Failure::Garbage))?,
            "ask" => match &value.kind {
                Kind::Bool(true) => Act::Ask(None),
                Kind::Null | Kind::Bool(false) | Kind::Number(..) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {
                    Act::Ask(Some(self.words(value, "ask")?))
                }
            },
            "fail" => {
                let after = fields.take("after").and_then(|node| self.duration(node, "after"));
                Act::Fail(self.failure(value, after)?)
            }
            _ => Act::End(self.end(value)?),
        })
    }

    fn is_true(&mut self, node: &Node, what: &str) -> Option<()> {
        if self.boolean(node, what)? {
            return Some(());
        }
        self.notes.add(node.at, format!("`{what}` is written with `true`, or left out"));
        None
    }

    /// A text that YAML ended by a line break is the text without it.
    fn answer(&mut self, node: &Node) -> Option<Value> {
        match &node.kind {
            Kind::Text(_) => self.words(node, "answer").map(Value::String),
            Kind::Null => {
                self.notes.add(node.at, "`answer` needs a text or an object");
                None
            }
            Kind::Bool(_) | Kind::Number(..) | Kind::List(_) | Kind::Map(_) => Some(self.value(node)),
        }
    }

    fn calls(&mut self, node: &Node) -> Vec<Call> {
        let Some(items) = self.list(node, "calls") else { return Vec::new() };
        items.iter().flat_map(|item| self.call(item)).collect()
    }

    /// `look`, or `{look: {at: 1}}`.
    fn call(&mut self, node: &Node) -> Vec<Call> {
        match &node.kind {
            Kind::Text(name) if !name.is_empty() => vec![Call::of(name, Arguments::Json(serde_json::json!({})))],
            Kind::Map(members) => {
                let calls = members.iter().filter_map(|(key, value)| {
                    let arguments = match &value.kind {
                        Kind::Map(_) => Arguments::Json(self.value(value)),
                        Kind::Null => Arguments::Json(serde_json::json!({})),
                        Kind::Text(raw) => Arguments::Raw(raw.clone()),
                        Kind::Bool(_) | Kind::Number(..) | Kind::List(_) => {
                            let is = value.told();
                            self.notes.add(value.at, format!("a call has a map of arguments, not {is}"));
                            return None;
                        }
                    };
                    Some(Call::of(&key.name, arguments))
                });
                calls.collect()
            }
            Kind::Null | Kind::Bool(_) | Kind::Number(..) | Kind::List(_) | Kind::Text(_) => {
                let is = node.told();
                self.notes.add(
                    node.at,
                    format!("a call is the name of a tool with its arguments, such as look: {{at: 1}}, not {is}"),
                );
                Vec::new()
            }
        }
    }

    /// Results that stand beside their calls.
    fn own_results(&mut self, calls: &mut [Call], fields: &mut Fields<'_>) {
        for kind in ["result", "error"] {
            if let Some(node) = fields.take(kind) {
                self.settle(kind, node, calls);
            }
        }
    }

    /// Results that stand behind their calls.
    fn results(&mut self, kind: &str, node: &Node, steps: &mut [Step], key: &Key) {
        let calls = match steps.last_mut() {
            Some(Step::Cue(cue)) => cue.calls_mut(),
            Some(Step::If(_)) | None => None,
        };
        match calls {
            Some(calls) if !calls.is_empty() => self.settle(kind, node, calls),
            Some(_) | None => self.notes.add(key.at, format!("`{kind}` follows no call")),
        }
    }

    fn settle(&mut self, kind: &str, node: &Node, calls: &mut [Call]) {
        let Kind::Map(members) = &node.kind else {
            let is = node.told();
            return self
                .notes
                .add(node.at, format!("`{kind}` names the tool, such as {kind}: {{look: …}}; this is {is}"));
        };
        for (key, value) in members {
            let result = match kind {
                "result" => CallResult::Value(self.value(value)),
                _ => match self.words(value, kind) {
                    Some(error) => CallResult::Error(error),
                    None => continue,
                },
            };
            let open = |call: &&mut Call| call.tool == key.name && call.result.is_none() && call.tool != ANSWER;
            if let Some(call) = calls.iter_mut().find(open) {
                call.result = Some(result);
            } else {
                let tools: Vec<&str> = calls.iter().map(|call| call.tool.as_str()).collect();
                let message = format!("no call of `{}` waits for a result here", key.name);
                self.notes.add_meant(key.at, message, meant(&key.name, tools));
            }
        }
    }

    fn failure(&mut self, node: &Node, after: Option<Duration>) -> Option<Failure> {
        if let Kind::Map(_) = node.kind {
            let mut fields = self.fields(node, "`fail`", &["said"])?;
            return fields.take("said").and_then(|said| self.text(said, "said")).map(Failure::Said);
        }
        let what = self.text(node, "fail")?;
        match units::failure(&what, after) {
            Ok(failure) => Some(failure),
            Err(fault) => {
                self.notes.add_meant(node.at, fault, meant(&what, units::FAILURES));
                None
            }
        }
    }

    fn end(&mut self, node: &Node) -> Option<End> {
        match &node.kind {
            Kind::Text(word) if word == "timed_out" => Some(End::TimedOut),
            Kind::Map(_) => {
                let code = self.fields(node, "`end`", &["failed"])?.take("failed")?;
                let word = self.text(code, "failed")?;
                match units::failed(&word) {
                    Ok(end) => Some(end),
                    Err(fault) => {
                        let words = units::CODES.map(|(word, _)| word);
                        self.notes.add_meant(code.at, fault, meant(&word, words));
                        None
                    }
                }
            }
            Kind::Null | Kind::Bool(_) | Kind::Number(..) | Kind::Text(_) | Kind::List(_) => {
                let is = node.told();
                self.notes.add(node.at, format!("`end` is timed_out or {{failed: environment_error}}, not {is}"));
                None
            }
        }
    }

    fn observe(&mut self, node: &Node) -> Option<Observe> {
        const KEYS: [&str; 6] = ["type", "url", "title", "text", "image", "metadata"];
        let mut fields = self.fields(node, "`observe`", &KEYS)?;
        let mut words = |reader: &mut Self, key: &str| fields.take(key).and_then(|node| reader.words(node, key));
        let source = words(self, "type").unwrap_or_else(|| "web".into());
        let (url, title, text) = (words(self, "url"), words(self, "title"), words(self, "text"));
        let image = words(self, "image");
        let metadata = fields.take("metadata").map(|node| self.value(node));
        let metadata = metadata.and_then(|value| value.as_object().cloned()).unwrap_or_default();
        if text.is_none() && image.is_none() {
            self.notes.add(node.at, "`observe` needs a `text` or an `image`");
        }
        Some(Observe { source, url, title, text, image, metadata })
    }

    fn usage(&mut self, node: &Node) -> Option<Usage> {
        let mut fields = self.fields(node, "`usage`", &["in", "cached", "out", "reasoning"])?;
        let mut tokens = |reader: &mut Self, key: &str| {
            let number = fields.take(key).and_then(|node| reader.whole(node, key, 0, u64::from(u32::MAX)));
            number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
        };
        let (input, cached) = (tokens(self, "in"), tokens(self, "cached"));
        Some(Usage { input, cached, output: tokens(self, "out"), reasoning: tokens(self, "reasoning") })
    }

    fn branch(&mut self, value: &Node, mut fields: Fields<'_>) -> Option<Branch> {
        let mut asked = self.fields(value, "`if`", &["result", "message"])?;
        let places = [(Place::Result, asked.take_with_key("result")), (Place::Message, asked.take_with_key("message"))];
        let mut given = places.into_iter().filter_map(|(place, member)| Some((place, member?)));
        let (Some((place, (key, test))), None) = (given.next(), given.next()) else {
            self.notes.add(value.at, "`if` asks one of result, message");
            return None;
        };
        let test = self.test(test, &key.name);
        let Some(then) = fields.take("then") else {
            self.notes.add(value.at, "`if` has no `then`");
            return None;
        };
        let then = self.list(then, "then").map(|items| self.steps(items)).unwrap_or_default();
        let otherwise = fields.take(ELSE).and_then(|node| self.list(node, ELSE));
        let otherwise = otherwise.map(|items| self.steps(items)).unwrap_or_default();
        Some(Branch { place, test: test?, then, otherwise })
    }
}
