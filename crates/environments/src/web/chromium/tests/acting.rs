use super::*;

#[tokio::test]
async fn forms_are_filled_and_sent() {
    let page = on("/form").await;
    let done = page.write(100.0, 35.0, "Ann Lee!").await.unwrap();
    assert_eq!((done.hit.as_deref(), done.value.as_deref()), (Some("text field \"Your name\""), Some("Ann Lee!")));
    let done = page.write(100.0, 85.0, "hunter2").await.unwrap();
    assert_eq!(done.value, None, "a password is never told");
    assert_eq!(page.write(100.0, 135.0, "2030-12-31").await.unwrap().value.as_deref(), Some("2030-12-31"));
    let wrong = page.write(100.0, 135.0, "tomorrow").await.unwrap_err();
    assert!(wrong.to_string().contains("2030-12-31"), "{wrong}");
    let select = |option: &str| page.act(Action::Select { at: Point { x: 100.0, y: 185.0 }, option: option.into() });
    assert_eq!(select("banana").await.unwrap().value.as_deref(), Some("Banana"));
    for (option, told) in [("Cherry", "cannot be chosen"), ("Date", "no option")] {
        let refused = select(option).await.unwrap_err();
        assert!(refused.to_string().contains(told), "{refused}");
    }
    page.write(100.0, 260.0, "two\nlines \u{1f980}").await.unwrap();
    let done = page.click(35.0, 335.0).await;
    assert_eq!((done.hit.as_deref(), done.changed), (Some("checkbox (off) \"Agree\""), true));
    page.write(100.0, 450.0, "rich \u{1f980}").await.unwrap();
    let said = page.says().await;
    assert!(said.contains("rich \u{1f980}") && said.contains("keys: a A n"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let done = page.click(100.0, 385.0).await;
    assert!(done.moved_on && done.hit.as_deref() == Some("button \"Send\""), "{done:?}");
    let said = page.says().await;
    for value in ["name=Ann Lee!", "secret=hunter2", "day=2030-12-31", "fruit=b", "story=two", "agree=on"] {
        assert!(said.contains(value), "{value} in {said}");
    }
}

#[tokio::test]
async fn the_mouse_clicks_hovers_drags_and_waits_for_what_follows() {
    let page = on("/acts").await;
    assert_eq!(page.click(100.0, 40.0).await.hit.as_deref(), Some("button \"One\""));
    page.click(100.0, 90.0).await;
    let twice = Action::Click {
        at: Point { x: 100.0, y: 240.0 },
        button: Button::Left,
        count: 2,
        modifiers: Modifiers::default(),
    };
    page.act(twice).await.unwrap();
    page.act(Action::Move { at: Point { x: 100.0, y: 290.0 } }).await.unwrap();
    page.act(Action::Drag { from: Point { x: 100.0, y: 340.0 }, to: Point { x: 400.0, y: 340.0 } }).await.unwrap();
    let mut ctrl = Modifiers::default();
    ctrl.hold("ctrl");
    let held = Action::Click { at: Point { x: 100.0, y: 340.0 }, button: Button::Left, count: 1, modifiers: ctrl };
    page.act(held).await.unwrap();
    let right = Action::Click {
        at: Point { x: 100.0, y: 490.0 },
        button: Button::Right,
        count: 1,
        modifiers: Modifiers::default(),
    };
    page.act(right).await.unwrap();
    page.click(100.0, 590.0).await;
    let said = page.says().await;
    assert!(said.contains("log: one late double dropped ctrl menu fetched"), "{said}");
    assert!(said.contains("hidden item"), "{said}");
    page.act(Action::Move { at: Point { x: 700.0, y: 690.0 } }).await.unwrap();
    let nothing = page.act(Action::Move { at: Point { x: 701.0, y: 691.0 } }).await.unwrap();
    assert!(!nothing.changed && nothing.page.is_none(), "{nothing:?}");
}

#[tokio::test]
async fn frames_and_shadow_roots_are_clicked_like_all_else() {
    let page = on("/frames").await;
    assert_eq!(page.click(100.0, 40.0).await.hit.as_deref(), Some("button \"In a frame\""));
    let said = page.says().await;
    assert!(said.contains("frame pressed"), "{said}");
    assert!(said.contains("The answer is 42"), "a frame of another site: {said}");
    assert_eq!(said.matches("In a shadow").count(), 2, "of the open root and of the closed one: {said}");
    let elements = page.elements(20).await.unwrap();
    assert_eq!(elements.iter().filter(|element| element.called == "button \"In a shadow\"").count(), 2, "{elements:?}");
    let found = page.act(Action::Find { text: "in a shadow".into(), next: false }).await.unwrap().found.unwrap();
    assert_eq!(found["count"], 2);
    for (y, title) in [(280.0, "open pressed"), (340.0, "closed pressed")] {
        page.click(100.0, y).await;
        assert_eq!(page.sight().await.unwrap().title, title);
    }
}

#[tokio::test]
async fn pages_scroll_by_wheel_to_their_ends_and_to_what_is_searched_for() {
    let page = on("/tall").await;
    let at = Point { x: 400.0, y: 300.0 };
    let done = page.act(Action::Scroll { at, x: 0.0, y: 500.0 }).await.unwrap();
    assert_eq!(done.scroll.map(|(y, _)| y), Some(500));
    assert!(done.changed);
    let end = page.act(Action::ScrollToEnd { at, bottom: true }).await.unwrap();
    let (y, max) = end.scroll.unwrap();
    assert!(y == max && y > 4_000, "{y} {max}");
    page.act(Action::ScrollToEnd { at, bottom: false }).await.unwrap();
    assert_eq!(page.sight().await.unwrap().scroll, Some((0, 0)));
    let found = page.act(Action::Find { text: "The END of".into(), next: false }).await.unwrap().found.unwrap();
    assert_eq!((found["count"].as_u64(), found["line"].as_str()), (Some(1), Some("the end of it")));
    assert!(page.sight().await.unwrap().scroll.unwrap().1 > 4_000);
    let none = page.act(Action::Find { text: "nowhere".into(), next: false }).await.unwrap().found.unwrap();
    assert_eq!(none["count"], 0);
}

#[tokio::test]
async fn dialogs_are_answered_at_once_and_told() {
    let page = on("/dialogs").await;
    let done = page.click(100.0, 40.0).await;
    assert_eq!(done.news.dialogs[0].message, "mind the gap");
    assert!(done.moved_on, "positions may mean other things after a dialog");
    page.act(Action::AnswerDialog(DialogAnswer { accept: false, text: String::new() })).await.unwrap();
    assert!(!page.click(100.0, 90.0).await.news.dialogs[0].accepted);
    page.click(100.0, 90.0).await;
    page.act(Action::AnswerDialog(DialogAnswer { accept: true, text: "me".into() })).await.unwrap();
    page.click(100.0, 140.0).await;
    let said = page.says().await;
    assert!(said.contains("log: alerted confirm false confirm true prompt me"), "{said}");
}

#[tokio::test]
async fn a_page_of_endless_dialogs_is_stopped() {
    let page = on("/dialogs").await;
    let started = Instant::now();
    let done = page.click(100.0, 190.0).await;
    assert!(done.news.stopped && done.news.dialogs_untold > 0, "{done:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    page.act(Action::Go(page.site.url("/two"))).await.unwrap();
    assert!(page.says().await.contains("42"));
}

#[tokio::test]
async fn keys_and_the_clipboard_work_within_a_session() {
    let page = on("/form").await;
    page.write(100.0, 35.0, "copied").await.unwrap();
    let chords = |keys: &[&str]| keys.iter().map(|key| Chord::parse(key).unwrap()).collect::<Vec<_>>();
    page.act(Action::Press(chords(&["ctrl+a", "ctrl+c"]))).await.unwrap();
    page.click(100.0, 260.0).await;
    let done = page.act(Action::Press(chords(&["ctrl+v", "ctrl+v", "!"]))).await.unwrap();
    assert_eq!(done.value.as_deref(), Some("copiedcopied!"));
}
