//! Names of agents, skills, tools and servers.

/// The longest segment of a catalog name.
const SEGMENT_MAX: usize = 63;

/// One or two segments of lower-case letters, digits and inner hyphens, split by `/`.
pub fn check_catalog_name(name: &str) -> Result<(), String> {
    let segments = name.split('/').collect::<Vec<_>>();
    if segments.len() <= 2 && segments.iter().all(|segment| is_segment(segment)) {
        return Ok(());
    }
    Err(format!(
        "must be one or two segments split by `/`, each of 1 to {SEGMENT_MAX} lower-case letters, digits and inner hyphens"
    ))
}

fn is_segment(segment: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edged = segment.starts_with('-') || segment.ends_with('-');
    (1..=SEGMENT_MAX).contains(&segment.len()) && !edged && segment.bytes().all(letter)
}

/// A letter or `_`, then letters, digits and `_`.
pub fn check_tool_name(name: &str) -> Result<(), String> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.bytes().all(letter) && !name.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(());
    }
    Err("must be a letter or `_`, followed by letters, digits and `_`".into())
}

/// Letters, digits, `_`, `.` and `-`.
pub fn is_server_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::{check_catalog_name, check_tool_name};

    #[test]
    fn catalog_names_have_one_or_two_segments() {
        let long = "a".repeat(63);
        for name in ["a", "7", "a--b", "org/agent", &long, &format!("{long}/{long}")] {
            assert!(check_catalog_name(name).is_ok(), "{name}");
        }
        for name in ["", "A", "-a", "a-", "/a", "a/", "a/b/c", "a b", "a\n", "a:1", "é", "a\u{661}", &"a".repeat(64)] {
            assert!(check_catalog_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn tool_names_are_identifiers() {
        assert!(["a", "_", "_1", "aB9_"].iter().all(|name| check_tool_name(name).is_ok()));
        assert!(["1a", "a-b", "a.b", "a\n", "é"].iter().all(|name| check_tool_name(name).is_err()));
    }
}
