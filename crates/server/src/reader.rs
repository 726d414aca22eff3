//! What the client of a request can read. One entry that a client cannot read makes it fail on the whole list, so a list
//! is given to such a client without that entry (`docs/decisions/0022-clients-that-know-fewer-kinds.md`).

use http::{HeaderMap, HeaderName, HeaderValue, header};
use quarterdeck_api::{Agent, Environment, EnvironmentKind, Page, Reference};

/// How many entries of a page were left out.
pub(crate) const LEFT_OUT: HeaderName = HeaderName::from_static("x-quarterdeck-left-out");
/// By which a client that looks like an old one asks for all kinds: `all`.
const KINDS: &str = "x-quarterdeck-kinds";
/// How the Python SDK and `hai` begin their `User-Agent`; the version follows.
const SDK: &str = "hai_agents/";
/// The last version of the SDK that knows [`KNOWN`] only.
const LAST_WITHOUT: (u64, u64) = (1, 3);
/// The kinds of environment that this version knows.
const KNOWN: [EnvironmentKind; 4] =
    [EnvironmentKind::Web, EnvironmentKind::Desktop, EnvironmentKind::Android, EnvironmentKind::Workstation];

/// What a client can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Everything, as far as is known.
    All,
    /// Environments of [`KNOWN`] kinds.
    Known,
}

impl Reader {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let asks_for_all = text(KINDS).is_some_and(|kinds| kinds.trim().eq_ignore_ascii_case("all"));
        let version = text(header::USER_AGENT.as_str()).and_then(|agent| agent.strip_prefix(SDK)).and_then(version);
        match version {
            Some(version) if version <= LAST_WITHOUT && !asks_for_all => Self::Known,
            Some(_) | None => Self::All,
        }
    }

    /// The page without what the client cannot read, and the header that says how much that was.
    pub(crate) fn page<T>(
        self,
        mut page: Page<T>,
        holds: impl Fn(&T, &dyn Fn(EnvironmentKind) -> bool) -> bool,
    ) -> (Option<(HeaderName, HeaderValue)>, Page<T>) {
        if self == Self::All {
            return (None, page);
        }
        let before = page.items.len();
        page.items.retain(|item| !holds(item, &|kind| !KNOWN.contains(&kind)));
        let left_out = before - page.items.len();
        ((left_out > 0).then(|| (LEFT_OUT, HeaderValue::from(left_out))), page)
    }
}

/// The first two numbers of a version.
fn version(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether an environment is of such a kind.
pub(crate) fn environment_holds(environment: &Environment, is_such: &dyn Fn(EnvironmentKind) -> bool) -> bool {
    is_such(environment.kind())
}

/// Whether an agent, or a subagent, has an environment of such a kind in full.
pub(crate) fn agent_holds(agent: &Agent, is_such: &dyn Fn(EnvironmentKind) -> bool) -> bool {
    let environment = |reference: &Reference<Environment>| match reference {
        Reference::Inline(environment) => environment_holds(environment, is_such),
        Reference::Name(_) => false,
    };
    let subagent = |reference: &Reference<Agent>| match reference {
        Reference::Inline(agent) => agent_holds(agent, is_such),
        Reference::Name(_) => false,
    };
    agent.environments.iter().any(environment) || agent.subagents.iter().flatten().any(subagent)
}

#[cfg(test)]
mod tests {
    use super::{Reader, agent_holds};
    use http::HeaderMap;
    use quarterdeck_api::{Agent, EnvironmentKind, decode_json};
    use serde_json::json;

    #[test]
    fn only_clients_known_to_be_old_are_taken_for_it() {
        let reader = |pairs: &[(&'static str, &'static str)]| {
            Reader::of(
                &pairs
                    .iter()
                    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                    .collect::<HeaderMap>(),
            )
        };
        for old in ["hai_agents/1.3.0", "hai_agents/1.2.7", "hai_agents/0.1.8", "hai_agents/1.3.9"] {
            assert_eq!(reader(&[("user-agent", old)]), Reader::Known, "{old}");
            assert_eq!(reader(&[("user-agent", old), ("x-quarterdeck-kinds", "all")]), Reader::All, "{old}");
        }
        for other in ["hai_agents/1.4.0", "hai_agents/2.0.0", "hai_agents/x", "curl/8", ""] {
            assert_eq!(reader(&[("user-agent", other)]), Reader::All, "{other}");
        }
        assert_eq!(reader(&[]), Reader::All);
    }

    #[test]
    fn an_agent_holds_what_its_subagents_hold() {
        let memory = json!({"kind": "memory", "id": "m", "namespace": "n"});
        let agent = |environments, subagents| -> Agent {
            let agent = json!({"name": "a", "description": "d", "environments": environments, "subagents": subagents});
            decode_json(&agent).unwrap()
        };
        let is_memory = |kind| kind == EnvironmentKind::Memory;
        let inner = json!({"name": "b", "description": "d", "environments": [memory]});
        assert!(agent_holds(&agent(json!([memory]), json!([])), &is_memory));
        assert!(agent_holds(&agent(json!([]), json!([inner])), &is_memory));
        assert!(!agent_holds(&agent(json!(["m"]), json!(["b"])), &is_memory), "names are read by all");
    }
}
