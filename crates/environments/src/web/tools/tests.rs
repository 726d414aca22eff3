use super::*;
use crate::web::coordinates::Size;
use quarterdeck_core::Coordinates;

fn pointing() -> Pointing {
    Pointing::new(Coordinates::Pixels, Size { width: 1_200, height: 800 }, None)
}

#[expect(clippy::needless_pass_by_value, reason = "made by a macro where it is given")]
fn call(tool: &str, fields: Value) -> Result<Call, String> {
    let fields = fields.as_object().cloned().unwrap();
    read(tool, &Arguments::new(&fields, pointing())).map_err(|CallError(sentence)| sentence)
}

#[expect(clippy::needless_pass_by_value, reason = "made by a macro where it is given")]
fn action(tool: &str, fields: Value) -> Action {
    match call(tool, fields.clone()) {
        Ok(Call::Act { action, .. }) => action,
        other => panic!("{tool} {fields}: {other:?}"),
    }
}

#[test]
fn each_mode_offers_its_tools_with_schemas_that_are_objects() {
    let names = |mode| -> Vec<String> {
        let tools = offered(mode, &pointing());
        for tool in &tools {
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            let properties = tool.input_schema["properties"].as_object().unwrap();
            let required = tool.input_schema["required"].as_array().unwrap();
            assert!(required.iter().all(|name| properties.contains_key(name.as_str().unwrap())), "{}", tool.name);
        }
        tools.into_iter().map(|tool| tool.name).collect()
    };
    let visual = names(Mode::Visual { markdown: false });
    assert!(visual.contains(&"click_web".into()) && !visual.contains(&"read_page_web".into()));
    assert!(names(Mode::Visual { markdown: true }).contains(&"read_page_web".into()));
    let text = names(Mode::Text);
    assert!(text.contains(&"read_page_web".into()) && !text.contains(&"click_web".into()));
}

#[test]
fn arguments_are_read_as_models_write_them() {
    let at = Point { x: 612.0, y: 340.0 };
    for fields in [json!({"element": "Send", "x": 612, "y": 340}), json!({"x": "612", "y": 340.9, "clicks": 1.0})] {
        let expected = Action::Click { at, button: Button::Left, count: 1, modifiers: Modifiers::default() };
        assert_eq!(action("click_web", fields), expected);
    }
    assert_eq!(action("press_keys_web", json!({"keys": "Enter"})), Action::Press(vec![Chord::parse("enter").unwrap()]));
    let written = |at| Action::Write { at, content: "5".into(), overwrite: true, enter: true };
    assert_eq!(action("write", json!({"content": 5, "press_enter": "true"})), written(None));
    assert_eq!(action("write", json!({"text": "5", "x": 612, "y": 340, "press_enter": true})), written(Some(at)));
    assert_eq!(
        action("scroll_web", json!({"direction": "down"})),
        Action::Scroll { at: Point { x: 600.0, y: 400.0 }, x: 0.0, y: 600.0 }
    );
    assert_eq!(
        action("scroll_web", json!({"direction": "left", "amount": 100, "x": 612, "y": 340})),
        Action::Scroll { at, x: -100.0, y: 0.0 }
    );
    assert_eq!(action("switch_tab_web", json!({"tab": "2"})), Action::SwitchTab(TabId(2)));
    assert_eq!(call("go_to_web", json!({"url": "#12"})), Ok(Call::Follow(12)));
    let part = Area { x: 512.0, y: 290.0, width: 200.0, height: 100.0 };
    assert_eq!(call("zoom_web", json!({"x": 612, "y": 340, "width": 200, "height": 100})), Ok(Call::Zoom(part)));
}

#[test]
fn wrong_arguments_are_named_with_what_they_may_be() {
    for (tool, fields, told) in [
        ("click_web", json!({"x": 1_200, "y": 0}), "`x` must be a number from 0 to 1199"),
        ("click_web", json!({"x": 1}), "`y` is missing"),
        ("click_web", json!({}), "`x` and `y` are missing"),
        ("click_web", json!({"x": 1, "y": 1, "button": "side"}), "`button` is one of left, middle, right"),
        ("click_web", json!({"x": 1, "y": 1, "clicks": 4}), "`clicks` must be a whole number from 1 to 3"),
        ("write", json!({"x": 1, "y": 1}), "`content` is missing"),
        ("write", json!({"content": "a".repeat(20_001)}), "`content` has at most 20000"),
        ("press_keys_web", json!({"keys": []}), "`keys` holds 1 to 20"),
        ("press_keys_web", json!({"keys": ["nokey"]}), "there is no key \"nokey\""),
        ("press_keys_web", json!({"keys": ["ctrl+L"]}), "call go_to_web"),
        ("wait_web", json!({"seconds": 11}), "`seconds` must be a number from 0.1 to 10"),
        ("answer_dialog_web", json!({}), "`accept` is missing"),
        ("find_in_page_web", json!({"text": " "}), "`text` is empty"),
        ("switch_tab_web", json!({}), "name the tab"),
        ("nothing_web", json!({}), "there is no tool"),
    ] {
        let sentence = call(tool, fields.clone()).expect_err(tool);
        assert!(sentence.contains(told), "{tool} {fields}: {sentence}");
    }
}

#[test]
fn only_web_addresses_are_opened() {
    for (text, url) in [
        ("example.com", "https://example.com/"),
        ("http://example.com/a b", "http://example.com/a%20b"),
        ("localhost:8080/x", "https://localhost:8080/x"),
        (" https://example.com ", "https://example.com/"),
    ] {
        assert_eq!(web_address(text).unwrap().as_str(), url);
    }
    for text in [
        "file:///etc/passwd",
        "view-source:https://example.com",
        "data:text/html,x",
        "chrome://settings",
        "javascript:alert(1)",
        "blob:https://example.com/1",
        "about:blank",
        "devtools://devtools",
        "ftp://example.com",
        "",
        "https://",
        "a b",
    ] {
        assert!(web_address(text).is_err(), "{text}");
    }
}
