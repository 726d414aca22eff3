//! The door for callers: create, read, command.

mod create;
mod follow;
mod forget;
mod read;
mod resources;
mod sharing;
mod submit;
mod visibility;

pub use create::{Created, IdempotencyKey, Preparation, Prepared, Repeatable};
pub use follow::{Changes, ChangesQuery};
pub use read::Quota;
pub use sharing::SharedSession;

use crate::{Catalog, shared::Shared};
use quarterdeck_store::{Error, Store};
use std::sync::Arc;

/// The door for callers. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    pub(crate) shared: Arc<Shared>,
}

impl Sessions {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The catalogs that agents are resolved from.
    pub fn catalog(&self) -> Catalog {
        let store: Arc<dyn Store> = Arc::clone(&self.shared.store);
        Catalog::new(store, Arc::clone(&self.shared.clock), Arc::clone(&self.shared.settings.built_in))
    }

    /// The clock that sessions go by; it also makes what nobody can guess.
    pub fn clock(&self) -> Arc<dyn crate::Clock> {
        Arc::clone(&self.shared.clock)
    }
}

/// Whether the answer of a write says nothing of what became of it.
fn may_have_happened(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_))
}
