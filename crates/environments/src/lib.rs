//! Where agents act: the [`Environment`] port and the kinds that this server hosts.
//!
//! An environment offers tools and runs calls of them for one session. Hosted are `memory`, values that outlive the
//! session, `mcp`, the tools of MCP servers, and `web`, a browser, where one is installed. The other kinds are stood in for by one that says it is not there.
//! A [`Provider`] decides what a session may have and opens it.
//!
//! Whatever leaves the server for an address that somebody else named passes the [`Guard`]. What comes back (tool
//! output, descriptions, names) is data from outside: cut to size here, and never an instruction.
//!
//! This crate never touches sessions or the store: memory is kept behind [`KeyValues`], for the engine to fill in.

mod context;
mod environment;
mod guard;
mod mcp;
mod memory;
mod provider;
mod unavailable;
mod web;

pub use context::{Memories, OpenContext, ParkedEnvironments, SessionFile, SessionFiles, TakeOver};
pub use environment::{CallOrder, Environment, OpenError, Parking};
pub use guard::{Guard, GuardError, HostRefused, ResolveError};
pub use mcp::{SUPERVISE, hide_process, supervise};
pub use memory::{Forgotten, KeyValues, MEMORY_ENTRIES_MAX};
pub use provider::{Hosting, HostingSettings, Provider, Refused};
/// A tool on offer is the same wherever it runs. Its name fits `^[a-zA-Z_][a-zA-Z0-9_]{0,63}$`.
pub use quarterdeck_api::ToolDefinition as Tool;
pub use quarterdeck_core::{CallError, FileBytes, Observation, Output, OutputFile, Picture};
pub use web::{BrowserExecutable, BrowserSettings, WebHosting, find_browser};
