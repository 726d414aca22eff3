//! The catalogs' statements. Both engines accept the same text; this file is compiled once for each.

use super::{BEGIN, Db, Engine, POSITION, Pool, Result, in_time};
use crate::{
    Content, Details, Entry, EntryFilter, EntryKey, ListPage, NewEntry, Note, Revision, Shelf, Version,
    catalog::Catalog,
    rows::{self, EntryRow, RevisionRow},
    seal,
};
use async_trait::async_trait;
use quarterdeck_api::OrganizationId;
use sqlx::{QueryBuilder, Transaction};
use uuid::Uuid;

#[async_trait]
impl Catalog for Engine {
    async fn add(&self, entry: NewEntry) -> Result<bool> {
        in_time(async {
            let mut transaction = self.writer().begin_with(BEGIN).await?;
            if insert(&mut transaction, &entry).await? == 0 {
                return Ok(false);
            }
            if entry.content.details == Details::Agent {
                let first = Version { entry: entry.id, number: 1 };
                insert_revision(&mut transaction, first, &entry.content.spec, &entry.note).await?;
            }
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn change(&self, from: Version, content: Content, note: Note) -> Result<bool> {
        in_time(async {
            let mut transaction = self.writer().begin_with(BEGIN).await?;
            if update(&mut transaction, from, &content).await? == 0 {
                return Ok(false);
            }
            if content.details == Details::Agent {
                let next = Version { number: from.number + 1, ..from };
                insert_revision(&mut transaction, next, &content.spec, &note).await?;
            }
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn remove(&self, on: Shelf, from: Version) -> Result<bool> {
        in_time(async {
            let mut query = QueryBuilder::<Db>::new("DELETE FROM ");
            query.push(table(on));
            push_guard(&mut query, from);
            Ok(query.build().execute(self.writer()).await?.rows_affected() > 0)
        })
        .await
    }

    async fn entry(&self, on: Shelf, organization: OrganizationId, name: &str) -> Result<Option<Entry>> {
        in_time(async {
            let mut query = QueryBuilder::<Db>::new("SELECT name, id, version, spec, created_at FROM ");
            query.push(table(on)).push(" WHERE organization_id = ").push_bind(organization.0);
            query.push(" AND name = ").push_bind(name);
            let row: Option<EntryRow> = query.build_query_as().fetch_optional(self.reader()).await?;
            Ok(row.map(rows::entry))
        })
        .await
    }

    async fn entries(&self, on: Shelf, organization: OrganizationId, filter: EntryFilter) -> Result<ListPage<Entry>> {
        in_time(async {
            let total = count(self.reader(), on, organization, &filter).await?;
            let mut query = QueryBuilder::<Db>::new("SELECT name, id, version, spec, created_at FROM ");
            query.push(table(on));
            push_conditions(&mut query, organization, &filter);
            push_page(&mut query, &filter);
            let rows: Vec<EntryRow> = query.build_query_as().fetch_all(self.reader()).await?;
            Ok(ListPage { items: rows.into_iter().map(rows::entry).collect(), total })
        })
        .await
    }

    async fn files_size(&self, organization: OrganizationId, filter: EntryFilter) -> Result<u64> {
        in_time(async {
            let mut query = QueryBuilder::<Db>::new(
                "SELECT CAST(COALESCE(SUM(files_size), 0) AS bigint) FROM (SELECT files_size FROM skills",
            );
            push_conditions(&mut query, organization, &filter);
            push_page(&mut query, &filter);
            query.push(") AS page");
            let size: i64 = query.build_query_scalar().fetch_one(self.reader()).await?;
            Ok(size.unsigned_abs())
        })
        .await
    }

    async fn revision(&self, organization: OrganizationId, name: &str, number: i64) -> Result<Option<Entry>> {
        in_time(async {
            let row: Option<EntryRow> = sqlx::query_as(
                "SELECT a.name, a.id, r.number, r.spec, a.created_at FROM agents a \
             JOIN agent_revisions r ON r.agent_id = a.id \
             WHERE a.organization_id = $1 AND a.name = $2 AND r.number = $3",
            )
            .bind(organization.0)
            .bind(name)
            .bind(number)
            .fetch_optional(self.reader())
            .await?;
            Ok(row.map(rows::entry))
        })
        .await
    }

    async fn revisions(&self, agent: Uuid, newest_first: bool, offset: i64, limit: i64) -> Result<ListPage<Revision>> {
        in_time(async {
            let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM agent_revisions WHERE agent_id = $1")
                .bind(agent)
                .fetch_one(self.reader())
                .await?;
            let mut query = QueryBuilder::<Db>::new(
                "SELECT number, created_by, created_at, message, restored_from FROM agent_revisions WHERE agent_id = ",
            );
            query.push_bind(agent).push(if newest_first { " ORDER BY number DESC" } else { " ORDER BY number" });
            query.push(" LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
            let rows: Vec<RevisionRow> = query.build_query_as().fetch_all(self.reader()).await?;
            Ok(ListPage { items: rows.into_iter().map(rows::revision).collect(), total: total.unsigned_abs() })
        })
        .await
    }
}

fn table(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Agents => "agents",
        Shelf::Environments => "environments",
        Shelf::Skills => "skills",
    }
}

async fn insert(transaction: &mut Transaction<'_, Db>, entry: &NewEntry) -> Result<u64> {
    let NewEntry { content, .. } = entry;
    let mut query = QueryBuilder::<Db>::new("INSERT INTO ");
    query.push(table(content.details.shelf()));
    query.push(" (id, organization_id, name, version, spec, search_text, created_at");
    query.push(match content.details {
        Details::Agent => "",
        Details::Environment(_) => ", kind",
        Details::Skill { .. } => ", files_size",
    });
    query.push(") VALUES (");
    let mut values = query.separated(", ");
    values.push_bind(entry.id).push_bind(entry.organization.0).push_bind(&entry.name).push("1");
    values.push_bind(seal::sealed(&content.spec).into_owned()).push_bind(&content.search_text).push_bind(entry.note.at);
    match content.details {
        Details::Agent => {}
        Details::Environment(kind) => drop(values.push_bind(kind.as_str())),
        Details::Skill { files_size } => drop(values.push_bind(rows::int(files_size))),
    }
    query.push(") ON CONFLICT (organization_id, name) DO NOTHING");
    Ok(query.build().execute(&mut **transaction).await?.rows_affected())
}

async fn update(transaction: &mut Transaction<'_, Db>, from: Version, content: &Content) -> Result<u64> {
    let mut query = QueryBuilder::<Db>::new("UPDATE ");
    query.push(table(content.details.shelf()));
    query.push(" SET version = version + 1, spec = ").push_bind(seal::sealed(&content.spec).into_owned());
    query.push(", search_text = ").push_bind(&content.search_text);
    match content.details {
        Details::Agent => {}
        Details::Environment(kind) => drop(query.push(", kind = ").push_bind(kind.as_str())),
        Details::Skill { files_size } => drop(query.push(", files_size = ").push_bind(rows::int(files_size))),
    }
    push_guard(&mut query, from);
    Ok(query.build().execute(&mut **transaction).await?.rows_affected())
}

/// The guard of every change: of writers that decided on the same version, the second finds it gone.
fn push_guard(query: &mut QueryBuilder<Db>, from: Version) {
    query.push(" WHERE id = ").push_bind(from.entry).push(" AND version = ").push_bind(from.number);
}

async fn insert_revision(transaction: &mut Transaction<'_, Db>, at: Version, spec: &str, note: &Note) -> Result<()> {
    sqlx::query(
        "INSERT INTO agent_revisions (agent_id, number, spec, message, restored_from, created_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(at.entry)
    .bind(at.number)
    .bind(seal::sealed(spec))
    .bind(&note.message)
    .bind(note.restored_from)
    .bind(note.author.0)
    .bind(note.at)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn count(pool: &Pool, shelf: Shelf, organization: OrganizationId, filter: &EntryFilter) -> Result<u64> {
    let mut query = QueryBuilder::<Db>::new("SELECT COUNT(*) FROM ");
    query.push(table(shelf));
    push_conditions(&mut query, organization, filter);
    let total: i64 = query.build_query_scalar().fetch_one(pool).await?;
    Ok(total.unsigned_abs())
}

fn push_conditions(query: &mut QueryBuilder<Db>, organization: OrganizationId, filter: &EntryFilter) {
    query.push(" WHERE organization_id = ").push_bind(organization.0);
    if let Some(name) = &filter.name {
        query.push(" AND name = ").push_bind(name.clone());
    }
    if let Some(kind) = filter.kind {
        query.push(" AND kind = ").push_bind(kind.as_str());
    }
    if let Some(search) = &filter.search {
        query.push(" AND ").push(POSITION).push("(search_text, ").push_bind(search.to_lowercase()).push(") > 0");
    }
}

fn push_page(query: &mut QueryBuilder<Db>, filter: &EntryFilter) {
    query.push(" ORDER BY ");
    for (key, descending) in &filter.sort {
        query.push(match key {
            EntryKey::CreatedAt => "created_at",
            EntryKey::Name => "name",
        });
        query.push(if *descending { " DESC, " } else { ", " });
    }
    query.push("name LIMIT ").push_bind(filter.limit).push(" OFFSET ").push_bind(filter.offset);
}
