//! What a program of an MCP server leaves behind ends with it, with its session, and with the server.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

use quarterdeck_environments::{Environment, Hosting, HostingSettings, OpenContext, Provider, SUPERVISE};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const QUARTERDECK: &str = env!("CARGO_BIN_EXE_quarterdeck");
const PATIENCE: Duration = Duration::from_secs(20);

/// Writes down itself and three that it starts: one in its group, one in a session of its own, and one whose parent
/// ends at once. Then it greets as an MCP server does, and reads until its input ends.
const PROGRAM: &str = r#"
echo $$ >> "$PIDS"
sleep 600 & echo $! >> "$PIDS"
setsid sh -c 'echo $$ >> "$PIDS"; exec sleep 600' &
sh -c 'setsid sh -c "echo \$\$ >> \"\$PIDS\"; exec sleep 600" &'
while read -r line; do
    case "$line" in
        *'"initialize"'*) echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}' ;;
        *'"tools/list"'*) echo '{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}' ;;
    esac
done
"#;

#[tokio::test]
async fn what_has_left_the_group_ends_with_the_session() {
    let programs = Programs::new();
    let environment = programs.open().await;
    let pids = programs.started();
    drop(environment);
    wait_until_gone(&pids);
}

#[tokio::test]
async fn what_is_left_behind_ends_with_a_session_that_is_closed() {
    let programs = Programs::new();
    let environment = programs.open().await;
    let pids = programs.started();
    environment.close().await;
    wait_until_gone(&pids);
}

#[test]
fn all_of_it_ends_with_a_server_that_is_killed() {
    let programs = Programs::new();
    // A shell in the place of the server.
    let line = format!(r#"exec 3<&0; "$0" {SUPERVISE} $$ -- /bin/sh "$1" <&3 & wait"#);
    let mut server = programs.spawn(Command::new("/bin/sh").args(["-c", &line, QUARTERDECK]).arg(programs.script()));
    let pids = programs.started();
    server.kill().unwrap();
    server.wait().unwrap();
    wait_until_gone(&pids);
}

#[test]
fn the_program_ends_with_its_supervisor() {
    let programs = Programs::new();
    let mut supervisor = programs.spawn(supervise(&[]).arg("/bin/sh").arg(programs.script()));
    let pids = programs.started();
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    wait_until_gone(&pids[..1]);
    // They are nobody's now: what the supervisor is for, and what it cannot do when it is killed.
    for pid in &pids[1..] {
        drop(Command::new("kill").args(["-9", pid]).status());
    }
}

#[test]
fn how_a_program_ended_is_passed_on() {
    for (script, code) in [("exit 7", 7), ("true", 0), ("kill -9 $$", 137), ("sleep 600 & exit 3", 3)] {
        let ended = supervise(&["/bin/sh", "-c", script]).status().unwrap();
        assert_eq!(ended.code(), Some(code), "{script}");
    }
    let output = supervise(&["/nowhere/to/be/found"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("No such file"), "{complaint}");
}

/// The supervisor of a command, with this process as the server.
fn supervise(command: &[&str]) -> Command {
    let mut supervise = Command::new(QUARTERDECK);
    supervise.args([SUPERVISE, &std::process::id().to_string(), "--"]).args(command);
    supervise
}

struct Programs(TempDir);

impl Programs {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("program.sh"), PROGRAM).unwrap();
        Self(folder)
    }

    fn script(&self) -> PathBuf {
        self.0.path().join("program.sh")
    }

    fn pids(&self) -> PathBuf {
        self.0.path().join("pids")
    }

    fn spawn(&self, command: &mut Command) -> Child {
        command.env("PIDS", self.pids()).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    }

    async fn open(&self) -> Box<dyn Environment> {
        let script = self.script().to_str().unwrap().to_owned();
        let settings = HostingSettings {
            commands: BTreeMap::from([("program".to_owned(), vec!["/bin/sh".to_owned(), script])]),
            supervisor: Some(QUARTERDECK.into()),
            ..HostingSettings::default()
        };
        let server = json!({
            "name": "s", "transport": "stdio", "command": "program", "args": [], "env": {"PIDS": self.pids()}, "headers": {},
        });
        let spec = serde_json::from_value(json!({"kind": "mcp", "id": "e", "servers": [server]})).unwrap();
        Hosting::new(settings).open(&spec, &OpenContext::detached()).await.unwrap()
    }

    /// Waits until all four are there.
    fn started(&self) -> Vec<String> {
        let read = || std::fs::read_to_string(self.pids()).unwrap_or_default();
        wait_until(|| read().lines().count() == 4);
        let pids: Vec<String> = read().lines().map(str::to_owned).collect();
        assert!(pids.iter().all(|pid| is_alive(pid)), "{pids:?}");
        pids
    }
}

fn wait_until_gone(pids: &[String]) {
    wait_until(|| !pids.iter().any(|pid| is_alive(pid)));
}

fn wait_until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it takes too long");
        #[expect(clippy::disallowed_methods, reason = "nothing else runs on this thread")]
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Neither gone nor a zombie that nobody has collected yet.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
