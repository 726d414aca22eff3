//! `quarterdeck scenario export` and `quarterdeck scenario verify`: sessions as files.

use crate::{Failure, options::ExportOptions, output, say, secret_keys, settings::places};
use anyhow::Context;
use quarterdeck_scenario::Recording;
use quarterdeck_server::Verdict;
use quarterdeck_store::Blobs;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Writes a session as a file.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn export(options: &ExportOptions) -> Result<(), Failure> {
    let settings = &options.serve.settings;
    let url = places::database_url(&settings.store.database).map_err(Failure::Settings)?;
    let store = quarterdeck_store::open_beside(&url).await.map_err(|error| Failure::Settings(error.into()))?;
    let exported = async {
        let file = quarterdeck_store::database_file(&url)?;
        let keys = secret_keys::secret_keys(settings.http.secret_key.as_ref(), file.as_deref())?;
        quarterdeck_store::set_secret_keys(&keys);
        let blobs = Blobs::open(&places::blob_url(&settings.store)?, places::aws_variables())?;
        let found = quarterdeck_server::export(&*store, &blobs, options.session, options.mask.clone()).await?;
        let missing = || format!("there is no session {} in this store", options.session);
        anyhow::Ok(found.with_context(missing)?.text())
    };
    let text = exported.await.map_err(Failure::Fault);
    store.close().await;
    match &options.output {
        Some(file) => write(file, &text?).map_err(Failure::Fault),
        None => say(&format!("{}\n", text?)),
    }
}

/// What a session said is nobody else's business, masked or not.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", file.display()))
}

/// Plays a file and compares what comes out.
pub(crate) fn verify(file: &Path) -> Result<(), Failure> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
    let text = text.map_err(Failure::Settings)?;
    let named = |error: anyhow::Error| Failure::Fault(error.context(file.display().to_string()));
    let recording = Recording::read(&text).map_err(|fault| named(fault.into()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start threads").map_err(Failure::Fault)?;
    let verdict = runtime.block_on(quarterdeck_server::verify(&recording));
    let Verdict { played, difference } = verdict.map_err(|error| named(error.into()))?;
    match difference {
        None => say(&format!("the same, but for ids and times: {} events\n", played.events.len())),
        Some(difference) => {
            output::complain(&format!("{}: {difference}", file.display()));
            Err(Failure::Fault(anyhow::anyhow!("played, it is not the same")))
        }
    }
}
