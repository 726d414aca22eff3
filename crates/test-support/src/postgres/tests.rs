//! What a test that uses a cluster may rely on.

use super::binaries::{major_version, newest_first};
use super::database::{unique, with_database};
use super::{Database, Options, PostgresCluster, shared};
use crate::processes::wait_until;
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const FAST: Options = Options { fsync: false, connections_max: 20 };

#[test]
fn a_cluster_has_the_asked_settings_and_leaves_nothing_behind() -> Result<()> {
    let cluster = PostgresCluster::new()?;
    let folder = cluster.folder().to_owned();
    let port = cluster.port;
    let database = cluster.create_database("settings")?;
    assert_eq!(database.query("SHOW fsync")?, "on");
    assert_eq!(database.query("SHOW max_connections")?, "200");
    assert_eq!(database.query("SELECT lower('Ä')")?, "ä");
    drop(database);
    drop(cluster);
    assert!(!folder.exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    Ok(())
}

#[test]
fn what_was_committed_survives_a_crash() -> Result<()> {
    let cluster = PostgresCluster::with_options(FAST)?;
    let database = cluster.create_database("crash")?;
    assert_eq!(database.query("SHOW fsync")?, "off");
    database.query("CREATE TABLE notes AS SELECT 'kept' AS text")?;
    cluster.stop_immediate()?;
    assert!(database.query("SELECT 1").is_err());
    cluster.start()?;
    assert_eq!(database.query("SELECT text FROM notes")?, "kept");
    cluster.restart()?;
    assert_eq!(database.query("SELECT text FROM notes")?, "kept");
    Ok(())
}

#[test]
fn a_paused_server_answers_only_once_resumed() -> Result<()> {
    let cluster = PostgresCluster::with_options(FAST)?;
    let database = cluster.create_database("pause")?;
    cluster.pause()?;
    let mut asked = ask(&database, "SELECT 1")?;
    let answered =
        wait_until("a frozen server answers", Duration::from_millis(300), || Ok(asked.try_wait()?.is_some()));
    assert!(answered.is_err());
    cluster.resume()?;
    assert!(asked.wait()?.success());
    Ok(())
}

#[test]
fn a_paused_cluster_can_be_dropped() -> Result<()> {
    let cluster = PostgresCluster::with_options(FAST)?;
    let folder = cluster.folder().to_owned();
    cluster.pause()?;
    drop(cluster);
    assert!(!folder.exists());
    Ok(())
}

#[test]
#[expect(clippy::used_underscore_binding, reason = "the field is held, not used, everywhere else")]
fn the_guardian_ends_a_cluster_whose_owner_was_killed() -> Result<()> {
    let mut cluster = PostgresCluster::with_options(FAST)?;
    drop(cluster._guardian.process.stdin.take()); // what the death of this process would do
    let postmaster = cluster.server().take();
    let ended = || Ok(!cluster.folder().exists());
    wait_until("the folder is gone", Duration::from_secs(10), ended)?;
    assert!(postmaster.is_some_and(|mut child| child.try_wait().is_ok_and(|exit| exit.is_some())));
    Ok(())
}

#[test]
fn terminated_connections_end_with_an_error() -> Result<()> {
    let cluster = PostgresCluster::with_options(FAST)?;
    let [first, second] = [cluster.create_database("first")?, cluster.create_database("second")?];
    let mut cut = ask(&first, "SELECT pg_sleep(60)")?;
    let mut kept = ask(&second, "SELECT pg_sleep(60)")?;
    wait_until("both sleep", Duration::from_secs(10), || Ok(sleepers(&first)? == "2"))?;
    first.terminate_connections()?;
    assert!(!cut.wait()?.success());
    assert!(kept.try_wait()?.is_none(), "another database's connection was cut");
    cluster.terminate_connections()?;
    assert!(!kept.wait()?.success());
    Ok(())
}

#[test]
fn each_test_gets_a_database_of_its_own() -> Result<()> {
    let [first, second] = [shared()?, shared()?];
    first.query("CREATE TABLE notes (text TEXT)")?;
    assert!(second.query("SELECT * FROM notes").is_err());
    let name = first.name().to_owned();
    drop(first);
    let left = second.query(&format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'"))?;
    assert_eq!(left, "0");
    Ok(())
}

#[test]
fn names_need_no_quotes_and_never_repeat() -> Result<()> {
    let name = unique("Störe-Suite; DROP")?;
    assert!(name.starts_with("t_st_re_suite__drop_"), "{name}");
    assert_ne!(name, unique("Störe-Suite; DROP")?);
    assert!(unique(&"x".repeat(200))?.len() <= 63);
    Ok(())
}

#[test]
fn only_the_database_of_a_url_changes() -> Result<()> {
    let check = |url: &str, expected: &str| -> Result<()> {
        assert_eq!(with_database(url, "new")?, expected);
        Ok(())
    };
    check("postgres://me:secret@host:5432/postgres", "postgres://me:secret@host:5432/new")?;
    check("postgres://host", "postgres://host/new")?;
    check("postgres://host/postgres?sslmode=disable", "postgres://host/new?sslmode=disable")?;
    check("postgres:///postgres?host=/tmp/x", "postgres:///new?host=/tmp/x")?;
    assert!(with_database("host=/tmp", "new").is_err());
    Ok(())
}

#[test]
fn versions_are_read_from_every_spelling() -> Result<()> {
    assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n")?, 15);
    assert_eq!(major_version("postgres (PostgreSQL) 17beta1\n")?, 17);
    assert!(major_version("nonsense").is_err());
    Ok(())
}

#[test]
fn the_newest_of_several_versions_comes_first() -> Result<()> {
    let root = tempfile::tempdir()?;
    for folder in ["9", "15", "17", "common"] {
        std::fs::create_dir(root.path().join(folder))?;
    }
    let expected: Vec<PathBuf> = ["17/bin", "15/bin", "9/bin"].map(|folder| root.path().join(folder)).into();
    assert_eq!(newest_first(root.path()), expected);
    Ok(())
}

/// Asks in the background.
fn ask(database: &Database, sql: &str) -> Result<std::process::Child> {
    let mut command = Command::new(super::Binaries::find()?.psql());
    command.args(["--no-psqlrc", "--quiet", "--dbname", database.url(), "--command", sql]);
    Ok(command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()?)
}

fn sleepers(database: &Database) -> Result<String> {
    database.query("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND pid <> pg_backend_pid()")
}
