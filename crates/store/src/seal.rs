//! Secrets at rest. What is stored of requests and catalogs is sealed as a whole when it holds secrets, so that whoever
//! reads the database or a backup of it does not read them. What was stored before there was a key is read as it is, and
//! sealed when it is next written.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use std::{borrow::Cow, sync::OnceLock};

/// How sealed text begins. JSON never does.
const SEALED: &str = "sealed:1:";

/// What stands in stored JSON before a secret: variables, headers, arguments of programs, proxies.
const BEFORE_SECRETS: [&str; 4] = ["env\":{\"", "headers\":{\"", "args\":[\"", "proxy_url\":\""];

/// A key that secrets are sealed with.
pub type SecretKey = [u8; 32];

/// Of this process. One store is all that a server has, and rows are read in many places.
static SEALER: OnceLock<Sealer> = OnceLock::new();

/// Seals secrets from now on with the first of these keys, and opens what was sealed with any of them. Holds for all
/// stores of this process; what is said after the first time is not heard.
pub fn set_secret_keys(keys: &[SecretKey]) {
    let _ = SEALER.set(Sealer::new(keys));
}

/// The text as it is to be stored.
pub(crate) fn sealed(text: &str) -> Cow<'_, str> {
    SEALER.get().map_or(Cow::Borrowed(text), |sealer| sealer.seal(text))
}

/// The text that was stored. What cannot be opened stays as it is, and no JSON.
pub(crate) fn opened(text: String) -> String {
    SEALER.get().and_then(|sealer| sealer.open(&text)).unwrap_or(text)
}

/// Whether a text that was opened is still sealed: the key for it is not there.
pub(crate) fn is_sealed(text: &str) -> bool {
    text.starts_with(SEALED)
}

struct Sealer {
    keys: Vec<LessSafeKey>,
    random: SystemRandom,
}

impl Sealer {
    fn new(keys: &[SecretKey]) -> Self {
        let unbound = keys.iter().filter_map(|key| UnboundKey::new(&CHACHA20_POLY1305, key).ok());
        Self { keys: unbound.map(LessSafeKey::new).collect(), random: SystemRandom::new() }
    }

    /// With a nonce of its own each time; without randomness nothing is sealed, and nothing lost.
    fn seal<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let holds_secrets = BEFORE_SECRETS.iter().any(|place| text.contains(place));
        let sealed = if holds_secrets { self.try_seal(text) } else { None };
        sealed.map_or(Cow::Borrowed(text), Cow::Owned)
    }

    fn try_seal(&self, text: &str) -> Option<String> {
        let key = self.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = text.as_bytes().to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(), &mut sealed).ok()?;
        sealed.splice(0..0, nonce);
        Some(format!("{SEALED}{}", STANDARD.encode(sealed)))
    }

    fn open(&self, text: &str) -> Option<String> {
        let sealed = STANDARD.decode(text.strip_prefix(SEALED)?).ok()?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        self.keys.iter().find_map(|key| {
            let mut sealed = sealed.to_vec();
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let length = key.open_in_place(nonce, aad(), &mut sealed).ok()?.len();
            sealed.truncate(length);
            String::from_utf8(sealed).ok()
        })
    }
}

fn aad() -> Aad<&'static [u8]> {
    Aad::from(SEALED.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = r#"{"environments":[{"kind":"code","env":{"TOKEN":"CANARY"}}]}"#;

    #[test]
    fn what_holds_secrets_is_sealed_and_opened_again() {
        let sealer = Sealer::new(&[[1; 32]]);
        let closed = sealer.seal(SECRET);
        assert!(is_sealed(&closed) && !closed.contains("CANARY"), "{closed}");
        assert_ne!(closed, sealer.seal(SECRET), "each time with another nonce");
        assert_eq!(sealer.open(&closed).as_deref(), Some(SECRET));
        let open = r#"{"name":"a","env":{},"args":[]}"#;
        assert_eq!(sealer.seal(open), open);
        assert_eq!(sealer.open(open), None, "what was never sealed is read as it is");
    }

    #[test]
    fn a_new_key_seals_and_an_old_one_still_opens() {
        let (old, both) = (Sealer::new(&[[1; 32]]), Sealer::new(&[[2; 32], [1; 32]]));
        let closed = old.seal(SECRET);
        assert_eq!(both.open(&closed).as_deref(), Some(SECRET));
        let anew = both.seal(SECRET);
        assert_eq!(Sealer::new(&[[2; 32]]).open(&anew).as_deref(), Some(SECRET));
        assert_eq!(old.open(&anew), None);
    }

    #[test]
    fn what_was_changed_is_not_opened() {
        let sealer = Sealer::new(&[[1; 32]]);
        let closed = sealer.seal(SECRET).into_owned();
        let mut bytes = STANDARD.decode(&closed[SEALED.len()..]).unwrap();
        bytes[20] ^= 1;
        for broken in [format!("{SEALED}{}", STANDARD.encode(bytes)), SEALED.into(), format!("{SEALED}AAAA")] {
            assert_eq!(sealer.open(&broken), None);
        }
    }
}
