//! What a value of the wrong form should have been, in words: those of the standard library are a programmer's.

use std::{
    error::Error,
    num::{IntErrorKind, ParseFloatError, ParseIntError},
};

/// The same error, its cause in words.
pub(crate) fn in_words(error: clap::Error) -> clap::Error {
    let Some((cause, words)) = error.source().map(|cause| (cause.to_string(), words(cause))) else { return error };
    if cause == words {
        return error;
    }
    let text = error.render().to_string().replace(&cause, &words);
    clap::Error::raw(error.kind(), text.trim_start_matches("error: "))
}

/// Why a text is no value.
pub(crate) fn words(cause: &(dyn Error + 'static)) -> String {
    if let Some(error) = cause.downcast_ref::<ParseIntError>() {
        return match error.kind() {
            IntErrorKind::PosOverflow => "the number is too large",
            IntErrorKind::NegOverflow => "the number is too small",
            IntErrorKind::Empty | IntErrorKind::InvalidDigit | IntErrorKind::Zero | _ => "it is no whole number",
        }
        .to_owned();
    }
    if cause.is::<ParseFloatError>() {
        return "it is no number".to_owned();
    }
    if cause.is::<uuid::Error>() {
        return "it is no id, such as `quarterdeck keys list` shows".to_owned();
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use crate::options::Options;
    use clap::Parser;

    #[test]
    fn a_value_of_the_wrong_form_is_refused_in_words() {
        let cases: [(&[&str], &str); 5] = [
            (&["serve", "--max-workers", "many"], "'many' for '--max-workers <NUMBER>': it is no whole number\n"),
            (&["serve", "--max-workers", "99999999999999999999"], ": the number is too large\n"),
            (&["serve", "--max-workers", "0"], ": 0 is not in 1..=65536\n"),
            (&["keys", "revoke", "mine"], "'mine' for '<ID>': it is no id, such as `quarterdeck keys list` shows\n"),
            (&["view-link", "--key", ""], ": it is no id, such as `quarterdeck keys list` shows\n"),
        ];
        for (arguments, expected) in cases {
            let error = Options::try_parse_from([&["quarterdeck"], arguments].concat()).unwrap_err();
            let said = super::in_words(error).render().to_string();
            assert!(said.starts_with("error: invalid value ") && said.contains(expected), "{said}");
            assert!(said.ends_with("For more information, try '--help'.\n"), "{said}");
        }
    }
}
