//! An open environment of kind `web`: tools on one side, a browser on the other, and between them what has to be kept
//! so that a browser can be lost without the session.

use super::{
    browsers::{Browsers, Wanted},
    chromium::{downloads::Arrived, state::TabSetup},
    coordinates::{Area, Pointing},
    driver::{Action, ActionError, Done, Driver},
    observe,
    spec::WebSpec,
    text::Chunks,
    tools::{self, Arguments, Call, Mode, receipt},
};
use crate::{
    CallError, CallOrder, Environment, FileBytes, Observation, OpenContext, OpenError, Output, OutputFile, Parking,
    Picture, TakeOver, Tool,
};
use async_trait::async_trait;
use quarterdeck_api::{EnvironmentKind, JsonObject};
use serde_json::{Value, json};
use std::{
    any::Any,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use url::Url;

/// Elements in the list for models without pictures.
const ELEMENTS_MAX: usize = 150;
/// Pictures of one session, and their bytes.
const PICTURES_MAX: usize = 2_000;
const PICTURES_MAX_BYTES: usize = 512 << 20;
/// Bytes of cookies that are kept in case a browser is lost.
const COOKIES_MAX_BYTES: usize = 1 << 20;
/// Characters of what is visible of a page, where its text comes along.
const VISIBLE_MAX_CHARS: usize = 20_000;

/// An open environment of kind `web`.
#[derive(Debug)]
pub(crate) struct WebEnvironment {
    browsers: Arc<Browsers>,
    spec: WebSpec,
    context: OpenContext,
    pointing: Pointing,
    offered: Vec<Tool>,
    /// How often a browser was started for it.
    starts: AtomicU32,
    inner: Mutex<Inner>,
}

/// A browser with the place it takes.
#[derive(Debug)]
struct Live {
    browser: Box<dyn Driver>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct Inner {
    live: Option<Live>,
    /// Where it was last, and the cookies it had then.
    url: Option<Url>,
    cookies: Vec<Value>,
    /// Where it was when the last browser was lost.
    lost_on: Option<Url>,
    /// What the agent is told with the next look.
    told: Vec<String>,
    /// Whether another page is shown than in the last look.
    moved_on: bool,
    text: Option<Chunks>,
    chunk: usize,
    /// What the next picture shows enlarged.
    zoom: Option<Area>,
    searched: (String, usize),
    pictures: usize,
    pictures_bytes: usize,
    /// Files that came with a start page, for the next call to hand over.
    arrived: Vec<Arrived>,
    /// Files that were handed over and are not needed any more.
    handed: Vec<PathBuf>,
}

impl WebEnvironment {
    /// Opens the environment, and its browser unless that is to wait for the first call.
    ///
    /// # Errors
    /// [`OpenError`] when no browser can be had.
    pub(crate) async fn open(browsers: Arc<Browsers>, spec: WebSpec, context: OpenContext) -> Result<Self, OpenError> {
        let vision = context.vision;
        let pointing = Pointing::new(vision.coordinates, spec.size, vision.image_side_max);
        let mut offered = tools::offered(spec.mode, &pointing);
        offered.retain(|tool| vision.images_max > 0 || tool.name != tools::ZOOM);
        let inner = match &spec.session_id {
            Some(id) if !context.reopened => take_over(&browsers, &spec, &context, id).await?,
            Some(_) | None => fresh(&spec, &context),
        };
        let starts = AtomicU32::new(inner.live.is_some().into());
        let environment = Self { browsers, spec, context, pointing, offered, starts, inner: Mutex::new(inner) };
        if !environment.spec.lazy || environment.starts() > 0 {
            let mut inner = environment.inner.lock().await;
            environment.browser(&mut inner).await.map_err(|CallError(cause)| OpenError(cause))?;
        }
        Ok(environment)
    }

    /// The browser; started if there is none, or if it was lost.
    async fn browser<'i>(&self, inner: &'i mut Inner) -> Result<&'i dyn Driver, CallError> {
        if inner.live.as_ref().is_some_and(|live| live.browser.has_ended()) {
            self.lost(inner).await;
        }
        let live = match inner.live.take() {
            Some(live) => live,
            None => self.start(inner).await?,
        };
        Ok(&*inner.live.insert(live).browser)
    }

    async fn start(&self, inner: &mut Inner) -> Result<Live, CallError> {
        let place = self.browsers.place(&self.context).await.map_err(CallError)?;
        let wanted = Wanted {
            setup: setup(&self.browsers, &self.spec, &self.context),
            settle: self.spec.settle,
            upstream: self.spec.upstream.clone(),
        };
        let browser = self.browsers.start(&wanted).await.map_err(CallError)?;
        self.starts.fetch_add(1, Ordering::Relaxed);
        browser.restore(&inner.cookies).await;
        if let Some(url) = inner.url.clone() {
            let mut shown = browser.act(Action::Go(url.clone())).await;
            if shown.as_ref().is_ok_and(|done| done.news.crashed) {
                shown = browser.act(Action::Go(url.clone())).await;
            }
            let (fault, arrived) = match shown {
                Ok(done) if done.news.crashed => (Some("the page crashed".to_owned()), done.arrived),
                Ok(done) => (done.load, done.arrived),
                Err(error) => (Some(error.to_string()), Vec::new()),
            };
            inner.told.extend(fault.map(|fault| format!("{url} was not opened as it should be: {fault}.")));
            let file = |file: &Arrived| format!("{} is a file and no page; you get it with your next call.", file.name);
            inner.told.extend(arrived.iter().map(file));
            inner.arrived = arrived;
        }
        inner.text = None;
        inner.chunk = 1;
        Ok(Live { browser: Box::new(browser), _place: place })
    }

    /// Lets go of a browser that has ended; the agent is told with the next look.
    async fn lost(&self, inner: &mut Inner) {
        // Whoever waits for this may stop waiting; all is noted before.
        let live = inner.live.take();
        inner.moved_on = true;
        // They went with their folder.
        inner.arrived.clear();
        // A page that ends its browser would do so again and again.
        let is_again = inner.url.is_some() && inner.url == inner.lost_on;
        inner.lost_on = inner.url.take_if(|_| is_again).or_else(|| inner.url.clone());
        let page = match &inner.url {
            Some(url) => url.to_string(),
            None if is_again => "a blank page, because it ended twice on the same one".to_owned(),
            None => "a blank page".to_owned(),
        };
        inner.told.push(format!(
            "The browser ended and was started again. It shows {page}. What was typed into pages is lost; you are \
             still signed in where cookies allow."
        ));
        if let Some(live) = live {
            live.browser.close().await;
        }
    }

    async fn run(&self, inner: &mut Inner, name: &str, given: &JsonObject) -> Result<Output, CallError> {
        let arguments = Arguments::new(given, self.pointing);
        let element = given.get("element").and_then(Value::as_str);
        let call = tools::read(name, &arguments)?;
        self.browser(inner).await?;
        let (action, done) = match call {
            Call::Act { by_position: true, .. } | Call::Upload { .. } | Call::Zoom(_) if inner.moved_on => {
                return Err(CallError("the page changed with the call before; look again".into()));
            }
            Call::Act { action, done, .. } => (action, done),
            Call::Upload { file, at } => {
                let found = self.context.files.read(&file).await?;
                let found = found.ok_or_else(|| CallError(format!("this session has no file {file:?}")))?;
                (
                    Action::Upload { at, name: file_name(&found.name), content: found.bytes },
                    format!("gave {file:?} at {at}"),
                )
            }
            Call::Follow(number) => (Action::Go(self.link(inner, number).await?), format!("followed link {number}")),
            Call::Search { text, next } if self.spec.mode == Mode::Text => {
                return self.search(inner, &text, next).await;
            }
            Call::Search { text, next } => {
                (Action::Find { text: text.clone(), next }, format!("searched for {text:?}"))
            }
            Call::Read(chunk) => return self.read_chunk(inner, chunk).await,
            Call::Zoom(area) => {
                inner.zoom = Some(area);
                return Ok(Output::of(json!({"done": format!("the next picture shows {area} enlarged")})));
            }
        };
        let leaves_text = !matches!(action, Action::Wait { .. } | Action::AnswerDialog(_));
        let mut came = self.act(inner, action).await?;
        came.arrived.splice(0..0, std::mem::take(&mut inner.arrived));
        if leaves_text && (came.changed || came.moved_on) {
            inner.text = None;
            inner.chunk = 1;
        }
        let mut result = receipt(&done, element, &came);
        let unknown = self.unknown_arguments(name, &arguments);
        if !unknown.is_empty() {
            result["ignored"] = unknown.into();
        }
        Ok(Output { result, files: files(inner, came.arrived), ..Output::default() })
    }

    /// Hands over files that wait, with a call that did nothing in the browser.
    fn with_files(inner: &mut Inner, mut output: Output) -> Output {
        let arrived = std::mem::take(&mut inner.arrived);
        if let Some(told) = tools::downloaded(&arrived) {
            output.result["downloaded"] = told;
            output.files = files(inner, arrived);
        }
        output
    }

    fn unknown_arguments(&self, name: &str, given: &Arguments<'_>) -> Vec<String> {
        let tool = self.offered.iter().find(|tool| tool.name == name);
        let known = tool.and_then(|tool| tool.input_schema.get("properties")?.as_object());
        known.map(|known| given.unknown(known)).unwrap_or_default()
    }

    async fn act(&self, inner: &mut Inner, action: Action) -> Result<Done, CallError> {
        let browser = self.browser(inner).await?;
        match browser.act(action).await {
            Ok(done) => {
                inner.moved_on |= done.moved_on;
                if inner.moved_on {
                    inner.zoom = None;
                }
                Ok(done)
            }
            Err(ActionError::Refused(sentence)) => Err(CallError(sentence)),
            Err(ActionError::Ended) => {
                self.lost(inner).await;
                Err(CallError(
                    "the browser ended during this call; whether it took effect is unknown. It is started again; look \
                     at what it shows"
                        .into(),
                ))
            }
        }
    }

    /// The text of the page in chunks, read when it is first needed.
    async fn text<'i>(&self, inner: &'i mut Inner) -> Result<&'i Chunks, CallError> {
        let chunks = if let Some(chunks) = inner.text.take() {
            chunks
        } else {
            let text = self.browser(inner).await?.text(false).await;
            Chunks::of(text.map_err(|error| CallError(error.to_string()))?, self.spec.chunk_size)
        };
        Ok(inner.text.insert(chunks))
    }

    async fn link(&self, inner: &mut Inner, number: usize) -> Result<Url, CallError> {
        let known = self.text(inner).await?.link(number).map(str::to_owned);
        let url = known.ok_or_else(|| CallError(format!("there is no link #{number} on this page")))?;
        tools::web_address(&url).map_err(CallError)
    }

    async fn search(&self, inner: &mut Inner, wanted: &str, next: bool) -> Result<Output, CallError> {
        let after = if next && inner.searched.0 == wanted { inner.searched.1 } else { 0 };
        let found = self.text(inner).await?.find(wanted, after);
        let Some(found) = found else {
            return Ok(Output::of(json!({"done": format!("searched for {wanted:?}"), "found": {"count": 0}})));
        };
        inner.searched = (wanted.to_owned(), found.place);
        inner.chunk = found.chunk;
        Ok(Output::of(json!({
            "done": format!("searched for {wanted:?}"),
            "found": {"count": found.count, "at": found.place, "chunk": found.chunk, "line": found.line},
        })))
    }

    async fn read_chunk(&self, inner: &mut Inner, wanted: Option<usize>) -> Result<Output, CallError> {
        let current = inner.chunk;
        let is_text_mode = self.spec.mode == Mode::Text;
        let chunks = self.text(inner).await?;
        let count = chunks.count();
        let number = wanted.unwrap_or(if is_text_mode { current + 1 } else { current });
        let shown = chunks.shown(number);
        let shown = shown.ok_or_else(|| CallError(format!("there is no chunk {number}; the page has {count}")))?;
        // In text mode the look that follows shows it.
        inner.chunk = if is_text_mode { number } else { number + 1 };
        let done = format!("chunk {number} of {count}");
        Ok(Output::of(if is_text_mode { json!({"done": done}) } else { json!({"done": done, "text": shown}) }))
    }

    async fn observe(&self, inner: &mut Inner) -> Result<Observation, CallError> {
        let browser = self.browser(inner).await?;
        let (sight, cookies) = tokio::join!(browser.sight(), browser.cookies());
        let sight = sight.map_err(|error| CallError(error.to_string()))?;
        let mut metadata = observe::metadata(&sight);
        remember(inner, &sight.url, cookies);
        let (source, text, images) = match self.spec.mode {
            Mode::Text => {
                let chunk = inner.chunk;
                let chunks = self.text(inner).await?;
                let (count, shown) = (chunks.count(), chunks.shown(chunk).or_else(|| chunks.shown(1)));
                metadata.insert("chunk".into(), chunk.min(count).into());
                metadata.insert("chunks".into(), count.into());
                ("textual_web", shown, Vec::new())
            }
            Mode::Visual { markdown } => {
                let text = self.visible_text(inner, markdown).await?;
                ("web", text, self.picture(inner, inner.zoom).await?.into_iter().collect())
            }
        };
        // From here on nothing is waited for, so that what is taken is also told.
        if let Some(area) = inner.zoom.take().filter(|_| !images.is_empty()) {
            metadata.insert("zoom".into(), observe::zoomed(area));
            inner.told.push(self.told_of_zoom(area));
        }
        inner.moved_on = false;
        let mut told = std::mem::take(&mut inner.told);
        if sight.is_crashed {
            told.push("The page has crashed. Load it again, or go to another one.".into());
        } else if images.is_empty() && source == "web" && self.context.vision.images_max > 0 {
            told.push(
                "There is no picture this time: the page did not give one, or this session has taken too many.".into(),
            );
        }
        told.extend(text);
        let text = (!told.is_empty()).then(|| told.join("\n\n"));
        Ok(Observation { source: source.into(), text, images, metadata })
    }

    fn told_of_zoom(&self, area: Area) -> String {
        let ((left, top), (right, bottom)) = (self.pointing.written(area.first()), self.pointing.written(area.last()));
        format!(
            "The picture shows a part enlarged: x from {left} to {right}, y from {top} to {bottom}. Positions stay those of \
             the whole visible page."
        )
    }

    async fn visible_text(&self, inner: &mut Inner, markdown: bool) -> Result<Option<String>, CallError> {
        let vision = self.context.vision;
        let browser = self.browser(inner).await?;
        let mut parts = Vec::new();
        if markdown || vision.images_max == 0 {
            let text = browser.text(true).await.map(|text| text.blocks.join("\n\n"));
            parts.extend(text.ok().map(|text| text.chars().take(VISIBLE_MAX_CHARS).collect::<String>()));
        }
        if vision.images_max == 0 {
            let elements = browser.elements(ELEMENTS_MAX).await.unwrap_or_default();
            parts.push(observe::listed(&elements, &self.pointing));
        }
        Ok((!parts.is_empty()).then(|| parts.join("\n\n")))
    }

    async fn picture(&self, inner: &mut Inner, of: Option<Area>) -> Result<Option<Picture>, CallError> {
        let is_used_up = inner.pictures >= PICTURES_MAX || inner.pictures_bytes >= PICTURES_MAX_BYTES;
        if is_used_up || self.context.vision.images_max == 0 {
            return Ok(None);
        }
        let taken = self.browser(inner).await?.picture(of).await;
        if let Some(bytes) = &taken {
            inner.pictures += 1;
            inner.pictures_bytes += bytes.len();
        }
        Ok(taken.map(|bytes| Picture { bytes, media_type: "image/jpeg".into() }))
    }
}

/// Keeps what another browser would need to go on.
fn remember(inner: &mut Inner, url: &str, cookies: Option<Vec<Value>>) {
    inner.url = tools::web_address(url).ok().filter(|_| url != "about:blank");
    if inner.lost_on != inner.url {
        inner.lost_on = None;
    }
    let Some(mut cookies) = cookies else { return };
    let mut size: usize = cookies.iter().map(|cookie| cookie.to_string().len()).sum();
    while size > COOKIES_MAX_BYTES && !cookies.is_empty() {
        size -= cookies.remove(0).to_string().len();
    }
    inner.cookies = cookies;
}

/// What is known of a browser before it is started.
fn fresh(spec: &WebSpec, context: &OpenContext) -> Inner {
    let told = context.reopened.then(|| {
        "The browser is gone: its server was started anew, or another session took the browser over. A new one was started. \
         What was on its pages is lost, and you are signed out."
            .to_owned()
    });
    Inner { url: spec.start_url.clone(), chunk: 1, told: told.into_iter().collect(), ..Inner::default() }
}

/// Takes the browser of another session, with its pages and its login.
async fn take_over(browsers: &Browsers, spec: &WebSpec, context: &OpenContext, id: &str) -> Result<Inner, OpenError> {
    let refused = |why: &str| Err(OpenError(format!("session_id: the browser {id:?} {why}")));
    let environment = match context.parked.take_over(context.organization, EnvironmentKind::Web, id) {
        TakeOver::Taken(environment) => environment,
        TakeOver::InUse => return refused("is in use; it can be had while its session waits"),
        TakeOver::Unknown => return refused("is not open on this server"),
    };
    let any: &dyn Any = &*environment;
    let Some(web) = any.downcast_ref::<WebEnvironment>() else { return refused("is not one of this server's") };
    let Inner { live, url, cookies, pictures, pictures_bytes, .. } = std::mem::take(&mut *web.inner.lock().await);
    let live = live.filter(|live| !live.browser.has_ended());
    let what = if live.is_some() {
        "with its pages and its login"
    } else {
        "that had ended; it is started again with its login"
    };
    let told = vec![format!("You go on in the browser of another session, {what}.")];
    if let Some(live) = &live {
        live.browser.set_up(setup(browsers, spec, context), spec.settle).await;
    }
    Ok(Inner { live, url, cookies, told, pictures, pictures_bytes, chunk: 1, ..Inner::default() })
}

fn setup(browsers: &Browsers, spec: &WebSpec, context: &OpenContext) -> TabSetup {
    browsers.tab_setup(spec.size, context.timezone.clone(), context.vision.image_side_max)
}

/// Files that came from pages, to be handed over.
fn files(inner: &mut Inner, arrived: Vec<Arrived>) -> Vec<OutputFile> {
    inner.handed.extend(arrived.iter().map(|file| file.path.clone()));
    let file = |file: Arrived| OutputFile { name: file.name, media_type: None, content: FileBytes::Path(file.path) };
    arrived.into_iter().map(file).collect()
}

/// The last part of a name, fit for a folder.
fn file_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default().trim_matches('.');
    let name = &name[..name.floor_char_boundary(150)];
    if name.is_empty() { "file".into() } else { name.replace('\0', "") }
}

#[async_trait]
impl Environment for WebEnvironment {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Web
    }

    fn order(&self) -> CallOrder {
        CallOrder::InTurn
    }

    fn parking(&self) -> Parking {
        Parking::Keep
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::Relaxed)
    }

    async fn tools(&self) -> Vec<Tool> {
        self.offered.clone()
    }

    async fn look(&self) -> Option<Observation> {
        let mut inner = self.inner.lock().await;
        if inner.live.is_none() && self.spec.lazy && inner.told.is_empty() {
            return None;
        }
        // A browser may end in the middle; the second look is at another one.
        for _ in 0..2 {
            match self.observe(&mut inner).await {
                Ok(seen) => return Some(seen),
                Err(CallError(cause)) => tracing::debug!(cause, "a browser could not be looked at"),
            }
            if inner.live.as_ref().is_some_and(|live| !live.browser.has_ended()) {
                break;
            }
        }
        inner.moved_on = false;
        let mut told = std::mem::take(&mut inner.told);
        told.push("The page does not answer. Wait, or go to another one.".into());
        let source = if self.spec.mode == Mode::Text { "textual_web" } else { "web" };
        Some(Observation::of_text(source, told.join("\n\n")))
    }

    async fn call(&self, tool: &str, arguments: &JsonObject) -> Result<Output, CallError> {
        let mut inner = self.inner.lock().await;
        for path in std::mem::take(&mut inner.handed) {
            let _ = tokio::fs::remove_file(path).await;
        }
        let output = self.run(&mut inner, tool, arguments).await?;
        Ok(Self::with_files(&mut inner, output))
    }

    async fn close(&self) {
        if let Some(live) = self.inner.lock().await.live.take() {
            live.browser.close().await;
        }
    }
}
