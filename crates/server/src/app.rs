//! What every handler has at hand.

use crate::{
    Metrics,
    bodies::Bodies,
    error::ApiError,
    input::Input,
    keys::{Keys, key_hash},
};
use quarterdeck_api::Problem;
use quarterdeck_engine::{Catalog, Sessions};
use quarterdeck_store::{Caller, Store};
use std::{sync::Arc, time::Duration};

/// How the server answers.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The longest a poll is held, whatever it asks for: below the 60 s after which the SDK gives up reading.
    pub wait_max: Duration,
    /// The largest body accepted, in bytes; above the 10,000,000 that the SDK sends at most.
    pub body_max: usize,
    /// The most that is in memory of all bodies at once, in bytes, beyond what each may have in any case.
    pub bodies_max: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a key is trusted without asking the store again; a revoked one works that long.
    pub key_cache: Duration,
    /// The names that this server goes by, without ports. A request for another host is refused: it comes from a page
    /// whose own name was made to lead here. None: any.
    pub hosts: Option<Arc<[String]>>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            wait_max: Duration::from_secs(55),
            body_max: 10 * 1024 * 1024,
            bodies_max: 256 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            key_cache: Duration::from_secs(1),
            hosts: None,
        }
    }
}

/// What every handler has at hand. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(crate) sessions: Sessions,
    pub(crate) catalog: Catalog,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) settings: Arc<ServerSettings>,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) bodies: Bodies,
    keys: Keys,
}

impl App {
    /// Over an engine's sessions and the store that holds the keys.
    pub fn new(sessions: Sessions, store: Arc<dyn Store>, settings: ServerSettings) -> Self {
        let keys = Keys::new(Arc::clone(&store), settings.key_cache);
        let catalog = sessions.catalog();
        let bodies = Bodies::new(settings.bodies_max);
        Self { sessions, catalog, store, settings: Arc::new(settings), metrics: None, bodies, keys }
    }

    /// With a page of metrics at `/metrics`; without them there is none.
    #[must_use]
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Who sends a body. Broken JSON is told before the key is looked at, and a body is only parsed for somebody who
    /// has one that works.
    pub(crate) async fn sender(&self, input: &Input) -> Result<Caller, ApiError> {
        input.check_body(&self.bodies).await?;
        let caller = self.caller(input).await?;
        input.wait_for_turn(&self.bodies).await;
        Ok(caller)
    }

    /// Who calls; nobody is refused.
    pub(crate) async fn caller(&self, input: &Input) -> Result<Caller, ApiError> {
        self.caller_if_any(input).await?.ok_or_else(unauthorized)
    }

    /// Who calls, if the request says so. A key that does not work is refused even where none is needed.
    pub(crate) async fn caller_if_any(&self, input: &Input) -> Result<Option<Caller>, ApiError> {
        let Some(credentials) = input.authorization() else { return Ok(None) };
        let key = bearer(credentials).ok_or_else(unauthorized)?;
        let caller = self.keys.caller(key_hash(key)).await?;
        caller.map(Some).ok_or_else(unauthorized)
    }
}

impl App {
    /// What a request that waits has to look at meanwhile: returns once its key does not work any more.
    pub(crate) fn revoked(&self, input: &Input) -> impl Future<Output = ()> + Send + use<> {
        let keys = self.keys.clone();
        let hash = input.authorization().and_then(bearer).map(key_hash);
        async move {
            match hash {
                Some(hash) => keys.revoked(hash).await,
                None => std::future::pending().await,
            }
        }
    }
}

fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = credentials.split_at_checked("Bearer ".len())?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !key.is_empty()).then_some(key)
}

pub(crate) fn unauthorized() -> ApiError {
    Problem::unauthorized().into()
}
