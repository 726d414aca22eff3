//! How the agent of a request becomes an agent in full.

use crate::{Catalog, ResolveError};
use quarterdeck_api::{Agent, OrganizationId, Reference, SessionRequest};
use std::sync::Arc;

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
