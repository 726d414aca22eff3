//! The runner that asks a language model: one step is one reply.

use crate::{
    answer::{AnswerFormat, FORMAT_FAULT},
    backoff::Backoff,
    budget,
    calls::{self, CallLimits},
    chat::{Chat, Shown, note},
    conversations::Conversations,
    gallery::Gallery,
    host_members,
    judge::{Judge, Verdict, WORDS_MAX_BYTES, shown},
    meter,
    model::{ChatReply, ChatRequest, ModelClient, ModelError, NextCue, TokenUsage},
    offer, playback, prompt,
    runner::{Recorder, Runner, StepContext, StepError},
    scene::{Pace, RealPace},
    skills::Skills,
    staged,
    summary::Due,
    text::{cut, without_nul},
    toolbox::Look,
    turn_trouble::TurnTrouble,
    vision,
};
use async_trait::async_trait;
use quarterdeck_api::{Agent, AgentEvent, ErrorCode, JsonObject, ModelUsage, ToolDefinition, ToolRequest};
use quarterdeck_core::{Coordinates, Cost, Reply, Report, SessionFailure, StepMode, Vision};
use quarterdeck_scenario::Cue;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How patient a [`ModelRunner`] is.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// Model calls that may fail in a row before the session fails. Default: 6.
    pub failures_max: usize,
    /// For how long an endpoint that is away or busy is asked again before the session fails; its own limits hold all the
    /// same. Default: 5 minutes.
    pub patience: Duration,
    /// The wait after the first failure is drawn from zero to this, and doubles with each further one.
    /// Default: 0.5 seconds.
    pub backoff_base: Duration,
    /// No wait of our own is longer. Default: 30 seconds.
    pub backoff_max: Duration,
    /// A host that asks for a longer wait is asked again after this. Default: 5 minutes.
    pub retry_after_max: Duration,
    /// How often in a row an unusable reply is shown back to the model; the next one ends the session.
    /// Default: 3.
    pub repairs_max: usize,
    /// Characters of one tool output or observation that the model is shown. Default: 60,000.
    pub output_max_chars: usize,
    /// Calls of one reply that the server runs at once. Default: 8.
    pub calls_at_once: usize,
    /// How long the server waits for the result of one call. Environments give up earlier by themselves.
    /// Default: 150 seconds.
    pub call_timeout: Duration,
    /// Pictures of environments and tools that one request shows the model, the latest; 0 for a model that reads text
    /// only, which is shown none at all. Default: 3.
    pub images_max: usize,
    /// Pixels of the longer side of such a picture; none for as large as they are. Default: none.
    pub image_side_max: Option<u32>,
    /// How the model names a place in a picture. Default: by the model's name.
    pub coordinates: Option<Coordinates>,
    /// The model of agents that name none, if it is known.
    pub model: Option<String>,
}

impl Default for RunnerSettings {
    fn default() -> Self {
        Self {
            failures_max: 6,
            patience: Duration::from_mins(5),
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            retry_after_max: Duration::from_mins(5),
            repairs_max: 3,
            output_max_chars: 60_000,
            calls_at_once: 8,
            call_timeout: Duration::from_secs(150),
            images_max: 3,
            image_side_max: None,
            coordinates: None,
            model: None,
        }
    }
}

/// Drives a session by a model. Every count is read from the transcript; what is kept between steps only saves work.
#[derive(Clone)]
pub struct ModelRunner {
    model: Arc<dyn ModelClient>,
    settings: RunnerSettings,
    pace: Arc<dyn Pace>,
    conversations: Conversations,
}

/// A reply, and what it was asked for.
struct Asked {
    request: ChatRequest,
    reply: ChatReply,
    /// What a script says beside it.
    cue: Option<Cue>,
}

impl ModelRunner {
    /// A runner with the default settings.
    pub fn new(model: Arc<dyn ModelClient>) -> Self {
        Self::with_settings(model, RunnerSettings::default())
    }

    /// A runner with these settings.
    pub fn with_settings(model: Arc<dyn ModelClient>, settings: RunnerSettings) -> Self {
        Self { model, settings, pace: Arc::new(RealPace), conversations: Conversations::new() }
    }

    /// With tries of a script apart by this time.
    #[must_use]
    pub fn at_pace(self, pace: Arc<dyn Pace>) -> Self {
        Self { pace, ..self }
    }
}

#[async_trait]
impl Runner for ModelRunner {
    fn let_go(&self) {
        self.conversations.let_go();
    }

    async fn step(&self, context: &StepContext, recorder: &mut dyn Recorder) -> Result<(), StepError> {
        if let Some(played) = playback::part(context)? {
            return playback::step(&played, context, recorder, &*self.pace).await;
        }
        let format = AnswerFormat::of(&context.agent).await.map_err(StepError::Failed)?;
        let trouble = TurnTrouble::of(&context.transcript);
        self.give_up_if_spent(&trouble, context)?;
        let transcript = observe(context, recorder).await?;
        let skills = Skills::of(&context.agent, &transcript);
        let servers = servers_tools(context, &skills).await;
        let gallery = Arc::new(Gallery::of(&transcript, self.settings.images_max, &*context.media).await);
        let (transcript, spent) =
            self.summarize(context, &servers, (transcript, &gallery), format.as_ref(), recorder).await?;
        let request = self.request(context, servers, (&transcript, &gallery), format.as_ref());
        let Asked { request, mut reply, cue } = self.ask(context, request, &trouble, recorder).await?;
        reply.content = reply.content.map(without_nul);
        spent.add_to(&mut reply);
        if let Some(act) = cue.as_ref().map(|cue| &cue.act)
            && let Some(report) = staged::report(act, &reply)?
        {
            recorder.record(report).await?;
            return Ok(());
        }
        let judge = Judge {
            mode: context.mode,
            tools: &request.tools,
            format: format.as_ref(),
            taken_ids: taken_ids(&transcript),
            replies: replies(&transcript),
        };
        let verdict = judge.judge(&mut reply).await;
        let verdict = Judged { verdict, replies: judge.replies };
        let calls = self.record(context.mode, &trouble, reply, verdict, recorder).await?;
        let limits = CallLimits { at_once: self.settings.calls_at_once, timeout: self.settings.call_timeout };
        let staged = staged::results(cue.as_ref());
        Ok(calls::run(context, (&skills, staged), calls, &limits, recorder).await?)
    }

    fn vision(&self, agent: &Agent) -> Vision {
        let model = self.model.answers_to(agent.model.as_deref()).or_else(|| self.settings.model.clone());
        let coordinates = self.settings.coordinates.unwrap_or_else(|| vision::coordinates_of(model.as_deref()));
        Vision { coordinates, images_max: self.settings.images_max, image_side_max: self.settings.image_side_max }
    }
}

impl ModelRunner {
    /// What was recorded last before a crash may have been the last straw.
    fn give_up_if_spent(&self, trouble: &TurnTrouble, context: &StepContext) -> Result<(), StepError> {
        let waited = Backoff::new(context.session, &self.settings).waited(trouble.failures);
        if trouble.failures >= self.settings.failures_max && waited >= self.settings.patience {
            return Err(out_of_patience(trouble.failures, trouble.failure.as_deref().unwrap_or_default()));
        }
        if trouble.rejected > self.settings.repairs_max {
            return Err(never_usable(&trouble.faults));
        }
        Ok(())
    }

    fn request(
        &self,
        context: &StepContext,
        servers: Vec<ToolDefinition>,
        (transcript, gallery): (&[Arc<AgentEvent>], &Arc<Gallery>),
        format: Option<&AnswerFormat>,
    ) -> ChatRequest {
        let agent = &context.agent;
        let chat = self.chat(context, &servers, (transcript, gallery), format);
        let (mut messages, progress) = chat.into_parts();
        messages.extend(prompt::reminder(context.mode).map(|text| note(text.to_owned()).into()));
        ChatRequest {
            model: agent.model.clone(),
            messages,
            tools: offer::tools(agent, servers, context.mode, format),
            reasoning_effort: agent.reasoning_effort,
            tool_required: context.mode == StepMode::AnswerOnly,
            reply_schema: None,
            progress,
            scene: context.scene.clone(),
        }
    }

    fn chat(
        &self,
        context: &StepContext,
        servers: &[ToolDefinition],
        (transcript, gallery): (&[Arc<AgentEvent>], &Arc<Gallery>),
        format: Option<&AnswerFormat>,
    ) -> Chat {
        let system = prompt::system(&context.agent, servers, format, self.vision(&context.agent));
        let shown = Shown { system, output_max_chars: self.settings.output_max_chars, gallery: Arc::clone(gallery) };
        self.conversations.of(context.session, shown, transcript)
    }

    /// Has the model say in short what went before, when that does not fit any more. Where it cannot be asked just now, the
    /// conversation is only shown without its oldest parts.
    async fn summarize(
        &self,
        context: &StepContext,
        servers: &[ToolDefinition],
        (mut transcript, gallery): (Vec<Arc<AgentEvent>>, &Arc<Gallery>),
        format: Option<&AnswerFormat>,
        recorder: &mut dyn Recorder,
    ) -> Result<(Vec<Arc<AgentEvent>>, Spent), StepError> {
        let agent = &context.agent;
        let limit = self.model.context_tokens(agent.model.as_deref()).filter(|_| context.mode == StepMode::Act);
        let Some(limit) = limit else { return Ok((transcript, Spent::default())) };
        let tools = budget::of_tools(&offer::tools(agent, servers.to_vec(), context.mode, format));
        let chat = self.chat(context, servers, (&transcript, gallery), format);
        let Some(due) = Due::of(&chat, limit.saturating_sub(tools)) else { return Ok((transcript, Spent::default())) };
        let call = meter::Call::begin();
        let result = self.model.complete(&due.request(agent)).await;
        call.end(&result);
        let reply = match result {
            Err(ModelError::Away { .. }) => return Ok((transcript, Spent::default())),
            Err(ModelError::Retryable { message, .. } | ModelError::Fatal { message }) => {
                tracing::debug!(session.id = %context.session, error = %message, "there is no summary");
                None
            }
            Ok(reply) => Some(reply),
        };
        let summary = due.observation(reply.as_ref());
        recorder.record(Report::Observed(summary.clone())).await?;
        transcript.push(Arc::new(summary));
        Ok((transcript, reply.as_ref().map(Spent::of).unwrap_or_default()))
    }

    /// Asks until there is a reply, the trouble is for good, or patience is out.
    async fn ask(
        &self,
        context: &StepContext,
        mut request: ChatRequest,
        trouble: &TurnTrouble,
        recorder: &mut dyn Recorder,
    ) -> Result<Asked, StepError> {
        let backoff = Backoff::new(context.session, &self.settings);
        let mut failures = trouble.failures;
        let (begun, waited) = (Instant::now(), backoff.waited(failures));
        loop {
            let cue = self.staged(&mut request, recorder).await?;
            let call = meter::Call::begin();
            let result = self.model.complete(&request).await;
            call.end(&result);
            let (message, retry_after, is_away) = match result {
                Ok(reply) => return Ok(Asked { request, reply, cue }),
                Err(ModelError::Fatal { message }) => {
                    return Err(StepError::Failed(SessionFailure::because(ErrorCode::Internal, message)));
                }
                Err(ModelError::Retryable { message, retry_after }) => (message, retry_after, false),
                Err(ModelError::Away { message, retry_after }) => (message, retry_after, true),
            };
            failures += 1;
            // Every try is in the session's log; the server's own tells how it ends.
            tracing::debug!(session.id = %context.session, failures, error = %message, "the model call failed");
            recorder.record(Report::Troubled { error: message.clone(), origin: "model".into() }).await?;
            let may_wait = is_away && waited + begun.elapsed() < self.settings.patience;
            if failures >= self.settings.failures_max && !may_wait {
                return Err(out_of_patience(failures, &message));
            }
            request.progress.failures.push(request.messages.len());
            let wait = backoff.wait(failures, retry_after);
            if cue.is_some() { self.pace.rest(wait).await } else { tokio::time::sleep(wait).await }
        }
    }

    /// What a script has for the reply that is asked for: what the agent sees before it is recorded now, and tools whose
    /// results it knows are on offer, whether or not anything would run them.
    async fn staged(&self, request: &mut ChatRequest, recorder: &mut dyn Recorder) -> Result<Option<Cue>, StepError> {
        let failed = |why| StepError::Failed(SessionFailure::because(ErrorCode::Internal, why));
        let Some(NextCue { cue, seen }) = self.model.cue(request).map_err(failed)? else { return Ok(None) };
        for observe in cue.observations.iter().skip(seen) {
            for event in staged::observed(observe) {
                recorder.record(Report::Observed(event.clone())).await?;
                request.progress.transcript.push(Arc::new(event));
            }
        }
        if !request.tool_required {
            staged::offer(&mut request.tools, &cue);
        }
        Ok(Some(cue))
    }

    /// Records what came of the reply, and returns the calls to make.
    async fn record(
        &self,
        mode: StepMode,
        trouble: &TurnTrouble,
        mut reply: ChatReply,
        Judged { verdict, replies }: Judged,
        recorder: &mut dyn Recorder,
    ) -> Result<Vec<ToolRequest>, StepError> {
        let host_members = match &verdict {
            Verdict::Invalid(_) => {
                reply.content = shown(&reply);
                None
            }
            Verdict::Act(calls) => host_members::record(&reply, calls, replies),
            Verdict::Answer { call, .. } => host_members::record(&reply, call.as_slice(), replies),
        };
        let reply = kept(reply, host_members);
        match verdict {
            Verdict::Answer { call, answer, outcome } => {
                recorder.record(Report::Answered { reply, call, answer, outcome }).await?;
            }
            Verdict::Act(calls) => {
                let decided = Report::Decided { mode, reply, calls, validation_errors: Vec::new() };
                return Ok(recorder.record(decided).await?.to_run);
            }
            Verdict::Invalid(faults) => {
                let validation_errors = faults.clone();
                recorder.record(Report::Decided { mode, reply, calls: Vec::new(), validation_errors }).await?;
                if trouble.rejected >= self.settings.repairs_max {
                    return Err(never_usable(&faults));
                }
            }
        }
        Ok(Vec::new())
    }
}

/// What a step spent beside its reply; it is counted with that.
#[derive(Default)]
struct Spent {
    usage: TokenUsage,
    cost: Option<Cost>,
}

impl Spent {
    fn of(reply: &ChatReply) -> Self {
        Self { usage: reply.usage.unwrap_or_default(), cost: reply.cost }
    }

    fn add_to(self, reply: &mut ChatReply) {
        let Some(usage) = &mut reply.usage else { return };
        usage.input = usage.input.saturating_add(self.usage.input);
        usage.cached = usage.cached.saturating_add(self.usage.cached);
        usage.output = usage.output.saturating_add(self.usage.output);
        usage.reasoning = usage.reasoning.saturating_add(self.usage.reasoning);
        if let (Some(known), Some(more)) = (&mut reply.cost, self.cost) {
            known.add(more);
        }
    }
}

/// A verdict, and how many replies came before the one that it is about.
struct Judged {
    verdict: Verdict,
    replies: usize,
}

/// What the server runs, skills first. When only an answer may follow, nobody has to be asked.
async fn servers_tools(context: &StepContext, skills: &Skills<'_>) -> Vec<ToolDefinition> {
    if context.mode == StepMode::AnswerOnly {
        return Vec::new();
    }
    let tools = context.toolbox.tools().await;
    skills.tool().into_iter().chain(tools).collect()
}

/// Records what the agent sees before a reply: what its environments say of themselves, once, and what they look like
/// where nobody has looked in this turn. Returns the transcript with it. After a crash some may have been recorded.
async fn observe(context: &StepContext, recorder: &mut dyn Recorder) -> Result<Vec<Arc<AgentEvent>>, StepError> {
    let mut transcript = context.transcript.clone();
    if context.mode == StepMode::AnswerOnly {
        return Ok(transcript);
    }
    let is_reply = |event: &Arc<AgentEvent>| matches!(**event, AgentEvent::PolicyEvent { .. });
    let is_answer = |event: &Arc<AgentEvent>| matches!(**event, AgentEvent::AnswerEvent { .. });
    let mut seen = Vec::new();
    if !transcript.iter().any(is_reply) {
        let told = context.toolbox.opening().await.into_iter().flat_map(calls::events);
        seen.extend(told.filter(|told| !transcript.iter().any(|known| **known == *told)));
    }
    let turn_begins = !transcript.iter().rev().take_while(|event| !is_answer(event)).any(is_reply);
    let at = if turn_begins { Look::All } else { Look::New };
    seen.extend(calls::look(context, at).await.into_iter().flat_map(calls::events));
    for observation in seen {
        recorder.record(Report::Observed(observation.clone())).await?;
        transcript.push(Arc::new(observation));
    }
    Ok(transcript)
}

fn kept(reply: ChatReply, host_members: Option<JsonObject>) -> Reply {
    let name = reply.model;
    let usage = reply.usage.map(|usage| ModelUsage {
        name,
        input_tokens: usage.input,
        cached_tokens: usage.cached,
        output_tokens: usage.output,
        reasoning_tokens: usage.reasoning,
    });
    let cost = reply.cost.map(Box::new);
    let reasoning = reply.reasoning.map(|thought| cut(&without_nul(thought), WORDS_MAX_BYTES / 4));
    Reply { reasoning, content: reply.content, usage, cost, kept: host_members.map(Box::new) }
}

fn taken_ids(transcript: &[Arc<AgentEvent>]) -> HashSet<&str> {
    let mut ids = HashSet::new();
    for event in transcript {
        if let AgentEvent::PolicyEvent { tool_reqs, .. } = &**event {
            ids.extend(tool_reqs.iter().filter_map(|request| request.id.as_deref()));
        }
    }
    ids
}

fn replies(transcript: &[Arc<AgentEvent>]) -> usize {
    transcript.iter().filter(|event| matches!(***event, AgentEvent::PolicyEvent { .. })).count()
}

fn out_of_patience(failures: usize, last: &str) -> StepError {
    let cause = format!("the model could not be asked, {failures} times in a row; the last time {last}");
    StepError::Failed(SessionFailure::because(ErrorCode::Internal, cause))
}

/// The session ends by what was wrong with the last reply.
fn never_usable(faults: &[String]) -> StepError {
    let of_format = faults.iter().any(|fault| fault.starts_with(FORMAT_FAULT));
    let code = if of_format { ErrorCode::AnswerValidation } else { ErrorCode::NoAnswer };
    StepError::Failed(SessionFailure::because(code, faults.join("; ")))
}
