//! Work that takes a thread for a while, kept off those that serve everybody.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does what may take long on this thread, and has the runtime serve the others with another one meanwhile. For what is
/// bounded and cannot wait: bodies of megabytes, overrides by the hundred.
pub fn heavy<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // There is no other thread, as in tests.
        Ok(_) | Err(_) => work(),
    }
}
