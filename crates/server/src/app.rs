//! What every handler has at hand.

use crate::{
    Metrics,
    authentication::bearer,
    bodies::Bodies,
    cors::CorsOrigins,
    input::Input,
    keys::{Keys, key_hash},
    public_url::{Base, PublicUrl},
    test_api::TestBed,
};
use http::header;
use quarterdeck_engine::{Catalog, Sessions};
use quarterdeck_store::Store;
#[cfg(feature = "agent-view")]
use std::net::IpAddr;
use std::{ops::Deref, sync::Arc, time::Duration};

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
    /// Whether names that are not known are refused, for test suites.
    pub strict: bool,
    /// Pages of which origins may call.
    pub cors: CorsOrigins,
    /// Where clients reach it.
    pub public_url: PublicUrl,
    /// Whether `X-Forwarded-For` is believed, for who tries to sign in.
    pub trusts_forwarded_for: bool,
    /// The names that this server goes by, without ports. A request for another host is refused: it comes from a page
    /// whose own name was made to lead here. None: any.
    pub hosts: Option<Arc<[String]>>,
    /// What the model is called, for people.
    pub model: Option<String>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            wait_max: Duration::from_secs(55),
            body_max: 10 * 1024 * 1024,
            bodies_max: 256 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            key_cache: Duration::from_secs(1),
            strict: false,
            cors: CorsOrigins::default(),
            public_url: PublicUrl::default(),
            trusts_forwarded_for: false,
            hosts: None,
            model: None,
        }
    }
}

/// What every handler has at hand. Cheap to clone: each layer of the router does, for every request.
#[derive(Clone)]
pub struct App(Arc<Parts>);

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What an [`App`] holds.
#[derive(Clone)]
pub struct Parts {
    pub(crate) sessions: Sessions,
    pub(crate) catalog: Catalog,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) settings: Arc<ServerSettings>,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) bodies: Bodies,
    pub(crate) keys: Keys,
    /// For a server in test mode.
    pub(crate) test: Option<Arc<TestBed>>,
    #[cfg(feature = "agent-view")]
    pub(crate) tries: Arc<crate::agent_view::Tries>,
}

impl App {
    /// Over an engine's sessions and the store that holds the keys.
    pub fn new(sessions: Sessions, store: Arc<dyn Store>, settings: ServerSettings) -> Self {
        let keys = Keys::new(Arc::clone(&store), settings.key_cache);
        let catalog = sessions.catalog();
        let bodies = Bodies::new(settings.bodies_max);
        Self(Arc::new(Parts {
            sessions,
            catalog,
            store,
            settings: Arc::new(settings),
            metrics: None,
            bodies,
            keys,
            test: None,
            #[cfg(feature = "agent-view")]
            tries: Arc::default(),
        }))
    }

    /// In test mode: with the routes below `/_test/v1`.
    #[must_use]
    pub fn with_test_bed(self, bed: Arc<TestBed>) -> Self {
        Self(Arc::new(Parts { test: Some(bed), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// With a page of metrics at `/metrics`; without them there is none.
    #[must_use]
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self(Arc::new(Parts { metrics: Some(metrics), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// What a request that waits has to look at meanwhile: returns once its key does not work any more.
    pub(crate) fn revoked(&self, input: &Input) -> impl Future<Output = ()> + Send + use<> {
        let keys = self.keys.clone();
        let credentials = input.headers().get(header::AUTHORIZATION);
        let hash = credentials.and_then(|credentials| bearer(credentials.as_bytes())).map(key_hash);
        async move {
            match hash {
                Some(hash) => keys.revoked(hash).await,
                None => std::future::pending().await,
            }
        }
    }

    /// The address that a request comes from: of a proxy's own clients the one that the proxy itself saw, the last.
    #[cfg(feature = "agent-view")]
    pub(crate) fn client_address(&self, input: &Input) -> Option<IpAddr> {
        let forwarded = input.headers().get_all("x-forwarded-for").iter().next_back();
        let forwarded = forwarded.filter(|_| self.settings.trusts_forwarded_for).and_then(|list| list.to_str().ok());
        let last = forwarded.and_then(|list| list.rsplit(',').next()).and_then(|last| last.trim().parse().ok());
        last.or_else(|| input.peer())
    }

    /// Where the client of a request reaches this server.
    pub(crate) fn base(&self, input: &Input) -> Base {
        self.settings.public_url.base(input.headers())
    }
}
