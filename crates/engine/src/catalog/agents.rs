//! What only agents have: revisions, and names of other entries that can be put in full.

use super::{Catalog, CatalogError, Found, Item, Place, Stored, built_in};
use quarterdeck_api::{Agent, AgentRevisionRecord, IfMatch, OrganizationId};
use quarterdeck_store::{Caller, Error, ListPage, Revision};

impl Catalog {
    /// An agent as it stood in a revision.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`], [`CatalogError::NoRevision`].
    pub async fn agent_at(
        &self,
        caller: Option<Caller>,
        name: &str,
        number: i64,
    ) -> Result<Found<Agent>, CatalogError> {
        let current = self.get::<Agent>(caller, name).await?;
        if current.revision == number {
            return Ok(current);
        }
        Ok(self.past(caller, name, number).await?.found().masked())
    }

    /// A page of an agent's revisions.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub async fn revisions(
        &self,
        caller: Option<Caller>,
        name: &str,
        newest_first: bool,
        offset: i64,
        limit: i64,
    ) -> Result<ListPage<AgentRevisionRecord>, CatalogError> {
        let agent = match self.look_up::<Agent>(caller, name).await? {
            Place::Stored(stored) => stored.version.entry,
            Place::BuiltIn(_) => {
                let items = if offset == 0 { vec![only_revision()] } else { Vec::new() };
                return Ok(ListPage { items, total: 1 });
            }
        };
        let listing = self.store.revisions(agent, newest_first, offset, limit).await?;
        let items = listing.items.into_iter().map(revision_record).collect();
        Ok(ListPage { items, total: listing.total })
    }

    /// Makes an old revision the newest again, as a new one.
    ///
    /// # Errors
    /// [`CatalogError`]; [`CatalogError::NoRevision`] comes after a broken condition.
    pub async fn restore(
        &self,
        caller: Caller,
        name: &str,
        number: i64,
        condition: IfMatch,
    ) -> Result<Found<Agent>, CatalogError> {
        self.own::<Agent>(caller, name, condition).await?;
        let past = self.past(Some(caller), name, number).await?.item;
        let note = self.note(caller, Some(format!("Restored from v{number}")), Some(number));
        self.change(caller, name, condition, note, |_| Ok(past.clone())).await
    }

    /// An agent with everything it names in full.
    ///
    /// # Errors
    /// As [`Catalog::agent_at`], and [`CatalogError::Unresolved`].
    pub async fn resolved_agent(
        &self,
        caller: Caller,
        name: &str,
        revision: Option<i64>,
    ) -> Result<Agent, CatalogError> {
        let found = match (self.look_up::<Agent>(Some(caller), name).await, revision) {
            (Ok(Place::BuiltIn(found)), None | Some(1)) => found,
            (Ok(Place::BuiltIn(_)), Some(number)) => return Err(no_revision(name, number)),
            (Ok(Place::Stored(stored)), None) => stored.found(),
            (Ok(Place::Stored(_)) | Err(CatalogError::NotFound { .. }), Some(number)) => {
                self.past(Some(caller), name, number).await?.found()
            }
            (Err(error), _) => return Err(error),
        };
        let identity = Some((name, found.revision));
        Ok(self.expanded(caller.organization, &found.item, identity).await?.masked())
    }

    async fn past(&self, caller: Option<Caller>, name: &str, number: i64) -> Result<Stored<Agent>, CatalogError> {
        let past = match caller {
            Some(caller) => self.find_revision(caller.organization, name, number).await?,
            None => None,
        };
        past.ok_or_else(|| no_revision(name, number))
    }

    pub(super) async fn find_revision(
        &self,
        organization: OrganizationId,
        name: &str,
        number: i64,
    ) -> Result<Option<Stored<Agent>>, Error> {
        if name.contains('\0') {
            return Ok(None);
        }
        let entry = self.store.revision(organization, name, number).await?;
        entry.as_ref().map(Stored::read).transpose()
    }
}

fn no_revision(name: &str, number: i64) -> CatalogError {
    CatalogError::NoRevision { name: name.to_owned(), number }
}

/// What is built in has one revision.
fn only_revision() -> AgentRevisionRecord {
    let created_at = built_in::created_at();
    AgentRevisionRecord { number: 1, created_at, created_by: None, message: None, restored_from: None }
}

fn revision_record(revision: Revision) -> AgentRevisionRecord {
    let Revision { number, note } = revision;
    AgentRevisionRecord {
        number,
        created_at: note.at,
        created_by: Some(note.author),
        message: note.message,
        restored_from: note.restored_from,
    }
}
