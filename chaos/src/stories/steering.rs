//! A session that is paused, resumed, forced to answer or cancelled while it works.

use super::{Command, Story, is_terminal};
use crate::follower::Follower;
use anyhow::{Result, ensure};
use hyper::Method;
use rand::RngExt;
use serde_json::json;

impl Story {
    pub(super) async fn steered(&mut self) -> Result<Follower> {
        match self.random.random_range(0..3) {
            0 => self.paused().await,
            1 => self.forced().await,
            _ => self.cancelled().await,
        }
    }

    /// A pause holds from its 202 to the resume.
    async fn paused(&mut self) -> Result<Follower> {
        let task = self.task(0, 500..1_500);
        let mut log = self.create(task, json!({})).await?;
        self.pause_for(0..800).await;
        if self.command(Method::POST, &log.id, "/pause").await? == Command::Accepted {
            let first = self.status(&log.id).await?;
            ensure!(first == "paused" || is_terminal(&first), "a pause of {} was accepted, and it is {first}", log.id);
            self.pause_for(0..1_500).await;
            let later = self.status(&log.id).await?;
            ensure!(first == later, "{} was {first}, and is {later} without a resume", log.id);
        }
        loop {
            self.command(Method::POST, &log.id, "/resume").await?;
            // A pause whose answer was lost may still take effect, long after: then it is resumed again.
            let through = log.log.len();
            log.until("the end", |log| log.has_ended() || log.status == "paused" && log.log.len() > through).await?;
            if log.has_ended() {
                return Ok(log);
            }
        }
    }

    /// The client owes a result, and asks for the answer instead.
    async fn forced(&mut self) -> Result<Follower> {
        let tools = self.random_tools();
        let task = self.task(tools, 100..600);
        let mut log = self.create(task, json!({})).await?;
        self.pause_for(0..600).await;
        let forced = self.command(Method::POST, &log.id, "/force_answer").await?;
        log.until_ended().await?;
        // One whose answer was lost may have counted: asked again, the session may be over by then.
        let is_forced = || log.log.iter().any(|event| event.text.contains("force_answer"));
        ensure!(forced == Command::Accepted || is_forced(), "force_answer of {} was refused", log.id);
        Ok(log)
    }

    async fn cancelled(&mut self) -> Result<Follower> {
        let tools = self.random_tools();
        let task = self.task(tools, 100..1_000);
        let mut log = self.create(task, json!({})).await?;
        self.pause_for(0..1_000).await;
        self.cancel(&log.id).await?;
        log.until_ended().await?;
        Ok(log)
    }
}
