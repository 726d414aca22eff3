//! What goes wrong on purpose on the way between client and server: counted, never by chance unless it is asked for.

use crate::TextTest;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// What goes wrong, with which requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// An operation's id, or `*`.
    pub on: String,
    /// Which requests of it.
    #[serde(rename = "match")]
    pub pattern: RuleMatch,
    /// How many of them pass first.
    pub after: u64,
    /// How many of them it happens to; none: all.
    pub times: Option<u64>,
    /// It happens to each so-manieth.
    pub every: u64,
    /// How likely it happens, drawn from the world's seed.
    pub chance: Option<f64>,
    /// What happens.
    pub act: Deed,
}

/// Which requests a rule is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleMatch {
    /// Those about this session.
    pub session: Option<String>,
    /// Those with this method.
    pub method: Option<String>,
    /// Those with these headers.
    pub header: BTreeMap<String, TextTest>,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// The request is answered so much later.
    Delay(Duration),
    /// The answer's body comes so many bytes a second.
    Drip(u64),
    /// This is answered, and nothing happens.
    Status {
        /// 400 to 599.
        status: u16,
        /// Seconds that the client is asked to wait.
        retry_after: Option<u64>,
    },
    /// It happens, and the connection is cut without an answer.
    Lost,
    /// The connection is cut before the answer or in its middle.
    Cut(Cut),
    /// The answer is kept back so long once it is there.
    Hold(Duration),
    /// Only so many bytes of the body come, and a proper end.
    Truncate(u64),
    /// The body is no JSON.
    Garbage,
    /// The connection is closed behind the answer, without a word.
    CloseIdle,
}

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Before anything is answered, and before anything happens.
    Headers,
    /// In the middle of the body.
    Body,
}

impl Rule {
    /// Whether it happens to the request that is number `count` of those that it is for, from 0. `drawn` is between 0
    /// and 1.
    pub fn happens(&self, count: u64, drawn: impl FnOnce() -> f64) -> bool {
        let Some(later) = count.checked_sub(self.after) else { return false };
        let (turn, rest) = (later / self.every.max(1), later % self.every.max(1));
        let is_its_turn = rest == 0 && self.times.is_none_or(|times| turn < times);
        is_its_turn && self.chance.is_none_or(|chance| drawn() < chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted() {
        let happens = |after, times, every| -> Vec<u64> {
            let (on, act) = ("*".to_owned(), Deed::Lost);
            let rule = Rule { on, pattern: RuleMatch::default(), after, times, every, chance: None, act };
            (0..8).filter(|count| rule.happens(*count, || 0.0)).collect()
        };
        assert_eq!(happens(0, Some(2), 1), [0, 1]);
        assert_eq!(happens(2, Some(1), 1), [2]);
        assert_eq!(happens(1, Some(2), 3), [1, 4]);
        assert_eq!(happens(6, None, 1), [6, 7]);
    }
}
