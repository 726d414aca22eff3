//! The clock of tests over restarts: what is in the store happened at its times, so a server that is started again goes on
//! from there. It is kept in a file beside the database; a store in memory has none.

use anyhow::Context;
use chrono::TimeDelta;
use quarterdeck_api::Timestamp;
use quarterdeck_engine::{Clock, SystemClock, VirtualClock};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where a clock stood.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// What it showed at its latest leap.
    shown: Option<Timestamp>,
    /// What the machine's showed then.
    machine: Option<Timestamp>,
    /// How many servers ran on this store.
    starts: u64,
}

/// The clock as it goes on, kept in a file from now on.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn clock(clock: VirtualClock, database: Option<&Path>) -> anyhow::Result<VirtualClock> {
    let Some(database) = database else { return Ok(clock) };
    let file = file_of(database);
    let before = read(&file)?;
    let starts = before.map_or(0, |before| before.starts);
    let (shown, machine) = before.map_or((None, None), |before| (before.shown, before.machine));
    let clock = match shown.zip(machine) {
        Some((shown, machine)) => clock.resumed((shown - machine).max(TimeDelta::zero()), shown, starts),
        None => clock.resumed(TimeDelta::zero(), Timestamp::MIN_UTC, starts),
    };
    let kept = Kept { shown, machine, starts: starts + 1 };
    write(&file, kept).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(clock.witnessed(move |moment| {
        let kept = Kept { shown: Some(moment), machine: Some(SystemClock.now()), ..kept };
        if let Err(error) = write(&file, kept) {
            tracing::warn!("{} cannot be written, so a server started again will be behind: {error}", file.display());
        }
    }))
}

fn file_of(database: &Path) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push("-clock");
    database.with_file_name(name)
}

fn read(file: &Path) -> anyhow::Result<Option<Kept>> {
    let named = || format!("cannot read {}; remove it to begin at this machine's time", file.display());
    match fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).map(Some).with_context(named),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(named),
    }
}

/// Whole or not at all.
fn write(file: &Path, kept: Kept) -> io::Result<()> {
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    fs::write(&draft, serde_json::to_string(&kept)?)?;
    fs::rename(&draft, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_goes_on_where_it_was_and_a_broken_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("quarterdeck.db");
        let noon = Timestamp::from_timestamp(1_767_268_800, 0).unwrap();
        let frozen = || VirtualClock::new(Some(noon), Some(3));
        let first = clock(frozen(), Some(&database)).unwrap();
        assert_eq!(first.now(), noon);
        let later = noon + TimeDelta::hours(5);
        write(&file_of(&database), Kept { shown: Some(later), machine: Some(noon), starts: 1 }).unwrap();
        let second = clock(frozen(), Some(&database)).unwrap();
        assert_eq!(second.now(), later);
        assert_ne!(first.id(), second.id());
        fs::write(file_of(&database), "{").unwrap();
        let told = clock(frozen(), Some(&database)).unwrap_err().to_string();
        assert!(told.contains("quarterdeck.db-clock; remove it"), "{told}");
    }
}
