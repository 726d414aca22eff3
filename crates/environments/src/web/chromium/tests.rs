//! A real browser on pages of our own. Without one on the machine the tests fail and say what to install.

use super::*;
use crate::{
    Guard,
    web::{
        coordinates::Size,
        driver::Button,
        proxy::OwnPorts,
        site::{self, Site},
    },
};
use keyboard::{Chord, Modifiers};
use state::DialogAnswer;
use std::{ops::Deref, path::Path};

mod acting;
mod pages;

/// A browser on the site.
struct Fixture {
    browser: Chromium,
    site: Site,
    _profiles: tempfile::TempDir,
}

impl Deref for Fixture {
    type Target = Chromium;

    fn deref(&self) -> &Chromium {
        &self.browser
    }
}

async fn launch(profiles: &Path) -> Launch {
    let executable = site::browser().await;
    let no_sandbox = rustix::process::getuid().is_root();
    Launch { executable, profiles: profiles.to_owned(), memory_kb: 1_000_000, user: None, no_sandbox }
}

fn setup() -> TabSetup {
    let size = Size { width: 800, height: 700 };
    TabSetup { size, user_agent: None, language: None, timezone: None, picture_scale: 1.0 }
}

/// A browser that may reach this machine, on a page of the site.
async fn on(path: &str) -> Fixture {
    let site = site::start().await;
    let profiles = tempfile::tempdir().unwrap();
    let guard = Guard::allowing("127.0.0.1,localhost").unwrap();
    let proxy = Proxy::start(guard, OwnPorts::default(), None, 1 << 30).await.unwrap();
    let launch = launch(profiles.path()).await;
    let browser =
        Chromium::start((&launch, &MemoryWatch::new(1_000_000)), proxy, setup(), Duration::from_secs(1)).await.unwrap();
    let fixture = Fixture { browser, site, _profiles: profiles };
    let url = fixture.site.url(path);
    fixture.act(Action::Go(url)).await.unwrap();
    fixture
}

impl Fixture {
    async fn click(&self, x: f64, y: f64) -> Done {
        self.act(click(x, y)).await.unwrap()
    }

    async fn write(&self, x: f64, y: f64, content: &str) -> Result<Done, ActionError> {
        let at = Some(Point { x, y });
        self.act(Action::Write { at, content: content.into(), overwrite: true, enter: false }).await
    }

    /// All that the page says.
    async fn says(&self) -> String {
        self.text(false).await.unwrap().blocks.join("\n")
    }
}

fn click(x: f64, y: f64) -> Action {
    Action::Click { at: Point { x, y }, button: Button::Left, count: 1, modifiers: Modifiers::default() }
}
