//! Environments of kind `web`: a Chromium of its own for each, seen by pictures or as text.
//!
//! From the outside in: `environment` keeps a session's browser and what has to outlive it; `tools` reads calls and
//! writes receipts; `driver` is the port to a browser, and `chromium` the one behind it; `proxy` is the only way of
//! that browser to the network.

mod browsers;
mod chromium;
mod coordinates;
mod driver;
mod environment;
mod hosting;
mod observe;
mod proxy;
#[cfg(test)]
mod site;
mod spec;
#[cfg(test)]
mod tests;
mod text;
mod tools;

pub use browsers::BrowserSettings;
pub use chromium::find::{Executable as BrowserExecutable, find as find_browser};
pub use hosting::WebHosting;
