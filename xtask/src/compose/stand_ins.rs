//! Images in the place of those that docker-compose.yml and the Dockerfile name, made of Debian's packages and this
//! machine's Rust toolchain. They show that the files work, not that the published images do.

use crate::command::{output_of, run, works};
use crate::report::say;
use crate::workspace::Workspace;
use anyhow::{Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const RELEASE: &str = "bookworm";
const SLIM: &str = "debian:bookworm-slim";
/// Whom this machine trusts.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// An image on top of [`SLIM`].
struct StandIn {
    image: &'static str,
    dockerfile: &'static str,
}

const STAND_INS: [StandIn; 2] = [
    StandIn {
        image: "postgres:17",
        dockerfile: r#"FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends postgresql && rm -rf /var/lib/apt/lists/*
ENV PATH=$PATH:/usr/lib/postgresql/15/bin PGDATA=/var/lib/postgresql/data
RUN install -d -o postgres -g postgres $PGDATA && printf '%s\n' '#!/bin/bash' 'set -e' \
    'if [ ! -s "$PGDATA/PG_VERSION" ]; then' \
    '  initdb --encoding=UTF8 --locale=C.UTF-8 --auth=scram-sha-256 --username="$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") >/dev/null' \
    '  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"' \
    '  echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -j -D "$PGDATA" postgres >/dev/null' \
    'fi' 'exec postgres -c listen_addresses="*"' > /entrypoint && chmod 755 /entrypoint
USER postgres
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["/entrypoint"]
"#,
    },
    StandIn {
        image: "nginx:stable",
        dockerfile: r#"FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends nginx-light && rm -rf /var/lib/apt/lists/* \
    && rm -f /etc/nginx/sites-enabled/default
CMD ["nginx", "-g", "daemon off;"]
"#,
    },
];

/// Makes those that are not there.
///
/// # Errors
/// When a package cannot be had or an image cannot be built.
pub(super) fn make(workspace: &Workspace) -> Result<()> {
    let folder = &workspace.target("compose");
    fs::create_dir_all(folder)?;
    if !is_there(SLIM) {
        make_slim(folder)?;
    }
    for stand_in in STAND_INS.iter().filter(|stand_in| !is_there(stand_in.image)) {
        build(&folder.join("context"), stand_in.image, stand_in.dockerfile)?;
    }
    make_rust(folder, &fs::read_to_string(workspace.path("Dockerfile"))?)
}

fn is_there(image: &str) -> bool {
    works("docker", &["image", "inspect", image])
}

fn make_slim(folder: &Path) -> Result<()> {
    let tree = folder.join("slim");
    ensure!(works("debootstrap", &["--version"]), "stand-ins are made with debootstrap: install it");
    if !tree.join("usr/bin/apt-get").exists() {
        run(Command::new("debootstrap").args(["--variant=minbase", RELEASE]).arg(&tree))?;
    }
    import(&tree, SLIM)
}

/// An image of all files below a folder.
fn import(tree: &Path, image: &str) -> Result<()> {
    say(format_args!("{image}: a stand-in of {}", tree.display()));
    let script = r#"tar --create --directory "$1" . | docker import - "$2""#;
    output_of(Command::new("sh").args(["-c", script, "sh"]).arg(tree).arg(image)).map(drop)
}

/// The toolchain of this machine, with a linker.
fn make_rust(folder: &Path, dockerfile: &str) -> Result<()> {
    let Some(image) = rust_image(dockerfile).filter(|image| !is_there(image)) else { return Ok(()) };
    let context = folder.join("rust");
    fs::create_dir_all(&context)?;
    let toolchain = PathBuf::from(output_of(Command::new("rustc").args(["--print", "sysroot"]))?.trim());
    run(Command::new("cp")
        .args(["--archive", "--no-target-directory"])
        .arg(&toolchain)
        .arg(context.join("toolchain")))?;
    // A machine may reach its registry through a proxy that only it trusts.
    fs::copy(TRUSTED, context.join("trusted.crt"))?;
    let dockerfile = "FROM debian:bookworm-slim\n\
        RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev pkg-config make \\\n\
        && rm -rf /var/lib/apt/lists/*\n\
        COPY trusted.crt /etc/ssl/certs/ca-certificates.crt\n\
        COPY toolchain /usr/local/toolchain\n\
        ENV PATH=/usr/local/toolchain/bin:$PATH CARGO_HOME=/usr/local/cargo\n";
    build(&context, &image, dockerfile)?;
    fs::remove_dir_all(&context)?;
    Ok(())
}

/// The image in which the Dockerfile builds.
fn rust_image(dockerfile: &str) -> Option<String> {
    let line = dockerfile.lines().find_map(|line| line.strip_prefix("FROM rust:"))?;
    line.split_whitespace().next().map(|tag| format!("rust:{tag}"))
}

fn build(context: &Path, image: &str, dockerfile: &str) -> Result<()> {
    say(format_args!("{image}: a stand-in of Debian's packages"));
    fs::create_dir_all(context)?;
    fs::write(context.join("Dockerfile"), dockerfile)?;
    let mut command = Command::new("docker");
    run(command.args(["build", "--quiet", "--network", "host", "--tag", image]).arg(context))
}

#[cfg(test)]
mod tests {
    use super::rust_image;

    #[test]
    fn the_image_that_builds_is_read_from_the_dockerfile() {
        assert_eq!(
            rust_image("FROM rust:1.95-bookworm AS build\nFROM debian\n").as_deref(),
            Some("rust:1.95-bookworm")
        );
        assert_eq!(rust_image("FROM debian\n"), None);
    }
}
