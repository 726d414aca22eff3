//! The port between the tools and a browser: what tools need of one, whatever it is and wherever it runs.

use super::{
    chromium::{
        downloads::Arrived,
        keyboard::{Chord, Modifiers},
        state::{DialogAnswer, News, TabSetup},
        tab::TabId,
    },
    coordinates::{Area, Point, Size},
};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use std::{fmt::Debug, time::Duration};
use thiserror::Error;
use url::Url;

/// What a tool does to a browser.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Go(Url),
    Back,
    Forward,
    Reload,
    OpenTab(Option<Url>),
    SwitchTab(TabId),
    /// The active one if none is named.
    CloseTab(Option<TabId>),
    Wait {
        seconds: f64,
        text: Option<String>,
    },
    Find {
        text: String,
        next: bool,
    },
    Click {
        at: Point,
        button: Button,
        count: u8,
        modifiers: Modifiers,
    },
    Write {
        at: Option<Point>,
        content: String,
        overwrite: bool,
        enter: bool,
    },
    Select {
        at: Point,
        option: String,
    },
    Move {
        at: Point,
    },
    Drag {
        from: Point,
        to: Point,
    },
    Press(Vec<Chord>),
    /// By pixels; right and down are positive.
    Scroll {
        at: Point,
        x: f64,
        y: f64,
    },
    ScrollToEnd {
        at: Point,
        bottom: bool,
    },
    Upload {
        at: Point,
        name: String,
        content: Bytes,
    },
    AnswerDialog(DialogAnswer),
}

impl Action {
    /// Whether it is to show another page in the same tab.
    pub(crate) fn leaves_the_page(&self) -> bool {
        matches!(self, Self::Go(_) | Self::Back | Self::Forward | Self::Reload)
    }

    /// Whether it is done to what a page shows.
    pub(crate) fn needs_the_page(&self) -> bool {
        match self {
            Self::Go(_)
            | Self::Back
            | Self::Forward
            | Self::Reload
            | Self::OpenTab(_)
            | Self::SwitchTab(_)
            | Self::CloseTab(_)
            | Self::AnswerDialog(_) => false,
            Self::Wait { .. }
            | Self::Find { .. }
            | Self::Click { .. }
            | Self::Write { .. }
            | Self::Select { .. }
            | Self::Move { .. }
            | Self::Drag { .. }
            | Self::Press(_)
            | Self::Scroll { .. }
            | Self::ScrollToEnd { .. }
            | Self::Upload { .. } => true,
        }
    }
}

/// A button of the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Button {
    Left,
    Middle,
    Right,
}

/// What came of an action.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// What was at the place, as a person would call it.
    pub(crate) hit: Option<String>,
    /// What a field holds now. Never that of a password.
    pub(crate) value: Option<String>,
    /// Where the scrolled part stands, and how far it goes.
    pub(crate) scroll: Option<(i64, i64)>,
    /// Whether anything changed that can be seen, or that the document knows.
    pub(crate) changed: bool,
    /// Whether another page or tab is shown, so that positions of before mean nothing.
    pub(crate) moved_on: bool,
    /// The address and title, if another page is shown.
    pub(crate) page: Option<(String, String)>,
    /// What went wrong with loading.
    pub(crate) load: Option<String>,
    pub(crate) notes: Vec<String>,
    /// What was found, of a search.
    pub(crate) found: Option<Value>,
    pub(crate) news: News,
    /// Hosts that the guard refused.
    pub(crate) refused: Vec<String>,
    pub(crate) arrived: Vec<Arrived>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ActionError {
    /// A sentence for the model.
    #[error("{0}")]
    Refused(String),
    /// The browser is gone.
    #[error("the browser has ended")]
    Ended,
}

/// What a browser shows, besides its picture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sight {
    pub(crate) url: String,
    pub(crate) title: String,
    pub(crate) tabs: Vec<TabSight>,
    pub(crate) active: Option<TabId>,
    pub(crate) screen: Size,
    /// Width and height of the whole page; none if it does not answer.
    pub(crate) page: Option<(u64, u64)>,
    pub(crate) scroll: Option<(i64, i64)>,
    pub(crate) mouse: Point,
    /// `loading`, `interactive` or `complete`.
    pub(crate) load: Option<String>,
    /// Whether its page is gone, by a fault of its own or for want of memory.
    pub(crate) is_crashed: bool,
}

/// A tab in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TabSight {
    pub(crate) id: TabId,
    pub(crate) title: String,
    pub(crate) url: String,
}

/// The text of a page, as markdown: blocks in order, and the addresses that links in it name by number, from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PageText {
    pub(crate) blocks: Vec<String>,
    pub(crate) links: Vec<String>,
}

/// An element that can be acted on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Element {
    pub(crate) at: Point,
    pub(crate) called: String,
    pub(crate) value: Option<String>,
}

/// A browser of one session.
#[async_trait]
pub(crate) trait Driver: Debug + Send + Sync {
    /// Does something, and waits until the page is still. Returns within 30 seconds.
    async fn act(&self, action: Action) -> Result<Done, ActionError>;

    /// What it shows.
    async fn sight(&self) -> Result<Sight, ActionError>;

    /// A JPEG of the visible part, or of this part of it, enlarged; none if there is none in time.
    async fn picture(&self, of: Option<Area>) -> Option<Bytes>;

    /// The text of the page, or of its visible part.
    async fn text(&self, only_visible: bool) -> Result<PageText, ActionError>;

    /// What can be acted on in the visible part, at most so many.
    async fn elements(&self, max: usize) -> Result<Vec<Element>, ActionError>;

    /// Cookies, to give to another browser if this one is lost.
    async fn cookies(&self) -> Option<Vec<Value>>;

    /// Sets it up anew, for a session that takes it over.
    async fn set_up(&self, setup: TabSetup, settle: Duration);

    /// Whether it is gone.
    fn has_ended(&self) -> bool;

    /// Ends it.
    async fn close(&self);
}
