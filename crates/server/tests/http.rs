//! The server from outside: real HTTP against a server in this process.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

/// Each story once on `SQLite` and once on Postgres.
macro_rules! on_both_engines {
    ($($story:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $story() {
                super::$story(crate::app::TestApp::new()).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story(crate::app::TestApp::new().on_postgres().await).await;
            })+
        }
    };
}

#[path = "http/addresses.rs"]
mod addresses;
#[path = "http/app.rs"]
mod app;
#[path = "http/bucket.rs"]
mod bucket;
#[path = "http/budgets.rs"]
mod budgets;
#[path = "http/cross_origin.rs"]
mod cross_origin;
#[path = "http/delegation.rs"]
mod delegation;
#[path = "http/doors.rs"]
mod doors;
#[path = "http/edges.rs"]
mod edges;
#[path = "http/environments.rs"]
mod environments;
#[path = "http/habits.rs"]
mod habits;
#[path = "http/ignored.rs"]
mod ignored;
#[path = "http/interruptions.rs"]
mod interruptions;
#[path = "http/lists.rs"]
mod lists;
#[path = "http/models.rs"]
mod models;
#[path = "http/named.rs"]
mod named;
#[path = "http/polls.rs"]
mod polls;
#[path = "http/quota.rs"]
mod quota;
#[path = "http/random.rs"]
mod random;
#[path = "http/recordings.rs"]
mod recordings;
#[path = "http/states.rs"]
mod states;
#[path = "http/steering.rs"]
mod steering;
#[path = "http/stories.rs"]
mod stories;
