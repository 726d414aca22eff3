//! The envelope of every listing.

use serde::Serialize;
use utoipa::ToSchema;

/// One page of a listing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries of this page; empty past the end.
    pub items: Vec<T>,
    /// How many entries match in all.
    pub total: u64,
    /// The page's number, from 1.
    pub page: u64,
}
