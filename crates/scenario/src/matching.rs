//! Which scenario a new session plays. It is asked once, when the session is created.

use crate::{Rule, Script, TextTest, recording::Recording};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A script with a name, and with what tells which sessions play it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Unique among those that are loaded.
    pub name: String,
    /// The file that it came from.
    pub file: String,
    /// The line of its name there.
    pub line: usize,
    /// Which sessions play it.
    #[serde(rename = "match")]
    pub pattern: Match,
    /// What they play.
    pub script: Script,
    /// What goes wrong around them.
    #[serde(default)]
    pub faults: Vec<Rule>,
    /// What must have happened in the end.
    #[serde(default)]
    pub expect: Expectation,
    /// Whether it answers the calls of custom tools too.
    #[serde(default)]
    pub client: bool,
    /// Whether `{{ … }}` is looked up.
    pub templates: bool,
    /// The recording that is played in place of a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub played: Option<Played>,
}

/// A recording, and how it is played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Played {
    /// The recording.
    pub recording: Recording,
    /// How long things take.
    pub timing: Timing,
    /// Whether it waits for everything that was done to the session, at the very place in its log. Without, a client need
    /// not do what the recorded one did.
    pub strict: bool,
}

/// How long what was recorded takes when it is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// No time.
    #[default]
    None,
    /// As long as it took, so many times as fast.
    Recorded(f64),
}

impl Timing {
    /// Reads `none`, `recorded` or `x4`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn read(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is no timing; there are none, recorded and x4, four times as fast");
        match text {
            "none" => Ok(Self::None),
            "recorded" => Ok(Self::Recorded(1.0)),
            _ => {
                let speed = text.strip_prefix('x').and_then(|speed| speed.parse::<f64>().ok());
                let speed = speed.filter(|speed| (0.001..=1e6).contains(speed));
                speed.map(Self::Recorded).ok_or_else(fault)
            }
        }
    }

    /// How long something takes that took `wait`.
    pub fn of(self, wait: std::time::Duration) -> std::time::Duration {
        match self {
            Self::None => std::time::Duration::ZERO,
            Self::Recorded(speed) => std::time::Duration::try_from_secs_f64(wait.as_secs_f64() / speed).unwrap_or(wait),
        }
    }
}

impl Scenario {
    /// A recording as something that sessions play: those with its agent and its first message.
    pub fn of_recording(name: String, file: String, played: Played) -> Self {
        let pattern = Match {
            agent: played.recording.agent().map(str::to_owned).into_iter().collect(),
            message: played.recording.first_message().map(|text| TextTest::Equals(text.to_owned())),
            ..Match::default()
        };
        Self {
            name,
            file,
            line: 1,
            pattern,
            script: Script::default(),
            faults: Vec::new(),
            expect: Expectation::default(),
            client: false,
            templates: false,
            played: Some(played),
        }
    }

    /// Where it stands, for people.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// Where a cue of it stands, for people.
    pub fn place_of(&self, line: usize) -> String {
        format!("{}:{line}", self.file)
    }
}

/// Which sessions play a scenario: all parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Match {
    /// One of these agents, by names without revision; empty: any.
    pub agent: Vec<String>,
    /// The text of the first message.
    pub message: Option<TextTest>,
    /// The label.
    pub group_id: Option<TextTest>,
    /// Headers of the creating request, by small letters.
    pub header: BTreeMap<String, TextTest>,
    /// How many sessions it serves before the next scenario's turn comes.
    pub times: Option<u32>,
}

/// What must have happened in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Expectation {
    /// How many sessions played it.
    pub sessions: Option<u64>,
    /// How often each tool was called, in all of them together.
    pub calls: BTreeMap<String, u64>,
    /// Whether each of them played every cue.
    pub all_cues: bool,
}

/// A session that is being created.
#[derive(Clone, Copy)]
pub struct Audition<'a> {
    /// Its agent's name, without revision.
    pub agent: &'a str,
    /// The text of its first message.
    pub message: Option<&'a str>,
    /// Its label.
    pub group_id: Option<&'a str>,
    /// Headers of the creating request, by small letters.
    pub header: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

/// Why a scenario is not played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// The scenario.
    pub scenario: String,
    /// Its file and line.
    pub place: String,
    /// The first condition that does not hold, in a sentence.
    pub because: String,
    /// How many conditions hold.
    #[serde(skip)]
    held: usize,
}

impl Match {
    /// The conditions that do not hold, in a sentence each, and how many do.
    fn judge(&self, audition: &Audition<'_>) -> (Vec<String>, usize) {
        let mut checks = Vec::new();
        if !self.agent.is_empty() {
            let holds = self.agent.iter().any(|name| name == audition.agent);
            checks.push((holds, format!("the agent is {:?}, not {}", audition.agent, self.agent.join(" or "))));
        }
        if let Some(test) = &self.message {
            checks.push(asked("the first message", test, audition.message));
        }
        if let Some(test) = &self.group_id {
            checks.push(asked("group_id", test, audition.group_id));
        }
        for (name, test) in &self.header {
            let value = (audition.header)(name);
            checks.push(asked(&format!("the header {name}"), test, value.as_deref()));
        }
        let held = checks.iter().filter(|(holds, _)| *holds).count();
        (checks.into_iter().filter(|(holds, _)| !holds).map(|(_, because)| because).collect(), held)
    }

    /// Whether a session plays this, `times` aside.
    pub fn holds(&self, audition: &Audition<'_>) -> bool {
        self.judge(audition).0.is_empty()
    }

    /// Whether whoever this holds for meets an earlier one first.
    pub(crate) fn is_hidden_by(&self, earlier: &Self) -> bool {
        earlier.times.is_none()
            && (earlier.agent.is_empty()
                || (!self.agent.is_empty() && self.agent.iter().all(|name| earlier.agent.contains(name))))
            && (earlier.message.is_none() || earlier.message == self.message)
            && (earlier.group_id.is_none() || earlier.group_id == self.group_id)
            && earlier.header.iter().all(|(name, test)| self.header.get(name) == Some(test))
    }
}

fn asked(what: &str, test: &TextTest, value: Option<&str>) -> (bool, String) {
    let is = match value {
        Some(value) => format!("is {:?}", shortened(value)),
        None => "is absent".into(),
    };
    (test.holds(value), format!("{what} {is}, and ought {}", test.told()))
}

/// Characters of a value that a sentence shows.
const SHOWN: usize = 80;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The scenarios that came nearest to be played, at most three, nearest first. `is_used_up` says of which the `times` are.
pub fn nearest<'a>(
    scenarios: impl IntoIterator<Item = &'a Scenario>,
    audition: &Audition<'_>,
    is_used_up: impl Fn(&str) -> bool,
) -> Vec<Miss> {
    let mut misses: Vec<Miss> = scenarios
        .into_iter()
        .filter_map(|scenario| {
            let (failed, held) = scenario.pattern.judge(audition);
            let used_up = || {
                let times = scenario.pattern.times.unwrap_or_default();
                is_used_up(&scenario.name).then(|| format!("it has served its {times} sessions"))
            };
            let because = failed.into_iter().next().or_else(used_up)?;
            Some(Miss { scenario: scenario.name.clone(), place: scenario.place(), because, held })
        })
        .collect();
    misses.sort_by_key(|miss| std::cmp::Reverse(miss.held));
    misses.truncate(3);
    misses
}
