//! A Debian package with the systemd unit, completions and the manual page.

use super::{Product, Release, install, write};
use crate::command::{output_of, run};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Where Debian's shells look for completions.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions/quarterdeck"),
    ("zsh", "usr/share/zsh/vendor-completions/_quarterdeck"),
    ("fish", "usr/share/fish/vendor_completions.d/quarterdeck.fish"),
];

/// Makes the package.
///
/// # Errors
/// When `dpkg-deb` is not there or refuses.
pub(super) fn package(workspace: &Workspace, release: &Release, product: &Product, folder: &Path) -> Result<()> {
    let architecture = architecture(&release.target)?;
    let staging = tempfile::tempdir()?;
    let root = staging.path();
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    install(&product.binary, &root.join("usr/bin/quarterdeck"), 0o755)?;
    let packaging = |name: &str| workspace.path("packaging").join(name);
    install(&packaging("quarterdeck.service"), &root.join("usr/lib/systemd/system/quarterdeck.service"), 0o644)?;
    install(&packaging("quarterdeck.toml"), &root.join("etc/quarterdeck/quarterdeck.toml"), 0o644)?;
    install(&workspace.path("LICENSE"), &root.join("usr/share/doc/quarterdeck/copyright"), 0o644)?;
    install(&workspace.path("CHANGELOG.md"), &root.join("usr/share/doc/quarterdeck/CHANGELOG.md"), 0o644)?;
    for (shell, place) in COMPLETIONS {
        let text = product.completions.iter().find(|(name, _)| name == shell);
        write(&root.join(place), &text.context("completions of each shell were made")?.1)?;
    }
    let manual = root.join("usr/share/man/man1/quarterdeck.1");
    write(&manual, &product.manual)?;
    run(Command::new("gzip").args(["--best", "--no-name"]).arg(&manual))?;
    for script in ["postinst", "prerm", "postrm"] {
        install(&packaging("debian").join(script), &root.join("DEBIAN").join(script), 0o755)?;
    }
    write(&root.join("DEBIAN/conffiles"), "/etc/quarterdeck/quarterdeck.toml\n")?;
    write(&root.join("DEBIAN/control"), &control(release, architecture, size_kib(root)?))?;
    let file = folder.join(format!("quarterdeck_{}_{architecture}.deb", release.version));
    run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(root).arg(file))
}

fn architecture(target: &str) -> Result<&'static str> {
    let known = [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64gc", "riscv64")];
    let found = known.iter().find(|(name, _)| target.starts_with(name)).filter(|_| target.contains("linux"));
    found.map(|(_, name)| *name).with_context(|| format!("Debian has no name for {target}"))
}

fn size_kib(root: &Path) -> Result<u64> {
    let told = output_of(Command::new("du").args(["--summarize", "--block-size=1024"]).arg(root))?;
    let size = told.split_whitespace().next().context("du says a size")?;
    Ok(size.parse()?)
}

fn control(release: &Release, architecture: &str, size_kib: u64) -> String {
    format!(
        "Package: quarterdeck\nVersion: {}\nArchitecture: {architecture}\nMaintainer: The Quarterdeck authors \
         <quarterdeck@localhost>\nInstalled-Size: {size_kib}\nDepends: libc6, ca-certificates\nSection: net\nPriority: \
         optional\nDescription: session orchestration server for the Agents API\n Runs agent sessions on your own machine: one \
         binary, with SQLite built in or on\n Postgres, and any OpenAI-compatible model.\n",
        release.version
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_debians_names() {
        assert_eq!(architecture("x86_64-unknown-linux-gnu").unwrap(), "amd64");
        assert_eq!(architecture("aarch64-unknown-linux-gnu").unwrap(), "arm64");
        assert!(architecture("aarch64-apple-darwin").is_err());
    }

    #[test]
    fn a_control_file_has_a_field_a_line() {
        let release = Release { version: "1.2.3".into(), target: String::new() };
        let text = control(&release, "amd64", 7);
        for line in text.lines() {
            assert!(
                line.starts_with(' ') || line.split_once(": ").is_some_and(|(name, _)| !name.contains(' ')),
                "{line}"
            );
        }
        assert!(text.contains("Version: 1.2.3\n") && text.contains("Installed-Size: 7\n"));
    }
}
