//! What a writer is told when nobody knew at first.

use super::*;
use quarterdeck_api::{OrganizationId, Reference, SessionRequest, UserId};
use quarterdeck_core::{Session, Settings};
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use uuid::Uuid;

mod late;

/// A database that answers what it is told to.
#[derive(Default)]
struct Told {
    applied: VecDeque<Result<Verdict, Error>>,
    landed: VecDeque<Landed>,
}

struct FakeWriter(Arc<Mutex<Told>>);

#[async_trait]
impl BatchWriter for FakeWriter {
    async fn apply(&mut self, _writes: &[&Write]) -> Result<Vec<Verdict>, Error> {
        self.0.lock().unwrap().applied.pop_front().unwrap().map(|verdict| vec![verdict])
    }

    async fn landed(&mut self, _write: &Write) -> Result<Landed, Error> {
        Ok(self.0.lock().unwrap().landed.pop_front().unwrap())
    }

    fn disconnect(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn a_write_that_arrived_late_is_not_in_its_own_way() {
    let lost = || Err(Error::Unavailable("cut off".into()));
    for verdict in [Verdict::Conflict, Verdict::Replayed("{}".into())] {
        // Asked at once it is not there, and then it arrives before it is sent again.
        let arrived = [Landed::Nowhere, Landed::As(Verdict::Applied)];
        check([lost(), Ok(verdict.clone())], arrived, |result| matches!(result, Ok(Creation::Created))).await;
        // Somebody else's is in the way.
        let absent = [Landed::Nowhere, Landed::Nowhere];
        check([lost(), Ok(verdict.clone())], absent, |result| !matches!(result, Ok(Creation::Created))).await;
        // It is not told that it was not taken when nobody knows, or it would be sent once more as another one.
        check([lost(), Ok(verdict)], [Landed::Nowhere, Landed::Unknown], is_away).await;
    }
    check([lost()], [Landed::Unknown], is_away).await;
    check([lost(), Ok(Verdict::Applied)], [Landed::Nowhere], |result| matches!(result, Ok(Creation::Created))).await;
    check([Ok(Verdict::Conflict)], [], |result| matches!(result, Err(Error::Conflict(_)))).await;
}

fn is_away(result: &Result<Creation, Error>) -> bool {
    matches!(result, Err(Error::Unavailable(_)))
}

/// A database that takes questions and never answers.
struct Silent;

#[async_trait]
impl BatchWriter for Silent {
    async fn apply(&mut self, _writes: &[&Write]) -> Result<Vec<Verdict>, Error> {
        std::future::pending().await
    }

    async fn landed(&mut self, _write: &Write) -> Result<Landed, Error> {
        std::future::pending().await
    }

    fn disconnect(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn every_writer_is_told_in_time_that_the_database_is_away() {
    let committer = Arc::new(Committer::start(Silent));
    let begun = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..50 {
        let committer = Arc::clone(&committer);
        let mut session = new_session();
        session.transition.session.id = SessionId(Uuid::from_u128(number));
        writers.spawn(async move { committer.create(session).await });
    }
    while let Some(told) = writers.join_next().await {
        assert!(matches!(told, Ok(Err(Error::Unavailable(_)))), "{told:?}");
    }
    assert!(begun.elapsed() <= WRITE_TIMEOUT + ANSWER_TIMEOUT + Duration::from_millis(10), "{:?}", begun.elapsed());
}

async fn check(
    applied: impl IntoIterator<Item = Result<Verdict, Error>>,
    landed: impl IntoIterator<Item = Landed>,
    expected: impl Fn(&Result<Creation, Error>) -> bool,
) {
    let told = Told { applied: applied.into_iter().collect(), landed: landed.into_iter().collect() };
    let told = Arc::new(Mutex::new(told));
    let committer = Committer::start(FakeWriter(Arc::clone(&told)));
    let result = committer.create(new_session()).await;
    assert!(expected(&result), "{result:?}");
    let told = told.lock().unwrap();
    assert!(told.applied.is_empty() && told.landed.is_empty(), "all was asked");
}

fn new_session() -> NewSession {
    let agent = json!({"name": "tester", "description": "Tests things.", "environments": []});
    let request = json!({"agent": agent, "messages": "Go", "queue": true});
    let request: SessionRequest = serde_json::from_value(request).unwrap();
    let Reference::Inline(agent) = &request.agent else { panic!("the agent is inline") };
    let agent = Arc::new((**agent).clone());
    let settings = Settings::of(&request, &agent);
    let (id, organization, user) = (SessionId(Uuid::nil()), OrganizationId(Uuid::nil()), UserId(Uuid::nil()));
    let transition = Session::create(id, organization, user, settings, false, chrono::DateTime::UNIX_EPOCH);
    NewSession {
        transition,
        request: Arc::new(request),
        agent,
        agent_reference: None,
        agent_revision: None,
        parent: None,
        owner: None,
        idempotency: None,
        admission: Admission::Granted,
    }
}
