//! Which browsers agents get, from the settings and from what is installed.

use crate::settings::BrowserSettings as Wanted;
use quarterdeck_environments::{BrowserExecutable, BrowserSettings, Guard, WebHosting, find_browser};
use std::path::{Path, PathBuf};

/// Megabytes that are left to the server and the system, and that a browser is reckoned with.
const MEMORY_FOR_OTHERS_MB: u64 = 1_024;
const MEMORY_OF_A_BROWSER_MB: u64 = 150;
/// Browsers at once, unless told.
const COUNT_MAX: u64 = 50;
/// The word for no browsers.
const NONE: &str = "none";

/// What there is for agents: who hosts browsers, and a line for the person who starts the server.
pub(crate) struct Browsers {
    pub(crate) hosting: Option<WebHosting>,
    pub(crate) told: String,
}

impl Browsers {
    fn none(told: impl Into<String>) -> Self {
        Self { hosting: None, told: told.into() }
    }

    /// Looks for a browser. That there is none is no fault, unless one was named.
    ///
    /// # Errors
    /// When the browser that was named cannot be used.
    pub(crate) async fn from_settings(wanted: &Wanted, guard: Guard, folder: &Path, port: u16) -> anyhow::Result<Self> {
        let named = wanted.browser.as_deref();
        if named == Some(NONE) {
            return Ok(Self::none("none (--browser none)"));
        }
        #[expect(clippy::disallowed_methods, reason = "this is where settings are read")]
        let search = std::env::var_os("PATH").unwrap_or_default();
        let executable = match find_browser(named.map(Path::new), &search).await {
            Ok(executable) => executable,
            Err(fault) if named.is_some() => anyhow::bail!("cannot use --browser: {fault}"),
            Err(fault) => return Ok(Self::none(format!("none: {fault}"))),
        };
        let is_root = is_root();
        if is_root && wanted.browser_user.is_none() && !wanted.browser_no_sandbox {
            let version = &executable.version;
            let told = format!(
                "none: {version} does not run as root; name a user with --browser-user UID, or say --browser-no-sandbox"
            );
            return Ok(Self::none(told));
        }
        if wanted.browser_no_sandbox {
            tracing::warn!("browsers run without their sandbox: whoever breaks out of a page has this server's rights");
        }
        let settings = settings(wanted, executable, folder, port);
        let told = told(&settings);
        Ok(Self { hosting: Some(WebHosting::new(settings, guard)), told })
    }
}

fn settings(wanted: &Wanted, executable: BrowserExecutable, folder: &Path, port: u16) -> BrowserSettings {
    // Another user cannot pass through the data folder.
    let profiles = match wanted.browser_user {
        Some(_) => std::env::temp_dir().join("quarterdeck-browsers"),
        None => folder.join("browsers"),
    };
    BrowserSettings {
        executable,
        profiles,
        count_max: wanted.browsers_max.map_or_else(count_by_memory, |count| count as usize),
        memory_mb: wanted.browser_memory,
        user: wanted.browser_user,
        no_sandbox: wanted.browser_no_sandbox,
        user_agent: wanted.browser_user_agent.clone(),
        language: wanted.browser_language.clone(),
        timezone: wanted.browser_timezone.clone(),
        own_ports: vec![port],
    }
}

fn told(settings: &BrowserSettings) -> String {
    let BrowserExecutable { path, version, is_shell } = &settings.executable;
    let kind = if *is_shell { ", headless shell" } else { "" };
    let sandbox = if settings.no_sandbox { ", WITHOUT its sandbox" } else { "" };
    format!("{version} ({}{kind}), at most {} at once{sandbox}", path.display(), settings.count_max)
}

fn is_root() -> bool {
    // The owner of our own process, as the system tells it.
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// As many as the memory holds.
fn count_by_memory() -> usize {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let found =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let total_mb = found.map_or(4_096, |kb: u64| kb / 1_024);
    let count = total_mb.saturating_sub(MEMORY_FOR_OTHERS_MB) / MEMORY_OF_A_BROWSER_MB;
    usize::try_from(count.clamp(1, COUNT_MAX)).unwrap_or(1)
}

/// Where the folders of browsers are, when there is no data folder.
pub(crate) fn usual_folder(data_folder: Option<PathBuf>) -> PathBuf {
    data_folder.unwrap_or_else(|| std::env::temp_dir().join("quarterdeck"))
}
