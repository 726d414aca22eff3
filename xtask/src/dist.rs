//! `cargo xtask dist`: what is published for this machine's platform, in `target/dist-files`.

mod debian;
mod materials;

use crate::command::{output_of, run as run_command};
use crate::report::say;
use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where everything goes, below the target folder.
const FOLDER: &str = "dist-files";
const CHECKSUMS: &str = "SHA256SUMS";

#[derive(clap::Args)]
#[group(id = "dist")]
pub(crate) struct Arguments {
    /// The cargo profile to build with; any other than dist is for trying this command out
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Strip the binary, for a profile that does not
    #[arg(long)]
    strip: bool,
}

/// What a release is called.
#[derive(Clone, Debug)]
struct Release {
    version: String,
    /// The platform, as Rust calls it: `x86_64-unknown-linux-gnu`.
    target: String,
}

/// The binary and what it prints of itself.
#[derive(Debug)]
struct Product {
    binary: PathBuf,
    manual: String,
    /// A shell's name, and its completions.
    completions: Vec<(&'static str, String)>,
}

/// # Errors
/// When something cannot be built or written.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let folder = workspace.target(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let release = Release { version: env!("CARGO_PKG_VERSION").to_owned(), target: host()? };
    let product = build(workspace, arguments, &folder)?;
    archive(workspace, &release, &product, &folder)?;
    debian::package(workspace, &release, &product, &folder)?;
    materials::write(workspace, &release, &folder)?;
    fs::remove_file(&product.binary)?;
    write_checksums(&folder)?;
    for file in files(&folder)? {
        say(format_args!("{} ({} bytes)", file.display(), fs::metadata(&file)?.len()));
    }
    Ok(())
}

fn host() -> Result<String> {
    let told = output_of(Command::new("rustc").arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what it builds for")?.to_owned())
}

fn build(workspace: &Workspace, arguments: &Arguments, folder: &Path) -> Result<Product> {
    let profile = arguments.profile.as_str();
    run_command(&mut workspace.cargo(&["build", "--locked", "--package", "quarterdeck", "--profile", profile]))?;
    let built = workspace.target(if profile == "dev" { "debug" } else { profile }).join("quarterdeck");
    let binary = folder.join("quarterdeck");
    fs::copy(&built, &binary).with_context(|| format!("copying {}", built.display()))?;
    if arguments.strip {
        run_command(Command::new("strip").arg(&binary))?;
    }
    let ask = |words: &[&str]| output_of(Command::new(&binary).args(words));
    let completions = ["bash", "zsh", "fish"].map(|shell| anyhow::Ok((shell, ask(&["completions", shell])?)));
    let completions = completions.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(Product { manual: ask(&["man"])?, completions, binary })
}

/// The binary with what describes it, to be unpacked anywhere.
fn archive(workspace: &Workspace, release: &Release, product: &Product, folder: &Path) -> Result<()> {
    let name = format!("quarterdeck-{}-{}", release.version, release.target);
    let staging = tempfile::tempdir()?;
    let root = staging.path().join(&name);
    install(&product.binary, &root.join("quarterdeck"), 0o755)?;
    write(&root.join("quarterdeck.1"), &product.manual)?;
    for (shell, text) in &product.completions {
        write(&root.join("completions").join(format!("quarterdeck.{shell}")), text)?;
    }
    for file in ["LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md"] {
        install(&workspace.path(file), &root.join(file), 0o644)?;
    }
    install(&workspace.path("packaging/quarterdeck.service"), &root.join("quarterdeck.service"), 0o644)?;
    let file = folder.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--create", "--gzip", "--owner=0", "--group=0", "--numeric-owner", "--sort=name", "--file"]);
    run_command(tar.arg(&file).arg("--directory").arg(staging.path()).arg(&name))
}

/// Copies a file to where it belongs, making the folders that lead there.
fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file has a folder")?)?;
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// Writes a file to where it belongs, making the folders that lead there.
fn write(to: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file has a folder")?)?;
    fs::write(to, text).with_context(|| format!("writing {}", to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o644))?;
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    ensure!(!files.is_empty(), "{} is empty", folder.display());
    Ok(files)
}

/// As `sha256sum --check` reads them.
fn write_checksums(folder: &Path) -> Result<()> {
    let mut text = String::new();
    for file in files(folder)? {
        let name = file.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        let sum = Sha256::digest(fs::read(&file)?).iter().fold(String::new(), |mut sum, byte| {
            // Writing to a string cannot fail.
            let _ = write!(sum, "{byte:02x}");
            sum
        });
        let _ = writeln!(text, "{sum}  {name}");
    }
    fs::write(folder.join(CHECKSUMS), text)?;
    Ok(())
}
