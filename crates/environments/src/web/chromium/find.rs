//! Which browser there is on this machine.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::Command;

/// Where it is looked for, best first. Whole paths come before names because Debian's command is a script that stays
/// between us and the browser.
const CANDIDATES: [&str; 9] = [
    "/usr/lib/chromium/chromium-headless-shell",
    "chromium-headless-shell",
    "chrome-headless-shell",
    "/usr/lib/chromium/chromium",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
];
/// Time for a browser to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// A browser that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// Where it is.
    pub path: PathBuf,
    /// What it says it is, such as `Chromium 156.0.8078.108`.
    pub version: String,
    /// Whether it is a headless shell: smaller and quicker than a whole Chromium that draws no window.
    pub is_shell: bool,
}

/// Looks for a browser: the one at `wanted`, else the best one in the usual places and the folders of `search`, which
/// has the form of `PATH`.
///
/// # Errors
/// A sentence for the operator, if there is none or if it does not start.
pub async fn find(wanted: Option<&Path>, search: &OsStr) -> Result<Executable, String> {
    let path = match wanted {
        Some(path) if path.is_absolute() => path.to_owned(),
        Some(name) => located(name, search).ok_or_else(|| format!("there is no program {}", name.display()))?,
        None => CANDIDATES.iter().find_map(|name| located(Path::new(name), search)).ok_or_else(|| {
            "no browser is installed; install chromium-headless-shell and fonts-liberation (Debian) or name one with \
             --browser"
                .to_owned()
        })?,
    };
    let version = version(&path).await?;
    Ok(Executable { is_shell: is_shell(&path), path, version })
}

/// Told by its name only: both say "Chromium".
fn is_shell(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().replace('_', "-");
    name.contains("headless-shell")
}

fn located(name: &Path, search: &OsStr) -> Option<PathBuf> {
    if name.is_absolute() {
        return name.is_file().then(|| name.to_owned());
    }
    std::env::split_paths(search).map(|folder| folder.join(name)).find(|path| path.is_file())
}

async fn version(path: &Path) -> Result<String, String> {
    let at = path.display();
    let mut command = Command::new(path);
    command.arg("--version").env_clear().stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let said = tokio::time::timeout(VERSION_TIMEOUT, command.output()).await;
    let said = said.map_err(|_| format!("{at} did not tell its version within 10 s"))?;
    let said = said.map_err(|error| format!("{at} cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&said.stdout);
    let line = text.lines().next().unwrap_or_default().trim();
    if said.status.success() && line.contains("Chrom") {
        return Ok(line[..line.floor_char_boundary(100)].to_owned());
    }
    Err(format!("{at} is no browser that this server can drive: it does not say that it is Chromium or Chrome"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_browser_is_told_apart() {
        let fault = |wanted: &'static str| async move { find(Some(Path::new(wanted)), OsStr::new("/bin")).await };
        assert!(fault("/nowhere/chromium").await.unwrap_err().contains("cannot be started"));
        assert!(fault("no-such-program").await.unwrap_err().contains("there is no program"));
        assert!(fault("true").await.unwrap_err().contains("is no browser"));
        assert!(find(None, OsStr::new("")).await.map_or_else(|error| error.contains("install"), |_| true));
    }

    #[test]
    fn a_shell_is_known_by_its_name() {
        for (path, expected) in
            [("/opt/chrome-headless-shell", true), ("/x/headless_shell", true), ("/usr/bin/chromium", false)]
        {
            assert_eq!(is_shell(Path::new(path)), expected, "{path}");
        }
    }
}
