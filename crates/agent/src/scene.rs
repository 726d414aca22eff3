//! What a session plays in a model's place, and the time that a script knows.

use async_trait::async_trait;
use quarterdeck_api::{JsonObject, SessionId, Timestamp};
use quarterdeck_scenario::Scenario;
use std::{fmt::Debug, sync::Arc, time::Duration};

/// What a session was cast for when it was created.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// The session.
    pub session: SessionId,
    /// Its agent's name.
    pub agent: String,
    /// Its label.
    pub group_id: Option<String>,
    /// The headers of the creating request that its scenario names.
    pub header: JsonObject,
    /// What it plays, or why it plays nothing although it should.
    pub part: Result<Arc<Scenario>, String>,
    /// Of a recording, whose part: the calls that lead from the recorded session down to it.
    pub below: Vec<String>,
}

/// The time that scripts wait by. A test may let it pass as it likes.
#[async_trait]
pub trait Pace: Debug + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Returns when so much time has passed.
    async fn rest(&self, time: Duration);
}

/// The machine's time.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealPace;

#[async_trait]
impl Pace for RealPace {
    #[expect(clippy::disallowed_methods, reason = "who wants another time gives another pace")]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }

    async fn rest(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
