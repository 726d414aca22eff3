//! YAML as a tree that knows where each value stands. Of YAML only what JSON has is taken: no tags, and each key once.
//! What a hostile file can cost is bounded: its size, its depth, and how much its aliases grow to.

use crate::diagnostic::{At, Notes};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};
use std::collections::{HashMap, HashSet};

/// Bytes of a file.
pub(crate) const FILE_MAX: usize = 1 << 20;
/// How deep it nests.
const DEPTH_MAX: usize = 64;
/// Values in it, those that aliases repeat included.
const NODES_MAX: usize = 200_000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    /// As it stands, too: a text may look like a number.
    Number(Number, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) at: At,
    pub(crate) name: String,
}

impl Node {
    pub(crate) fn json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => (*value).into(),
            Kind::Number(number, _) => number.clone().into(),
            Kind::Text(text) => text.clone().into(),
            Kind::List(items) => items.iter().map(Self::json).collect(),
            Kind::Map(members) => {
                let members = members.iter().map(|(key, value)| (key.name.clone(), value.json()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// What it is, for people.
    pub(crate) fn told(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".into(),
            Kind::Bool(value) => format!("`{value}`"),
            Kind::Number(_, text) => format!("the number `{text}`"),
            Kind::Text(text) => format!("the text `{}`", text.chars().take(40).collect::<String>()),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a map".into(),
        }
    }
}

/// The tree of a text; none when it is no YAML that we take, and why is noted.
pub(crate) fn tree(text: &str, notes: &mut Notes<'_>) -> Option<Node> {
    let start = At { line: 1, column: 1, width: 1 };
    if text.len() > FILE_MAX {
        notes.add(start, format!("the file has {} bytes; at most {FILE_MAX} are read", text.len()));
        return None;
    }
    let mut builder = Builder { notes, open: Vec::new(), root: None, anchors: HashMap::new(), nodes: 0, documents: 0 };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => {
                let at = At { line: error.marker().line(), column: error.marker().col() + 1, width: 1 };
                builder.notes.add(at, format!("this is no YAML: {}", error.info()));
                return None;
            }
        }
    }
    if builder.root.is_none() {
        builder.notes.add(start, "the file is empty; it begins with `quarterdeck: 1`");
    }
    builder.root
}

/// A collection that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<Key>,
    names: HashSet<String>,
    /// How many values there were before it.
    nodes_before: usize,
}

struct Builder<'n, 't> {
    notes: &'n mut Notes<'t>,
    open: Vec<Open>,
    root: Option<Node>,
    /// A value, and how many it consists of.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    documents: usize,
}

impl Builder<'_, '_> {
    /// None when what follows is not worth reading.
    fn take(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let at = at(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.without_tag(at, tag.is_some())?;
                self.grow(at, 1)?;
                let node = Node { at, kind: scalar(&text, style) };
                self.put(node, anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => self.begin(at, anchor, tag.is_some(), Kind::List(Vec::new())),
            Event::MappingStart(anchor, tag) => self.begin(at, anchor, tag.is_some(), Kind::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => {
                let done = self.open.pop()?;
                let size = self.nodes - done.nodes_before;
                self.put(done.node, done.anchor, size)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    self.notes.add(at, "this alias names nothing that is whole by now");
                    return None;
                };
                self.grow(at, size)?;
                self.put(Node { at, ..node }, 0, size)
            }
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.notes.add(at, "a second document begins here; a file holds one");
                    return None;
                }
                Some(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
        }
    }

    fn without_tag(&mut self, at: At, has_tag: bool) -> Option<()> {
        if has_tag {
            self.notes.add(at, "tags are not taken; write the value as JSON has it");
            return None;
        }
        Some(())
    }

    fn grow(&mut self, at: At, by: usize) -> Option<()> {
        self.nodes = self.nodes.saturating_add(by);
        if self.nodes > NODES_MAX {
            self.notes.add(at, format!("the file grows to more than {NODES_MAX} values here"));
            return None;
        }
        Some(())
    }

    fn begin(&mut self, at: At, anchor: usize, has_tag: bool, kind: Kind) -> Option<()> {
        self.without_tag(at, has_tag)?;
        if self.open.len() >= DEPTH_MAX {
            self.notes.add(at, format!("the file nests more than {DEPTH_MAX} levels deep"));
            return None;
        }
        let nodes_before = self.nodes;
        self.grow(at, 1)?;
        let node = Node { at: At { width: 1, ..at }, kind };
        self.open.push(Open { node, anchor, key: None, names: HashSet::new(), nodes_before });
        Some(())
    }

    fn put(&mut self, node: Node, anchor: usize, size: usize) -> Option<()> {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match &mut open.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(members) => {
                if let Some(key) = open.key.take() {
                    members.push((key, node));
                    return Some(());
                }
                let (Kind::Text(name) | Kind::Number(_, name)) = node.kind else {
                    self.notes.add(node.at, "a key is a text");
                    return None;
                };
                if !open.names.insert(name.clone()) {
                    self.notes.add(node.at, format!("the key `{name}` stands here a second time"));
                }
                open.key = Some(Key { at: node.at, name });
            }
            Kind::Null | Kind::Bool(_) | Kind::Number(..) | Kind::Text(_) => {}
        }
        Some(())
    }
}

fn at(span: Span) -> At {
    let width = if span.start.line() == span.end.line() { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    At { line: span.start.line(), column: span.start.col() + 1, width: width.max(1) }
}

/// Only what JSON has is more than a text.
fn scalar(text: &str, style: ScalarStyle) -> Kind {
    if style != ScalarStyle::Plain {
        return Kind::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" => Kind::Null,
        "true" => Kind::Bool(true),
        "false" => Kind::Bool(false),
        _ => match serde_json::from_str::<Number>(text) {
            Ok(number) => Kind::Number(number, text.to_owned()),
            Err(_) => Kind::Text(text.to_owned()),
        },
    }
}
