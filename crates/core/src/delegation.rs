//! Delegation: calls that sessions of their own work off, and how those are steered.
//!
//! A session that delegates holds its open delegations, and what each child was last told. What a child is to be told
//! follows from where the session stands. While the two differ there is something to do, for any worker of any
//! process: so an order reaches the child even when the process that was about to give it has died.

use crate::{
    Effect, ForceReason, OpenStep, Phase, Rejection, Resumption, Session, State, Transition,
    forms::{Dropped, refused_call},
};
use chrono::TimeDelta;
use quarterdeck_api::{SessionId, Timestamp, ToolRequest};
use serde::{Deserialize, Serialize};

/// The tool by which an agent that has subagents gives one of them a task.
pub const DELEGATE: &str = "delegate";

/// A call that another session works off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delegation {
    /// The call.
    pub call: ToolRequest,
    /// Who works it off; none until a worker has allotted an id. The session itself may not exist yet.
    pub child: Option<Child>,
}

/// A call, and the session that works it off or was to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildCall {
    /// The call.
    pub call: ToolRequest,
    /// The session.
    pub child: SessionId,
}

/// A session that works for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Its id.
    pub id: SessionId,
    /// What it was last told.
    pub told: ChildOrder,
}

/// What a session that delegates wants of a child. The later in this order, the more final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildOrder {
    /// Work on; a child begins with this. Stored as it was always called.
    #[serde(rename = "go")]
    Resume,
    /// Stop between steps.
    Pause,
    /// Answer with what is known.
    Answer,
    /// End.
    Cancel,
}

/// An order, and when it was decided: an order of a worker that was overtaken must not undo a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Steering {
    /// The version of the session that gives the order; it only grows.
    pub version: u64,
    /// The order.
    pub order: ChildOrder,
}

impl Session {
    /// Sessions from the outermost one, at depth 0, to the innermost one that may exist by delegation.
    pub const DEPTH_MAX: u8 = 16;
    /// Delegations that one session may have open.
    pub const DELEGATIONS_OPEN_MAX: usize = 8;
    /// Sessions that one session may start in all its life.
    pub const SUBAGENTS_MAX: usize = 64;
    /// Seconds of work that children have for their answers once their parent's answer is forced. What is left of the
    /// parent's own grace is for its own answer.
    pub const CHILD_ANSWER_GRACE_S: i64 = 15;

    /// What children are to be told at `now` that they were not told yet.
    pub fn orders(&self, now: Timestamp) -> Vec<(ChildCall, ChildOrder)> {
        let wanted = self.order_for_children(now);
        let open = self.state.open_step().into_iter().flat_map(|step| &step.delegated);
        let told_otherwise = open.filter(|open| open.is_told_otherwise(wanted)).filter_map(Delegation::child_call);
        let stops = self.orphans.iter().map(|orphan| (orphan.clone(), ChildOrder::Cancel));
        told_otherwise.map(|child_call| (child_call, wanted)).chain(stops).collect()
    }

    /// Whether there are any.
    pub(crate) fn has_orders(&self, now: Timestamp) -> bool {
        let wanted = self.order_for_children(now);
        let step = self.state.open_step();
        let told_otherwise = step.is_some_and(|step| step.delegated.iter().any(|open| open.is_told_otherwise(wanted)));
        told_otherwise || !self.orphans.is_empty()
    }

    fn order_for_children(&self, now: Timestamp) -> ChildOrder {
        match &self.state {
            State::Paused { .. } => ChildOrder::Pause,
            State::Active(Phase::Running(_)) => match self.children_deadline() {
                None => ChildOrder::Resume,
                Some(deadline) if deadline <= now => ChildOrder::Cancel,
                Some(_) => ChildOrder::Answer,
            },
            State::Queued | State::Pending | State::Active(_) | State::Ended(_) => ChildOrder::Cancel,
        }
    }

    /// By when children must have answered; none while no answer is forced. At `max_steps` they may go on: what the
    /// last step asked for is part of it.
    pub fn children_deadline(&self) -> Option<Timestamp> {
        match self.turn.force? {
            ForceReason::StepLimit => None,
            ForceReason::User | ForceReason::TimeLimit => {
                let since = self.turn.forced_since()?;
                since.checked_add_signed(TimeDelta::seconds(Self::CHILD_ANSWER_GRACE_S)).or(Some(since))
            }
        }
    }

    /// The call gets a session that works it off.
    pub(crate) fn delegated(
        &self,
        mut transition: Transition,
        call: &ToolRequest,
        child: SessionId,
    ) -> Result<Effect, Rejection> {
        let State::Active(Phase::Running(step)) = &self.state else { return self.moved_on() };
        let is_child = |delegation: &Delegation| delegation.child.is_some_and(|known| known.id == child);
        if step.delegated.iter().any(is_child) {
            return Ok(Effect::Unchanged);
        }
        let mut step = step.clone();
        let open = step.delegated.iter_mut().find(|open| open.child.is_none() && open.call == *call);
        let Some(open) = open else { return self.moved_on() };
        open.child = Some(Child { id: child, told: ChildOrder::Resume });
        transition.session.subagents.push(child);
        transition.enter(State::Active(Phase::Running(step)));
        Ok(transition.into_effect())
    }

    /// A child was told something. What was told to one whose call is settled since does not matter any more, unless
    /// it still has to be stopped.
    pub(crate) fn steered(&self, mut transition: Transition, child: SessionId, order: ChildOrder) -> Effect {
        if order == ChildOrder::Cancel && self.orphans.iter().any(|orphan| orphan.child == child) {
            transition.session.orphans.retain(|orphan| orphan.child != child);
            return transition.into_effect();
        }
        let step = transition.session.state.open_step_mut();
        let open = step.into_iter().flat_map(|step| &mut step.delegated).filter_map(|open| open.child.as_mut());
        match open.into_iter().find(|open| open.id == child && open.told != order) {
            Some(child) => child.told = order,
            None => return Effect::Unchanged,
        }
        transition.into_effect()
    }

    /// Why one more call cannot be delegated, when `open` are already.
    fn delegation_fault(&self, open: usize) -> Option<String> {
        if self.settings.depth >= Self::DEPTH_MAX {
            let depth = Self::DEPTH_MAX;
            return Some(format!(
                "no subagent was started: subagents may be nested {depth} deep, and this is the last"
            ));
        }
        if open >= Self::DELEGATIONS_OPEN_MAX {
            let max = Self::DELEGATIONS_OPEN_MAX;
            return Some(format!("no subagent was started: at most {max} may work at once"));
        }
        if self.subagents.len() + open >= Self::SUBAGENTS_MAX {
            let max = Self::SUBAGENTS_MAX;
            return Some(format!("no subagent was started: one session may start at most {max}"));
        }
        None
    }
}

impl Transition {
    /// Opens the delegations among new calls, as many as may be open, and settles the others.
    pub(crate) fn open_delegations(&mut self, calls: Vec<ToolRequest>) -> Vec<Delegation> {
        let mut open = Vec::new();
        for call in calls {
            match self.session.delegation_fault(open.len()) {
                None => open.push(Delegation { call, child: None }),
                Some(fault) => self.write_agent(refused_call(call, fault)),
            }
        }
        open
    }

    /// Once an answer is forced, nobody is started any more.
    pub(crate) fn drop_undelegated(&mut self) {
        let State::Active(Phase::Running(step)) = &self.session.state else { return };
        let (kept, dropped): (Vec<_>, Vec<_>) = step.delegated.iter().cloned().partition(|open| open.child.is_some());
        if dropped.is_empty() {
            return;
        }
        let step = OpenStep { delegated: kept, ..step.clone() };
        let calls: Vec<_> = dropped.into_iter().map(|delegation| delegation.call).collect();
        self.drop_calls(&calls, Dropped::AnswerForced);
        self.go_on_with(step, false);
    }

    /// Children of a session that ends have nobody left to work for.
    pub(crate) fn orphan_children(&mut self) {
        let open = self.session.state.open_step().into_iter().flat_map(|step| &step.delegated);
        let orphans: Vec<_> =
            open.filter(|open| open.is_told_otherwise(ChildOrder::Cancel)).filter_map(Delegation::child_call).collect();
        self.session.orphans.extend(orphans);
    }
}

impl OpenStep {
    /// Takes out the call that has its result now; false when it is not open, or not the server's.
    pub(crate) fn settle(&mut self, call: &ToolRequest) -> bool {
        if let Some(place) = self.running.iter().position(|open| open == call) {
            self.running.remove(place);
            return true;
        }
        let delegated = self.delegated.iter().position(|open| open.call == *call);
        delegated.map(|place| self.delegated.remove(place)).is_some()
    }

    /// The delegations that wait for a session to work them off.
    pub(crate) fn undelegated(&self) -> Vec<ToolRequest> {
        self.delegated.iter().filter(|open| open.child.is_none()).map(|open| open.call.clone()).collect()
    }

    /// The delegations that are being worked off.
    pub(crate) fn awaited(&self) -> Vec<ChildCall> {
        self.delegated.iter().filter_map(Delegation::child_call).collect()
    }
}

impl Delegation {
    fn child_call(&self) -> Option<ChildCall> {
        self.child.map(|child| ChildCall { call: self.call.clone(), child: child.id })
    }

    /// Whether its child, if it has one, has yet to be told this. Nobody is told anything after a cancel.
    fn is_told_otherwise(&self, wanted: ChildOrder) -> bool {
        self.child.is_some_and(|child| child.told != wanted && child.told != ChildOrder::Cancel)
    }
}

impl State {
    /// The calls of a step in progress, at work or paused.
    pub(crate) fn open_step(&self) -> Option<&OpenStep> {
        match self {
            Self::Active(Phase::Running(step)) | Self::Paused { resume_to: Resumption::Running(step) } => Some(step),
            Self::Queued | Self::Pending | Self::Active(_) | Self::Paused { .. } | Self::Ended(_) => None,
        }
    }

    fn open_step_mut(&mut self) -> Option<&mut OpenStep> {
        match self {
            Self::Active(Phase::Running(step)) | Self::Paused { resume_to: Resumption::Running(step) } => Some(step),
            Self::Queued | Self::Pending | Self::Active(_) | Self::Paused { .. } | Self::Ended(_) => None,
        }
    }
}
