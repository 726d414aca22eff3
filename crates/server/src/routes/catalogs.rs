//! What the routes of agents, environments and skills have in common.

use crate::{error::ApiError, input::Input};
use http::header;
use quarterdeck_api::{IfMatch, Page, Paging, Sort};
use quarterdeck_engine::Found;
use quarterdeck_store::{EntryFilter, EntryKey, Listing};

/// The condition of a change.
pub(super) fn if_match(input: &Input) -> Result<IfMatch, ApiError> {
    // Several headers are one with a list.
    let values: Vec<&[u8]> =
        input.headers().get_all(header::IF_MATCH).iter().map(http::HeaderValue::as_bytes).collect();
    let joined = (!values.is_empty()).then(|| values.join(&b", "[..]));
    Ok(IfMatch::parse(joined.as_deref())?)
}

/// Which part of a listing, in which order.
pub(super) fn part<K: Copy>(paging: Paging, sort: &[Sort<K>], key: impl Fn(K) -> EntryKey) -> EntryFilter {
    EntryFilter {
        sort: first_terms(sort.iter().map(|sort| (key(sort.field), sort.descending))),
        offset: signed(paging.offset()),
        limit: signed(paging.size),
        ..EntryFilter::default()
    }
}

/// The first term of each key. A later one has nothing left to order, and databases take only so many.
fn first_terms(terms: impl Iterator<Item = (EntryKey, bool)>) -> Vec<(EntryKey, bool)> {
    let mut first: Vec<(EntryKey, bool)> = Vec::new();
    for (key, descending) in terms {
        if first.iter().all(|(known, _)| *known != key) {
            first.push((key, descending));
        }
    }
    first
}

pub(super) fn page<T, U>(listing: Listing<T>, paging: Paging, view: impl Fn(T) -> U) -> Page<U> {
    Page { items: listing.items.into_iter().map(view).collect(), total: listing.total, page: paging.page }
}

pub(super) fn item<T>(found: Found<T>) -> T {
    found.item
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
