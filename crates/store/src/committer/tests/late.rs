//! Databases that answer late.

use crate::committer::{BatchWriter, Committer, Landed, Verdict, Write};
use crate::{Commit, CommitLease, CommitSlot, Error};
use async_trait::async_trait;
use chrono::DateTime;
use quarterdeck_api::{OrganizationId, SessionId, UserId};
use quarterdeck_core::{Session, Settings};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use uuid::Uuid;

/// What it says of every later try.
type Refusal = fn() -> Result<Vec<Verdict>, Error>;

/// Takes the first try only once it has been asked whether it did, and says nothing of it.
struct Frozen {
    tries: Arc<AtomicUsize>,
    questions: usize,
    refusal: Refusal,
}

#[async_trait]
impl BatchWriter for Frozen {
    async fn apply(&mut self, _writes: &[&Write]) -> Result<Vec<Verdict>, Error> {
        match self.tries.fetch_add(1, Ordering::Relaxed) {
            0 => std::future::pending().await,
            _ => (self.refusal)(),
        }
    }

    async fn landed(&mut self, _write: &Write) -> Result<Landed, Error> {
        self.questions += 1;
        Ok(if self.questions > 1 { Landed::As(Verdict::Applied) } else { Landed::Nowhere })
    }

    fn disconnect(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn a_write_that_lands_after_it_was_given_up_is_not_taken_for_somebody_elses() {
    let conflict = || Ok(vec![Verdict::Conflict]);
    let refused = || Err(Error::Corrupt { table: "sessions", id: String::new(), cause: "it exists".into() });
    let refusals: [Refusal; 2] = [conflict, refused];
    for refusal in refusals {
        let tries = Arc::new(AtomicUsize::new(0));
        let committer = Committer::start(Frozen { tries: Arc::clone(&tries), questions: 0, refusal });
        committer.commit(commit()).await.expect("it is there");
        assert_eq!(tries.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_at_the_first_try_is_one() {
    let tries = Arc::new(AtomicUsize::new(1));
    let committer = Committer::start(Frozen { tries, questions: 1, refusal: || Ok(vec![Verdict::Conflict]) });
    assert!(matches!(committer.commit(commit()).await, Err(Error::Conflict(_))));
}

fn commit() -> Commit {
    let noon = DateTime::from_timestamp(1_767_268_800, 0).expect("a moment of 2026");
    let (organization, user) = (OrganizationId(Uuid::nil()), UserId(Uuid::nil()));
    let transition = Session::create(SessionId(Uuid::nil()), organization, user, Settings::default(), false, noon);
    Commit { transition, lease: CommitLease::Leave, slot: CommitSlot::Keep }
}
