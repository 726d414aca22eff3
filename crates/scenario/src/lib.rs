//! Scripts and scenarios: what a model without a network says, told line by line in a message or step by step in a file.
//! Both spellings become the same [`Cue`]s. This crate reads, checks, matches, plays and records them; it does no I/O and
//! reads no clock.

mod check;
mod condition;
mod cue;
mod diagnostic;
mod distance;
mod lines;
mod masking;
mod matching;
mod playback;
mod player;
mod recording;
mod rule;
mod schema;
mod template;
mod units;
mod yaml;

pub use check::{Checked, Known, check, check_rule};
pub use condition::TextTest;
pub use cue::{
    ANSWER, Act, Arguments, Branch, Call, CallResult, Cue, End, Failure, Observe, Place, Script, Step, Usage,
};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use lines::{ScriptFault, find};
pub use masking::Masks;
pub use matching::{Audition, Expectation, Match, Miss, Played, Scenario, Timing, nearest};
pub use playback::{Act as PlaybackAct, Deed, Placed, Playback, Replied};
pub use player::{Player, Stage};
pub use recording::{RecordedChild, RecordedEvent, Recording, RecordingFault};
pub use rule::{Cut, Deed as FaultDeed, Rule, RuleMatch};
pub use schema::SCHEMA;
pub use template::{Facts, TemplateFault};
pub use units::duration;
