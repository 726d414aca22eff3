//! A session of several turns; at the end it is cancelled, or its idle timeout ends it.

use super::{Command, Story};
use crate::follower::Follower;
use anyhow::Result;
use hyper::Method;
use rand::RngExt;
use serde_json::json;

/// So long that no run sees it.
const NEVER_S: u32 = 3_600;

impl Story {
    pub(super) fn random_tools(&mut self) -> usize {
        self.random.random_range(1..4)
    }

    pub(super) async fn interactive(&mut self) -> Result<Follower> {
        if self.random.random_bool(0.4) {
            return self.timed().await;
        }
        let task = self.task(0, 0..200);
        self.owed.idle_timeout = Some(NEVER_S);
        let mut log = self.create(task, json!({"idle_timeout_s": NEVER_S})).await?;
        for _ in 0..self.random.random_range(1..4) {
            if self.random.random_bool(0.6) {
                self.until_idle(&mut log).await?;
            }
            for _ in 0..self.random.random_range(1..3) {
                self.say(&log.id).await?;
            }
        }
        self.until_idle(&mut log).await?;
        self.cancel(&log.id).await?;
        log.until_ended().await?;
        Ok(log)
    }

    /// Ends by its timer, which has to come once and not early, whoever dies meanwhile.
    async fn timed(&mut self) -> Result<Follower> {
        let task = self.task(0, 0..200);
        let seconds = self.random.random_range(1..4);
        self.owed.idle_timeout = Some(seconds);
        let mut log = self.create(task, json!({"idle_timeout_s": seconds})).await?;
        log.until_ended().await?;
        Ok(log)
    }

    /// Sends one message, each time another one: which of two attempts arrived shows in the log.
    async fn say(&mut self, id: &str) -> Result<()> {
        loop {
            let task = self.task(0, 0..200);
            let body = json!({"type": "user_message", "message": task.text()}).to_string();
            match self.command_once(Method::POST, id, "/messages", Some(body)).await? {
                Command::Accepted => {
                    self.owed.acknowledged.push(task.tag);
                    return Ok(());
                }
                Command::Refused => anyhow::bail!("a message to {id} was refused"),
                Command::Unknown => self.retried("message").await?,
            }
        }
    }

    /// Idle, with all that was acknowledged in the log.
    async fn until_idle(&self, log: &mut Follower) -> Result<()> {
        let owed = &self.owed.acknowledged;
        log.until("idle, every message answered", |log| {
            let is_idle = log.log.last().is_some_and(crate::log::Event::is_idle);
            let has = |tag: &String| {
                log.log.iter().any(|event| event.message().is_some_and(|text| text.contains(&format!(" {tag} "))))
            };
            log.has_ended() || is_idle && owed.iter().all(has)
        })
        .await
    }
}
