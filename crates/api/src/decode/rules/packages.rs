//! Python package requirements, so narrow that none can be an option or a path.

/// A name, optional `[extras]`, an optional version part.
pub fn check(requirement: &str) -> Result<(), String> {
    if is_requirement(requirement.strip_suffix('\n').unwrap_or(requirement)) {
        return Ok(());
    }
    Err("each entry must be a package name, optionally with extras and a version".into())
}

fn is_requirement(text: &str) -> bool {
    let name = text.trim_start_matches(|letter: char| is_name_letter(letter) || letter == '-');
    let named = text.starts_with(is_name_letter);
    named && after_extras(name).is_some_and(is_version)
}

fn is_name_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.')
}

fn after_extras(text: &str) -> Option<&str> {
    let Some(inside) = text.strip_prefix('[') else { return Some(text) };
    let (extras, rest) = inside.split_once(']')?;
    let known = |letter: char| is_name_letter(letter) || matches!(letter, '-' | ',');
    (!extras.is_empty() && extras.chars().all(known)).then_some(rest)
}

fn is_version(text: &str) -> bool {
    let operator = text.starts_with(['<', '>', '=', '!', '~']);
    text.is_empty() || operator && text.chars().count() >= 2 && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn requirements_are_names_with_extras_and_versions() {
        for text in ["numpy", "pandas>=2.0", "a[b,c-d]==1", "a[all]", ".x", "_x", "a-", "a==", "a>=1,<2", "a==é", "a\n"]
        {
            assert!(check(text).is_ok(), "{text}");
        }
        for text in ["", "-x", "--x", "a b", "a >= 1", "a[]", "a/b", "a@b", "a;b", "é", "a=", "a\nb", "a>", "[a]"] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
