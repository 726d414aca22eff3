//! The model: what a session must look like, written from the contract and independent of the product's code.

use super::Reply;

/// How the session was created.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) interactive: bool,
    pub(crate) task: bool,
    pub(crate) max_steps: Option<u64>,
}

/// What the agent's model is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Anything,
    Answer,
}

/// Calls owed by the client; none: the agent works.
type Owed = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Working(Owed),
    Paused(Owed),
    Idle,
    Ended(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Force {
    StepLimit,
    User,
}

/// The session as it must be.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    opening: Opening,
    stage: Stage,
    force: Option<Force>,
    /// Steps of the turn.
    turn_steps: u64,
    /// Messages that the agent has not been shown.
    waiting: usize,
    /// Replies in a row that could not be used, and failures to get one.
    rejected: u32,
    failures: u32,
    error_code: Option<&'static str>,
    pub(crate) steps: u64,
    pub(crate) answer: Option<String>,
    /// The log, a word or two an event.
    pub(crate) log: Vec<String>,
}

const RUNNING: &str = "ActiveStateChange running";
const AWAITING: &str = "ActiveStateChange awaiting_tool_results";
const IDLE: &str = "ActiveStateChange idle";
const RESUMED: &str = "AgentRunStatusChange running";
const DROPPED: &str = "error_event server";

impl Expected {
    pub(crate) fn created(opening: Opening) -> Self {
        let log = ["RequestStart", "RequestStartDispatched pending", "AgentStarted"].map(str::to_owned).to_vec();
        let mut expected = Self {
            opening,
            stage: Stage::Idle,
            force: None,
            turn_steps: 0,
            waiting: 0,
            rejected: 0,
            failures: 0,
            error_code: None,
            steps: 0,
            answer: None,
            log,
        };
        if opening.task {
            expected.message(1);
        } else {
            expected.write(IDLE);
        }
        expected
    }

    // What can be seen.

    pub(crate) fn status(&self) -> &'static str {
        match self.stage {
            Stage::Working(0) => "running",
            Stage::Working(_) => "awaiting_tool_results",
            Stage::Paused(_) => "paused",
            Stage::Idle => "idle",
            Stage::Ended(how) => how,
        }
    }

    pub(crate) fn pending(&self) -> usize {
        match self.stage {
            Stage::Working(owed) | Stage::Paused(owed) => owed,
            Stage::Idle | Stage::Ended(_) => 0,
        }
    }

    pub(crate) fn asks(&self) -> Option<Ask> {
        let asked = if self.force.is_some() { Ask::Answer } else { Ask::Anything };
        (self.stage == Stage::Working(0)).then_some(asked)
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    pub(crate) fn error_code(&self) -> Option<&'static str> {
        self.error_code.filter(|_| self.stage == Stage::Ended("failed"))
    }

    // What a client does; the code it is answered with.

    pub(crate) fn message(&mut self, count: usize) -> u16 {
        match self.stage {
            Stage::Ended("interrupted") => return 409,
            Stage::Working(_) => {
                self.waiting += count;
                return 202;
            }
            Stage::Paused(owed) => {
                self.write(RESUMED);
                self.stage = Stage::Working(owed);
            }
            Stage::Idle | Stage::Ended(_) => self.open_turn(),
        }
        self.waiting += count;
        self.deliver();
        202
    }

    pub(crate) fn pause(&mut self) -> u16 {
        match self.stage {
            Stage::Ended(_) => return 409,
            Stage::Paused(_) | Stage::Idle => {}
            Stage::Working(owed) => {
                self.write("AgentRunStatusChange paused");
                self.stage = Stage::Paused(owed);
            }
        }
        202
    }

    pub(crate) fn resume(&mut self) -> u16 {
        match self.stage {
            Stage::Ended(_) => return 409,
            Stage::Working(_) | Stage::Idle => {}
            Stage::Paused(owed) => {
                self.write(RESUMED);
                self.stage = Stage::Working(owed);
                self.deliver();
            }
        }
        202
    }

    pub(crate) fn force_answer(&mut self) -> u16 {
        // A step that may only answer goes on.
        let goes_on = self.asks() == Some(Ask::Answer);
        let owed = match self.stage {
            Stage::Ended(_) => return 409,
            Stage::Idle => return 202,
            Stage::Working(0) if self.force == Some(Force::User) => return 202,
            Stage::Working(owed) => owed,
            Stage::Paused(owed) => {
                self.write(RESUMED);
                owed
            }
        };
        self.stage = Stage::Working(0);
        if owed > 0 {
            self.drop_calls(owed);
            self.write(RUNNING);
        }
        self.force(Force::User);
        if !goes_on {
            self.deliver();
        }
        202
    }

    /// Results of the pending calls at these places; none when all were of other calls.
    pub(crate) fn results(&mut self, places: &[usize], failed: bool) -> u16 {
        if places.is_empty() || self.has_ended() {
            return 409;
        }
        let left = self.pending() - places.len();
        for _ in places {
            self.write(if failed { "error_event client" } else { "tool_result" });
        }
        self.write(if left == 0 { RUNNING } else { AWAITING });
        match &mut self.stage {
            Stage::Working(owed) | Stage::Paused(owed) => *owed = left,
            Stage::Idle | Stage::Ended(_) => {}
        }
        self.deliver();
        202
    }

    pub(crate) fn cancel(&mut self) -> u16 {
        if !self.has_ended() {
            self.end("interrupted", "AgentCompletion stopped");
        }
        204
    }

    // What the agent's model does.

    pub(crate) fn replied(&mut self, ask: Ask, reply: Reply) {
        match (reply, ask) {
            (Reply::Trouble, _) => self.troubled(),
            (Reply::Refusal, _) => self.fail("internal"),
            (Reply::Answer, _) => self.answered(),
            (Reply::Call { count }, Ask::Anything) => self.called(count),
            (Reply::Call { .. }, Ask::Answer) | (Reply::Nonsense, _) => self.unusable(),
        }
    }

    fn troubled(&mut self) {
        self.write("error_event model");
        self.failures += 1;
        if self.failures == 3 {
            self.fail("internal");
        }
    }

    fn answered(&mut self) {
        self.count_step();
        self.write_all(&["policy_event", "answer_event Done.", "MetricsUpdate"]);
        self.answer = Some("Done.".into());
        self.rejected = 0;
        if self.waiting > 0 {
            self.open_turn();
            self.deliver();
        } else if self.opening.interactive {
            self.write(IDLE);
            self.stage = Stage::Idle;
        } else {
            self.end("completed", "AgentCompletion finished");
        }
    }

    fn called(&mut self, count: usize) {
        self.count_step();
        self.write_all(&["policy_event", "MetricsUpdate"]);
        self.rejected = 0;
        self.write(AWAITING);
        self.stage = Stage::Working(count);
        self.limit_steps();
    }

    fn unusable(&mut self) {
        self.count_step();
        self.write_all(&["policy_event", "MetricsUpdate"]);
        self.rejected += 1;
        if self.force.is_none() {
            self.limit_steps();
        }
        if self.rejected == 4 {
            return self.fail("no_answer");
        }
        self.deliver();
    }

    // Parts of these.

    fn write(&mut self, word: &str) {
        self.log.push(word.to_owned());
    }

    fn write_all(&mut self, words: &[&str]) {
        self.log.extend(words.iter().map(|word| (*word).to_owned()));
    }

    fn drop_calls(&mut self, calls: Owed) {
        self.write_all(&vec![DROPPED; calls]);
    }

    fn open_turn(&mut self) {
        self.write(RUNNING);
        self.stage = Stage::Working(0);
        self.force = None;
        self.turn_steps = 0;
    }

    /// The agent is shown what was said before it is asked again.
    fn deliver(&mut self) {
        if self.stage != Stage::Working(0) || self.waiting == 0 {
            return;
        }
        for _ in 0..self.waiting {
            self.write("message_event");
        }
        (self.waiting, self.rejected, self.failures) = (0, 0, 0);
    }

    fn count_step(&mut self) {
        self.steps += 1;
        self.turn_steps += 1;
        self.failures = 0;
    }

    fn limit_steps(&mut self) {
        if self.opening.max_steps.is_some_and(|limit| self.turn_steps >= limit) {
            self.force(Force::StepLimit);
        }
    }

    fn force(&mut self, reason: Force) {
        if self.force < Some(reason) {
            self.force = Some(reason);
            self.write(match reason {
                Force::User => "flow_event force_answer user",
                Force::StepLimit => "flow_event force_answer server",
            });
        }
    }

    fn fail(&mut self, code: &'static str) {
        self.error_code = Some(code);
        self.end("failed", "AgentError");
    }

    /// Calls that are open are settled, so that a restart finds none.
    fn end(&mut self, how: &'static str, event: &str) {
        self.drop_calls(self.pending());
        self.write(event);
        self.stage = Stage::Ended(how);
    }
}
