//! A browser process: how it is started, what bounds it, and how it ends.

use super::{cdp::Cdp, cdp::Event, find::Executable, profile::Profile};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{net::SocketAddr, os::unix::process::ExitStatusExt, path::PathBuf, process::Stdio, time::Duration};
use tokio::process::{Child, Command};

/// The browser takes commands from descriptor 3 and answers on 4. A shell in between moves its own standard streams
/// there, and bounds what each process of the browser may hold: no core dumps, only so much data, and no file of more than
/// 256 MiB (in blocks of 512 bytes). A write beyond that fails; without the trap it would end the process.
const STARTER: &str = r#"ulimit -c 0; ulimit -f 524288; trap '' XFSZ; ulimit -d "$1" || exit 97; shift
exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
/// How long its end is waited for after it was killed.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// How a browser is started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) executable: Executable,
    /// Where profiles lie.
    pub(crate) profiles: PathBuf,
    /// Kilobytes of data that each of its processes may hold.
    pub(crate) memory_kb: u64,
    /// The user it runs as, if not ours.
    pub(crate) user: Option<u32>,
    pub(crate) no_sandbox: bool,
}

/// A running browser. Dropping it kills it with all of its processes, and removes its folder.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Option<Pid>,
    // Removed after the kill: fields are dropped after `drop`, in this order.
    profile: Profile,
}

/// The home of a browser by a short name: it makes a socket among its temporary files, and the operating system takes no
/// more than 107 bytes for the path of one.
const WORKING_FOLDER: &str = "/proc/self/cwd";

impl Launch {
    /// Starts a browser that reaches the network by `proxy` only.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn start<E>(&self, proxy: SocketAddr, on_event: impl FnOnce(Cdp) -> E) -> Result<(Process, Cdp), String>
    where
        E: Fn(Event) + Send + 'static,
    {
        let profile = Profile::create(&self.profiles, self.user)
            .map_err(|error| format!("cannot make a folder below {}: {error}", self.profiles.display()))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", STARTER, "sh", &self.memory_kb.to_string()]).arg(&self.executable.path);
        command.args(self.flags(&profile, proxy)).env_clear();
        command.env("HOME", profile.home()).env("TMPDIR", WORKING_FOLDER).env("PATH", "/usr/bin:/bin");
        command.env("LANG", "C.UTF-8").env("DBUS_SESSION_BUS_ADDRESS", "/dev/null");
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.current_dir(profile.home()).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let failed = |error: std::io::Error| format!("{} cannot be started: {error}", self.executable.path.display());
        let mut child = command.spawn().map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
        };
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let process = Process { child, group, profile };
        Ok((process, Cdp::over(stdin, stdout, on_event)))
    }

    fn flags(&self, profile: &Profile, proxy: SocketAddr) -> Vec<String> {
        let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        let kind: &[&str] =
            if self.executable.is_shell { &["--headless"] } else { &["--headless=new", "--no-startup-window"] };
        flags.extend(kind.iter().map(|flag| (*flag).to_owned()));
        flags.push(format!("--user-data-dir={}", profile.home().join("profile").display()));
        flags.push(format!("--proxy-server=http://{proxy}"));
        if self.no_sandbox {
            flags.push("--no-sandbox".into());
        }
        flags
    }
}

/// What every browser is started with. The second block is the guard: no address is reached but by the proxy, loopback
/// and link-local ones included; no names are resolved; no packet leaves by WebRTC (of its two flags each kind of
/// browser knows one) or QUIC.
const FLAGS: [&str; 27] = [
    "--remote-debugging-pipe",
    "--site-per-process",
    "--js-flags=--max-old-space-size=512",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-domain-reliability",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-smooth-scrolling",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--mute-audio",
    "--hide-scrollbars",
    "--password-store=basic",
    "--use-mock-keychain",
    "--force-color-profile=srgb",
    "--force-device-scale-factor=1",
];

impl Process {
    /// The group of its processes.
    pub(crate) fn group(&self) -> Option<Pid> {
        self.group
    }

    /// Its folder.
    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Waits a little for it to end by itself.
    pub(crate) async fn wait(&mut self) {
        let _ = tokio::time::timeout(END_TIMEOUT, self.child.wait()).await;
    }

    /// Kills it, and says how it ended if it had ended before.
    pub(crate) async fn end(mut self) -> Option<String> {
        let before = self.child.try_wait().ok().flatten();
        self.kill();
        self.wait().await;
        before.map(|status| match (status.code(), status.signal()) {
            (Some(97), _) => "its memory limit could not be set".into(),
            // What a shell says of programs that it cannot start.
            (Some(126), _) => "it is not executable".into(),
            (Some(127), _) => "it is not there any more; install it again or name another one with --browser".into(),
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        })
    }

    fn kill(&self) {
        if let Some(group) = self.group {
            // It may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
