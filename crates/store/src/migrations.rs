//! The migrations, compiled in. One is never edited after its release: a change is a new one.

use crate::OpenError;
use sqlx::{
    PgConnection, SqlSafeStr, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
};
use std::path::Path;

/// A table that is there since the first migration, and that hardly another program has.
const OURS: &str = "session_requests";
/// Where migrations are noted, also those of other programs.
const NOTED: &str = "_sqlx_migrations";

macro_rules! migrations {
    ($engine:literal: $($version:literal $name:literal),+ $(,)?) => {
        Migrator::with_migrations(vec![$(Migration::new(
            $version,
            $name.into(),
            MigrationType::Simple,
            include_str!(concat!("../../../migrations/", $engine, "/", $name, ".sql")).into_sql_str(),
            false,
        )),+])
    };
}

pub(crate) fn sqlite() -> Migrator {
    migrations!("sqlite": 1 "0001_sessions", 2 "0002_catalogs", 3 "0003_sharing", 4 "0004_slots", 5 "0005_memory", 6 "0006_upkeep",
        7 "0007_sign_ins", 8 "0008_scripts", 10 "0010_retention", 11 "0011_lists", 14 "0014_statistics")
}

pub(crate) fn postgres() -> Migrator {
    migrations!("postgres": 1 "0001_sessions", 2 "0002_catalogs", 3 "0003_sharing", 4 "0004_slots", 5 "0005_memory", 6 "0006_upkeep",
        7 "0007_sign_ins", 8 "0008_scripts", 10 "0010_retention", 11 "0011_lists", 13 "0013_room")
}

/// Whether a server has made its tables here.
pub(crate) async fn is_ours(connection: &mut PgConnection) -> Result<bool, OpenError> {
    Ok(sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(OURS).fetch_one(connection).await?)
}

/// The migrations that the database does not have yet.
///
/// # Errors
/// [`OpenError::Newer`] when it has some that this version does not know.
pub(crate) async fn pending_on_database(connection: &mut PgConnection) -> Result<Vec<String>, OpenError> {
    let is_noted = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
    let is_noted: bool = is_noted.fetch_one(&mut *connection).await?;
    let applied: Vec<i64> = if is_noted {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(connection).await?
    } else {
        Vec::new()
    };
    pending(&postgres(), &applied)
}

/// The migrations that the file does not have yet.
///
/// # Errors
/// [`OpenError::Newer`] when it has some that this version does not know.
pub(crate) async fn pending_on_file(pool: &SqlitePool) -> Result<Vec<String>, OpenError> {
    let is_noted = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'");
    let is_noted: i64 = is_noted.fetch_one(pool).await?;
    let applied: Vec<i64> = if is_noted > 0 {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(pool).await?
    } else {
        Vec::new()
    };
    pending(&sqlite(), &applied)
}

fn pending(ours: &Migrator, applied: &[i64]) -> Result<Vec<String>, OpenError> {
    if let Some(newer) = applied.iter().find(|applied| !ours.iter().any(|ours| ours.version == **applied)) {
        return Err(OpenError::Newer(*newer));
    }
    let missing = ours.iter().filter(|ours| !applied.contains(&ours.version));
    Ok(missing.map(|migration| migration.description.to_string()).collect())
}

/// Keeps our tables out of a file that belongs to another program.
pub(crate) async fn refuse_foreign_file(pool: &SqlitePool, file: Option<&Path>) -> Result<(), OpenError> {
    let tables = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
    let tables: Vec<String> = tables.fetch_all(pool).await?;
    let place = file.map_or_else(String::new, |file| file.display().to_string());
    refuse_foreign(place, tables)
}

/// Keeps our tables out of a database that belongs to another program.
pub(crate) async fn refuse_foreign_database(connection: &mut PgConnection, place: &str) -> Result<(), OpenError> {
    let tables =
        sqlx::query_scalar("SELECT tablename::text FROM pg_catalog.pg_tables WHERE schemaname = current_schema()");
    let tables: Vec<String> = tables.fetch_all(connection).await?;
    refuse_foreign(format!("the database {place}"), tables)
}

fn refuse_foreign(place: String, tables: Vec<String>) -> Result<(), OpenError> {
    if tables.iter().any(|table| table == OURS) {
        return Ok(());
    }
    match tables.into_iter().find(|table| table != NOTED) {
        Some(table) => Err(OpenError::Foreign { place, table }),
        None => Ok(()),
    }
}
