//! The program: [`quarterdeck::run`] with the words and the environment of the process.

use std::process::ExitCode;

/// Many small allocations from many threads are the workload of thousands of waiters. Without huge pages: they
/// would hold 15 MiB of an idle server that nothing uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quarterdeck::run(std::env::args_os(), std::env::vars_os())
}
