//! Group read: sessions that are asked for at the same time are read by one query.
//!
//! Every request that names a session asks for its row first. A few lanes take turns: each takes all that waits. While
//! one of them is free, nobody waits for company.
//!
//! Invariant: a session is read after it was asked for, never before: what was committed until then is seen.

use super::{in_time, trouble};
use crate::{Error, StoredSession, rows};
use quarterdeck_api::SessionId;
use sqlx::{PgPool, Postgres, pool::PoolConnection};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

/// Queries at once, where there are connections for them.
pub(super) const LANES: u32 = 2;
/// Sessions in one query.
const BATCH_MAX: usize = 256;
/// Questions that may wait; beyond that the store is overloaded. Each connection of a server may have one.
const QUEUE_CAPACITY: usize = 16_384;

const READ: &str = "SELECT id, version, projection, owner, epoch FROM sessions WHERE id = ANY($1)";

type Answer = Result<Option<StoredSession>, Error>;

struct Question {
    id: SessionId,
    answer: oneshot::Sender<Answer>,
}

/// The handle that readers hold. The lanes end with it.
#[derive(Debug)]
pub(super) struct Reader {
    queue: mpsc::Sender<Question>,
}

impl Reader {
    pub(super) fn start(pool: &PgPool, lanes: u32) -> Self {
        let (queue, questions) = mpsc::channel(QUEUE_CAPACITY);
        let questions = Arc::new(Mutex::new(questions));
        for _ in 0..lanes {
            let lane = Lane { pool: pool.clone(), connection: None };
            let (questions, mut closed) = (Arc::clone(&questions), pool.close_event());
            tokio::spawn(async move { drop(closed.do_until(Box::pin(lane.run(questions))).await) });
        }
        Self { queue }
    }

    pub(super) async fn session(&self, id: SessionId) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Question { id, answer }).map_err(|_| Error::Overloaded)?;
        in_time(async { answered.await.unwrap_or_else(|_| Err(Error::Unavailable("the store is closed".into()))) })
            .await
    }
}

/// Keeps its connection: each that comes back to the pool costs a round trip.
struct Lane {
    pool: PgPool,
    connection: Option<PoolConnection<Postgres>>,
}

impl Lane {
    async fn run(mut self, questions: Arc<Mutex<mpsc::Receiver<Question>>>) {
        loop {
            let mut batch = Vec::new();
            if questions.lock().await.recv_many(&mut batch, BATCH_MAX).await == 0 {
                return;
            }
            // Who does not wait any more needs no answer.
            batch.retain(|question| !question.answer.is_closed());
            match in_time(self.read_again(&batch)).await {
                Ok(found) => answer(batch, &found),
                Err(error) => {
                    self.disconnect();
                    refuse(batch, &error);
                }
            }
        }
    }

    /// Reads, and once more on another connection when this one turns out to be dead.
    async fn read_again(&mut self, batch: &[Question]) -> Result<HashMap<Uuid, rows::SessionRow>, Error> {
        match self.read(batch).await {
            Err(Error::Unavailable(_)) => {
                trouble::note();
                self.disconnect();
                self.read(batch).await
            }
            answered => answered,
        }
    }

    /// An answer may still be on its way, and must not be taken for that of the next question.
    fn disconnect(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }

    async fn read(&mut self, batch: &[Question]) -> Result<HashMap<Uuid, rows::SessionRow>, Error> {
        let ids: Vec<Uuid> = batch.iter().map(|question| question.id.0).collect();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none @ None => none.insert(self.pool.acquire().await?),
        };
        let rows = sqlx::query_as(READ).bind(ids).fetch_all(&mut **connection).await?;
        let row = |(id, version, projection, owner, epoch)| (id, (version, projection, owner, epoch));
        Ok(rows.into_iter().map(row).collect())
    }
}

/// Several may ask for the same session: each reads it from the same row.
fn answer(batch: Vec<Question>, found: &HashMap<Uuid, rows::SessionRow>) {
    for Question { id, answer } in batch {
        let session = found.get(&id.0).map(|row| rows::stored(id.0, row)).transpose();
        drop(answer.send(session));
    }
}

fn refuse(batch: Vec<Question>, error: &Error) {
    for question in batch {
        drop(question.answer.send(Err(error.again())));
    }
}
