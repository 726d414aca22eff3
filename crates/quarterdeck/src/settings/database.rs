use super::{Secret, text};
use clap::Args;
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
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Store")]
pub struct StoreSettings {
    #[command(flatten)]
    /// Where sessions are kept.
    pub database: DatabaseSettings,

    /// Where files are kept: file:///FOLDER, memory: or s3://BUCKET/PREFIX, which reads the AWS_* variables; several
    /// servers on one Postgres need one place for all [default: blobs beside the embedded database, else in the data
    /// folder]
    #[arg(long, value_name = "URL", value_parser = text)]
    pub blob_url: Option<String>,
}
