//! The supervisor: a process of this same binary that stands between the server and a program, so that nothing the
//! program starts outlives it, the session, or the server. Linux only.
//!
//! It adopts what the program leaves behind (also what has made a session or a group of its own), and ends all of it
//! when the program ends, when the server says so, or when the server is gone, however it went. The program itself
//! is tied to the supervisor in the same way. What is not prevented: a process of the same user can kill the
//! supervisor first, and what had left the program by then lives on.

use std::ffi::OsString;

/// The word by which the binary is made a supervisor.
pub const SUPERVISE: &str = "mcp-supervise";

/// What follows the program's name: the server's own number, and what to run. More arguments follow.
pub(super) fn arguments(program: &str) -> [OsString; 4] {
    [SUPERVISE.into(), std::process::id().to_string().into(), "--".into(), program.into()]
}

#[cfg(not(target_os = "linux"))]
/// Fails: there is no supervisor for this system.
///
/// # Errors
/// Always.
pub fn supervise(_parent: u32, _command: &[OsString]) -> std::io::Result<u8> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Keeps other processes of the same user from reading this process' memory and variables. It leaves no core dumps
/// then, either, and debuggers cannot attach. Nothing happens on systems other than Linux.
///
/// # Errors
/// The system does not do it.
pub fn hide_process() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(target_os = "linux")]
pub use linux::supervise;

#[cfg(target_os = "linux")]
mod linux {
    use super::SUPERVISE;
    use rustix::process::{
        Pid, Signal, WaitOptions, getpid, getppid, kill_process, set_child_subreaper, set_parent_process_death_signal,
        wait,
    };
    use std::{
        collections::HashMap, ffi::OsString, fs::File, io, os::unix::process::CommandExt, process::Command,
        time::Duration,
    };
    use tokio::{
        signal::unix::{SignalKind, signal},
        time::sleep,
    };

    /// What the supervisor is called again as, to become the program.
    const BECOME: &str = "become";
    /// Rounds of ending what is left, and the wait between them.
    const ROUNDS_MAX: usize = 200;
    const ROUND_INTERVAL: Duration = Duration::from_millis(10);

    /// Runs a program and looks after it until it ends or the process `parent` does. Returns the code to exit with.
    ///
    /// # Errors
    /// The program cannot be started, or the system does not let it be looked after.
    pub fn supervise(parent: u32, command: &[OsString]) -> io::Result<u8> {
        match command.split_first() {
            Some((first, rest)) if first == BECOME => Err(become_program(parent, rest)),
            Some(_) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(look_after(parent, command))
            }
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Ties this process to its parent, and becomes the program.
    fn become_program(parent: u32, command: &[OsString]) -> io::Error {
        let tied = set_parent_process_death_signal(Some(Signal::KILL));
        let Some((program, arguments)) = command.split_first() else { return io::ErrorKind::InvalidInput.into() };
        match tied {
            Ok(()) if is_parent(parent) => Command::new(program).args(arguments).exec(),
            Ok(()) => io::ErrorKind::BrokenPipe.into(),
            Err(error) => error.into(),
        }
    }

    async fn look_after(parent: u32, command: &[OsString]) -> io::Result<u8> {
        let mut told = signal(SignalKind::terminate())?;
        let mut orphaned = signal(SignalKind::hangup())?;
        let mut child_ended = signal(SignalKind::child())?;
        // It is sent when the thread that started us ends, too, so who our parent is decides.
        set_parent_process_death_signal(Some(Signal::HUP))?;
        set_child_subreaper(Some(getpid()))?;
        super::hide_process()?;
        if !is_parent(parent) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let own = std::process::id().to_string();
        let mut become_it = Command::new("/proc/self/exe");
        become_it.args([SUPERVISE, &own, "--", BECOME]).args(command).process_group(0);
        let program = become_it.spawn()?.id();
        leave_streams()?;
        let code = loop {
            tokio::select! {
                _ = child_ended.recv() => {
                    if let Some(code) = collect(program) {
                        break code;
                    }
                }
                _ = told.recv() => break 0,
                _ = orphaned.recv() => {
                    if !is_parent(parent) {
                        break 0;
                    }
                }
            }
        };
        end_all(program).await;
        Ok(code)
    }

    fn is_parent(process: u32) -> bool {
        getppid().is_some_and(|parent| u32::try_from(parent.as_raw_nonzero().get()) == Ok(process))
    }

    /// The streams are the program's: who closes one is to be noticed at the other end.
    fn leave_streams() -> io::Result<()> {
        let nothing = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdin(&nothing)?;
        rustix::stdio::dup2_stdout(&nothing)?;
        rustix::stdio::dup2_stderr(&nothing)?;
        Ok(())
    }

    /// Collects all who ended. The code of the program, if it is among them.
    fn collect(program: u32) -> Option<u8> {
        let mut code = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if u32::try_from(pid.as_raw_nonzero().get()) == Ok(program) {
                let ended = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                code = Some(ended.and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
            }
        }
        code
    }

    /// Ends all descendants. Those that are started meanwhile are found in the next round.
    async fn end_all(program: u32) {
        for _ in 0..ROUNDS_MAX {
            let left = descendants();
            if left.is_empty() {
                return;
            }
            for pid in left {
                let _ = kill_process(pid, Signal::KILL);
            }
            sleep(ROUND_INTERVAL).await;
            collect(program);
        }
    }

    /// All processes below this one that have not ended.
    fn descendants() -> Vec<Pid> {
        let mut below: HashMap<i32, Vec<i32>> = HashMap::new();
        for (pid, parent) in std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, parent_of(pid)?))
        }) {
            below.entry(parent).or_default().push(pid);
        }
        let mut found = Vec::new();
        let mut next = vec![getpid().as_raw_nonzero().get()];
        while let Some(pid) = next.pop() {
            let children = below.remove(&pid).unwrap_or_default();
            found.extend(children.iter().filter_map(|child| Pid::from_raw(*child)));
            next.extend(children);
        }
        found
    }

    /// The parent of a process; none of one that has ended.
    fn parent_of(pid: i32) -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X") { None } else { fields.next()?.parse().ok() }
    }
}
