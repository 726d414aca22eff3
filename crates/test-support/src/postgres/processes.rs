//! The server's processes: whose they are, and the guardian that ends them.

use super::output_of;
use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Who runs the server. It refuses root, so root lends it another user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    other: Option<(u32, u32)>,
}

impl Account {
    /// Ourselves, or for root the user `postgres`, else `nobody`.
    pub(super) fn for_server() -> Result<Self> {
        if id("-u", None)? != 0 {
            return Ok(Self { other: None });
        }
        let user = if id("-u", Some("postgres")).is_ok() { "postgres" } else { "nobody" };
        Ok(Self { other: Some((id("-u", Some(user))?, id("-g", Some(user))?)) })
    }

    /// Makes the user the owner of `path`.
    pub(super) fn give(self, path: &Path) -> Result<()> {
        let Some((user, group)) = self.other else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(user), Some(group))
            .with_context(|| format!("giving {} to the user {user}", path.display()))
    }

    /// A command that runs as the user, without settings of ours that speak to Postgres.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        if let Some((user, group)) = self.other {
            command.uid(user).gid(group);
        }
        command
    }
}

fn id(what: &str, user: Option<&str>) -> Result<u32> {
    output_of(Command::new("id").arg(what).args(user))?.trim().parse().context("reading the output of id")
}

/// Ends the server and removes its folder once this value, or the process that holds it, is gone.
#[derive(Debug)]
pub(super) struct Guardian {
    pub(super) process: Child,
}

/// Waits for the end of its input; checks that the process is the server, for a number may be in use again.
const GUARDIAN: &str = r#"
while read -r _; do :; done
is_the_server() { grep -qaF "$folder" "/proc/$server/cmdline" 2>/dev/null; }
folder=$1
server=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$server" ] && is_the_server; then
    kill -s QUIT "$server"
    kill -s CONT "$server"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        is_the_server || break
        sleep 0.5
    done
    is_the_server && kill -s KILL "$server"
fi
rm -rf -- "$1"
"#;

impl Guardian {
    /// Starts watching over the cluster in `folder`, out of reach of a Ctrl-C in our terminal.
    pub(super) fn watch(folder: &Path) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", GUARDIAN, "guardian"]).arg(folder).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { process: command.spawn().context("starting the guardian")? })
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
