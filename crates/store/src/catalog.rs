//! The catalog port: the agents, environments and skills that organizations keep by name.
//!
//! An entry's specification is JSON text: the store keeps it as it is and never looks inside. Every change
//! names the version it was decided on and is refused when somebody changed the entry first, so of writers that
//! read the same version exactly one wins.
//!
//! Names, texts to search and messages hold no NUL: not every database keeps that character.

use crate::{Error, ListPage};
use async_trait::async_trait;
use quarterdeck_api::{EnvironmentKind, OrganizationId, Timestamp, UserId};
use uuid::Uuid;

/// A part of the catalog; names are unique within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shelf {
    /// Agents; every state they have had is kept as a revision.
    Agents,
    /// Environments.
    Environments,
    /// Skills.
    Skills,
}

/// A state of an entry: what a change was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The entry. A name that is deleted and used again is another entry.
    pub entry: Uuid,
    /// From 1, one more with every change. An agent's revision.
    pub number: i64,
}

/// An entry as it stands, or an agent as it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its state.
    pub version: Version,
    /// Its specification, as JSON.
    pub spec: String,
    /// When the entry was made.
    pub created_at: Timestamp,
}

/// What is written of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its specification, as JSON.
    pub spec: String,
    /// What `search` looks through: lower case, so that the database need not know Unicode.
    pub search_text: String,
    /// What the shelf keeps beside.
    pub details: Details,
}

/// What a shelf keeps of its entries beside their specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Details {
    /// Nothing.
    Agent,
    /// The kind, to filter by.
    Environment(EnvironmentKind),
    /// How much of its specification are helper files.
    Skill {
        /// In bytes, as they stand there.
        files_size: u64,
    },
}

impl Details {
    /// The shelf.
    pub fn shelf(self) -> Shelf {
        match self {
            Self::Agent => Shelf::Agents,
            Self::Environment(_) => Shelf::Environments,
            Self::Skill { .. } => Shelf::Skills,
        }
    }
}

/// Who made a change, when and why. Agents keep it with the revision, the others forget it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Who.
    pub author: UserId,
    /// When.
    pub at: Timestamp,
    /// Why, in the author's words.
    pub message: Option<String>,
    /// The revision that was brought back.
    pub restored_from: Option<i64>,
}

/// An entry to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name.
    pub name: String,
    /// What it holds.
    pub content: Content,
    /// Who adds it.
    pub note: Note,
}

/// A revision of an agent, without its specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its number, from 1.
    pub number: i64,
    /// Who made it, when and why.
    pub note: Note,
}

/// What entries are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKey {
    /// When they were made.
    CreatedAt,
    /// Their names, by their bytes.
    Name,
}

/// Which entries to list, and which part of them. All conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    /// Of exactly this name.
    pub name: Option<String>,
    /// With this in the text to search, case ignored.
    pub search: Option<String>,
    /// Environments of this kind.
    pub kind: Option<EnvironmentKind>,
    /// Keys in order, each with whether it runs backwards. Ties go by name.
    pub sort: Vec<(EntryKey, bool)>,
    /// How many to skip.
    pub offset: i64,
    /// How many to return.
    pub limit: i64,
}

/// The catalogs of all organizations. Every method is atomic.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// Adds an entry in its first version; false when its name is taken.
    async fn add(&self, entry: NewEntry) -> Result<bool, Error>;

    /// Changes an entry; false when it is not in that version any more.
    async fn change(&self, from: Version, content: Content, note: Note) -> Result<bool, Error>;

    /// Removes an entry, an agent with all its revisions; false when it is not in that version any more.
    async fn remove(&self, on: Shelf, from: Version) -> Result<bool, Error>;

    /// The entry of this name.
    async fn entry(&self, on: Shelf, organization: OrganizationId, name: &str) -> Result<Option<Entry>, Error>;

    /// A page of entries.
    async fn entries(
        &self,
        on: Shelf,
        organization: OrganizationId,
        filter: EntryFilter,
    ) -> Result<ListPage<Entry>, Error>;

    /// How many bytes the helper files of a page of skills have, as they stand in the specifications.
    async fn files_size(&self, organization: OrganizationId, filter: EntryFilter) -> Result<u64, Error>;

    /// The agent of this name as it stood in a revision.
    async fn revision(&self, organization: OrganizationId, name: &str, number: i64) -> Result<Option<Entry>, Error>;

    /// A page of an agent's revisions, the newest first or last.
    async fn revisions(
        &self,
        agent: Uuid,
        newest_first: bool,
        offset: i64,
        limit: i64,
    ) -> Result<ListPage<Revision>, Error>;
}
