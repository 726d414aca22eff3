//! Where in a request a value sits, and what was found wrong on the way.

use super::echo::{self, Budget};
use super::ignored::Reads;
use super::json::Value;
use crate::{Detail, JsonObject, LocationPart};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};

/// Faults beyond this many are not kept: none of them would fit into an answer.
const FAULTS_MAX: usize = 1000;

/// Names in a location are cut here; some are keys that the client chose.
const NAME_MAX: usize = 256;

/// What is said about a value is cut here; some of it quotes the client.
const MSG_MAX: usize = 1000;

/// The first values of each schema, argument and result, which do not count: many small ones are bounded by the body's length.
const VALUES_UNCOUNTED: usize = 16;

/// JSON that is kept as it is.
#[derive(Clone, Copy, Debug)]
pub enum Kept {
    /// Of tools and answers.
    Schema,
    /// Arguments and results.
    Data,
}

impl Kept {
    /// How many values (texts, numbers, lists, objects, ...) a request may hold. Each takes some hundred bytes of memory once it
    /// is read, however short it is as text.
    const fn max(self) -> usize {
        match self {
            Self::Schema => 20_000,
            Self::Data => 100_000,
        }
    }
}

/// The faults found so far, and what is kept so far.
#[derive(Debug, Default)]
pub struct Faults {
    details: RefCell<Vec<Detail>>,
    schema_values: Cell<usize>,
    data_values: Cell<usize>,
    echo: RefCell<Budget>,
    shows_nothing: bool,
    pub(super) reads: Reads,
}

impl Faults {
    /// For values that whoever reads of the faults may not see: none of them is echoed.
    pub fn showing_nothing() -> Self {
        Self { shows_nothing: true, ..Self::default() }
    }

    /// The root of a part of the request: `body`, `query`, `path` or `header`.
    pub fn root<'a>(&'a self, part: &'a str) -> Place<'a> {
        Place { faults: self, parent: None, step: Step::Name(part), depth: 0 }
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.details.borrow().is_empty()
    }

    /// All of them, in the order found.
    pub fn into_details(self) -> Vec<Detail> {
        self.details.into_inner()
    }

    /// Refuses a name that nothing reads.
    pub(super) fn refuse_name(&self, loc: Vec<LocationPart>) {
        self.push(Fault::new("extra_forbidden", "this name is not known here"), loc, &Value::Null);
    }

    fn push(&self, fault: Fault, loc: Vec<LocationPart>, input: &Value<'_>) {
        let mut details = self.details.borrow_mut();
        if details.len() >= FAULTS_MAX {
            return;
        }
        let input = (!self.shows_nothing).then(|| echo::echo(input, &mut self.echo.borrow_mut()));
        let ctx = fault.ctx.map(serde_json::Value::Object);
        details.push(Detail { input, ctx, ..Detail::at(loc, fault.kind, fault.msg) });
    }
}

/// Refuses what should be JSON and does not say so.
pub fn refuse_unread(note: &Value<'_>, at: &Place<'_>) {
    let fault = Fault::new("model_attributes_type", "must be JSON, declared as `application/json`");
    at.refuse::<()>(fault, note);
}

/// A place in a request, as a chain up to its root; costs nothing until something is refused there.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    faults: &'a Faults,
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
    depth: usize,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    /// The field `name` of the value here, or the union member of that tag.
    #[must_use]
    pub fn field(&'a self, name: &'a str) -> Place<'a> {
        self.below(Step::Name(name))
    }

    /// The entry `index` of the list here.
    #[must_use]
    pub fn index(&'a self, index: usize) -> Place<'a> {
        self.below(Step::Index(index))
    }

    /// Refuses `input`, the value here. Returns `None` for the decoder to return.
    pub fn refuse<T>(&self, fault: Fault, input: &Value<'_>) -> Option<T> {
        self.faults.push(fault, self.location(), input);
        None
    }

    /// Counts values that are kept as they are.
    ///
    /// # Errors
    /// The fault of too many of them in one request.
    pub fn keep(&self, kept: Kept, count: usize) -> Result<(), Fault> {
        let (counted, what) = match kept {
            Kept::Schema => (&self.faults.schema_values, "schemas"),
            Kept::Data => (&self.faults.data_values, "arguments and results"),
        };
        counted.set(counted.get().saturating_add(count.saturating_sub(VALUES_UNCOUNTED)));
        if counted.get() <= kept.max() {
            return Ok(());
        }
        Err(Fault::rule(format!("the {what} of a request may hold {} values together, not more", kept.max())))
    }

    /// How many faults there are, for [`Place::forget`].
    pub fn mark(&self) -> usize {
        self.faults.details.borrow().len()
    }

    /// Forgets the faults since `mark`: the value turned out to be acceptable in another way.
    pub fn forget(&self, mark: usize) {
        self.faults.details.borrow_mut().truncate(mark);
    }

    /// Which members of the request's objects were looked at.
    pub(super) fn reads(&self) -> &Reads {
        &self.faults.reads
    }

    /// How many steps lie above.
    pub fn depth(&self) -> usize {
        self.depth
    }

    fn below(&'a self, step: Step<'a>) -> Place<'a> {
        Place { faults: self.faults, parent: Some(self), step, depth: self.depth + 1 }
    }

    fn location(&self) -> Vec<LocationPart> {
        let mut parts: Vec<_> = std::iter::successors(Some(self), |place| place.parent).map(Place::part).collect();
        parts.reverse();
        parts
    }

    fn part(&self) -> LocationPart {
        match self.step {
            Step::Name(name) => LocationPart::Name(name.chars().take(NAME_MAX).collect()),
            Step::Index(index) => LocationPart::Index(index as u64),
        }
    }
}

/// What is wrong with a value.
#[derive(Clone, Debug)]
pub struct Fault {
    kind: &'static str,
    msg: Cow<'static, str>,
    ctx: Option<JsonObject>,
}

impl Fault {
    /// A fault of the type `kind`.
    pub fn new(kind: &'static str, msg: impl Into<Cow<'static, str>>) -> Self {
        let msg = msg.into();
        let end = msg.char_indices().nth(MSG_MAX).map(|(end, _)| end);
        let msg = end.map_or_else(|| msg.clone(), |end| Cow::Owned(format!("{}...", &msg[..end])));
        Self { kind, msg, ctx: None }
    }

    /// A broken rule that no schema can express.
    pub fn rule(msg: impl Into<Cow<'static, str>>) -> Self {
        let fault = Self::new("value_error", msg);
        let error = fault.msg.to_string();
        fault.with("error", error)
    }

    /// Adds what helps to repair it, such as the bound that was broken.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        self.ctx.get_or_insert_default().insert(key.into(), value.into());
        self
    }
}
