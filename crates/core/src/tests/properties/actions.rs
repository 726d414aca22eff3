//! What can happen to a session, as proptest picks it; most of it fits the state it meets.

use crate::{
    AnswerGrace, ChildOrder, Fact, Report, Session, SessionFailure, Settings, StepMode,
    tests::world::{answered, error_of, reply, result_of},
};
use proptest::{collection::vec, option, prelude::*, sample::subsequence};
use quarterdeck_api::{ErrorCode, JsonObject, Retention, ToolRequest, ToolResultItem};

/// Something that may happen; what depends on the session is filled in when it does.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// The clock moves, by milliseconds.
    Tick(i64),
    Message {
        count: usize,
    },
    Pause,
    Resume,
    ForceAnswer,
    /// Results of pending calls, by position, and perhaps of one that nobody asked for.
    ToolResults {
        which: Vec<usize>,
        unknown: bool,
    },
    Cancel,
    Promoted,
    /// A worker starts it that saw all but this many of the waiting messages.
    Started {
        own: usize,
        missed: usize,
    },
    /// All that wait; or a delivery that does not fit.
    Delivered {
        fits: bool,
    },
    Troubled,
    Decided {
        mode: StepMode,
        tools: Vec<&'static str>,
        number: f64,
        rejected: bool,
    },
    /// A call of the server's, by position; or one that is not open.
    Returned {
        which: usize,
        fits: bool,
    },
    /// A call gets a child, the first that waits for one; or one gets a child that may not.
    Delegated {
        fits: bool,
    },
    /// A child that was ever started, by position, was told this.
    Steered {
        which: usize,
        order: ChildOrder,
    },
    /// An order comes of the session that this one works for.
    Steer {
        version: u64,
        order: ChildOrder,
    },
    Answered,
    Failed,
    TakenOver,
    TimePassed,
}

pub(super) fn any_actions() -> impl Strategy<Value = Vec<Action>> {
    vec(any_action(), 0..60)
}

pub(super) fn any_settings() -> impl Strategy<Value = Settings> {
    let limit = || option::of(prop_oneof![1..5_u64, Just(u64::MAX)]);
    let time = option::of(prop_oneof![1..200_000_u64, Just(u64::MAX)]);
    let tools = subsequence(vec!["ask", "look"], 0..=2);
    let delegates = prop::bool::weighted(0.8);
    let depth = prop_oneof![4 => Just(0), 1 => 1..=Session::DEPTH_MAX];
    (limit(), time, option::of(prop_oneof![1..300_u64, Just(u64::MAX)]), tools, delegates, depth).prop_map(
        |(max_steps, max_time_ms, idle_timeout_s, tools, delegates, depth)| Settings {
            max_steps,
            max_time_ms,
            idle_timeout_s,
            client_wait_s: idle_timeout_s.filter(|_| delegates),
            client_tools: tools.into_iter().map(str::to_owned).collect(),
            delegates,
            depth,
            retention: Retention { delete_after_min: max_time_ms.and(Some(60)), ..Retention::default() },
            answer_grace_s: AnswerGrace::default(),
        },
    )
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (-100_000..400_000_i64).prop_map(Action::Tick),
        4 => prop_oneof![9 => 1..4_usize, 1 => 500..1_002_usize].prop_map(|count| Action::Message { count }),
        2 => Just(Action::Pause),
        3 => Just(Action::Resume),
        1 => Just(Action::ForceAnswer),
        4 => (vec(0..4_usize, 0..4), any::<bool>())
            .prop_map(|(which, unknown)| Action::ToolResults { which, unknown }),
        1 => Just(Action::Promoted),
        5 => (0..2_usize, 0..3_usize).prop_map(|(own, missed)| Action::Started { own, missed }),
        4 => prop::bool::weighted(0.9).prop_map(|fits| Action::Delivered { fits }),
        1 => Just(Action::Troubled),
        8 => any_decision(),
        8 => (0..4_usize, prop::bool::weighted(0.9)).prop_map(|(which, fits)| Action::Returned { which, fits }),
        6 => prop::bool::weighted(0.9).prop_map(|fits| Action::Delegated { fits }),
        4 => (0..4_usize, any_order()).prop_map(|(which, order)| Action::Steered { which, order }),
        2 => (0..9_u64, any_order()).prop_map(|(version, order)| Action::Steer { version, order }),
        3 => Just(Action::Answered),
        3 => Just(Action::TimePassed),
        1 => Just(Action::TakenOver),
        1 => prop_oneof![1 => Just(Action::Cancel), 2 => Just(Action::Failed)],
    ]
}

fn any_order() -> impl Strategy<Value = ChildOrder> {
    prop_oneof![3 => Just(ChildOrder::Resume), 3 => Just(ChildOrder::Pause), 3 => Just(ChildOrder::Answer), 1 => Just(ChildOrder::Cancel)]
}

fn any_decision() -> impl Strategy<Value = Action> {
    let mode = prop_oneof![4 => Just(StepMode::Act), 1 => Just(StepMode::AnswerOnly)];
    let tools = prop_oneof![
        9 => subsequence(vec!["click", "ask", "delegate", "delegate", "scroll", "look"], 0..=6),
        1 => Just(vec!["delegate"; Session::DELEGATIONS_OPEN_MAX + 2]),
    ];
    (mode, tools, any::<f64>(), prop::bool::weighted(0.2)).prop_map(|(mode, tools, number, rejected)| Action::Decided {
        mode,
        tools,
        number,
        rejected,
    })
}

/// A decision whose calls carry ids that no other has.
pub(super) fn decision(mode: StepMode, calls: Vec<ToolRequest>, rejected: bool) -> Fact {
    let validation_errors = if rejected { vec!["not like this".into()] } else { Vec::new() };
    Fact::Reported(Report::Decided { mode, reply: reply(), calls, validation_errors })
}

pub(super) fn numbered_call(tool: &str, number: usize, argument: f64) -> ToolRequest {
    let args = Some(JsonObject::from_iter([("at".to_owned(), argument.into())]));
    ToolRequest { tool_name: tool.into(), args, id: Some(format!("c{number}")) }
}

pub(super) fn returned(call: ToolRequest) -> Fact {
    Fact::Reported(Report::Returned(error_of(call)))
}

pub(super) fn answer() -> Fact {
    answered("19 €")
}

pub(super) fn fault() -> Fact {
    Fact::Reported(Report::Failed(SessionFailure::new(ErrorCode::Internal)))
}

pub(super) fn result_item(call: ToolRequest) -> ToolResultItem {
    ToolResultItem::Result(result_of(call))
}
