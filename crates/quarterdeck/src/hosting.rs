//! Which environments the server hosts, from its settings.

use crate::settings::EnvironmentSettings;
use anyhow::Context;
use quarterdeck_environments::{Guard, Hosting, HostingSettings};

/// The binary that runs, also when another one has taken its place on disk.
const THIS_BINARY: &str = "/proc/self/exe";
/// Which hosts agents' tools and pages may reach.
///
/// # Errors
/// Names the setting that cannot be used.
pub(crate) fn guard(settings: &EnvironmentSettings) -> anyhow::Result<Guard> {
    let guard = Guard::allowing(settings.allow_private_hosts.as_deref().unwrap_or_default());
    guard.context("cannot use --allow-private-hosts")
}

/// # Errors
/// Names the setting that cannot be used.
pub(crate) fn hosting(settings: &EnvironmentSettings) -> anyhow::Result<Hosting> {
    let guard = guard(settings)?;
    let commands = settings.mcp_allow_command.iter().cloned().map(|command| (command.name, command.words));
    #[expect(clippy::disallowed_methods, reason = "this is where settings are read")]
    let path = std::env::var_os("PATH");
    let defaults = HostingSettings::default();
    Ok(Hosting::new(HostingSettings {
        guard,
        commands: commands.collect(),
        path: path.unwrap_or(defaults.path),
        supervisor: cfg!(target_os = "linux").then(|| THIS_BINARY.into()),
        variables: Some(settings.mcp_allow_variables.clone()).filter(|names| !names.is_empty()),
        refused: settings.refuse_environments.clone(),
        ..defaults
    }))
}
