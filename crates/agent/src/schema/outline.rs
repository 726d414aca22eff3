//! What checking a value against a schema costs, found out before it is done.
//!
//! A few lines of schema can apply themselves to one value millions of times, or so deep that the stack runs out, and
//! a check that has begun cannot be stopped. The outline holds which schema applies which others, and where: to the
//! same value, or to what lies inside. References may go round in circles, as long as they go deeper into the value.

mod trace;
mod work;

use super::budget::Budget;
use serde_json::Value;
use std::collections::HashMap;
pub(super) use trace::references;

/// How deep schemas may apply schemas to one and the same value, and how many may come together there.
const HERE_DEPTH_MAX: usize = 256;
const HERE_MAX: u64 = 10_000;
/// How deep a check may go in all. Each level takes up to 1 KiB of a stack of 2 MiB.
const DEPTH_MAX: usize = 1_000;

/// Which schemas a schema applies.
#[derive(Debug, Default)]
struct Node {
    /// To the same value.
    here: Vec<usize>,
    /// To the member of a name; to every member; to those that have no schema by their name.
    by_name: HashMap<String, usize>,
    members: Vec<usize>,
    other_members: Vec<usize>,
    /// To the item at a place; to every item.
    by_place: Vec<Option<usize>>,
    items: Vec<usize>,
    /// Whether it asks what the others have looked at, and so goes through them once more.
    asks_again: bool,
    /// What its own keywords take, beyond one look.
    work: work::Work,
    /// What it takes for a value with nothing inside.
    alone: Cost,
}

impl Node {
    fn of_member(&self, name: &str) -> impl Iterator<Item = usize> {
        let named = self.by_name.get(name);
        let others = if named.is_none() { self.other_members.as_slice() } else { &[] };
        self.members.iter().chain(named).chain(others).copied()
    }

    fn of_item(&self, place: usize) -> impl Iterator<Item = usize> {
        self.items.iter().copied().chain(self.by_place.get(place).copied().flatten())
    }
}

/// What it takes to apply a schema to a value, all that it applies included.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    checks: u64,
    depth: usize,
    /// Whether some schema among those that are applied takes more than a look, also for a value with nothing inside.
    works: bool,
}

impl Cost {
    /// One check, above those that are added.
    const ONE: Self = Self { checks: 1, depth: 1, works: false };

    fn add(&mut self, inner: Self) {
        self.checks = self.checks.saturating_add(inner.checks);
        self.depth = self.depth.max(inner.depth.saturating_add(1));
        self.works |= inner.works;
    }
}

/// A schema's outline.
#[derive(Debug)]
pub(super) struct Outline {
    /// The schema itself first.
    nodes: Vec<Node>,
}

impl Outline {
    /// # Errors
    /// A sentence that says why no value can be checked against the schema.
    pub(super) fn of(schema: &Value) -> Result<Self, String> {
        let mut nodes = trace::nodes(schema)?;
        let mut known = vec![Known::Nothing; nodes.len()];
        for id in 0..nodes.len() {
            nodes[id].alone = alone(&nodes, id, &mut known, HERE_DEPTH_MAX)?;
        }
        Ok(Self { nodes })
    }

    /// How many checks it takes to find everything wrong with a value, at worst.
    ///
    /// # Errors
    /// A sentence that says why the value cannot be checked.
    pub(super) fn checks(&self, value: &Value, budget: &Budget) -> Result<u64, String> {
        if self.nodes.is_empty() {
            return Ok(1);
        }
        let mut walk = Walk { nodes: &self.nodes, known: HashMap::new(), budget };
        let cost = walk.cost(0, value, DEPTH_MAX)?;
        if cost.depth > DEPTH_MAX { Err(too_deep()) } else { Ok(cost.checks) }
    }
}

/// What is known of a schema while costs are worked out.
#[derive(Clone, Copy)]
enum Known {
    Nothing,
    BeingFound,
    Cost(Cost),
}

/// What it takes to apply a schema to a value with nothing inside.
fn alone(nodes: &[Node], id: usize, known: &mut [Known], room: usize) -> Result<Cost, String> {
    match known[id] {
        Known::Cost(cost) => return Ok(cost),
        Known::BeingFound => return Err("a schema in it applies itself to the same value, without end".into()),
        Known::Nothing => {}
    }
    let too_deep = || format!("schemas in it apply others to the same value more than {HERE_DEPTH_MAX} deep");
    let room = room.checked_sub(1).ok_or_else(too_deep)?;
    known[id] = Known::BeingFound;
    let mut cost = Cost { works: nodes[id].work.takes_more(), ..Cost::ONE };
    for inner in &nodes[id].here {
        cost.add(alone(nodes, *inner, known, room)?);
    }
    if cost.depth > HERE_DEPTH_MAX {
        return Err(too_deep());
    }
    if cost.checks > HERE_MAX {
        return Err(format!("it applies more than {HERE_MAX} schemas to the same value"));
    }
    known[id] = Known::Cost(cost);
    Ok(cost)
}

/// Goes where a check would go, but to each pair of a schema and a value only once.
struct Walk<'a> {
    nodes: &'a [Node],
    /// By schema and address of the value.
    known: HashMap<(usize, *const Value), Cost>,
    budget: &'a Budget,
}

impl Walk<'_> {
    fn cost(&mut self, id: usize, value: &Value, room: usize) -> Result<Cost, String> {
        let node = &self.nodes[id];
        let again = if node.asks_again { node.alone.checks } else { 1 };
        if !self.budget.look(again.saturating_add(node.work.on(value))) {
            return Err(super::TOO_MUCH.into());
        }
        if holds_nothing(value) && !node.alone.works {
            return Ok(node.alone);
        }
        let key = (id, std::ptr::from_ref(value));
        if let Some(cost) = self.known.get(&key) {
            return Ok(*cost);
        }
        let room = room.checked_sub(1).ok_or_else(too_deep)?;
        let cost = self.cost_of_all(node, value, room)?;
        self.known.insert(key, cost);
        Ok(cost)
    }

    fn cost_of_all(&mut self, node: &Node, value: &Value, room: usize) -> Result<Cost, String> {
        let mut cost = Cost::ONE;
        for id in &node.here {
            cost.add(self.cost(*id, value, room)?);
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    for id in node.of_member(name) {
                        cost.add(self.cost(id, member, room)?);
                    }
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    for id in node.of_item(place) {
                        cost.add(self.cost(id, item, room)?);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Ok(cost)
    }
}

fn holds_nothing(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn too_deep() -> String {
    format!("it is nested too deeply: checking it against the schema would go more than {DEPTH_MAX} levels deep")
}
