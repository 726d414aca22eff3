//! The provider of browsers.

use super::{
    browsers::{BrowserSettings, Browsers},
    environment::WebEnvironment,
    spec::WebSpec,
};
use crate::{Environment, Guard, OpenContext, OpenError, Provider, Refused, unavailable::Unavailable};
use async_trait::async_trait;
use quarterdeck_api::{Browser, Environment as Spec, Host};
use std::sync::Arc;

/// Hosts environments of kind `web`: a browser of its own for each. Give it to [`Hosting::with_web`](crate::Hosting).
#[derive(Debug)]
pub struct WebHosting {
    guard: Guard,
    browsers: Arc<Browsers>,
}

impl WebHosting {
    /// Hosts browsers whose pages reach what `guard` lets through. Removes what a dead server left behind.
    pub fn new(settings: BrowserSettings, guard: Guard) -> Self {
        Self { browsers: Arc::new(Browsers::new(settings, guard.clone())), guard }
    }

    /// Starts a browser and ends it again.
    ///
    /// # Errors
    /// A sentence for the operator, when no session will get one.
    pub async fn try_one(&self) -> Result<(), String> {
        self.browsers.try_one().await
    }
}

/// The browser that this server would have to run; none if it is on the user's own machine.
fn of_the_server(spec: &Spec) -> Option<&Browser> {
    match spec {
        Spec::Web(browser) if browser.host == Host::Cloud => Some(browser),
        Spec::Web(_)
        | Spec::Mcp(_)
        | Spec::Memory(_)
        | Spec::Desktop(_)
        | Spec::Android(_)
        | Spec::Code(_)
        | Spec::Workstation(_) => None,
    }
}

#[async_trait]
impl Provider for WebHosting {
    fn check(&self, spec: &Spec) -> Result<(), Refused> {
        of_the_server(spec).map_or(Ok(()), |browser| WebSpec::read(browser, &self.guard).map(drop))
    }

    async fn open(&self, spec: &Spec, context: &OpenContext) -> Result<Box<dyn Environment>, OpenError> {
        let Some(browser) = of_the_server(spec) else { return Ok(Box::new(Unavailable(spec.kind()))) };
        let wanted = WebSpec::read(browser, &self.guard).map_err(|refused| OpenError(refused.to_string()))?;
        let open = WebEnvironment::open(Arc::clone(&self.browsers), wanted, context.clone()).await?;
        Ok(Box::new(open))
    }

    async fn shutdown(&self) {
        self.browsers.close();
    }
}
