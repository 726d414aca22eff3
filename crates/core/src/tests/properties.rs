//! What holds after any sequence of commands and facts, sensible or not, on a clock that also goes backwards.

mod actions;
mod history;

use crate::{Fact, Next, Phase, Session, Settings, State};
use actions::{any_actions, any_settings};
use history::History;
use proptest::prelude::*;
use quarterdeck_api::Status;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_invariants_hold_after_any_history(settings in any_settings(), queued: bool, actions in any_actions()) {
        let mut history = History::new(settings, queued);
        for action in actions {
            history.meet(&action);
        }
    }

    #[test]
    fn a_diligent_worker_brings_any_session_to_rest(settings in any_settings(), queued: bool, actions in any_actions()) {
        let mut history = History::new(settings, queued);
        for action in actions {
            history.meet(&action);
        }
        history.work_until_rest();
    }

    #[test]
    fn a_session_can_be_stored_at_any_moment(settings in any_settings(), queued: bool, actions in any_actions()) {
        let mut history = History::new(settings, queued);
        for action in actions {
            history.meet(&action);
            let stored = serde_json::to_string(&history.run.session).expect("a session is JSON");
            let read: Session = serde_json::from_str(&stored).expect("a stored session is readable");
            prop_assert_eq!(&read, &history.run.session);
        }
    }
}

impl History {
    /// Does what `next` says until there is nothing to do; nothing it asks for may be refused or be without effect.
    fn work_until_rest(&mut self) {
        for _ in 0..100 {
            let fact = match self.run.next() {
                Next::Release => return self.is_at_rest(),
                Next::Start => self.start(),
                Next::Deliver => self.delivery(),
                Next::Step(_) => actions::answer(),
                Next::Settle(calls) => actions::returned(calls[0].clone()),
                Next::Delegate(calls) => self.delegation(calls[0].clone()),
                Next::Steer(orders) => Fact::Steered { child: orders[0].0.child, order: orders[0].1 },
                Next::Await(calls) => actions::returned(calls[0].call.clone()),
                Next::TimePassed => Fact::TimePassed,
            };
            let version = self.run.session.version;
            self.run.try_fact(fact.clone()).expect("what a session asks for is not refused");
            assert_eq!(self.run.session.version, version + 1, "{fact:?} does something");
        }
        panic!("the session does not come to rest: {:?}", self.run.session);
    }

    fn is_at_rest(&self) {
        let session = &self.run.session;
        match session.state {
            State::Active(Phase::Running(_)) | State::Pending => panic!("there is work: {session:?}"),
            State::Active(Phase::Idle { .. }) | State::Ended(crate::Ending::Completed) => {
                assert_eq!(session.inbox.waiting(), 0, "an acknowledged message is slept through");
            }
            State::Queued | State::Active(_) | State::Paused { .. } | State::Ended(_) => {}
        }
    }
}

#[test]
fn settings_of_a_session_without_limits_never_make_it_due_while_it_awaits_results() {
    let settings = Settings { client_tools: vec!["ask".into()], ..Settings::default() };
    let mut history = History::new(settings, false);
    history.run.fact(super::world::started(&["x"]));
    history.run.fact(super::world::decided(&["ask"]));
    assert_eq!((history.run.status(), history.run.session.due_at()), (Status::AwaitingToolResults, None));
}
