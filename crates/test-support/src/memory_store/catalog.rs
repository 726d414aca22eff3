//! The catalogs.

use super::{MemoryStore, listing::page};
use async_trait::async_trait;
use quarterdeck_api::{EnvironmentKind, OrganizationId, Timestamp};
use quarterdeck_store::{
    Catalog, Content, Details, Entry, EntryFilter, EntryKey, Error, ListPage, NewEntry, Note, Revision, Shelf, Version,
};
use std::{cmp::Ordering, collections::BTreeMap};
use uuid::Uuid;

/// All entries of all shelves, by id.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    entries: BTreeMap<Uuid, StoredEntry>,
}

/// An entry with every state an agent has had; the others keep only the last.
#[derive(Debug)]
struct StoredEntry {
    organization: OrganizationId,
    name: String,
    number: i64,
    content: Content,
    created_at: Timestamp,
    revisions: Vec<(Revision, String)>,
}

impl StoredEntry {
    fn entry(&self, id: Uuid) -> Entry {
        self.at(id, self.number, &self.content.spec)
    }

    fn at(&self, id: Uuid, number: i64, spec: &str) -> Entry {
        let version = Version { entry: id, number };
        Entry { name: self.name.clone(), version, spec: spec.to_owned(), created_at: self.created_at }
    }

    fn is_on(&self, on: Shelf, organization: OrganizationId) -> bool {
        self.content.details.shelf() == on && self.organization == organization
    }

    fn remember(&mut self, note: Note) {
        if self.content.details == Details::Agent {
            self.revisions.push((Revision { number: self.number, note }, self.content.spec.clone()));
        }
    }
}

impl Shelves {
    fn add(&mut self, new: NewEntry) -> bool {
        let NewEntry { id, organization, name, content, note } = new;
        if self.find(content.details.shelf(), organization, &name).is_some() {
            return false;
        }
        let mut kept =
            StoredEntry { organization, name, number: 1, content, created_at: note.at, revisions: Vec::new() };
        kept.remember(note);
        self.entries.insert(id, kept);
        true
    }

    fn change(&mut self, from: Version, content: Content, note: Note) -> bool {
        let Some(kept) = self.guarded(content.details.shelf(), from) else { return false };
        kept.number += 1;
        kept.content = content;
        kept.remember(note);
        true
    }

    fn remove(&mut self, on: Shelf, from: Version) -> bool {
        self.guarded(on, from).is_some() && self.entries.remove(&from.entry).is_some()
    }

    /// The entry, if it is in that version still.
    fn guarded(&mut self, on: Shelf, from: Version) -> Option<&mut StoredEntry> {
        let kept = self.entries.get_mut(&from.entry)?;
        (kept.number == from.number && kept.content.details.shelf() == on).then_some(kept)
    }

    fn find(&self, on: Shelf, organization: OrganizationId, name: &str) -> Option<(Uuid, &StoredEntry)> {
        let mut entries = self.entries.iter();
        entries.find(|(_, kept)| kept.is_on(on, organization) && kept.name == name).map(|(id, kept)| (*id, kept))
    }

    fn list(&self, on: Shelf, organization: OrganizationId, filter: &EntryFilter) -> Vec<(Uuid, &StoredEntry)> {
        let on_shelf = self.entries.iter().filter(|(_, kept)| kept.is_on(on, organization));
        let mut found: Vec<_> =
            on_shelf.filter(|(_, kept)| matches(kept, filter)).map(|(id, kept)| (*id, kept)).collect();
        found.sort_by(|(_, one), (_, other)| order(one, other, &filter.sort));
        found
    }
}

fn matches(kept: &StoredEntry, filter: &EntryFilter) -> bool {
    let found = |search: &String| kept.content.search_text.contains(&search.to_lowercase());
    filter.name.as_ref().is_none_or(|name| *name == kept.name)
        && filter.search.as_ref().is_none_or(found)
        && filter.kind.is_none_or(|wanted| kind(kept.content.details) == Some(wanted))
}

fn kind(details: Details) -> Option<EnvironmentKind> {
    match details {
        Details::Environment(kind) => Some(kind),
        Details::Agent | Details::Skill { .. } => None,
    }
}

fn order(one: &StoredEntry, other: &StoredEntry, keys: &[(EntryKey, bool)]) -> Ordering {
    let by_keys = keys.iter().map(|(key, descending)| {
        let order = match key {
            EntryKey::CreatedAt => one.created_at.cmp(&other.created_at),
            EntryKey::Name => one.name.cmp(&other.name),
        };
        if *descending { order.reverse() } else { order }
    });
    by_keys.fold(Ordering::Equal, Ordering::then).then_with(|| one.name.cmp(&other.name))
}

#[async_trait]
impl Catalog for MemoryStore {
    async fn add(&self, entry: NewEntry) -> Result<bool, Error> {
        Ok(self.tables()?.catalog.add(entry))
    }

    async fn change(&self, from: Version, content: Content, note: Note) -> Result<bool, Error> {
        Ok(self.tables()?.catalog.change(from, content, note))
    }

    async fn remove(&self, on: Shelf, from: Version) -> Result<bool, Error> {
        Ok(self.tables()?.catalog.remove(on, from))
    }

    async fn entry(&self, on: Shelf, organization: OrganizationId, name: &str) -> Result<Option<Entry>, Error> {
        Ok(self.tables()?.catalog.find(on, organization, name).map(|(id, kept)| kept.entry(id)))
    }

    async fn entries(
        &self,
        on: Shelf,
        organization: OrganizationId,
        filter: EntryFilter,
    ) -> Result<ListPage<Entry>, Error> {
        let tables = self.tables()?;
        let found = tables.catalog.list(on, organization, &filter);
        Ok(page(found, filter.offset, filter.limit, |(id, kept)| kept.entry(id)))
    }

    async fn files_size(&self, organization: OrganizationId, filter: EntryFilter) -> Result<u64, Error> {
        let tables = self.tables()?;
        let found = tables.catalog.list(Shelf::Skills, organization, &filter);
        let sizes = page(found, filter.offset, filter.limit, |(_, kept)| match kept.content.details {
            Details::Skill { files_size } => files_size,
            Details::Agent | Details::Environment(_) => 0,
        });
        Ok(sizes.items.into_iter().sum())
    }

    async fn revision(&self, organization: OrganizationId, name: &str, number: i64) -> Result<Option<Entry>, Error> {
        let tables = self.tables()?;
        let Some((id, kept)) = tables.catalog.find(Shelf::Agents, organization, name) else { return Ok(None) };
        let found = kept.revisions.iter().find(|(revision, _)| revision.number == number);
        Ok(found.map(|(_, spec)| kept.at(id, number, spec)))
    }

    async fn revisions(
        &self,
        agent: Uuid,
        newest_first: bool,
        offset: i64,
        limit: i64,
    ) -> Result<ListPage<Revision>, Error> {
        let tables = self.tables()?;
        let kept = tables.catalog.entries.get(&agent);
        let mut revisions: Vec<Revision> =
            kept.map_or_else(Vec::new, |kept| kept.revisions.iter().map(|(revision, _)| revision.clone()).collect());
        if newest_first {
            revisions.reverse();
        }
        Ok(page(revisions, offset, limit, |revision| revision))
    }
}
