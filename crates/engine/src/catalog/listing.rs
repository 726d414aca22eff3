//! Listings: what is built in and what is stored, as one.

use super::{Found, Item, item::without_nul};
use quarterdeck_store::{EntryFilter, EntryKey};
use std::cmp::Ordering;

/// Whether an item that is built in is to be listed.
pub(super) fn matches<T: Item>(item: &T, filter: &EntryFilter) -> bool {
    let search = filter.search.as_deref().unwrap_or_default().to_lowercase();
    filter.name.as_deref().is_none_or(|name| name == item.name())
        && filter.kind.is_none_or(|kind| item.details() == quarterdeck_store::Details::Environment(kind))
        && item.searchable().to_lowercase().contains(&search)
}

/// The filter as a store takes it; none when nothing stored can match.
pub(super) fn stored_filter(filter: &EntryFilter) -> Option<EntryFilter> {
    if filter.name.as_ref().is_some_and(|name| name.contains('\0')) {
        return None;
    }
    let search = filter.search.as_deref().map(without_nul).filter(|search| !search.is_empty());
    Some(EntryFilter { search, ..filter.clone() })
}

/// Which stored entries a page of the union can hold, when `built_in` others are mixed in: as many more before
/// it, for they may be pushed onto it.
pub(super) fn window(filter: &EntryFilter, built_in: usize) -> EntryFilter {
    let offset = filter.offset.saturating_sub(signed(built_in)).max(0);
    EntryFilter { offset, limit: filter.limit.saturating_add(filter.offset - offset), ..filter.clone() }
}

/// The page out of what is built in and the stored entries of the [`window`]. An entry's place among both is its
/// place in the union, less what the window skipped, because an item that is built in and sorts before the
/// window is one of the first `built_in`, which the page never holds when something was skipped.
pub(super) fn page<T: Item>(built_in: Vec<Found<T>>, stored: Vec<Found<T>>, filter: &EntryFilter) -> Vec<Found<T>> {
    let skipped = window(filter, built_in.len()).offset;
    let mut all = built_in;
    all.extend(stored);
    all.sort_by(|left, right| order(left, right, &filter.sort));
    all.into_iter().skip(unsigned(filter.offset - skipped)).take(unsigned(filter.limit)).collect()
}

fn order<T: Item>(left: &Found<T>, right: &Found<T>, sort: &[(EntryKey, bool)]) -> Ordering {
    let by_key = sort.iter().map(|(key, descending)| {
        let order = match key {
            EntryKey::CreatedAt => left.created_at.cmp(&right.created_at),
            EntryKey::Name => left.item.name().cmp(right.item.name()),
        };
        if *descending { order.reverse() } else { order }
    });
    by_key.fold(Ordering::Equal, Ordering::then).then_with(|| left.item.name().cmp(right.item.name()))
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{page, window};
    use crate::catalog::{Found, Item};
    use quarterdeck_api::{Agent, Timestamp, decode_json};
    use quarterdeck_store::{EntryFilter, EntryKey};
    use serde_json::json;

    fn found(name: &str, created_at: i64) -> Found<Agent> {
        let item = decode_json(&json!({"name": name, "description": "d", "environments": ["e"]})).unwrap();
        Found { item, revision: 1, created_at: Timestamp::from_timestamp(created_at, 0).unwrap() }
    }

    fn names(items: &[Found<Agent>]) -> Vec<&str> {
        items.iter().map(|found| found.item.name()).collect()
    }

    /// Every page of every size, against sorting the whole.
    fn check(built_in: &[(&str, i64)], stored: &[(&str, i64)], sort: (EntryKey, bool)) {
        let entries = |entries: &[(&str, i64)]| entries.iter().map(|(name, at)| found(name, *at)).collect::<Vec<_>>();
        let sorted = |entries: Vec<Found<Agent>>| {
            let filter = EntryFilter { sort: vec![sort], limit: 100, ..EntryFilter::default() };
            page(Vec::new(), entries, &filter)
        };
        let stored = sorted(entries(stored));
        let union = sorted([entries(built_in), stored.clone()].concat());
        for (offset, limit) in (0..8).flat_map(|offset| (1..8).map(move |limit| (offset, limit))) {
            let filter = EntryFilter { sort: vec![sort], offset, limit, ..EntryFilter::default() };
            let EntryFilter { offset: from, limit: count, .. } = window(&filter, built_in.len());
            let part = |all: &[Found<Agent>], from: i64, count: i64| {
                all.iter().skip(super::unsigned(from)).take(super::unsigned(count)).cloned().collect()
            };
            let got = page(entries(built_in), part(&stored, from, count), &filter);
            let want: Vec<Found<Agent>> = part(&union, offset, limit);
            assert_eq!(names(&got), names(&want), "offset {offset}, limit {limit}");
        }
    }

    #[test]
    fn a_page_is_a_part_of_the_sorted_union() {
        let built_in = [("h/a", 0), ("h/b", 0)];
        for descending in [false, true] {
            for stored in [&[][..], &[("a", 1), ("i", 2), ("z", 3)], &[("h0", 5), ("x", 4)], &[("b", 1), ("c", 0)]] {
                check(&built_in, stored, (EntryKey::Name, descending));
                check(&built_in, stored, (EntryKey::CreatedAt, descending));
            }
        }
    }
}
