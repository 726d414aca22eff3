//! `quarterdeck orgs`: organizations, and how many sessions each may have.

use crate::{
    Failure,
    options::{OrgsCommand, OrgsOptions, OwnLimit},
    say,
    settings::places,
};
use anyhow::bail;
use quarterdeck_engine::{Clock, SystemClock};
use quarterdeck_store::{NewOrganization, Organization, Store};
use std::fmt::Write;

/// Runs an `orgs` command.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(options: OrgsOptions) -> Result<(), Failure> {
    let url = places::database_url(&options.database).map_err(Failure::Settings)?;
    let store = quarterdeck_store::open_beside(&url).await.map_err(|error| Failure::Settings(error.into()))?;
    let result = match options.command {
        OrgsCommand::Create { name, max_concurrent_sessions } => create(&*store, name, max_concurrent_sessions).await,
        OrgsCommand::List => list(&*store).await,
        OrgsCommand::Show { name } => show(&*store, &name).await,
        OrgsCommand::Set { name, max_concurrent_sessions } => set(&*store, &name, max_concurrent_sessions).await,
    };
    store.close().await;
    say(&result.map_err(Failure::Fault)?)
}

async fn create(store: &dyn Store, name: String, OwnLimit(limit): OwnLimit) -> anyhow::Result<String> {
    if name.trim().is_empty() {
        bail!("an organization needs a name");
    }
    let clock = SystemClock;
    let new = NewOrganization { id: clock.id(), name: name.clone(), limit, created_at: clock.now() };
    if !store.create_organization(new).await? {
        bail!("there is an organization {name:?} already; see `quarterdeck orgs set`");
    }
    Ok(format!("created {name}; make a key for it with `quarterdeck keys create --org {name}`\n"))
}

async fn list(store: &dyn Store) -> anyhow::Result<String> {
    Ok(lines(&store.organizations().await?))
}

async fn show(store: &dyn Store, name: &str) -> anyhow::Result<String> {
    let mut organizations = store.organizations().await?;
    organizations.retain(|organization| organization.name == name);
    if organizations.is_empty() {
        bail!(unknown(name));
    }
    Ok(lines(&organizations))
}

async fn set(store: &dyn Store, name: &str, limit: OwnLimit) -> anyhow::Result<String> {
    if !store.limit_organization(name, limit.0).await? {
        bail!(unknown(name));
    }
    Ok(format!("{name} may have {} at once\n", sessions(limit)))
}

fn unknown(name: &str) -> String {
    format!("there is no organization {name:?}; see `quarterdeck orgs list`")
}

fn lines(organizations: &[Organization]) -> String {
    organizations.iter().fold(String::new(), |mut text, organization| {
        let slot_usage = organization.slot_usage;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}  {}  users {}  keys {}  sessions {} active, {} queued  limit {}",
            organization.id.0,
            organization.name,
            organization.users,
            organization.keys,
            slot_usage.active,
            slot_usage.queued,
            slot_usage.limit.map_or_else(|| "default".to_owned(), |limit| limit.to_string())
        );
        text
    })
}

fn sessions(OwnLimit(limit): OwnLimit) -> String {
    match limit {
        Some(1) => "1 session".to_owned(),
        Some(limit) => format!("{limit} sessions"),
        None => "as many sessions as the server says".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{create, list, set, show};
    use crate::options::OwnLimit;

    #[tokio::test]
    async fn organizations_are_made_listed_and_limited() {
        let store = quarterdeck_store::open_beside("sqlite::memory:").await.unwrap();
        create(&*store, "acme".into(), OwnLimit(Some(3))).await.unwrap();
        create(&*store, "others".into(), OwnLimit(None)).await.unwrap();
        let shown = |text: &str| text.split_once("  ").map(|(_, rest)| rest.to_owned());
        let acme = show(&*store, "acme").await.unwrap();
        assert_eq!(shown(&acme).unwrap(), "acme  users 0  keys 0  sessions 0 active, 0 queued  limit 3\n");
        assert_eq!(
            set(&*store, "acme", OwnLimit(None)).await.unwrap(),
            "acme may have as many sessions as the server says at once\n"
        );
        let all = list(&*store).await.unwrap();
        assert_eq!((all.lines().count(), all.matches("limit default").count()), (2, 2));
    }

    #[tokio::test]
    async fn a_name_that_is_taken_or_unknown_is_said_so() {
        let store = quarterdeck_store::open_beside("sqlite::memory:").await.unwrap();
        create(&*store, "acme".into(), OwnLimit(None)).await.unwrap();
        let taken = create(&*store, "acme".into(), OwnLimit(Some(1))).await.unwrap_err();
        assert!(taken.to_string().contains("already"), "{taken}");
        assert!(create(&*store, " ".into(), OwnLimit(None)).await.is_err());
        for error in [show(&*store, "b").await.unwrap_err(), set(&*store, "b", OwnLimit(None)).await.unwrap_err()] {
            assert!(error.to_string().contains("orgs list"), "{error}");
        }
    }
}
