//! What the routes of agents, environments and skills have in common.

use crate::{App, error::ApiError, input::Input};
use http::{StatusCode, header};
use quarterdeck_api::{AgentWriteQuery, Decode, Decoder, IfMatch, Page, Paging, Sort};
use quarterdeck_engine::{Found, Item};
use quarterdeck_store::{Caller, EntryFilter, EntryKey, ListPage, Shelf};

/// Replaces the entry that the path names in `variable`.
pub(super) async fn put<T: Item + Decode>(
    app: &App,
    caller: Caller,
    input: &Input,
    variable: &str,
) -> Result<Found<T>, ApiError> {
    let condition = condition::<T>(input)?;
    let (item, message) = written::<T, T>(input)?;
    Ok(app.catalog.put(caller, input.variable(variable), item, condition, message).await?)
}

/// Changes some of its fields.
pub(super) async fn patch<T: Item<Patch: Decode>>(
    app: &App,
    caller: Caller,
    input: &Input,
    variable: &str,
) -> Result<Found<T>, ApiError> {
    let condition = condition::<T>(input)?;
    let (patch, message) = written::<T, T::Patch>(input)?;
    Ok(app.catalog.patch(caller, input.variable(variable), &patch, condition, message).await?)
}

/// Removes it.
pub(super) async fn delete<T: Item>(
    app: &App,
    caller: Caller,
    input: &Input,
    variable: &str,
) -> Result<StatusCode, ApiError> {
    app.catalog.delete::<T>(caller, input.variable(variable), condition::<T>(input)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Only agents have versions that a change can name.
fn condition<T: Item>(input: &Input) -> Result<IfMatch, ApiError> {
    if T::SHELF == Shelf::Agents { if_match(input) } else { Ok(IfMatch::Any) }
}

/// What the body holds, and why it is written: only agents keep that, and the others know no such parameter.
pub(super) fn written<T: Item, B: Decode>(input: &Input) -> Result<(B, Option<String>), ApiError> {
    let decoder = Decoder::default();
    let message = match T::SHELF {
        Shelf::Agents => input.parameters::<AgentWriteQuery>(&decoder).map(|query| query.message),
        Shelf::Environments | Shelf::Skills => Some(None),
    };
    let body = input.body::<B>(&decoder)?;
    Ok(decoder.finish((body, message))?)
}

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

pub(super) fn page<T, U>(listing: ListPage<T>, paging: Paging, view: impl Fn(T) -> U) -> Page<U> {
    Page { items: listing.items.into_iter().map(view).collect(), total: listing.total, page: paging.page }
}

pub(super) fn item<T>(found: Found<T>) -> T {
    found.item
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
