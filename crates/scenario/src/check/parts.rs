//! What stands in a scenario beside its script: what goes wrong, and what is expected.

use super::{members, reader::Reader};
use crate::{
    Cut, Expectation, FaultDeed as Deed, Rule, RuleMatch,
    distance::meant,
    yaml::{Kind, Node},
};
use std::collections::BTreeMap;

/// What can go wrong.
pub(crate) const DEEDS: [&str; 9] =
    ["delay", "drip", "status", "lost", "cut", "hold", "truncate", "garbage", "close_idle"];
pub(crate) const RULE_KEYS: [&str; 6] = ["on", "match", "after", "times", "every", "chance"];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

impl Reader<'_, '_> {
    pub(crate) fn rules(&mut self, node: &Node) -> Vec<Rule> {
        let Some(items) = self.list(node, "faults") else { return Vec::new() };
        items.iter().filter_map(|item| self.rule(item)).collect()
    }

    pub(crate) fn rule(&mut self, node: &Node) -> Option<Rule> {
        let names: Vec<&str> = RULE_KEYS.into_iter().chain(DEEDS).chain(["retry_after"]).collect();
        let mut fields = self.fields(node, "a fault", &names)?;
        let on = match fields.take("on") {
            Some(on) => self.operation(on)?,
            None => "*".to_owned(),
        };
        let pattern = fields.take("match").map(|node| self.rule_match(node)).unwrap_or_default();
        let mut number = |reader: &mut Self, key: &str, least| {
            fields.take(key).and_then(|node| reader.whole(node, key, least, u64::from(u32::MAX)))
        };
        let after = number(self, "after", 0).unwrap_or_default();
        let (times, every) = (number(self, "times", 1), number(self, "every", 1).unwrap_or(1));
        let chance = fields.take("chance").and_then(|node| self.chance(node));
        let retry_after = fields.take_with_key("retry_after");
        let given: Vec<_> = DEEDS.into_iter().filter_map(|deed| Some((deed, fields.take(deed)?))).collect();
        let &[(deed, value)] = given.as_slice() else {
            let words = DEEDS.join(", ");
            self.notes.add(node.at, format!("a fault does one of {words}, and this does {}", given.len()));
            return None;
        };
        if let Some((key, _)) = retry_after.filter(|_| deed != "status") {
            self.notes.add(key.at, "`retry_after` stands beside `status`");
        }
        let retry_after = retry_after.and_then(|(_, node)| self.whole(node, "retry_after", 0, 86_400));
        let act = self.deed(deed, value, retry_after)?;
        Some(Rule { on, pattern, after, times, every, chance, act })
    }

    fn operation(&mut self, node: &Node) -> Option<String> {
        let on = self.text(node, "on")?;
        let known = self.known.operations;
        if on != "*" && !known.is_empty() && !known.contains(&on) {
            let message =
                format!("there is no operation `{on}`; their ids are in /openapi.yaml, and `*` is all of them");
            self.notes.add_meant(node.at, message, meant(&on, known.iter().map(String::as_str)));
            return None;
        }
        Some(on)
    }

    fn rule_match(&mut self, node: &Node) -> RuleMatch {
        let keys = ["session", "method", "header"];
        let Some(mut fields) = self.fields(node, "`match`", &keys) else { return RuleMatch::default() };
        let session = fields.take("session").and_then(|node| self.text(node, "session"));
        let method = fields.take("method").and_then(|node| {
            let method = self.text(node, "method")?.to_ascii_uppercase();
            if !METHODS.contains(&method.as_str()) {
                self.notes.add(node.at, format!("`{method}` is no method; there are {}", METHODS.join(", ")));
            }
            Some(method)
        });
        let header = fields.take("header").map(|node| self.headers(node)).unwrap_or_default();
        RuleMatch { session, method, header }
    }

    fn chance(&mut self, node: &Node) -> Option<f64> {
        let chance = node.json().as_f64().filter(|chance| (0.0..=1.0).contains(chance));
        if chance.is_none() {
            self.notes.add(node.at, format!("`chance` is a number from 0 to 1, not {}", node.told()));
        }
        chance
    }

    fn deed(&mut self, deed: &str, value: &Node, retry_after: Option<u64>) -> Option<Deed> {
        Some(match deed {
            "delay" => Deed::Delay(self.duration(value, deed)?),
            "hold" => Deed::Hold(self.duration(value, deed)?),
            "drip" => Deed::Drip(self.rate(value)?),
            "status" => {
                let status = self.whole(value, deed, 400, 599)?;
                Deed::Status { status: u16::try_from(status).ok()?, retry_after }
            }
            "truncate" => Deed::Truncate(self.whole(value, deed, 0, u64::from(u32::MAX))?),
            "cut" => match self.text(value, deed)?.as_str() {
                "headers" => Deed::Cut(Cut::Headers),
                "body" => Deed::Cut(Cut::Body),
                other => {
                    let meant = meant(other, ["headers", "body"]);
                    self.notes.add_meant(value.at, format!("`cut` is headers or body, not `{other}`"), meant);
                    return None;
                }
            },
            word => {
                if !self.boolean(value, word)? {
                    self.notes.add(value.at, format!("`{word}` is written with `true`, or left out"));
                    return None;
                }
                match word {
                    "lost" => Deed::Lost,
                    "garbage" => Deed::Garbage,
                    _ => Deed::CloseIdle,
                }
            }
        })
    }

    /// `1 byte/s`, `20 bytes/s`, or a number of them.
    fn rate(&mut self, node: &Node) -> Option<u64> {
        let text = self.text(node, "drip")?;
        let number = text.trim_end_matches("/s").trim_end_matches("bytes").trim_end_matches("byte").trim();
        let rate = number.parse().ok().filter(|rate| (1..=1_000_000_000).contains(rate));
        if rate.is_none() {
            self.notes.add(node.at, format!("`drip` is a rate such as 20 bytes/s, not `{text}`"));
        }
        rate
    }

    pub(crate) fn expectation(&mut self, node: &Node) -> Expectation {
        let keys = ["sessions", "calls", "all_cues"];
        let Some(mut fields) = self.fields(node, "`expect`", &keys) else { return Expectation::default() };
        let most = u64::from(u32::MAX);
        let sessions = fields.take("sessions").and_then(|node| self.whole(node, "sessions", 0, most));
        let calls = fields.take("calls").map(|node| {
            if !matches!(node.kind, Kind::Map(_)) {
                self.notes.add(node.at, format!("`calls` is a map of tools and numbers, not {}", node.told()));
            }
            let counts = members(node).rest().into_iter().filter_map(|(key, value)| {
                let count = self.whole(value, &key.name, 0, most)?;
                Some((key.name.clone(), count))
            });
            counts.collect::<BTreeMap<_, _>>()
        });
        let all_cues = fields.take("all_cues").and_then(|node| self.boolean(node, "all_cues")).unwrap_or(false);
        Expectation { sessions, calls: calls.unwrap_or_default(), all_cues }
    }
}
