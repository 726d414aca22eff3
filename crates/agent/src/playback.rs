//! A step of a session that plays a recording: what was done then is done again, without a model and without environments.
//! Where the recording stands follows from the log alone, so a session that is taken up after a crash goes on there.

use crate::{
    runner::{Reach, Recorder, StepContext, StepError},
    scene::Pace,
};
use quarterdeck_api::ErrorCode;
use quarterdeck_core::{Cost, Reply, Report, SessionFailure, StepMode};
use quarterdeck_scenario::{Deed, Placed, Playback, Played, Replied, Timing};
use uuid::Uuid;

/// What a session has to play of a recording.
pub(crate) struct Part {
    playback: Playback,
    timing: Timing,
    strict: bool,
    place: String,
}

/// The part of this session, if it plays a recording.
pub(crate) fn part(context: &StepContext) -> Result<Option<Part>, StepError> {
    let Some(scene) = &context.scene else { return Ok(None) };
    let Ok(scenario) = &scene.part else { return Ok(None) };
    let Some(Played { recording, timing, strict }) = &scenario.played else { return Ok(None) };
    let place = scenario.file.clone();
    let Some(recording) = recording.below(&scene.below) else {
        let why = format!("the recording {place} holds no session for this call: the recorded agent did not make it");
        return Err(StepError::Failed(SessionFailure::because(ErrorCode::Internal, why)));
    };
    Ok(Some(Part { playback: recording.playback(), timing: *timing, strict: *strict, place }))
}

/// Plays what comes next: a reply with all that its calls did, or less if something has to happen to the session first.
pub(crate) async fn step(
    part: &Part,
    context: &StepContext,
    recorder: &mut dyn Recorder,
    pace: &dyn Pace,
) -> Result<(), StepError> {
    let log_length = usize::try_from(context.begun.log_length).unwrap_or(usize::MAX);
    let done = part.playback.done(context.transcript.iter().map(|event| &**event), log_length);
    let mut player = Player { part, reach: context.begun, open: 0 };
    for placed in part.playback.deeds().iter().skip(done) {
        if !player.may(placed, context, recorder).await? {
            return Ok(());
        }
        let wait = part.timing.of(placed.wait);
        if !wait.is_zero() {
            pace.rest(wait).await;
        }
        player.message(placed, recorder).await?;
        if player.play(&placed.deed, context.mode, recorder).await? {
            return Ok(());
        }
    }
    if part.strict {
        // Nothing follows but what somebody does.
        recorder.reach(Some(player.reach.version)).await?;
        return Ok(());
    }
    let why = format!("the recording {} has nothing more, and the session goes on", part.place);
    Err(StepError::Failed(SessionFailure::because(ErrorCode::Internal, why)))
}

struct Player<'a> {
    part: &'a Part,
    reach: Reach,
    /// Calls that have not returned.
    open: usize,
}

impl Player<'_> {
    /// Waits for what has to happen before a deed; false when that has to be looked at first, between steps.
    async fn may(
        &mut self,
        placed: &Placed,
        context: &StepContext,
        recorder: &mut dyn Recorder,
    ) -> Result<bool, StepError> {
        if !self.part.strict {
            return Ok(true);
        }
        if self.reach.version != context.begun.version {
            self.reach = recorder.reach(None).await?;
        }
        while self.reach.log_length < placed.after as u64 {
            self.reach = recorder.reach(Some(self.reach.version)).await?;
            if self.open == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A turn that a message followed at once ends when that message is there.
    async fn message(&mut self, placed: &Placed, recorder: &mut dyn Recorder) -> Result<(), StepError> {
        if self.part.strict && placed.awaits_message {
            self.reach = recorder.reach(Some(self.reach.version)).await?;
        }
        Ok(())
    }

    /// Does a deed; true when the step ends with it.
    async fn play(&mut self, deed: &Deed, mode: StepMode, recorder: &mut dyn Recorder) -> Result<bool, StepError> {
        let report = match deed {
            Deed::Opened { kind, live_view_url } => {
                Report::Opened { runner_session_id: Uuid::nil(), kind: *kind, live_view_url: live_view_url.clone() }
            }
            Deed::Observed(event) => Report::Observed(event.clone()),
            Deed::Troubled { error, origin } => Report::Troubled { error: error.clone(), origin: origin.clone() },
            Deed::Replied(reply) => replied(reply, mode),
            Deed::Returned(item) => Report::Returned(item.clone()),
            Deed::Brought(file) => Report::Brought(file.clone()),
            Deed::TimedOut => Report::TimedOut,
            Deed::Failed { sentence, cause } => return Err(StepError::Failed(fault(sentence, cause.clone()))),
        };
        let follows = recorder.record(report).await?;
        self.reach.version = self.reach.version.saturating_add(1);
        if let Deed::Replied(_) = deed {
            self.open = follows.to_run.len();
        } else if let Deed::Returned(_) = deed {
            self.open = self.open.saturating_sub(1);
        }
        let is_reply = matches!(deed, Deed::Replied(_) | Deed::Returned(_) | Deed::TimedOut);
        Ok(is_reply && self.open == 0)
    }
}

fn replied(reply: &Replied, mode: StepMode) -> Report {
    let Replied { reasoning, content, calls, validation_errors, answer, asks, usage } = reply.clone();
    let (usage, cost) = usage.unzip();
    let cost = cost.flatten().map(|[input, output, reasoning]| Box::new(Cost { input, output, reasoning }));
    let reply = Reply { reasoning, content, usage, cost, kept: None };
    match answer {
        Some((answer, outcome)) => Report::Answered { reply, call: calls.into_iter().next(), answer, outcome },
        None if asks => Report::Asked { reply },
        None => Report::Decided { mode, reply, calls, validation_errors },
    }
}

/// The fault that its owner read about in this sentence.
fn fault(sentence: &str, cause: Option<String>) -> SessionFailure {
    const CODES: [ErrorCode; 6] = [
        ErrorCode::EnvironmentError,
        ErrorCode::NoAnswer,
        ErrorCode::AnswerValidation,
        ErrorCode::Timeout,
        ErrorCode::InsufficientCredit,
        ErrorCode::Internal,
    ];
    let faults = CODES.map(|code| SessionFailure { code, cause: cause.clone() });
    let internal = SessionFailure { code: ErrorCode::Internal, cause };
    faults.into_iter().find(|fault| fault.sentence() == sentence).unwrap_or(internal)
}
