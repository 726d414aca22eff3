//! Names of attached files and paths of a skill's files.

use std::collections::HashSet;
use unicode_general_category::{GeneralCategory, get_general_category};

/// The longest name of an attached file, in bytes.
const NAME_MAX: usize = 255;

/// What is left of a file's name without folders and characters that cannot be seen.
pub fn clean_name(name: &str) -> Result<String, String> {
    let visible: String = name.chars().filter(|letter| !is_invisible(*letter)).collect();
    let last = visible.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    match last {
        "" | "." | ".." => Err("no usable file name is left without folders and invisible characters".into()),
        last if last.len() > NAME_MAX => Err(format!("the file name must have at most {NAME_MAX} bytes")),
        last => Ok(last.to_owned()),
    }
}

fn is_invisible(letter: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    matches!(get_general_category(letter), Control | Format | LineSeparator | ParagraphSeparator)
}

/// Paths that can be laid out beside a skill's `SKILL.md` on any file system.
pub fn check_paths(paths: &[&str]) -> Result<(), String> {
    if let Some(path) = paths.iter().find(|path| !is_canonical(path)) {
        return Err(format!("the file path {:?} must be relative and canonical", shortened(path)));
    }
    let all = || std::iter::once("SKILL.md").chain(paths.iter().copied()).map(fold);
    let mut files = HashSet::new();
    if let Some(path) = all().find(|path| !files.insert(path.clone())) {
        return Err(format!("two files are called {:?} when case is ignored", shortened(&path)));
    }
    match all().flat_map(|path| folders(&path)).find(|folder| files.contains(folder)) {
        Some(folder) => Err(format!("{:?} is both a file and a folder", shortened(&folder))),
        None => Ok(()),
    }
}

fn is_canonical(path: &str) -> bool {
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    !path.contains(['\r', '\n', '\0']) && !path.split('/').any(odd)
}

fn folders(path: &str) -> Vec<String> {
    path.match_indices('/').map(|(index, _)| path[..index].to_owned()).collect()
}

/// Full case folding, as upper case followed by lower case, letter by letter: what the standard library
/// offers. It also joins a few letters that Unicode keeps apart (`ı` and `i`), which refuses more.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

fn shortened(path: &str) -> String {
    path.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::{check_paths, clean_name};

    #[test]
    fn a_file_name_loses_folders_and_invisible_characters() {
        for (name, cleaned) in [
            ("a.txt", "a.txt"),
            ("dir/sub/r.pdf", "r.pdf"),
            ("C:\\x.doc", "x.doc"),
            ("a\u{202e}txt", "atxt"),
            ("a\u{2028}b", "ab"),
            (" a ", "a"),
            ("../../etc/passwd", "passwd"),
        ] {
            assert_eq!(clean_name(name).as_deref(), Ok(cleaned));
        }
        for name in ["", "..", "dir/", "   ", "\u{1}", "a/.", "/", "..\\..", &"é".repeat(128)] {
            assert!(clean_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn paths_must_fit_beside_each_other() {
        for paths in [&["a", "b/c"][..], &[".env", "a\\b", "C:\\x"], &["a/b", "a/c"], &["世.txt"]] {
            assert!(check_paths(paths).is_ok(), "{paths:?}");
        }
        for paths in [
            &[""][..],
            &["/a"],
            &["a/"],
            &["a//b"],
            &["./a"],
            &["a/../b"],
            &["a\nb"],
            &["a\0b"],
            &["SKILL.md"],
            &["skill.MD/x"],
            &["A", "a"],
            &["straße", "strasse"],
            &["a", "a/b"],
            &["A", "a/b"],
        ] {
            assert!(check_paths(paths).is_err(), "{paths:?}");
        }
    }
}
