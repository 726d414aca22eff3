//! What listings are sorted by.

use super::query::Query;
use super::scalars::word;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// What a listing is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort<F> {
    /// The field.
    pub field: F,
    /// Largest first.
    pub descending: bool,
}

/// `field` smallest first.
pub const fn ascending<F>(field: F) -> Sort<F> {
    Sort { field, descending: false }
}

/// `field` largest first.
pub const fn descending<F>(field: F) -> Sort<F> {
    Sort { field, descending: true }
}

/// What a listing can be sorted by.
pub trait SortField: Copy + 'static {
    /// The words for it: the field's name, the same with `-`, the field.
    const WORDS: &'static [(&'static str, &'static str, Self)];
}

fn words<F: SortField>() -> Vec<(&'static str, Sort<F>)> {
    let up = F::WORDS.iter().map(|(name, _, field)| (*name, ascending(*field)));
    let down = F::WORDS.iter().map(|(_, reversed, field)| (*reversed, descending(*field)));
    up.chain(down).collect()
}

/// The parameter `sort`: fields by name, each with or without a leading `-`.
pub(super) fn sort<F: SortField>(query: &Query<'_>, default: Sort<F>) -> Option<Vec<Sort<F>>> {
    let words = words();
    let sorts = query.list("sort", |value, at| word("literal_error", &words, value, at))?;
    Some(if sorts.is_empty() { vec![default] } else { sorts })
}

impl<F: SortField> PartialSchema for Sort<F> {
    fn schema() -> RefOr<Schema> {
        let words = words::<F>().into_iter().map(|(word, _)| word);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
    }
}

impl<F: SortField> ToSchema for Sort<F> {}
