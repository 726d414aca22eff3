//! The files of the page, compiled in.

use crate::{error::ApiError, input::Input};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use quarterdeck_api::Problem;
use sha2::{Digest, Sha256};
use std::{fmt::Write, sync::LazyLock};

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_bytes!(concat!("../../assets/", $name)).as_slice())),+]
    };
}

const FILES: [(&str, &[u8]); 20] = files![
    "about.js",
    "api.js",
    "catalog.js",
    "commands.js",
    "compare.js",
    "detail.js",
    "fold.js",
    "follow.js",
    "icon.svg",
    "main.js",
    "new.js",
    "parts.js",
    "session.js",
    "sessions.js",
    "style.css",
    "timeline.js",
    "vendor/lit-html/directive-helpers.js",
    "vendor/lit-html/directive.js",
    "vendor/lit-html/directives/live.js",
    "vendor/lit-html/directives/repeat.js",
];

/// The core of the library stands apart: it is the one file that others import from above.
const LIT: (&str, &[u8]) = ("vendor/lit-html/lit-html.js", include_bytes!("../../assets/vendor/lit-html/lit-html.js"));

/// What the files are together: it is in their path, so that a browser may keep them for ever.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (name, bytes) in FILES.iter().chain([&LIT]) {
        hash.update(name);
        hash.update(bytes);
    }
    hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
});

pub(super) fn version() -> &'static str {
    &VERSION
}

/// A file of the page. One of another version is one that a page of an older server asks for: it gets the present one,
/// and keeps it for nothing.
pub(super) async fn file(input: Input) -> Result<Response, ApiError> {
    let name = input.variable("file");
    let found = FILES.iter().chain([&LIT]).find(|(known, _)| *known == name);
    let (name, bytes) = found.ok_or_else(|| Problem::not_found("there is no such file"))?;
    let caching =
        if input.variable("version") == version() { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type(name))),
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
    ];
    Ok((headers, Bytes::from_static(bytes)).into_response())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::{FILES, LIT};
    use sha2::{Digest, Sha256};
    use std::fmt::Write;

    /// SHA-256 of the files of lit-html 3.3.3 as npm serves them.
    const PUBLISHED: [(&str, &str); 5] = [
        ("vendor/lit-html/directive-helpers.js", "f7fb1154b8f72ed2cc08b05eaeed71c99270e9ad2d48620ed24688a1af4c2b62"),
        ("vendor/lit-html/directive.js", "3344c4f41c69cd0701d3937e8f9ef90bd845614bf6456d0b8314b7c51d415b9d"),
        ("vendor/lit-html/directives/live.js", "b305f9066319d838db797abd5a4d871537277e25f35332702bfce4452c020ecf"),
        ("vendor/lit-html/directives/repeat.js", "083140026ecd8665fedd15b17769f9d516252a9f1502f1e91e6967686ee82626"),
        ("vendor/lit-html/lit-html.js", "b878e7f95dec8a9b6e9b217faca6b6a11bad82ebc44c0caa77419ed83edd81f2"),
    ];

    fn all() -> impl Iterator<Item = &'static (&'static str, &'static [u8])> {
        FILES.iter().chain([&LIT])
    }

    #[test]
    fn vendored_files_are_the_published_ones() {
        let vendored = all().filter(|(name, _)| name.starts_with("vendor/"));
        let mut hashes: Vec<(&str, String)> = vendored
            .map(|(name, bytes)| {
                let hash = Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
                    write!(text, "{byte:02x}").expect("strings take everything");
                    text
                });
                (*name, hash)
            })
            .collect();
        hashes.sort();
        let hashes: Vec<(&str, &str)> = hashes.iter().map(|(name, hash)| (*name, hash.as_str())).collect();
        assert_eq!(hashes, PUBLISHED);
    }

    #[test]
    fn nothing_makes_html_of_text_or_styles_inline() {
        let own = all().filter(|(name, _)| {
            std::path::Path::new(name).extension().is_some_and(|kind| kind == "js") && !name.starts_with("vendor/")
        });
        for (name, bytes) in own {
            let text = std::str::from_utf8(bytes).expect("scripts are text");
            for forbidden in
                [" style=", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "unsafe"]
            {
                assert!(!text.contains(forbidden), "{forbidden} in {name}");
            }
        }
        let shell = super::super::SHELL;
        assert!(!shell.contains("<style") && !shell.contains("style=") && !shell.contains("onload"), "{shell}");
    }

    #[test]
    fn the_page_is_small() {
        let size: usize = all().map(|(_, bytes)| bytes.len()).sum();
        assert!(size < 200_000, "{size} bytes, uncompressed");
    }
}
