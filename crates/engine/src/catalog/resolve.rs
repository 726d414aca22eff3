//! How the agent of a request becomes an agent in full.

use super::{Catalog, ResolveError};
use quarterdeck_api::{Agent, OrganizationId, Reference, SessionRequest};
use std::sync::Arc;

/// How many levels of subagents may stand below a session that nobody delegated to.
const LEVELS_MAX: usize = quarterdeck_core::Session::DEPTH_MAX as usize;

/// A request whose agent is known in full.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The request, the agent inline.
    pub request: SessionRequest,
    /// The agent.
    pub agent: Arc<Agent>,
    /// The name it was asked for by, without a pinned revision.
    pub reference: Option<String>,
    /// The catalog revision used.
    pub revision: Option<i64>,
}

/// Whether all that the agent may delegate to can be reached from this depth. Known when a session is created, it is told
/// then, and not levels below.
pub(crate) fn check_levels(agent: &Agent, depth: u8) -> Result<(), ResolveError> {
    if usize::from(depth) + levels(agent) > LEVELS_MAX { Err(ResolveError::TooDeep(LEVELS_MAX)) } else { Ok(()) }
}

/// How many levels of subagents an agent has that is given in full.
fn levels(agent: &Agent) -> usize {
    let below = agent.subagents.iter().flatten().map(|subagent| match subagent {
        Reference::Inline(subagent) => 1 + levels(subagent),
        Reference::Name(_) => 1,
    });
    below.max().unwrap_or(0)
}

/// Puts the agent in full in place of its name, and in it everything that it names.
pub(crate) async fn resolve(
    catalog: &Catalog,
    organization: OrganizationId,
    mut request: SessionRequest,
) -> Result<Resolved, ResolveError> {
    let (agent, reference, revision) = match &request.agent {
        Reference::Inline(agent) => (catalog.expanded(organization, agent, None).await?, None, None),
        Reference::Name(name) => {
            let named = catalog.named_agent(organization, name).await?;
            (named.agent, Some(named.name), Some(named.revision))
        }
    };
    request.agent = Reference::Inline(Box::new(agent.clone()));
    Ok(Resolved { request, agent: Arc::new(agent), reference, revision })
}
