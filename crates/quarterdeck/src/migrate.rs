//! `quarterdeck migrate`: for administrators of databases whose servers may only read and write rows.

use crate::{Failure, options::MigrateOptions, say, settings::places};
use anyhow::anyhow;

/// Brings the tables up to date, or says what that would do.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(options: &MigrateOptions) -> Result<(), Failure> {
    let url = places::database_url(&options.database).map_err(Failure::Settings)?;
    let settings = |error: quarterdeck_store::OpenError| Failure::Settings(error.into());
    let pending = quarterdeck_store::pending_migrations(&url).await.map_err(settings)?;
    if pending.is_empty() {
        return say("the tables are up to date\n");
    }
    let names = pending.join(", ");
    if options.check {
        return Err(Failure::Fault(anyhow!("to be applied: {names}; run `quarterdeck migrate`")));
    }
    quarterdeck_store::open(&url).await.map_err(settings)?.close().await;
    say(&format!("applied: {names}\n"))
}
