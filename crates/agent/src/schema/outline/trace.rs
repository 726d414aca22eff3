//! Finds every schema within a schema, and what it applies. References are resolved as the library does it, so that
//! none leads where the outline does not look. Where it cannot be told what applies, all that might does.

use super::{Node, work::Work};
use jsonschema::{Draft, ReferencingError, Registry, Uri};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};

/// Where a schema is that says of itself nowhere where it is.
const BASE: &str = "json-schema:///";
/// Stands for `$recursiveAnchor` among names of dynamic anchors; none of them is empty.
const RECURSIVE: &str = "";

/// The schemas within `schema`, itself first; none when it is `true` or `false`.
pub(super) fn nodes(schema: &Value) -> Result<Vec<Node>, String> {
    trace(schema, |_| {}).map_err(|error| error.to_string())
}

/// Every schema within `schema` by its address, each with the address of what its reference leads to, if it has one.
pub(in super::super) fn references(schema: &Value) -> Result<HashMap<*const Value, Option<*const Value>>, String> {
    let mut found = HashMap::new();
    trace(schema, |trace| {
        let targets = &trace.targets;
        found.extend(trace.ids.iter().map(|(address, id)| (*address, targets.get(id).copied())));
    })
    .map(|_| found)
    .map_err(|error| error.to_string())
}

fn trace(schema: &Value, look: impl FnOnce(&Trace<'_>)) -> Result<Vec<Node>, ReferencingError> {
    let draft = Draft::default().detect(schema);
    let resource = draft.create_resource_ref(schema);
    let registry = Registry::new().draft(draft).add(BASE, resource)?.prepare()?;
    let mut trace = Trace::over(&registry);
    trace.node(&Found { schema, base: Arc::new(jsonschema::uri::from_str(BASE)?), draft });
    while let Some((id, found)) = trace.waiting.pop() {
        trace.look_into(id, &found)?;
    }
    trace.connect_dynamic();
    look(&trace);
    Ok(trace.nodes)
}

/// A schema, and what its references are relative to.
#[derive(Clone)]
struct Found<'r> {
    schema: &'r Value,
    base: Arc<Uri<String>>,
    draft: Draft,
}

impl<'r> Found<'r> {
    fn inner(&self, schema: &'r Value) -> Self {
        Self { schema, ..self.clone() }
    }
}

struct Trace<'r> {
    registry: &'r Registry<'r>,
    nodes: Vec<Node>,
    ids: HashMap<*const Value, usize>,
    waiting: Vec<(usize, Found<'r>)>,
    /// What references lead to, by who has them.
    targets: HashMap<usize, *const Value>,
    /// Dynamic anchors by their name, and who refers to one.
    anchors: HashMap<String, Vec<usize>>,
    dynamic: Vec<(usize, String)>,
}

impl<'r> Trace<'r> {
    fn over(registry: &'r Registry<'r>) -> Self {
        let (ids, targets, anchors) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { registry, nodes: Vec::new(), ids, waiting: Vec::new(), targets, anchors, dynamic: Vec::new() }
    }

    /// The node of a schema. One that is `true` or `false` applies nothing and has none.
    fn node(&mut self, found: &Found<'r>) -> Option<usize> {
        if !found.schema.is_object() {
            return None;
        }
        let next = self.nodes.len();
        let id = *self.ids.entry(std::ptr::from_ref(found.schema)).or_insert(next);
        if id == next {
            self.nodes.push(Node::default());
            self.waiting.push((id, found.clone()));
        }
        Some(id)
    }

    fn look_into(&mut self, id: usize, found: &Found<'r>) -> Result<(), ReferencingError> {
        let draft = found.draft.detect(found.schema);
        let resource = draft.create_resource_ref(found.schema);
        let base = self.registry.resolver((*found.base).clone()).in_subresource(resource)?.base_uri();
        let found = Found { schema: found.schema, base, draft };
        self.nodes[id].work = found.schema.as_object().map(Work::of).unwrap_or_default();
        for (keyword, value) in found.schema.as_object().into_iter().flatten() {
            self.read(id, keyword, &found.inner(value))?;
        }
        // Also what only a dynamic reference leads to.
        for schema in draft.subresources_of(found.schema) {
            self.node(&found.inner(schema));
        }
        Ok(())
    }

    fn read(&mut self, id: usize, keyword: &str, value: &Found<'r>) -> Result<(), ReferencingError> {
        match keyword {
            "$ref" | "$dynamicRef" | "$recursiveRef" => self.refer(id, keyword, value)?,
            "$dynamicAnchor" => self.note_anchor(id, value.schema.as_str()),
            "$recursiveAnchor" => self.note_anchor(id, (*value.schema == true).then_some(RECURSIVE)),
            "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" => {
                let here = self.each(value);
                self.nodes[id].here.extend(here);
            }
            "dependentSchemas" | "dependencies" => {
                let here = self.named(value);
                self.nodes[id].here.extend(here.into_values());
            }
            "properties" => self.nodes[id].by_name = self.named(value),
            "patternProperties" => {
                let members = self.named(value);
                self.nodes[id].members.extend(members.into_values());
            }
            "additionalProperties" => self.nodes[id].other_members = self.each(value),
            "propertyNames" | "unevaluatedProperties" => {
                let members = self.each(value);
                self.nodes[id].members.extend(members);
            }
            "prefixItems" => self.nodes[id].by_place = self.places(value),
            "items" if value.schema.is_array() => self.nodes[id].by_place = self.places(value),
            "items" | "additionalItems" | "unevaluatedItems" | "contains" => {
                let items = self.each(value);
                self.nodes[id].items.extend(items);
            }
            _ => {}
        }
        self.nodes[id].asks_again |= keyword.starts_with("unevaluated");
        Ok(())
    }

    /// A schema, or each of a list of them.
    fn each(&mut self, value: &Found<'r>) -> Vec<usize> {
        let schemas = value.schema.as_array().map_or_else(|| std::slice::from_ref(value.schema), Vec::as_slice);
        schemas.iter().filter_map(|schema| self.node(&value.inner(schema))).collect()
    }

    fn named(&mut self, value: &Found<'r>) -> HashMap<String, usize> {
        let members = value.schema.as_object().into_iter().flatten();
        members.filter_map(|(name, schema)| Some((name.clone(), self.node(&value.inner(schema))?))).collect()
    }

    fn places(&mut self, value: &Found<'r>) -> Vec<Option<usize>> {
        value.schema.as_array().into_iter().flatten().map(|schema| self.node(&value.inner(schema))).collect()
    }

    fn refer(&mut self, id: usize, keyword: &str, value: &Found<'r>) -> Result<(), ReferencingError> {
        let Some(reference) = value.schema.as_str() else { return Ok(()) };
        let target = self.registry.resolver((*value.base).clone()).lookup(reference)?;
        let (schema, resolver, draft) = target.into_inner();
        self.targets.insert(id, std::ptr::from_ref(schema));
        let target = self.node(&Found { schema, base: resolver.base_uri(), draft });
        self.nodes[id].here.extend(target);
        match keyword {
            "$dynamicRef" => {
                let (_, name) = reference.split_once('#').unwrap_or_default();
                self.dynamic.push((id, name.to_owned()));
            }
            "$recursiveRef" => self.dynamic.push((id, RECURSIVE.to_owned())),
            _ => {}
        }
        Ok(())
    }

    fn note_anchor(&mut self, id: usize, name: Option<&str>) {
        if let Some(name) = name {
            self.anchors.entry(name.to_owned()).or_default().push(id);
        }
    }

    /// A dynamic reference may lead to any anchor of its name.
    fn connect_dynamic(&mut self) {
        for (id, name) in &self.dynamic {
            let here = &mut self.nodes[*id].here;
            for anchor in self.anchors.get(name).into_iter().flatten() {
                if !here.contains(anchor) {
                    here.push(*anchor);
                }
            }
        }
    }
}
