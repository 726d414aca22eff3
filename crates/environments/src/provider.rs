//! What a session may have, and the opening of it.

use crate::{
    Environment, Guard, OpenContext, OpenError, mcp::McpEnvironmentOpen, memory::MemoryEnvironment,
    unavailable::Unavailable,
};
use async_trait::async_trait;
use quarterdeck_api::{Environment as Spec, EnvironmentKind, McpServer, McpTransport, Memory};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::Debug,
    sync::{Arc, OnceLock},
    time::Duration,
};
use thiserror::Error;

/// MCP servers of one environment. Each is a connection or a program, for as long as the session works.
const SERVERS_MAX: usize = 16;

/// Bytes of a memory's namespace. It is part of the key of each entry, which a database can index only up to a size.
const NAMESPACE_MAX_BYTES: usize = 1_024;

/// Decides which environments a session may have, and opens them.
#[async_trait]
pub trait Provider: Debug + Send + Sync + 'static {
    /// Whether a session may be created with this environment.
    ///
    /// # Errors
    /// [`Refused`] says why not.
    fn check(&self, spec: &Spec) -> Result<(), Refused>;

    /// Opens an environment for a session, in bounded time. One that is `lazy` may be started by its first call only,
    /// see [`Environment::starts`].
    ///
    /// # Errors
    /// [`OpenError`] when it cannot be had now.
    async fn open(&self, spec: &Spec, context: &OpenContext) -> Result<Box<dyn Environment>, OpenError>;

    /// Ends what it holds for all environments, once they are closed. Nothing is opened after that.
    async fn shutdown(&self) {}
}

/// Why a session cannot be created with an environment. Sentences for the caller, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// This server does not let anybody have it.
    #[error("{0}")]
    NotPublic(String),
    /// What it says of itself cannot be used.
    #[error("{0}")]
    Invalid(String),
}

/// What this server hosts, and how.
#[derive(Clone, Debug)]
pub struct HostingSettings {
    /// Which hosts may be spoken to.
    pub guard: Guard,
    /// Programs that MCP servers may be run by: a name, and what stands for it (the program and its first arguments).
    pub commands: BTreeMap<String, Vec<String>>,
    /// The `PATH` of these programs.
    pub path: OsString,
    /// This server's own program, to run them under: it is called with [`SUPERVISE`](crate::SUPERVISE) and what
    /// [`supervise`](crate::supervise) takes. Without it, what leaves a program's process group can outlive it.
    pub supervisor: Option<OsString>,
    /// Variables that agents may give to these programs. Without a list: all but those known to load code.
    pub variables: Option<Vec<String>>,
    /// Kinds that sessions are refused for, instead of running without them.
    pub refused: Vec<EnvironmentKind>,
    /// How long connecting to an MCP server may take, its greeting included. Default: 10 seconds.
    pub connect_timeout: Duration,
    /// The same for one that is a program, which may have to load a lot first. Default: 30 seconds.
    pub start_timeout: Duration,
    /// How long one call of an MCP tool may take. Default: 60 seconds.
    pub call_timeout: Duration,
}

impl Default for HostingSettings {
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            commands: BTreeMap::new(),
            path: "/usr/local/bin:/usr/bin:/bin".into(),
            supervisor: None,
            variables: None,
            refused: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            start_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_mins(1),
        }
    }
}

/// The environments that are built in.
#[derive(Clone, Debug, Default)]
pub struct Hosting {
    settings: HostingSettings,
    /// Made when it is first needed, and shared by all sessions.
    client: Arc<OnceLock<reqwest::Client>>,
    /// Who hosts browsers; without one, agents are told that there are none.
    web: Option<Arc<dyn Provider>>,
}

impl Hosting {
    /// Hosts by these settings.
    pub fn new(settings: HostingSettings) -> Self {
        Self { settings, client: Arc::default(), web: None }
    }

    /// Environments of kind `web` are checked and opened by `web`.
    #[must_use]
    pub fn with_web(self, web: Arc<dyn Provider>) -> Self {
        Self { web: Some(web), ..self }
    }

    pub(crate) fn settings(&self) -> &HostingSettings {
        &self.settings
    }

    /// The client for addresses that agents name.
    pub(crate) fn client(&self) -> Result<reqwest::Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let agent = concat!("quarterdeck/", env!("CARGO_PKG_VERSION"));
        let client = self.settings.guard.client(self.settings.connect_timeout).user_agent(agent);
        // They are followed by hand, so that what is posted stays posted.
        let client = client.redirect(reqwest::redirect::Policy::none()).build();
        let client = client.map_err(|_| "no client could be made for it".to_owned())?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    fn check_servers(&self, servers: &[McpServer]) -> Result<(), Refused> {
        if servers.len() > SERVERS_MAX {
            let count = servers.len();
            return Err(Refused::Invalid(format!(
                "an environment may have at most {SERVERS_MAX} MCP servers, not {count}"
            )));
        }
        servers.iter().try_for_each(|server| self.check_server(server))
    }

    fn check_server(&self, server: &McpServer) -> Result<(), Refused> {
        match server.transport {
            McpTransport::Stdio => self.check_command(server),
            McpTransport::StreamableHttp | McpTransport::Sse => {
                let url = server.url.as_deref().unwrap_or_default();
                let refused = |cause| Refused::Invalid(format!("the url of MCP server {:?}: {cause}", server.name));
                self.settings.guard.parse(url).map(drop).map_err(refused)
            }
        }
    }

    fn check_command(&self, server: &McpServer) -> Result<(), Refused> {
        let command = server.command.as_deref().unwrap_or_default();
        if !self.settings.commands.contains_key(command) {
            return Err(Refused::NotPublic(format!(
                "the MCP server {:?} is to be run by {command:?}, which this server does not run (its operator can \
                 allow it with --mcp-allow-command)",
                server.name
            )));
        }
        match server.env.keys().find(|name| !self.passes_on(name)) {
            Some(name) => Err(Refused::NotPublic(format!(
                "the MCP server {:?} sets the environment variable {name:?}, which this server does not pass on (its \
                 operator can allow it with --mcp-allow-variables)",
                server.name
            ))),
            None => Ok(()),
        }
    }

    /// Whether agents may give this variable to programs.
    fn passes_on(&self, name: &str) -> bool {
        let is_name = !name.is_empty() && !name.contains(['=', '\0']);
        is_name && self.settings.variables.as_ref().map_or(!loads_code(name), |names| names.iter().any(|it| it == name))
    }
}

fn check_namespace(memory: &Memory) -> Result<(), Refused> {
    if memory.namespace.len() <= NAMESPACE_MAX_BYTES {
        return Ok(());
    }
    Err(Refused::Invalid(format!("the namespace of a memory must have at most {NAMESPACE_MAX_BYTES} bytes")))
}

/// Variables by which a program that is allowed could be made to run another one. The list cannot be complete: who
/// allows a command trusts those who may create sessions with its arguments and variables.
fn loads_code(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let begins =
        ["LD_", "DYLD_", "PYTHON", "NODE_", "RUBY", "PERL", "JAVA_", "JDK_", "BASH_", "GIT_", "NPM_", "UV_", "PIP_"];
    let is = ["PATH", "ENV", "SHELL", "IFS", "HOME"];
    is.contains(&upper.as_str()) || begins.iter().any(|prefix| upper.starts_with(prefix))
}

#[async_trait]
impl Provider for Hosting {
    fn check(&self, spec: &Spec) -> Result<(), Refused> {
        let kind = spec.kind();
        if self.settings.refused.contains(&kind) {
            let kind = kind.as_str();
            return Err(Refused::NotPublic(format!("this server does not run environments of kind {kind:?}")));
        }
        match spec {
            Spec::Mcp(mcp) => self.check_servers(&mcp.servers),
            Spec::Memory(memory) => check_namespace(memory),
            Spec::Web(_) => self.web.as_ref().map_or(Ok(()), |web| web.check(spec)),
            Spec::Desktop(_) | Spec::Android(_) | Spec::Code(_) | Spec::Workstation(_) => Ok(()),
        }
    }

    async fn open(&self, spec: &Spec, context: &OpenContext) -> Result<Box<dyn Environment>, OpenError> {
        // The settings may have changed since the session was created.
        self.check(spec).map_err(|refused| OpenError(refused.to_string()))?;
        match spec {
            Spec::Memory(spec) => Ok(Box::new(MemoryEnvironment(context.memories.memory(spec)))),
            Spec::Mcp(spec) => Ok(Box::new(McpEnvironmentOpen::open(spec, self).await?)),
            Spec::Web(_) => match &self.web {
                Some(web) => web.open(spec, context).await,
                None => Ok(Box::new(Unavailable(spec.kind()))),
            },
            Spec::Desktop(_) | Spec::Android(_) | Spec::Code(_) | Spec::Workstation(_) => {
                Ok(Box::new(Unavailable(spec.kind())))
            }
        }
    }

    async fn shutdown(&self) {
        if let Some(web) = &self.web {
            web.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_session_may_have_what_is_hosted_and_allowed() {
        let settings = HostingSettings {
            commands: BTreeMap::from([("run".to_owned(), vec!["/bin/true".to_owned()])]),
            refused: vec![EnvironmentKind::Desktop],
            ..HostingSettings::default()
        };
        let hosting = Hosting::new(settings);
        let stdio = |extra: Value| {
            let mut server =
                json!({"name": "s", "transport": "stdio", "command": "run", "args": [], "env": {}, "headers": {}});
            server.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            json!({"kind": "mcp", "id": "e", "servers": [server]})
        };
        let http = |url: &str| stdio(json!({"transport": "streamable_http", "command": null, "url": url}));
        let fine = [
            json!({"kind": "memory", "id": "m", "namespace": "n"}),
            stdio(json!({"env": {"TOKEN": "x"}})),
            http("https://example.com/mcp"),
        ];
        for spec in fine {
            assert_eq!(check(&hosting, spec.clone()), Ok(()), "{spec}");
        }
        let desktop = json!({"kind": "desktop", "id": "d", "host": "cloud", "lazy": false, "settle_s": 0.5});
        for spec in [desktop, stdio(json!({"command": "rm"})), stdio(json!({"env": {"Ld_Preload": "x"}}))] {
            assert!(matches!(check(&hosting, spec.clone()), Err(Refused::NotPublic(_))), "{spec}");
        }
        for url in ["http://127.0.0.1/", "nope"] {
            assert!(matches!(check(&hosting, http(url)), Err(Refused::Invalid(_))), "{url}");
        }
    }

    #[test]
    fn an_environment_has_a_bounded_number_of_servers() {
        let hosting = Hosting::new(HostingSettings::default());
        let server = json!({
            "name": "s", "transport": "sse", "url": "https://example.com", "args": [], "env": {}, "headers": {},
        });
        let with = |count: usize| json!({"kind": "mcp", "id": "e", "servers": vec![server.clone(); count]});
        assert_eq!(check(&hosting, with(SERVERS_MAX)), Ok(()));
        assert!(matches!(check(&hosting, with(SERVERS_MAX + 1)), Err(Refused::Invalid(_))));
    }

    #[test]
    fn a_namespace_fits_into_an_index() {
        let hosting = Hosting::new(HostingSettings::default());
        let named = |namespace: &str| json!({"kind": "memory", "id": "m", "namespace": namespace});
        assert_eq!(check(&hosting, named(&"n".repeat(NAMESPACE_MAX_BYTES))), Ok(()));
        let long = check(&hosting, named(&"é".repeat(NAMESPACE_MAX_BYTES / 2 + 1)));
        assert!(matches!(long, Err(Refused::Invalid(_))), "{long:?}");
    }

    fn check(hosting: &Hosting, spec: Value) -> Result<(), Refused> {
        hosting.check(&serde_json::from_value(spec).unwrap())
    }
}
