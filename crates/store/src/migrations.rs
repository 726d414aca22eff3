//! The migrations, compiled in. One is never edited after its release: a change is a new one.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

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
        7 "0007_sign_ins")
}

pub(crate) fn postgres() -> Migrator {
    migrations!("postgres": 1 "0001_sessions", 2 "0002_catalogs", 3 "0003_sharing", 4 "0004_slots", 5 "0005_memory", 6 "0006_upkeep",
        7 "0007_sign_ins")
}
