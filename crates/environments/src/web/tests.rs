//! The environment as the engine sees it, with a real browser on pages of our own.

use super::{
    BrowserExecutable, BrowserSettings, WebHosting,
    browsers::{Browsers, Wanted},
    coordinates::Size,
    site::{self, Site},
};
use crate::{CallError, Environment, Guard, Observation, OpenContext, OpenError, Output, Provider};
use quarterdeck_core::Coordinates;
use serde_json::{Value, json};
use std::{ops::Deref, path::Path};

/// An open environment on the site.
struct Fixture {
    environment: Box<dyn Environment>,
    hosting: WebHosting,
    site: Site,
    profiles: tempfile::TempDir,
}

impl Deref for Fixture {
    type Target = dyn Environment;

    fn deref(&self) -> &Self::Target {
        &*self.environment
    }
}

async fn settings(profiles: &Path, count_max: usize) -> BrowserSettings {
    BrowserSettings { executable: site::browser().await, ..usual(profiles, count_max) }
}

fn usual(profiles: &Path, count_max: usize) -> BrowserSettings {
    BrowserSettings {
        executable: BrowserExecutable { path: "/nowhere".into(), version: "none".into(), is_shell: true },
        profiles: profiles.to_owned(),
        count_max,
        memory_mb: 1_000,
        user: None,
        no_sandbox: rustix::process::getuid().is_root(),
        user_agent: None,
        language: None,
        timezone: None,
        own_ports: Vec::new(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made by a macro where it is given")]
fn spec(url: &str, more: Value) -> quarterdeck_api::Environment {
    let mut spec = json!({
        "kind": "web", "id": "w", "host": "cloud", "start_url": url, "headless": false, "lazy": false,
        "mode": {"type": "visual", "width": 800, "height": 700, "markdown": false}, "settle_s": 1.0,
        "use_default_browser_profile": false, "persist_browser_profile": false,
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

async fn open(path: &str, more: Value, context: OpenContext) -> Fixture {
    let site = site::start().await;
    let profiles = tempfile::tempdir().unwrap();
    let guard = Guard::allowing("127.0.0.1,localhost").unwrap();
    let hosting = WebHosting::new(settings(profiles.path(), 1).await, guard);
    let environment = hosting.open(&spec(site.url(path).as_str(), more), &context).await.unwrap();
    Fixture { environment, hosting, site, profiles }
}

async fn visual(path: &str) -> Fixture {
    open(path, json!({}), OpenContext::detached()).await
}

async fn text(path: &str) -> Fixture {
    open(path, json!({"mode": {"type": "text", "chunk_size": 1_000}}), OpenContext::detached()).await
}

impl Fixture {
    async fn try_call(&self, tool: &str, arguments: Value) -> Result<Output, String> {
        let arguments = arguments.as_object().unwrap();
        self.call(tool, arguments).await.map_err(|CallError(sentence)| sentence)
    }

    async fn does(&self, tool: &str, arguments: Value) -> Value {
        self.try_call(tool, arguments).await.unwrap().result
    }

    async fn sees(&self) -> Observation {
        self.look().await.unwrap()
    }

    async fn title(&self) -> String {
        self.sees().await.metadata["title"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_agent_sees_acts_and_sees_what_came_of_it() {
    let web = visual("/acts").await;
    let seen = web.sees().await;
    assert_eq!((seen.source.as_str(), seen.text, seen.images.len()), ("web", None, 1));
    assert_eq!(seen.images[0].media_type, "image/jpeg");
    for name in ["url", "title", "tabs", "active_tab", "screen_size", "page_size", "scroll_position", "mouse_position"]
    {
        assert!(seen.metadata.contains_key(name), "{name}");
    }
    let receipt = web.does("click_web", json!({"element": "the link", "x": 100, "y": 190, "why": "x"})).await;
    assert_eq!(receipt["done"], "click at (100, 190)");
    assert_eq!((&receipt["hit"], &receipt["title"]), (&"link \"Go to three\"".into(), &"Three".into()));
    assert_eq!((&receipt["changed"], &receipt["ignored"]), (&true.into(), &json!(["why"])));
    let late = web.try_call("click_web", json!({"x": 1, "y": 1})).await.unwrap_err();
    assert_eq!(late, "the page changed with the call before; look again");
    assert_eq!(web.title().await, "Three");
    let nothing = web.does("click_web", json!({"x": 700, "y": 600})).await;
    assert_eq!(nothing["changed"], false);
    let url = web.site.url("/two");
    web.does("go_to_web", json!({"url": url.as_str()})).await;
    let found = web.does("find_in_page_web", json!({"text": "answer"})).await;
    assert_eq!(found["found"]["line"], "The answer is 42.");
}

#[tokio::test]
async fn positions_are_in_the_models_convention() {
    let mut context = OpenContext::detached();
    context.vision.coordinates = Coordinates::Thousandths;
    let web = open("/acts", json!({}), context).await;
    let receipt = web.does("click_web", json!({"x": 125, "y": 57})).await;
    assert_eq!((&receipt["done"], &receipt["hit"]), (&"click at (100, 39)".into(), &"button \"One\"".into()));
    let wrong = web.try_call("click_web", json!({"x": 1_001, "y": 0})).await.unwrap_err();
    assert!(wrong.contains("from 0 to 1000"), "{wrong}");
}

#[tokio::test]
async fn a_model_without_pictures_gets_text_and_a_list_of_elements() {
    let mut context = OpenContext::detached();
    context.vision.images_max = 0;
    let web = open("/acts", json!({}), context).await;
    let seen = web.sees().await;
    let text = seen.text.unwrap();
    assert!(seen.images.is_empty());
    assert!(text.contains("(120, 40) button \"One\"") && text.contains("Drag me"), "{text}");
    let markdown = json!({"mode": {"type": "visual", "width": 800, "height": 700, "markdown": true}});
    let seen = open("/text", markdown, OpenContext::detached()).await.sees().await;
    assert!(seen.text.unwrap().contains("# Report of the year") && seen.images.len() == 1);
}

#[tokio::test]
async fn text_is_read_in_chunks_and_links_are_followed_by_number() {
    let web = text("/chapters").await;
    let seen = web.sees().await;
    assert_eq!((seen.source.as_str(), seen.images.len()), ("textual_web", 0));
    assert!(seen.metadata["chunks"].as_u64().unwrap() > 5, "{:?}", seen.metadata);
    let found = web.does("find_in_page_web", json!({"text": "chapter 30 "})).await;
    assert!(found["found"]["chunk"].as_u64().unwrap() > 2, "{found}");
    let shown = web.sees().await.text.unwrap();
    let at = shown.find("[Go on 30](#").unwrap_or_else(|| panic!("{shown}"));
    let number: String = shown[at + 12..].chars().take_while(char::is_ascii_digit).collect();
    web.does("read_page_web", json!({})).await;
    assert!(web.try_call("read_page_web", json!({"chunk": 99})).await.unwrap_err().contains("there is no chunk 99"));
    let receipt = web.does("go_to_web", json!({"url": format!("#{number}")})).await;
    assert_eq!(receipt["title"], "Chapter 30");
    assert_eq!(web.sees().await.metadata["chunk"], 1);
    assert!(web.try_call("go_to_web", json!({"url": "#99"})).await.unwrap_err().contains("no link #99"));
    assert_eq!(web.does("go_back_web", json!({})).await["title"], "Chapters");
    assert!(web.try_call("click_web", json!({"x": 1, "y": 1})).await.is_err());
}

#[tokio::test]
async fn a_browser_that_ends_is_replaced_and_the_login_stays() {
    let web = visual("/login").await;
    assert_eq!(web.title().await, "Inside");
    kill_browsers_below(web.profiles.path()).await;
    let seen = web.sees().await;
    assert!(seen.text.unwrap().contains("The browser ended and was started again"));
    assert_eq!((seen.metadata["title"].as_str(), seen.images.len()), (Some("Inside"), 1));
    kill_browsers_below(web.profiles.path()).await;
    let late = web.try_call("click_web", json!({"x": 1, "y": 1})).await.unwrap_err();
    assert!(late.contains("look again"), "{late}");
    let seen = web.sees().await;
    assert!(seen.text.unwrap().contains("it ended twice on the same one"));
    assert_eq!(seen.metadata["url"], "about:blank");
    web.does("go_to_web", json!({"url": web.site.url("/inside").as_str()})).await;
    assert_eq!(web.title().await, "Inside", "still signed in");
}

#[tokio::test]
async fn a_lazy_browser_starts_with_the_first_call() {
    let web = open("/two", json!({"lazy": true}), OpenContext::detached()).await;
    assert!(web.look().await.is_none());
    assert_eq!(folders(web.profiles.path()), 0);
    web.does("refresh_web", json!({})).await;
    assert_eq!((web.title().await.as_str(), folders(web.profiles.path())), ("Two", 1));
    web.close().await;
    assert_eq!(folders(web.profiles.path()), 0);
}

#[tokio::test]
async fn nobody_gets_a_browser_while_all_are_in_use() {
    let web = visual("/two").await;
    let wanted = spec(web.site.url("/").as_str(), json!({}));
    let context = OpenContext::detached();
    let second = web.hosting.open(&wanted, &context);
    let outcome = tokio::time::timeout(std::time::Duration::from_millis(1_500), second).await;
    assert!(outcome.is_err(), "it waits");
    web.close().await;
    let second = web.hosting.open(&wanted, &OpenContext::detached()).await.unwrap();
    second.close().await;
    web.hosting.shutdown().await;
    let OpenError(stopped) = web.hosting.open(&wanted, &OpenContext::detached()).await.unwrap_err();
    assert_eq!(stopped, "this server is being stopped");
}

#[tokio::test(start_paused = true)]
async fn the_waiting_for_a_browser_has_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let browsers = Browsers::new(usual(folder.path(), 2), Guard::default());
    let context = OpenContext::detached();
    let held = (browsers.place(&context).await.unwrap(), browsers.place(&context).await.unwrap());
    let started = tokio::time::Instant::now();
    assert_eq!(browsers.place(&context).await.unwrap_err(), "all 2 browsers of this server are in use");
    assert!(started.elapsed() >= std::time::Duration::from_secs(45), "{:?}", started.elapsed());
    let wanted = Wanted {
        setup: browsers.tab_setup(Size { width: 200, height: 200 }, None, None),
        settle: started.elapsed(),
        upstream: None,
    };
    drop(held);
    let _held = browsers.place(&context).await.unwrap();
    let refused = browsers.start(&wanted).await.unwrap_err();
    assert_eq!(refused, "no browser could be started; the server's log says why");
    assert_eq!(folders(folder.path()), 0);
}

#[tokio::test]
async fn a_start_page_that_cannot_be_shown_is_told() {
    let web = visual("/loop").await;
    let told = web.sees().await.text.unwrap();
    assert!(told.contains("was not opened as it should be") && told.contains("redirects without end"), "{told}");
}

#[tokio::test]
async fn other_schemes_are_not_opened() {
    let web = visual("/two").await;
    for url in
        ["file:///etc/passwd", "chrome://version", "view-source:http://x", "javascript:alert(1)", "data:text/html,x"]
    {
        let refused = web.try_call("go_to_web", json!({"url": url})).await.unwrap_err();
        assert!(refused.contains("by http and https"), "{refused}");
        assert!(web.try_call("switch_tab_web", json!({"url": url})).await.is_err());
    }
}

fn folders(profiles: &Path) -> usize {
    std::fs::read_dir(profiles).map_or(0, Iterator::count)
}

/// Kills every process that was started with a folder below this one, and waits until it is seen.
async fn kill_browsers_below(profiles: &Path) {
    let below = profiles.to_str().unwrap().as_bytes();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let is_below = std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| line.windows(below.len()).any(|part| part == below));
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let (true, Some(pid)) = (is_below, pid.and_then(rustix::process::Pid::from_raw)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
}
