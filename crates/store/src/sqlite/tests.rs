//! What a full disk leaves behind, and what a file that is opened again must not hold.

use super::*;
use sqlx::Executor as _;

/// `max_page_count` stands for a disk that has no more room.
#[tokio::test]
async fn a_full_disk_does_not_spoil_the_connection_that_met_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(Some(&folder.path().join("quarterdeck.db")), true, Outlives::Machine).await.unwrap();
    let mut connection = store.write.acquire().await.unwrap();
    connection.execute("CREATE TABLE ballast (text TEXT); PRAGMA max_page_count = 1").await.unwrap();
    drop(connection);
    let mut transaction = store.write.begin_with(BEGIN).await.unwrap();
    let full = transaction.execute("INSERT INTO ballast VALUES (zeroblob(10000000))").await.unwrap_err();
    assert!(matches!(Error::from(full), Error::DiskFull(_)));
    drop(transaction);
    // There is room again: the limit belongs to the connection that is gone.
    let mut transaction = store.write.begin_with(BEGIN).await.unwrap();
    transaction.execute("INSERT INTO ballast VALUES (zeroblob(10000000))").await.unwrap();
    transaction.commit().await.unwrap();
    store.close().await;
}

/// Those of a small table would have the planner scan it once it is large.
#[tokio::test]
async fn no_statistics_are_kept_and_those_of_earlier_versions_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("quarterdeck.db");
    let store = SqliteStore::open(Some(&file), true, Outlives::Machine).await.unwrap();
    let mut connection = store.write.acquire().await.unwrap();
    connection.execute("ANALYZE; DELETE FROM _sqlx_migrations WHERE version >= 14").await.unwrap();
    drop(connection);
    store.close().await;
    drop(store);
    for _ in 0..2 {
        let store = SqliteStore::open(Some(&file), true, Outlives::Machine).await.unwrap();
        let kept = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'sqlite_stat%'";
        let kept: i64 = sqlx::query_scalar(kept).fetch_one(&store.read).await.unwrap();
        assert_eq!(kept, 0);
        store.close().await;
    }
}
