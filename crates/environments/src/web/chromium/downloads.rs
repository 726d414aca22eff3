//! Files that pages send: counted, bounded, and handed on under a name that is no path.

use super::state::{text, whole};
use serde_json::Value;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// Bounds on what pages may send to one browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the word says that they are bounds")]
pub(crate) struct DownloadLimits {
    /// Bytes of a file.
    pub(crate) file_bytes_max: u64,
    /// Bytes of all files.
    pub(crate) bytes_max: u64,
    /// Files.
    pub(crate) files_max: usize,
}

impl DownloadLimits {
    pub(crate) const USUAL: Self = Self { file_bytes_max: 100 << 20, bytes_max: 500 << 20, files_max: 20 };
}

/// A file that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
struct Download {
    name: String,
    bytes: u64,
}

/// The downloads of a browser.
#[derive(Debug)]
pub(crate) struct Downloads {
    folder: PathBuf,
    limits: DownloadLimits,
    /// By the browser's id. Events of one come twice.
    running: HashMap<String, Download>,
    files: usize,
    bytes: u64,
    arrived: Vec<Arrived>,
    /// Sentences on those that did not arrive.
    failed: Vec<String>,
}

impl Downloads {
    pub(crate) fn into(folder: &Path, limits: DownloadLimits) -> Self {
        Self {
            folder: folder.to_owned(),
            limits,
            running: HashMap::new(),
            files: 0,
            bytes: 0,
            arrived: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Whether some are under way.
    pub(crate) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Takes what has arrived, and sentences on what has not, since this was last asked.
    pub(crate) fn take(&mut self) -> (Vec<Arrived>, Vec<String>) {
        (std::mem::take(&mut self.arrived), std::mem::take(&mut self.failed))
    }

    /// One begins. Returns its id if it is to be cancelled.
    pub(super) fn begin(&mut self, params: &Value) -> Option<String> {
        let guid = text(params, "guid").to_owned();
        if self.running.contains_key(&guid) {
            return None;
        }
        let name = clean(text(params, "suggestedFilename"));
        if self.files >= self.limits.files_max {
            self.failed
                .push(format!("{name:?} was not loaded: a session gets at most {} files", self.limits.files_max));
            return Some(guid);
        }
        self.files += 1;
        self.running.insert(guid, Download { name, bytes: 0 });
        None
    }

    /// One goes on or ends. Returns its id if it is to be cancelled.
    pub(super) fn progress(&mut self, params: &Value) -> Option<String> {
        let guid = text(params, "guid");
        let download = self.running.get_mut(guid)?;
        let number = |name: &str| whole(&params[name]).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
        let before = download.bytes;
        download.bytes = number("receivedBytes").max(before);
        self.bytes += download.bytes - before;
        if text(params, "state") == "canceled" {
            self.failed.push(format!("the transfer of {:?} was broken off", download.name));
            self.running.remove(guid);
            return None;
        }
        let is_large = number("totalBytes").max(download.bytes) > self.limits.file_bytes_max;
        if is_large || self.bytes > self.limits.bytes_max {
            let name = &download.name;
            let (file, all) = (self.limits.file_bytes_max >> 20, self.limits.bytes_max >> 20);
            self.failed.push(format!("{name:?} was not loaded: a file has at most {file} MiB, all together {all} MiB"));
            return self.forget(guid);
        }
        if text(params, "state") == "completed" {
            let (path, download) = (self.folder.join(guid), self.running.remove(guid)?);
            self.arrived.push(Arrived { name: download.name, path, bytes: download.bytes });
        }
        None
    }

    fn forget(&mut self, guid: &str) -> Option<String> {
        self.running.remove(guid).map(|_| guid.to_owned())
    }
}

/// A file's name without folders and control characters, of at most 150 bytes.
fn clean(name: &str) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = base.chars().filter(|letter| !letter.is_control()).collect();
    let kept = kept.trim_matches(['.', ' ']);
    let kept = &kept[..kept.floor_char_boundary(150)];
    if kept.is_empty() { "download".into() } else { kept.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn downloads() -> Downloads {
        Downloads::into(Path::new("/d"), DownloadLimits { file_bytes_max: 100, bytes_max: 150, files_max: 3 })
    }

    fn begin(downloads: &mut Downloads, guid: &str, name: &str) -> Option<String> {
        downloads.begin(&json!({"guid": guid, "suggestedFilename": name}))
    }

    fn progress(downloads: &mut Downloads, guid: &str, bytes: u64, state: &str) -> Option<String> {
        downloads.progress(&json!({"guid": guid, "receivedBytes": bytes, "totalBytes": 0, "state": state}))
    }

    #[test]
    fn a_file_arrives_once_although_its_events_come_twice() {
        let mut all = downloads();
        for _ in 0..2 {
            assert_eq!(begin(&mut all, "a", "../x/report.pdf"), None);
        }
        for _ in 0..2 {
            assert_eq!(progress(&mut all, "a", 7, "completed"), None);
        }
        let arrived = Arrived { name: "report.pdf".into(), path: "/d/a".into(), bytes: 7 };
        assert_eq!(all.take(), (vec![arrived], Vec::new()));
        assert_eq!(all.take(), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_is_too_large_or_too_much_is_cancelled_and_told() {
        let mut all = downloads();
        begin(&mut all, "a", "a");
        assert_eq!(progress(&mut all, "a", 101, "inProgress"), Some("a".into()));
        begin(&mut all, "b", "b");
        assert_eq!(progress(&mut all, "b", 50, "inProgress"), Some("b".into()), "151 bytes together");
        begin(&mut all, "c", "c");
        assert_eq!(begin(&mut all, "d", "d"), Some("d".into()));
        assert!(all.is_running());
        assert_eq!(progress(&mut all, "c", 0, "canceled"), None);
        assert!(!all.is_running());
        assert_eq!(all.take().1.len(), 4);
    }

    #[test]
    fn names_are_no_paths() {
        for (name, cleaned) in [
            ("../../etc/passwd", "passwd"),
            ("a\\b.txt", "b.txt"),
            ("..", "download"),
            ("", "download"),
            ("a\nb", "ab"),
        ] {
            assert_eq!(clean(name), cleaned);
        }
        assert!(clean(&"é".repeat(200)).len() <= 150);
    }
}
