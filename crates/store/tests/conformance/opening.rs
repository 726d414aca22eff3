//! What a Postgres database must be like, what is said when it is not, and what a restart of it costs.

use crate::{
    drafts::{Draft, noon, organization},
    world::{open, within_a_minute},
};
use quarterdeck_core::Command;
use quarterdeck_store::{CommitLease, OpenError, SessionFilter, Store, open_with, pending_migrations};
use quarterdeck_test_support::postgres::{Database, PostgresCluster, shared};
use std::{sync::Arc, time::Duration};

async fn database() -> Database {
    tokio::task::spawn_blocking(shared).await.unwrap().unwrap()
}

/// A role of its own, named as the database, and the database's URL for it.
fn role(database: &Database, options: &str, grants: &str) -> String {
    let name = database.name();
    database.query(&format!("CREATE ROLE {name} LOGIN PASSWORD 'secret' {options}; {grants}")).unwrap();
    let (_, rest) = database.url().split_once('@').unwrap();
    format!("postgres://{name}:secret@{rest}")
}

fn all_rights(database: &Database) -> String {
    format!("GRANT ALL ON SCHEMA public TO {}", database.name())
}

async fn refusal(url: &str) -> String {
    match open_with(url, 18).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_eight_connections_is_enough() {
    let database = database().await;
    let url = role(&database, "CONNECTION LIMIT 8", &all_rights(&database));
    let store = open(&url).await;
    let _notices = store.listen().await.unwrap();
    within_a_minute(async {
        let works = (0..40).map(|_| async {
            let session = Draft::new().create(&*store).await;
            store.ping().await.unwrap();
            assert!(store.session(session.id).await.unwrap().is_some());
            store.sessions(organization(1), SessionFilter::default()).await.unwrap();
            assert!(!store.events(session.id, 0, 10).await.unwrap().is_empty());
        });
        futures_util::future::join_all(works).await;
    })
    .await;
    let used = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'", database.name());
    let used: u32 = database.query(&used).unwrap().trim().parse().unwrap();
    assert!(used <= 8, "{used}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_too_few_connections_is_told_how_many_it_takes() {
    let database = database().await;
    let url = role(&database, "CONNECTION LIMIT 4", &all_rights(&database));
    let refused = refusal(&url).await;
    assert!(refused.contains("room for 4 connections") && refused.contains("at least 6"), "{refused}");
    assert!(refused.contains("CONNECTION LIMIT") && !refused.contains("secret"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_hold_every_character_is_refused() {
    let cluster = PostgresCluster::new().unwrap();
    let admin = cluster.create_database("admin").unwrap();
    admin.query("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").unwrap();
    let refused = refusal(&cluster.url("latin")).await;
    assert!(refused.contains("LATIN1") && refused.contains("UTF8"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_only_read_and_write_rows_is_enough_once_the_tables_are_there() {
    let database = database().await;
    let name = database.name().to_owned();
    let url = role(&database, "", &format!("GRANT USAGE ON SCHEMA public TO {name}"));
    let refused = refusal(&url).await;
    assert!(refused.contains("quarterdeck migrate") && refused.contains(&name), "{refused}");
    assert!(!pending_migrations(database.url()).await.unwrap().is_empty());
    open(database.url()).await.close().await;
    assert!(pending_migrations(database.url()).await.unwrap().is_empty());
    let grant = format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}"
    );
    database.query(&grant).unwrap();
    let store = open(&url).await;
    let session = Draft::new().create(&*store).await;
    assert!(store.session(session.id).await.unwrap().is_some());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_a_newer_version_are_refused() {
    let database = database().await;
    open(database.url()).await.close().await;
    database.query("INSERT INTO _sqlx_migrations VALUES (9999, 'later', now(), true, '\\x00', 1)").unwrap();
    let refused = open_with(database.url(), 18).await.map(drop);
    assert!(matches!(refused, Err(OpenError::Newer(9999))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_url_is_said_once_without_the_password() {
    let database = database().await;
    let url = database.url();
    let (login, rest) = url.split_once('@').unwrap();
    let (server, _) = rest.split_once('/').unwrap();
    let secret = login.rsplit_once(':').unwrap().1;
    let cases = [
        (format!("{login}@127.0.0.1:1/x"), vec!["127.0.0.1:1", "host and port", "--database-url"]),
        (format!("postgres://quarterdeck:wrong@{rest}"), vec![server, "user and password", "--database-url"]),
        (format!("postgres://nobody:wrong@{rest}"), vec![server, "\"nobody\"", "--database-url"]),
        (format!("{login}@{server}/not_there"), vec![server, "\"not_there\"", "create it"]),
    ];
    for (url, words) in cases {
        let refused = refusal(&url).await;
        assert!(words.iter().all(|word| refused.contains(word)), "{refused}");
        assert!(!refused.contains(secret) && !refused.contains("wrong"), "{refused}");
        assert_eq!(refused.matches(words[0]).count(), 1, "{refused}");
    }
}

/// Every kind of call, each the first of its kind after the database came back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_pays_for_connections_that_a_restart_killed() {
    let cluster = PostgresCluster::new().unwrap();
    let database = cluster.create_database("restarted").unwrap();
    let store = open(database.url()).await;
    let _notices = store.listen().await.unwrap();
    for round in 0..4 {
        let session = Draft::new().create(&*store).await;
        warm_up(&store, session.id).await;
        tokio::task::block_in_place(|| cluster.restart()).unwrap();
        let id = session.id;
        within_a_minute(async {
            match round {
                0 => {
                    let reads = (0..20).map(|_| async { store.session(id).await.unwrap() });
                    futures_util::future::join_all(reads).await;
                }
                1 => {
                    let reads = (0..20).map(|_| store.events(id, 0, 10));
                    futures_util::future::try_join_all(reads).await.unwrap();
                    store.sessions(organization(1), SessionFilter::default()).await.unwrap();
                }
                2 => {
                    store.renew(crate::drafts::replica(), Duration::from_mins(1)).await.unwrap();
                    store.claim(crate::drafts::replica(), noon(), 1).await.unwrap();
                    store.record(id).await.unwrap();
                    store.next_due().await.unwrap();
                }
                _ => {
                    let cancel = crate::drafts::command(&session, Command::Cancel);
                    crate::drafts::commit_with(&*store, cancel, CommitLease::Leave).await.unwrap();
                    Draft::new().create(&*store).await;
                }
            }
        })
        .await;
    }
    store.close().await;
}

/// Opens as many connections as there may be.
async fn warm_up(store: &Arc<dyn Store>, id: quarterdeck_api::SessionId) {
    let reads = (0..64).map(|_| async {
        store.session(id).await.unwrap();
        store.record(id).await.unwrap();
        store.events(id, 0, 10).await.unwrap();
    });
    futures_util::future::join_all(reads).await;
}
