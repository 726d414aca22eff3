//! Names for the tools of servers, in the form that models' hosts take.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Models' hosts take no longer names.
const NAME_MAX: usize = 64;

/// `server_tool`, made to fit `^[a-zA-Z_][a-zA-Z0-9_]{0,63}$`. What would be too long, or is taken, ends in a hash of
/// the whole instead, so the same tool always has the same name.
pub(super) fn fitting(server: &str, tool: &str, place: usize, taken: &mut HashSet<String>) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
    let mut name: String = format!("{server}_{tool}").chars().map(plain).collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    if name.len() > NAME_MAX {
        name = hashed(&name, server, tool, 0);
    }
    let mut salt = place;
    while !taken.insert(name.clone()) {
        salt += 1;
        name = hashed(&name, server, tool, salt);
    }
    name
}

fn hashed(name: &str, server: &str, tool: &str, salt: usize) -> String {
    let mut hasher = DefaultHasher::new();
    (server, tool, salt).hash(&mut hasher);
    let kept = &name[..name.len().min(NAME_MAX - 9)];
    format!("{kept}_{:08x}", hasher.finish() >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_fits_and_none_comes_twice() {
        let mut taken = HashSet::new();
        let mut name = |server: &str, tool: &str| fitting(server, tool, 0, &mut taken);
        assert_eq!(name("files", "read"), "files_read");
        assert_eq!(name("a.b-c", "read/é file"), "a_b_c_read___file");
        assert_eq!(name("9lives", "go"), "_9lives_go");
        let names =
            [name("files", "read"), name("files", "re-ad"), name("files", "re_ad"), name(&"x".repeat(300), "y")];
        for name in &names {
            assert!(name.len() <= NAME_MAX && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
        }
        assert!(names[0].starts_with("files_read_"), "{names:?}");
        assert_eq!(taken.len(), 7);
    }

    #[test]
    fn the_same_tools_have_the_same_names_again() {
        let once = || {
            let mut taken = HashSet::new();
            [0, 1].map(|place| fitting("s", "t", place, &mut taken))
        };
        assert_eq!(once(), once());
    }
}
