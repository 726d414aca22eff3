//! The catalogs: agents, environments and skills that an organization keeps by name, and those built in.
//!
//! Invariants:
//! - without a caller only what is built in under reserved names is visible, and nothing of another organization ever is;
//! - an organization's own entry stands before one that all see by the same name;
//! - a change is decided on one version of an entry and is stored only if the entry still has that version, so
//!   of writers with the same `If-Match` exactly one wins;
//! - what leaves here for a caller carries no secret.

mod agents;
mod built_in;
mod error;
mod expand;
mod item;
mod library;
mod listing;
mod resolve;
#[cfg(test)]
mod tests;

pub use built_in::BuiltIn;
pub use error::CatalogError;
pub use item::Item;
pub use library::{ResolveError, UnknownName};
pub use resolve::Resolved;
pub(crate) use resolve::{check_levels, resolve};

use crate::Clock;
use item::{content, without_nul};
use quarterdeck_api::{IfMatch, OrganizationId, Timestamp};
use quarterdeck_store::{Caller, Entry, EntryFilter, Error, ListPage, NewEntry, Note, Shelf, Version};
use std::{collections::HashSet, sync::Arc};

/// Tries at a change before the caller is told that too many want the same entry.
const CHANGE_ATTEMPTS: usize = 32;
/// The most that the helper files on one page of skills may have, in bytes as they are sent, in base64.
const FILES_SIZE_MAX: u64 = 8 * 1024 * 1024;
/// The most that the specifications on one page may have, in bytes.
const PAGE_SIZE_MAX: usize = 32 * 1024 * 1024;
/// Entries read at once: a page that is too large is found out before all of it was read.
const ENTRIES_AT_ONCE: i64 = 8;

/// An entry as a caller sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// What it holds, without secrets.
    pub item: T,
    /// Which version that is. An agent's revision.
    pub revision: i64,
    /// When the entry was made.
    pub created_at: Timestamp,
}

/// The catalogs. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    store: Arc<dyn quarterdeck_store::Catalog>,
    clock: Arc<dyn Clock>,
    /// What every organization sees.
    shared: Arc<BuiltIn>,
}

impl Catalog {
    pub(crate) fn new(store: Arc<dyn quarterdeck_store::Catalog>, clock: Arc<dyn Clock>, shared: Arc<BuiltIn>) -> Self {
        Self { store, clock, shared }
    }

    /// Adds an entry. `message` says why; agents keep it.
    ///
    /// # Errors
    /// [`CatalogError::Reserved`], [`CatalogError::Taken`], [`CatalogError::Invalid`] for a name that cannot be
    /// stored.
    pub async fn create<T: Item>(
        &self,
        caller: Caller,
        item: T,
        message: Option<String>,
    ) -> Result<Found<T>, CatalogError> {
        item.check_name()?;
        if is_reserved(item.name()) {
            return Err(CatalogError::reserved::<T>(item.name()));
        }
        let note = self.note(caller, message, None);
        let created_at = note.at;
        let entry = NewEntry {
            id: self.clock.id(),
            organization: caller.organization,
            name: item.name().to_owned(),
            content: content(&item),
            note,
        };
        if self.store.add(entry).await? {
            return Ok(Found { item: item.masked(), revision: 1, created_at });
        }
        Err(CatalogError::Taken { noun: T::NOUN, name: item.name().to_owned() })
    }

    /// The entry of this name; without a caller, only one that is built in.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub async fn get<T: Item>(&self, caller: Option<Caller>, name: &str) -> Result<Found<T>, CatalogError> {
        let found = match self.look_up::<T>(caller, name).await? {
            Place::BuiltIn(found) => found,
            Place::Stored(stored) => stored.found(),
        };
        Ok(found.masked())
    }

    /// A page of entries; without a caller, of those built in under reserved names. `reserved` asks only for those, or for none.
    ///
    /// # Errors
    /// [`CatalogError::TooLarge`], but for a page of one.
    pub async fn list<T: Item>(
        &self,
        caller: Option<Caller>,
        reserved: Option<bool>,
        filter: EntryFilter,
    ) -> Result<ListPage<Found<T>>, CatalogError> {
        let built_in = match reserved {
            Some(false) => Vec::new(),
            Some(true) | None => self.built_in_matching::<T>(caller, &filter).await?,
        };
        let (stored, total) = match caller.filter(|_| reserved != Some(true)).zip(listing::stored_filter(&filter)) {
            Some((caller, stored)) => {
                let size_max = if filter.limit > 1 { PAGE_SIZE_MAX } else { usize::MAX };
                let window = listing::window(&stored, built_in.len());
                self.window::<T>(caller.organization, window, size_max).await?
            }
            None => (Vec::new(), 0),
        };
        let total = total + built_in.len() as u64;
        let items = listing::page(built_in, stored, &filter).into_iter().map(|found| found.masked()).collect();
        Ok(ListPage { items, total })
    }

    /// Those of the server's own entries that a list shows this caller.
    async fn built_in_matching<T: Item>(
        &self,
        caller: Option<Caller>,
        filter: &EntryFilter,
    ) -> Result<Vec<Found<T>>, CatalogError> {
        let mut found = Vec::new();
        for item in T::built_in(&self.shared).iter().filter(|item| listing::matches(*item, filter)) {
            if is_reserved(item.name()) || self.shows_unreserved::<T>(caller, item.name()).await? {
                found.push(found_built_in(item));
            }
        }
        Ok(found)
    }

    /// Not to anonymous readers, and not beside an organization's own entry of the same name.
    async fn shows_unreserved<T: Item>(&self, caller: Option<Caller>, name: &str) -> Result<bool, CatalogError> {
        let Some(caller) = caller else { return Ok(false) };
        Ok(self.find::<T>(caller.organization, name).await?.is_none())
    }

    async fn window<T: Item>(
        &self,
        organization: OrganizationId,
        filter: EntryFilter,
        size_max: usize,
    ) -> Result<(Vec<Found<T>>, u64), CatalogError> {
        if T::SHELF == Shelf::Skills && self.store.files_size(organization, filter.clone()).await? > FILES_SIZE_MAX {
            return Err(CatalogError::TooLarge("helper files"));
        }
        let (mut items, mut seen) = (Vec::new(), HashSet::new());
        let (mut read, mut size) = (0, 0);
        loop {
            let limit = (filter.limit - read).min(ENTRIES_AT_ONCE);
            let part = EntryFilter { offset: filter.offset.saturating_add(read), limit, ..filter.clone() };
            let listing = self.store.entries(T::SHELF, organization, part).await?;
            size += listing.items.iter().map(|entry| entry.spec.len()).sum::<usize>();
            if size > size_max {
                return Err(CatalogError::TooLarge("entries"));
            }
            // What is added in between moves the others on, and one comes again.
            for entry in listing.items.iter().filter(|entry| seen.insert(entry.version.entry)) {
                items.push(Stored::read(entry)?.found());
            }
            read += limit;
            let end = filter.offset.saturating_add(read).unsigned_abs();
            if read >= filter.limit || end >= listing.total {
                return Ok((items, listing.total));
            }
        }
    }

    /// Puts another specification in place of an entry's.
    ///
    /// # Errors
    /// [`CatalogError`]; first [`CatalogError::Misnamed`].
    pub async fn put<T: Item>(
        &self,
        caller: Caller,
        name: &str,
        item: T,
        condition: IfMatch,
        message: Option<String>,
    ) -> Result<Found<T>, CatalogError> {
        if item.name() != name {
            return Err(CatalogError::Misnamed { path: name.to_owned(), body: item.name().to_owned() });
        }
        let note = self.note(caller, message, None);
        self.change(caller, name, condition, note, |_| Ok(item.clone())).await
    }

    /// Changes some fields of an entry.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn patch<T: Item>(
        &self,
        caller: Caller,
        name: &str,
        patch: &T::Patch,
        condition: IfMatch,
        message: Option<String>,
    ) -> Result<Found<T>, CatalogError> {
        let note = self.note(caller, message, None);
        self.change(caller, name, condition, note, |current: &T| Ok(current.patched(patch)?)).await
    }

    /// Removes an entry, an agent with all its revisions.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn delete<T: Item>(&self, caller: Caller, name: &str, condition: IfMatch) -> Result<(), CatalogError> {
        for _ in 0..CHANGE_ATTEMPTS {
            let current = self.own::<T>(caller, name, condition).await?;
            if self.store.remove(T::SHELF, current.version).await? {
                return Ok(());
            }
        }
        Err(CatalogError::Contended { noun: T::NOUN, name: name.to_owned() })
    }

    /// What `decide` makes of an entry takes its place, unless it is the same. Somebody else's change in between
    /// makes it look again, and find its condition broken should it have one.
    async fn change<T: Item>(
        &self,
        caller: Caller,
        name: &str,
        condition: IfMatch,
        note: Note,
        decide: impl Fn(&T) -> Result<T, CatalogError> + Send,
    ) -> Result<Found<T>, CatalogError> {
        for _ in 0..CHANGE_ATTEMPTS {
            let current = self.own::<T>(caller, name, condition).await?;
            let mut next = decide(&current.item)?;
            next.unmask(&current.item);
            if next == current.item {
                return Ok(current.found().masked());
            }
            if self.store.change(current.version, content(&next), note.clone()).await? {
                let (revision, created_at) = (current.version.number + 1, current.created_at);
                return Ok(Found { item: next.masked(), revision, created_at });
            }
        }
        Err(CatalogError::Contended { noun: T::NOUN, name: name.to_owned() })
    }

    /// An entry that the caller may change and that satisfies the condition.
    async fn own<T: Item>(&self, caller: Caller, name: &str, condition: IfMatch) -> Result<Stored<T>, CatalogError> {
        let current = match self.look_up::<T>(Some(caller), name).await? {
            Place::BuiltIn(_) => return Err(CatalogError::reserved::<T>(name)),
            Place::Stored(stored) => stored,
        };
        if condition.admits(current.version.number) {
            return Ok(current);
        }
        Err(CatalogError::Stale { noun: T::NOUN, name: name.to_owned(), current: current.version.number })
    }

    /// Where a caller finds what has this name.
    async fn look_up<T: Item>(&self, caller: Option<Caller>, name: &str) -> Result<Place<T>, CatalogError> {
        if let Some(found) = self.reserved(name) {
            return Ok(Place::BuiltIn(found));
        }
        let not_found = || CatalogError::not_found::<T>(name);
        let caller = caller.ok_or_else(not_found)?;
        if let Some(stored) = self.find::<T>(caller.organization, name).await? {
            return Ok(Place::Stored(stored));
        }
        self.built_in(name).map(Place::BuiltIn).ok_or_else(not_found)
    }

    /// What the server has under this name, if no organization can have it.
    fn reserved<T: Item>(&self, name: &str) -> Option<Found<T>> {
        if is_reserved(name) { self.built_in(name) } else { None }
    }

    fn built_in<T: Item>(&self, name: &str) -> Option<Found<T>> {
        T::built_in(&self.shared).iter().find(|item| item.name() == name).map(found_built_in)
    }

    async fn find<T: Item>(&self, organization: OrganizationId, name: &str) -> Result<Option<Stored<T>>, Error> {
        if name.contains('\0') {
            return Ok(None);
        }
        let entry = self.store.entry(T::SHELF, organization, name).await?;
        entry.as_ref().map(Stored::read).transpose()
    }

    fn note(&self, caller: Caller, message: Option<String>, restored_from: Option<i64>) -> Note {
        let message = message.map(|message| without_nul(&message));
        Note { author: caller.user, at: self.clock.now(), message, restored_from }
    }
}

/// A stored entry, secrets included.
struct Stored<T> {
    item: T,
    version: Version,
    created_at: Timestamp,
    size: usize,
}

impl<T: Item> Stored<T> {
    fn read(entry: &Entry) -> Result<Self, Error> {
        let item = serde_json::from_str(&entry.spec).map_err(|cause| Error::Corrupt {
            table: T::NOUN,
            id: entry.version.entry.to_string(),
            cause: cause.to_string(),
        })?;
        Ok(Self { item, version: entry.version, created_at: entry.created_at, size: entry.spec.len() })
    }

    fn found(self) -> Found<T> {
        Found { item: self.item, revision: self.version.number, created_at: self.created_at }
    }
}

impl<T: Item> Found<T> {
    fn masked(&self) -> Self {
        Self { item: self.item.masked(), ..*self }
    }
}

/// Where an entry was found.
enum Place<T> {
    /// Among those that every organization sees.
    BuiltIn(Found<T>),
    /// Among the organization's own.
    Stored(Stored<T>),
}

fn is_reserved(name: &str) -> bool {
    name.starts_with(built_in::RESERVED)
}

fn found_built_in<T: Item>(item: &T) -> Found<T> {
    Found { item: item.clone(), revision: 1, created_at: built_in::created_at() }
}
