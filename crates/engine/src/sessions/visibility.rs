//! Who may see a session: its organization, and while it is shared, everybody.
//!
//! Invariant: what is not visible answers as what does not exist does, after the same questions to the store. Nothing
//! here lets others change a session: commands ask for [`Sessions::own`].

use super::Sessions;
use crate::{SubmitError, notifier::Snapshot};
use quarterdeck_api::{OrganizationId, SessionId};
use quarterdeck_core::{HOST_MEMBERS, Session, sentence_without_cause};
use quarterdeck_store::Caller;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

/// How much of a session shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Everything.
    Own,
    /// Everything but what is known of the causes of a failure.
    Public,
}

impl Sessions {
    /// A session of the caller's own organization.
    pub(crate) async fn own(&self, caller: Caller, id: SessionId) -> Result<Snapshot, SubmitError> {
        let snapshot = self.shared.load(id).await?;
        snapshot
            .filter(|snapshot| snapshot.session.organization == caller.organization)
            .ok_or(SubmitError::NotFound(id))
    }

    /// A session that the caller may see.
    pub(crate) async fn find(&self, caller: Option<Caller>, id: SessionId) -> Result<(Snapshot, View), SubmitError> {
        let snapshot = self.shared.load(id).await?;
        let organization = snapshot.as_ref().map(|snapshot| snapshot.session.organization);
        let view = self.view(caller, id, organization).await?;
        Ok((snapshot.ok_or(SubmitError::NotFound(id))?, view))
    }

    /// What the caller may see of a session of `organization`; none stands for a session that does not exist. Only
    /// others cost a question to the store, the same one for both.
    pub(crate) async fn view(
        &self,
        caller: Option<Caller>,
        id: SessionId,
        organization: Option<OrganizationId>,
    ) -> Result<View, SubmitError> {
        if organization.is_some() && caller.map(|caller| caller.organization) == organization {
            return Ok(View::Own);
        }
        let public = self.shared.store.is_public(id).await?;
        if public && organization.is_some() { Ok(View::Public) } else { Err(SubmitError::NotFound(id)) }
    }
}

impl View {
    /// How a session reads in this view.
    pub(crate) fn of_session(self, session: Arc<Session>) -> Arc<Session> {
        match self {
            Self::Own => session,
            Self::Public => Arc::new(session.without_causes()),
        }
    }

    /// How an event reads in this view.
    pub(crate) fn of(self, event: Arc<RawValue>) -> Arc<RawValue> {
        let event = without_host_members(&event).unwrap_or(event);
        match self {
            Self::Own => event,
            Self::Public => without_causes(&event).unwrap_or(event),
        }
    }

    pub(crate) fn of_all(self, events: Vec<Arc<RawValue>>) -> Vec<Arc<RawValue>> {
        events.into_iter().map(|event| self.of(event)).collect()
    }
}

/// An event without what a model's host wants back, which nobody is shown; none when it holds no such thing.
fn without_host_members(event: &RawValue) -> Option<Arc<RawValue>> {
    #[derive(Deserialize, Serialize)]
    struct Served<'a> {
        #[serde(rename = "type")]
        name: &'a str,
        #[serde(borrow)]
        data: &'a RawValue,
        timestamp: &'a str,
        #[serde(skip_serializing)]
        host_members: Option<&'a RawValue>,
    }
    if !event.get().contains(HOST_MEMBERS) {
        return None;
    }
    let served: Served<'_> = serde_json::from_str(event.get()).ok()?;
    served.host_members?;
    serde_json::value::to_raw_value(&served).ok().map(Arc::from)
}

const FAILURE: &str = "AgentErrorEvent";
const TROUBLE: &str = "error_event";

/// What others read of trouble with the model, whatever it was.
const MODEL_TROUBLE: &str = "the model call failed";

/// A failure, or trouble with the model, without its causes; none when the event is another one.
fn without_causes(event: &RawValue) -> Option<Arc<RawValue>> {
    if !event.get().contains(FAILURE) && !event.get().contains(TROUBLE) {
        return None; // nearly all events, and they may be long
    }
    let mut json: serde_json::Value = serde_json::from_str(event.get()).ok()?;
    let data = &mut json["data"];
    if is_model_trouble(data) {
        data["error"] = MODEL_TROUBLE.into();
    } else if json["type"] == FAILURE {
        let error = json["data"]["error"].as_str().unwrap_or_default();
        json["data"]["error"] = sentence_without_cause(error).into();
        json["data"]["info"] = serde_json::Value::Null;
        json["data"]["trace"] = "".into();
    } else {
        return None;
    }
    serde_json::value::to_raw_value(&json).ok().map(Arc::from)
}

/// An error of a call belongs to the conversation. One of the model itself names hosts of the operator's.
fn is_model_trouble(data: &serde_json::Value) -> bool {
    data["kind"] == TROUBLE && data["origin"] == "model" && data["tool_req"].is_null()
}

#[cfg(test)]
mod tests {
    use super::View;
    use serde_json::{
        Value, json,
        value::{RawValue, to_raw_value},
    };
    use std::sync::Arc;

    fn check(view: View, event: &Value, reads: &Value) {
        let event: Arc<RawValue> = to_raw_value(event).unwrap().into();
        assert_eq!(serde_json::from_str::<Value>(view.of(event).get()).unwrap(), *reads);
    }

    #[test]
    fn others_do_not_see_why_a_session_failed() {
        let failure = |error: &str, trace: &str, info: Value| json!({"type": "AgentErrorEvent", "data": {"error": error, "trace": trace, "info": info}});
        let cause = "connection to 10.0.0.1 refused";
        let full = failure(&format!("The session could not go on: {cause}."), "at line 1", json!({"cause": cause}));
        check(View::Own, &full, &full);
        let without = failure("The session could not go on because of an internal fault.", "", Value::Null);
        check(View::Public, &full, &without);
    }

    #[test]
    fn others_do_not_see_where_the_model_is() {
        let event = |error: &str, origin: &str, call: Value| json!({"type": "AgentEvent", "data": {"kind": "error_event", "error": error, "origin": origin, "tool_req": call}});
        let full = event("cannot connect to the model at 10.0.0.1:9", "model", Value::Null);
        check(View::Own, &full, &full);
        check(View::Public, &full, &event("the model call failed", "model", Value::Null));
        let call = json!({"tool_name": "ask", "args": {}, "id": "c"});
        for told in [event("no such page", "client", call.clone()), event("no such page", "model", call)] {
            check(View::Public, &told, &told);
        }
    }

    #[test]
    fn nobody_sees_what_a_models_host_wants_back() {
        let data = json!({"kind": "policy_event", "content": "\"host_members\":"});
        let stored =
            json!({"type": "AgentEvent", "data": data, "timestamp": "t", "host_members": {"origin": "10.0.0.1"}});
        let served = json!({"type": "AgentEvent", "data": data, "timestamp": "t"});
        for view in [View::Own, View::Public] {
            check(view, &stored, &served);
            check(view, &served, &served);
        }
    }

    #[test]
    fn an_event_that_only_speaks_of_failures_is_left_alone() {
        let event = json!({"type": "AgentEvent", "data": {"info": "AgentErrorEvent"}});
        check(View::Public, &event, &event);
    }
}
