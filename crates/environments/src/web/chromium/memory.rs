//! A watch on what all processes of a browser hold together. Limits of the operating system are for each process alone,
//! and what is shared between processes, such as pictures that are drawn, counts for none of them.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How often is looked.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// The same while a browser holds more than half of what it may: a page can take a hundred megabytes in a tenth of a second.
const PERIOD_OF_LARGE: Duration = Duration::from_millis(50);

/// Bounds what the processes of each browser hold together.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    limit_kb: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    groups: HashSet<Pid>,
    /// Whether somebody looks.
    is_watched: bool,
}

/// A browser that is watched until this is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    watch: Arc<MemoryWatch>,
    group: Pid,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.state().groups.remove(&self.group);
    }
}

impl MemoryWatch {
    pub(crate) fn new(limit_kb: u64) -> Arc<Self> {
        Arc::new(Self { limit_kb, state: Mutex::default() })
    }

    /// Watches the processes of a group. Those of all groups are looked through together.
    pub(crate) fn over(self: &Arc<Self>, group: Pid) -> Watched {
        let is_watched = {
            let mut state = self.state();
            state.groups.insert(group);
            std::mem::replace(&mut state.is_watched, true)
        };
        if !is_watched {
            tokio::spawn(watch(Arc::clone(self)));
        }
        Watched { watch: Arc::clone(self), group }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the largest process of each browser that holds too much: the page's, or the browser itself. Says when to look
    /// again.
    fn look(&self, known: &mut HashMap<Pid, Option<Pid>>) -> Duration {
        let groups = self.state().groups.clone();
        let mut period = LOOK_INTERVAL;
        for (group, held) in held_by(&groups, known) {
            let own: u64 = held.iter().map(|process| process.own_kb).sum();
            let shared = held.iter().map(|process| process.shared_kb).max().unwrap_or_default();
            let largest = held.iter().max_by_key(|process| process.own_kb + process.shared_kb);
            if own + shared > self.limit_kb / 2 {
                period = PERIOD_OF_LARGE;
            }
            let Some(largest) = largest.filter(|_| own + shared > self.limit_kb) else { continue };
            // Another process may have its number by now.
            if group_of(largest.pid) == Some(group) {
                tracing::warn!(
                    held_mb = (own + shared) / 1_000,
                    "a browser takes too much memory; its largest process is ended"
                );
                let _ = kill_process(largest.pid, Signal::KILL);
            }
        }
        period
    }
}

/// Looks for as long as there are browsers.
async fn watch(watch: Arc<MemoryWatch>) {
    let mut known = HashMap::new();
    let mut period = LOOK_INTERVAL;
    loop {
        tokio::time::sleep(period).await;
        {
            let mut state = watch.state();
            if state.groups.is_empty() {
                state.is_watched = false;
                return;
            }
        }
        let looking = Arc::clone(&watch);
        let looked = tokio::task::spawn_blocking(move || {
            let period = looking.look(&mut known);
            (known, period)
        });
        (known, period) = looked.await.unwrap_or_else(|_| (HashMap::new(), LOOK_INTERVAL));
    }
}

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    pid: Pid,
    own_kb: u64,
    shared_kb: u64,
}

/// What the processes of some groups hold. `known` spares looking up the group of each process again.
fn held_by(groups: &HashSet<Pid>, known: &mut HashMap<Pid, Option<Pid>>) -> HashMap<Pid, Vec<Held>> {
    let mut present = HashMap::new();
    let mut held: HashMap<Pid, Vec<Held>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else { continue };
        let group = known.get(&pid).copied().unwrap_or_else(|| group_of(pid));
        present.insert(pid, group);
        if let Some(group) = group.filter(|group| groups.contains(group)) {
            held.entry(group).or_default().extend(what_is_held(&entry.path(), pid));
        }
    }
    *known = present;
    held
}

/// The group of a process; none for the kernel's own, which are in none.
fn group_of(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The program's name stands in parentheses, and may hold any.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(2)?.parse().ok().and_then(Pid::from_raw)
}

fn what_is_held(process: &Path, pid: Pid) -> Option<Held> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or_default()
    };
    Some(Held { pid, own_kb: field("RssAnon:"), shared_kb: field("RssShmem:") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::kill_process_group;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use tokio::process::{Child, Command};

    /// A process in a group of its own that holds so many megabytes.
    fn holding(mb: usize) -> (Child, Pid) {
        let script = format!("exec tail -c {mb}M < <(head -c {mb}M /dev/zero; sleep 60) >/dev/null");
        let mut command = std::process::Command::new("/bin/bash");
        command.args(["-c", &script]).process_group(0);
        let child = Command::from(command).kill_on_drop(true).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        (child, pid)
    }

    #[tokio::test]
    async fn the_browser_that_holds_too_much_loses_its_largest_process_and_no_other_does() {
        let watch = MemoryWatch::new(100_000);
        let ((mut large, large_group), (mut small, small_group)) = (holding(150), holding(1));
        let watched = [watch.over(large_group), watch.over(small_group)];
        let ended = tokio::time::timeout(Duration::from_secs(30), large.wait()).await.unwrap().unwrap();
        assert_eq!(ended.signal(), Some(9));
        assert_eq!(small.try_wait().unwrap(), None);
        for group in [large_group, small_group] {
            let _ = kill_process_group(group, Signal::KILL);
        }
        drop(watched);
        assert!(watch.state().groups.is_empty());
    }
}
