//! How long sessions are kept because their clients said so has columns of its own.

use crate::{drafts::Draft, world::open};
use quarterdeck_api::Retention;
use quarterdeck_store::Store;
use quarterdeck_test_support::postgres::shared;
use sqlx::{Connection, Executor, Row, SqliteConnection};

const COLUMNS: &str = "SELECT delete_after_min, delete_screenshot_after_min FROM session_requests \
                       ORDER BY delete_after_min NULLS FIRST";
/// What a version without the columns left behind.
const UNDO: [&str; 3] = [
    "ALTER TABLE session_requests DROP COLUMN delete_after_min",
    "ALTER TABLE session_requests DROP COLUMN delete_screenshot_after_min",
    "DELETE FROM _sqlx_migrations WHERE version = 10",
];

/// One session that says nothing, and one that says something.
async fn fill(store: &dyn Store) {
    Draft::new().create(store).await;
    let mut said = Draft::new();
    said.new.transition.session.settings.retention =
        Retention { delete_after_min: Some(43_200), delete_screenshot_after_min: Some(5) };
    said.create(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_what_clients_said_and_nothing_for_rows_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}/quarterdeck.db", folder.path().display());
    let store = open(&file).await;
    fill(&*store).await;
    store.close().await;
    drop(store);
    let read = async || {
        let mut connection = SqliteConnection::connect(&file).await.unwrap();
        let rows = connection.fetch_all(COLUMNS).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(Option<i64>, Option<i64>)>>()
    };
    assert_eq!(read().await, [(None, None), (Some(43_200), Some(5))]);

    let mut connection = SqliteConnection::connect(&file).await.unwrap();
    for statement in UNDO {
        connection.execute(statement).await.unwrap();
    }
    connection.close().await.unwrap();
    open(&file).await.close().await;
    assert_eq!(read().await, [(None, None), (None, None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_what_clients_said_and_nothing_for_rows_of_before() {
    let database = tokio::task::spawn_blocking(shared).await.unwrap().unwrap();
    let store = open(database.url()).await;
    fill(&*store).await;
    store.close().await;
    drop(store);
    let read = || database.query(COLUMNS).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(read(), ["|", "43200|5"]);

    database.query(&UNDO.join("; ")).unwrap();
    open(database.url()).await.close().await;
    assert_eq!(read(), ["|", "|"]);
}
