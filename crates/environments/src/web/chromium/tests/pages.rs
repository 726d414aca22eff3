use super::*;
use url::Url;

#[tokio::test]
async fn a_page_is_seen_with_its_picture_and_its_place() {
    let page = on("/tall").await;
    let picture = page.picture(None).await.unwrap();
    assert!(picture.starts_with(&[0xff, 0xd8, 0xff]) && picture.len() < 200_000, "{}", picture.len());
    let sight = page.sight().await.unwrap();
    assert_eq!((sight.title.as_str(), sight.url.as_str()), ("Tall", page.site.url("/tall").as_str()));
    assert_eq!((sight.screen, sight.tabs.len(), sight.scroll), (setup().size, 1, Some((0, 0))));
    assert!(sight.page.is_some_and(|(width, height)| width == 800 && height > 5_000), "{sight:?}");
    assert_eq!(sight.load.as_deref(), Some("complete"));
}

#[tokio::test]
async fn a_page_that_changes_while_nobody_acts_is_seen_as_it_is() {
    let page = on("/two").await;
    let seen = page.picture(None).await.unwrap();
    let painted = json!({"expression": "document.body.style.background = 'red'"});
    page.active_page().unwrap().call("Runtime.evaluate", painted).await.unwrap();
    assert_ne!(page.picture(None).await.unwrap(), seen);
}

#[tokio::test]
async fn a_page_is_waited_for_without_any_patience() {
    let page = on("/two").await;
    page.set_up(setup(), Duration::ZERO).await;
    let done = page.act(Action::Go(page.site.url("/slow/700"))).await.unwrap();
    assert_eq!(done.page.map(|(_, title)| title).as_deref(), Some("Slow"));
    assert!(page.act(Action::Reload).await.unwrap().moved_on);
    assert!(page.taken().picture.is_some(), "it is not asked for one while it is replaced");
}

#[tokio::test]
async fn history_goes_back_and_forward_and_not_beyond() {
    let page = on("/").await;
    page.act(Action::Go(page.site.url("/two"))).await.unwrap();
    let back = page.act(Action::Back).await.unwrap();
    assert_eq!(back.page.map(|(_, title)| title).as_deref(), Some("Home"));
    assert_eq!(page.act(Action::Forward).await.unwrap().page.unwrap().1, "Two");
    let beyond = page.act(Action::Forward).await.unwrap_err();
    assert!(beyond.to_string().contains("no page after"), "{beyond}");
    assert!(page.act(Action::Reload).await.unwrap().moved_on);
}

#[tokio::test]
async fn tabs_open_switch_and_close() {
    let page = on("/acts").await;
    let done = page.click(100.0, 140.0).await;
    let opened = done.news.opened[0];
    let sight = page.sight().await.unwrap();
    assert_eq!((sight.active, sight.title.as_str(), sight.tabs.len()), (Some(opened), "Two", 2));
    let first = sight.tabs[0].id;
    page.act(Action::SwitchTab(first)).await.unwrap();
    assert_eq!(page.sight().await.unwrap().title, "Acts");
    let unknown = page.act(Action::SwitchTab(TabId(99))).await.unwrap_err();
    assert!(unknown.to_string().contains("there is no tab 99"), "{unknown}");
    page.act(Action::CloseTab(Some(first))).await.unwrap();
    assert_eq!(page.sight().await.unwrap().title, "Two");
    page.act(Action::CloseTab(None)).await.unwrap();
    let last = page.sight().await.unwrap();
    assert_eq!((last.tabs.len(), last.url.as_str()), (1, "about:blank"));
    page.act(Action::OpenTab(Some(page.site.url("/three")))).await.unwrap();
    assert_eq!(page.sight().await.unwrap().title, "Three");
}

#[tokio::test]
async fn a_page_that_opens_tabs_without_end_gets_twenty() {
    let page = on("/acts").await;
    let done = page.click(100.0, 440.0).await;
    assert!(done.news.tabs_refused > 0, "{done:?}");
    assert!(page.sight().await.unwrap().tabs.len() <= state::TABS_MAX);
    page.act(Action::Go(page.site.url("/two"))).await.unwrap();
    assert!(page.says().await.contains("42"));
}

#[tokio::test]
async fn a_page_that_hangs_is_left_for_another() {
    let page = on("/acts").await;
    let started = Instant::now();
    let done = page.click(100.0, 390.0).await;
    assert!(done.notes.iter().any(|note| note.contains("busy")), "{done:?}");
    page.act(Action::Go(page.site.url("/two"))).await.unwrap();
    assert!(page.says().await.contains("42"));
    assert!(started.elapsed() < Duration::from_secs(50), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_never_loads_is_stopped_and_told() {
    let page = on("/").await;
    let done = page.act(Action::Go(page.site.url("/hang"))).await.unwrap();
    assert!(done.load.is_some_and(|load| load.contains("no answer within 10 s")));
    let done = page.act(Action::Go(page.site.url("/loop"))).await.unwrap();
    assert_eq!(done.load.as_deref(), Some("the page was not loaded: it redirects without end"));
    page.act(Action::Go(page.site.url("/auth"))).await.unwrap();
    assert!(page.says().await.contains("no entry"));
    let done = page.act(Action::Go(page.site.url("/slow/1500"))).await.unwrap();
    assert_eq!((done.load, done.page.unwrap().1.as_str()), (None, "Slow"));
}

#[tokio::test]
async fn what_leads_inside_is_not_reached_and_told() {
    let page = on("/").await;
    let inside = page.site.url("/redirect?to=http://10.0.0.1/");
    let done = page.act(Action::Go(inside)).await.unwrap();
    assert_eq!(done.refused, ["10.0.0.1"]);
    let own = Url::parse(&format!("http://{}/", page.browser.proxy.address())).unwrap();
    assert_eq!(page.act(Action::Go(own)).await.unwrap().refused, ["127.0.0.1"]);
    let secure = page.act(Action::Go(Url::parse("https://169.254.169.254/").unwrap())).await.unwrap();
    assert_eq!(secure.load.as_deref(), Some("the page was not loaded: its host cannot be reached"));
    assert_eq!(secure.refused, ["169.254.169.254"]);
}

#[tokio::test]
async fn text_is_what_a_reader_sees() {
    let page = on("/text").await;
    let text = page.text(false).await.unwrap();
    let said = text.blocks.join("\n");
    for part in [
        "# Report of the year",
        "Some bold words, and a [link to two](#1), and [another](#2).",
        "- first",
        "- second [two again](#1)",
        "  1. deep",
        "| Thing | Price |\n| --- | --- |\n| Pen | 3 \\| 4 |",
        "```\nlet x = 1;\n  let y = 2;\n```",
        "[field Name: Ann]",
        "[field Pass: ***]",
        "[x] yes",
        "![a cat]",
        "> said somebody",
        "in the shadow",
    ] {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
    assert!(!said.contains("never seen") && !said.contains("nor this") && !said.contains("hunter2"), "{said}");
    assert_eq!(text.links, [page.site.url("/two").as_str(), page.site.url("/three").as_str()]);
    let elements = page.elements(50).await.unwrap();
    assert!(elements.iter().any(|element| element.called == "link \"link to two\""), "{elements:?}");
}

#[tokio::test]
async fn files_arrive_and_are_given() {
    let page = on("/files").await;
    let done = page.click(50.0, 30.0).await;
    let arrived = &done.arrived[0];
    assert_eq!((arrived.name.as_str(), arrived.bytes), ("_.._evil report.txt", 18), "{done:?}");
    assert_eq!(std::fs::read_to_string(&arrived.path).unwrap(), "the report says 17");
    let upload = |y| Action::Upload { at: Point { x: 60.0, y }, name: "notes.txt".into(), content: "my notes".into() };
    page.act(upload(240.0)).await.unwrap();
    assert!(page.says().await.contains("my notes"));
    page.act(upload(140.0)).await.unwrap();
    page.click(100.0, 190.0).await;
    let said = page.says().await;
    assert!(said.contains("my notes") && said.contains("notes.txt"), "{said}");
    let none =
        page.act(Action::Upload { at: Point { x: 700.0, y: 600.0 }, name: "a".into(), content: "a".into() }).await;
    assert!(none.is_err());
}

#[tokio::test]
async fn a_lost_browser_is_seen_at_once_and_its_cookies_fit_another() {
    let page = on("/login").await;
    assert!(page.says().await.contains("signed in"));
    let cookies = page.cookies().await.unwrap();
    let acting = page.act(Action::Wait { seconds: 10.0, text: None });
    let killing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        page.process.lock().await.take();
    };
    let started = Instant::now();
    let (acted, ()) = tokio::join!(acting, killing);
    assert_eq!(acted.map(drop), Err(ActionError::Ended));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let other = on("/").await;
    other.restore(&cookies).await;
    other.act(Action::Go(page.site.url("/inside"))).await.unwrap();
    assert!(other.says().await.contains("signed in"));
}

#[tokio::test]
async fn two_sessions_share_nothing() {
    let page = on("/login").await;
    let other = on("/").await;
    other.act(Action::Go(page.site.url("/inside"))).await.unwrap();
    assert!(other.says().await.contains("signed out"));
}

#[tokio::test]
async fn nothing_is_left_of_a_closed_browser() {
    let page = on("/").await;
    let folder = page.uploads.parent().unwrap().to_owned();
    let address = page.proxy.address();
    page.close().await;
    assert!(!folder.exists());
    assert!(page.has_ended());
    drop(page);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
