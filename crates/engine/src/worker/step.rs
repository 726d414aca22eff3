//! One step: the transcript is read, environments are opened, the runner works, and stops when it is not wanted any more.

use super::Worker;
use crate::{
    environments,
    leased_session::{Stop, patiently},
    media::SessionPictures,
    meter,
    notifier::Snapshot,
    shared::EVENTS_AT_ONCE,
};
use quarterdeck_agent::{NoTools, Reach, StepContext, StepError, Toolbox};
use quarterdeck_api::ErrorCode;
use quarterdeck_core::{Fact, ForceReason, LoggedEvent, Phase, Report, Session, SessionFailure, State, StepMode};
use std::sync::Arc;
use tracing::Instrument;

impl Worker {
    pub(super) async fn step(&mut self, snapshot: &Snapshot, mode: StepMode) -> Result<(), Stop> {
        self.catch_up(snapshot).await?;
        let (request, agent) = self.assignment().await?;
        let (shared, mut log) = (Arc::clone(&self.shared), self.log());
        let (transcript, mut tools) = (self.transcript.events.clone(), self.tools.clone());
        let session = snapshot.session.id;
        let scene = patiently(&self.shared, || self.shared.scene(&snapshot.session, &agent)).await?;
        let step = async {
            let toolbox: Arc<dyn Toolbox> = match &tools {
                Some(tools) => Arc::clone(tools) as _,
                // Nothing can be called: whoever wants an answer now need not wait for what nobody will use.
                None if mode == StepMode::AnswerOnly => Arc::new(NoTools),
                // What its environments did is played as well.
                None if is_recording(&snapshot.session) => Arc::new(NoTools),
                None => {
                    let opened = environments::open(&shared, &snapshot.session, &request, &agent, log.clone()).await;
                    Arc::clone(tools.insert(opened.map_err(StepError::Failed)?)) as _
                }
            };
            if let Some(tools) = &tools {
                tools.announce().await?;
            }
            let timezone = request.timezone.clone();
            let media = Arc::new(SessionPictures { blobs: shared.blobs.clone(), session });
            let begun = Reach { version: snapshot.session.version, log_length: snapshot.session.log_length };
            let context = StepContext { session, agent, timezone, transcript, toolbox, media, scene, begun, mode };
            shared.runner.step(&context, &mut log).await
        };
        let step =
            step.instrument(tracing::error_span!("step", session.id = %session, number = snapshot.session.steps + 1));
        let metered = meter::Step::begin();
        let result = tokio::select! {
            biased;
            result = step => Some(result),
            () = self.interrupted(&snapshot.session, mode) => None,
        };
        self.tools = tools;
        let Some(result) = result else { return Ok(()) };
        metered.end(match &result {
            Ok(()) => "done",
            Err(StepError::Superseded(_)) => "superseded",
            Err(StepError::Failed(_)) => "failed",
        });
        match result {
            Ok(()) if self.version() == Some(snapshot.session.version) => self.refuse_empty_step().await,
            Ok(()) | Err(StepError::Superseded(_)) => Ok(()),
            Err(StepError::Failed(fault)) => {
                let (id, sentence) = (snapshot.session.id, fault.sentence());
                tracing::warn!(session.id = %id, error = %sentence, "session {id} failed");
                self.record(Fact::Reported(Report::Failed(fault))).await
            }
        }
    }

    fn version(&self) -> Option<u64> {
        self.watch.snapshot().map(|snapshot| snapshot.session.version)
    }

    /// A step that records nothing would be taken again, for ever.
    async fn refuse_empty_step(&mut self) -> Result<(), Stop> {
        self.record(Fact::Reported(Report::Failed(SessionFailure::because(
            ErrorCode::Internal,
            "the runner's step recorded nothing",
        ))))
        .await
    }

    /// Returns when the step in progress is not wanted any more: it was paused between calls or cancelled, an
    /// answer is forced, its time is up, or this process may not own the session any longer.
    async fn interrupted(&self, begun: &Session, mode: StepMode) {
        let mut watch = self.watch.again();
        loop {
            let Some(now) = watch.snapshot_and_update() else { return };
            if !now.is_held_by(self.lease) || !is_wanted(&now.session, begun.pauses, mode) {
                return;
            }
            tokio::select! {
                biased;
                () = watch.changed() => {}
                () = self.at(now.session.step_deadline()) => return,
                () = self.shared.fenced.wait_for(|fenced| *fenced) => return,
                () = self.shared.stopping.cancelled() => return,
            }
        }
    }

    /// Reads what the log holds beyond the transcript.
    async fn catch_up(&mut self, snapshot: &Snapshot) -> Result<(), Stop> {
        let end = snapshot.session.log_length;
        while self.transcript.through < end {
            let events = match snapshot.events_from(self.transcript.through) {
                Some(events) => events.to_vec(),
                None => self.read_events(snapshot).await?,
            };
            if events.is_empty() {
                return Ok(());
            }
            self.transcript.through += events.len() as u64;
            self.transcript.events.extend(events.iter().filter_map(LoggedEvent::agent_event).map(Arc::new));
        }
        Ok(())
    }

    async fn read_events(&self, snapshot: &Snapshot) -> Result<Vec<LoggedEvent>, Stop> {
        let (id, from) = (snapshot.session.id, self.transcript.through);
        patiently(&self.shared, || self.shared.store.events(id, from, EVENTS_AT_ONCE)).await
    }
}

fn is_recording(session: &Session) -> bool {
    session.cast.as_ref().is_some_and(|cast| cast.is_recording())
}

/// Whether a step in progress, begun after so many pauses, is to go on. A pause lets calls that are running return, and
/// drops everything else, also when it is over by the time it is seen. The step limit forces an answer only after the
/// step that reached it.
fn is_wanted(session: &Session, pauses: u64, mode: StepMode) -> bool {
    let forced = matches!(session.turn.force, Some(ForceReason::User | ForceReason::TimeLimit));
    let runs = matches!(session.state, State::Active(Phase::Running(_))) && session.pauses == pauses;
    let acts = runs || !session.state.running_calls().is_empty();
    acts && !(forced && mode == StepMode::Act)
}
