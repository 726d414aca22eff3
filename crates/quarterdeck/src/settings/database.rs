use super::{Secret, text};
use clap::{Args, value_parser};
use std::path::PathBuf;

/// The database alone, as commands beside a server need it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Store")]
pub struct DatabaseSettings {
    /// Folder for the embedded database and files [default: the platform's data folder, below it quarterdeck]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,

    /// sqlite://FILE, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE; the variable DATABASE_URL counts too,
    /// after the one of our name [default: SQLite in the data folder]
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<Secret>,
}

/// Where sessions and files are kept.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Store")]
pub struct StoreSettings {
    #[command(flatten)]
    /// Where sessions are kept.
    pub database: DatabaseSettings,

    /// Connections to a Postgres database at most, 6 to 1000; where there is room for fewer, those are used
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(6..=1_000), default_value_t = 18)]
    pub database_connections: u32,

    /// Where files are kept: file:///FOLDER, memory: or s3://BUCKET/PREFIX, which reads the AWS_* variables; several
    /// servers on one Postgres need one place for all [default: blobs beside the embedded database, else in the data
    /// folder]
    #[arg(long, value_name = "URL", value_parser = text)]
    pub blob_url: Option<String>,
}
