//! What a full disk leaves behind.

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
