//! Which scenario a new session plays.

use super::{
    TestBed, journal,
    world::{Loaded, World},
};
use crate::{App, error::ApiError, input::Input};
use quarterdeck_api::{JsonObject, Reference, SessionId, SessionRequest};
use quarterdeck_core::Cast;
use quarterdeck_engine::Clock;
use quarterdeck_scenario::{Audition, Scenario, nearest};
use quarterdeck_store::Caller;
use std::sync::Arc;

/// What a session plays that no scenario matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// The answer of a server without a model.
    Answer,
    /// Nothing: the model drives it.
    Model,
    /// Nothing: it fails, and says which scenarios came nearest.
    Fail,
}

/// The session that a request created, in its response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreatedSession(pub(crate) SessionId);

/// Sees a session be created: from the choice of its scenario to whether it came to be.
pub(crate) struct Audience {
    bed: Arc<TestBed>,
    caller: Caller,
    cast: Option<Cast>,
    scenario: Option<Arc<Scenario>>,
    /// The number of its note, when no scenario matched.
    unmatched: Option<u64>,
    is_new: bool,
}

impl Audience {
    /// Chooses what the session will play, if the server is in test mode.
    pub(crate) async fn of(
        app: &App,
        caller: Caller,
        request: &SessionRequest,
        input: &Input,
    ) -> Result<Option<Self>, ApiError> {
        let Some(bed) = &app.test else { return Ok(None) };
        let agent = match &request.agent {
            Reference::Name(name) => name.as_str(),
            Reference::Inline(agent) => agent.name.as_str(),
        };
        let agent = without_revision(agent);
        let messages = request.opening_messages();
        let header = |name: &str| input.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let message = messages.first().map(|message| message.message.as_str());
        let audition = Audition { agent, message, group_id: request.group_id.as_deref(), header: &header };
        let chosen = bed.world(caller.organization, |world| choose(world, &audition));
        let mut audience =
            Self { bed: Arc::clone(bed), caller, cast: None, scenario: None, unmatched: None, is_new: false };
        if let Some(loaded) = chosen {
            if !loaded.is_kept {
                app.store.keep_script(&loaded.hash, &loaded.stored).await?;
                bed.world(caller.organization, |world| mark_kept(world, &loaded.hash));
            }
            audience.cast = Some(Cast::Scenario {
                name: loaded.scenario.name.clone(),
                hash: loaded.hash.clone(),
                group_id: request.group_id.clone(),
                header: headers(&loaded.scenario, &loaded.stored, &header),
                client: loaded.scenario.client,
                calls: Vec::new(),
                is_recording: loaded.scenario.played.is_some(),
            });
            audience.scenario = Some(Arc::clone(&loaded.scenario));
        } else {
            let (number, cast) = unmatched(bed, caller, &audition);
            (audience.unmatched, audience.cast) = (Some(number), cast);
        }
        Ok(Some(audience))
    }

    pub(crate) fn cast(&self) -> Option<Cast> {
        self.cast.clone()
    }

    /// The session is there: it counts, and its faults hold from now on.
    pub(crate) fn created(mut self, id: SessionId) {
        self.is_new = true;
        let (scenario, unmatched) = (self.scenario.clone(), self.unmatched);
        self.bed.world(self.caller.organization, |world| {
            let Some(scenario) = scenario else {
                return world.journal.name_unmatched(unmatched, id);
            };
            world.casts.insert(id, scenario.name.clone());
            if let Some(loaded) = world.scenarios.iter_mut().find(|loaded| loaded.scenario.name == scenario.name) {
                loaded.sessions.push(id);
            }
            for rule in &scenario.faults {
                let mut rule = rule.clone();
                rule.pattern.session = Some(id.to_string());
                let _ = world.add_rule(rule);
            }
        });
    }
}

impl Drop for Audience {
    /// Who did not come to be takes no place.
    fn drop(&mut self) {
        let Some(scenario) = self.scenario.as_ref().filter(|_| !self.is_new) else { return };
        self.bed.world(self.caller.organization, |world| {
            if let Some(loaded) = world.scenarios.iter_mut().find(|loaded| loaded.scenario.name == scenario.name) {
                loaded.served = loaded.served.saturating_sub(1);
            }
        });
    }
}

fn choose(world: &mut World, audition: &Audition<'_>) -> Option<Loaded> {
    let fits = |loaded: &&mut Loaded| !loaded.is_used_up() && loaded.scenario.pattern.holds(audition);
    let loaded = world.scenarios.iter_mut().find(fits)?;
    loaded.served += 1;
    Some(loaded.clone())
}

fn mark_kept(world: &mut World, hash: &str) {
    for loaded in world.scenarios.iter_mut().filter(|loaded| loaded.hash == hash) {
        loaded.is_kept = true;
    }
}

/// `name:3` is revision 3 of `name`.
fn without_revision(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((name, revision)) if !revision.is_empty() && revision.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => name,
    }
}

/// The headers that a scenario asks for or names in a template.
fn headers(scenario: &Scenario, stored: &str, header: &(dyn Fn(&str) -> Option<String> + Sync)) -> JsonObject {
    let in_templates = stored.match_indices("header.").map(|(place, word)| {
        let rest = &stored[place + word.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && !"_-".contains(c)).unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    let names = scenario.pattern.header.keys().cloned().chain(in_templates).filter(|name| !is_secret(name));
    names.filter_map(|name| Some((name.clone(), header(&name)?.into()))).collect()
}

/// Headers that are never kept.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "cookie", "proxy-authorization"].contains(&name.as_str())
        || ["key", "token", "secret"].iter().any(|word| name.contains(word)) && name != "idempotency-key"
}

fn unmatched(bed: &TestBed, caller: Caller, audition: &Audition<'_>) -> (u64, Option<Cast>) {
    let now = bed.clock.now();
    let (number, nearest) = bed.world(caller.organization, |world| {
        let used_up: Vec<&str> = world
            .scenarios
            .iter()
            .filter(|loaded| loaded.is_used_up())
            .map(|loaded| loaded.scenario.name.as_str())
            .collect();
        let scenarios = world.scenarios.iter().map(|loaded| &*loaded.scenario);
        let nearest = nearest(scenarios, audition, |name| used_up.contains(&name));
        let number = world.journal.add_unmatched(journal::Unmatched {
            number: 0,
            session: None,
            at: now,
            agent: audition.agent.to_owned(),
            message: audition.message.map(str::to_owned),
            nearest: nearest.clone(),
        });
        (number, nearest)
    });
    let cast = match bed.unmatched {
        Unmatched::Answer | Unmatched::Model => None,
        Unmatched::Fail => {
            let told = nearest.iter().map(|miss| format!("`{}` ({}): {}", miss.scenario, miss.place, miss.because));
            let told = told.collect::<Vec<_>>().join("; ");
            let why = if told.is_empty() {
                "no scenario matches this session: none is loaded".to_owned()
            } else {
                format!("no scenario matches this session; the nearest: {told}")
            };
            Some(Cast::Unmatched { why })
        }
    };
    (number, cast)
}
