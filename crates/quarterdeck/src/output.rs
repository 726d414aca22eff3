//! What commands print. A reader that has seen enough, or a full disk, never panics.

use std::io::{self, ErrorKind, Write};

/// Writes to standard output, at once.
///
/// # Errors
/// When the text did not arrive; that nobody reads is an error too: see [`is_closed`].
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Whether the reader has seen enough: no fault of anybody.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

/// Writes to standard error, as far as that can be written.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "quarterdeck: {text}");
}
