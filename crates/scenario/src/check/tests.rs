use super::*;
use crate::{Act, Call, CallResult, FaultDeed, Place, Step, TextTest, find};
use proptest::prelude::*;
use serde_json::json;
use std::{fmt::Write, time::Instant};

const SAMPLE: &str = r#"quarterdeck: 1
scenarios:
  - name: cheapest shop
    match:
      agent: h/web-surfer-pro
      message: { regex: "price of (.+)" }
      group_id: nightly
      header: { X-Test-Case: "42" }
      times: 1
    script:
      - think: The shop first.
        call: { look: { at: 1 } }
        result: { look: { price: 3 } }
      - if: { result: { contains: denied } }
        then: [ { answer: Not allowed., outcome: blocked } ]
      - observe: { url: "https://shop.example", text: 24 items }
      - wait: 3s
        answer: { shop: "{{ message.match.1 }}", price: "{{ results.look.price }}" }
    faults: [ { on: get_session_changes, after: 2, times: 1, cut: body } ]
    expect: { sessions: 1, calls: { look: 1 }, all_cues: true }
"#;

#[test]
fn a_whole_file_is_read() {
    let checked = check("a.yaml", SAMPLE, Known::default());
    assert_eq!(checked.faults, []);
    let [scenario] = checked.scenarios.as_slice() else { panic!("one scenario") };
    assert_eq!((scenario.name.as_str(), scenario.place().as_str()), ("cheapest shop", "a.yaml:3"));
    assert_eq!(scenario.pattern.header["x-test-case"], TextTest::Equals("42".into()));
    let [Step::Cue(look), Step::If(branch), Step::Cue(answer)] = scenario.script.steps.as_slice() else { panic!() };
    assert_eq!(look.calls()[0].result, Some(CallResult::Value(json!({"price": 3}))));
    assert_eq!((branch.place, branch.then.len(), branch.otherwise.len()), (Place::Result, 1, 0));
    assert_eq!((answer.wait.as_secs(), answer.observations.len(), answer.line), (3, 1, 17));
    assert_eq!(scenario.faults[0].act, FaultDeed::Cut(crate::Cut::Body));
    assert!(scenario.expect.all_cues);
    let stored = serde_json::to_string(scenario).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&stored).unwrap(), *scenario);
}

#[test]
fn every_fault_is_found_at_its_place() {
    for (script, message) in [
        ("- thnik: hm\n  answer: 1", "2:3 there is no cue `thnik` -> think"),
        ("- answer: 1\n  outcome: great", "3:12 `great` is no outcome; there are success"),
        ("- call: 3", "2:9 a call is the name of a tool"),
        ("- answer: 1\n  call: look", "2:3 a step does one thing, and this does answer and call"),
        ("- say: hm", "2:3 this step does nothing: it needs one of answer"),
        ("- text: a\n  outcome: partial", "3:3 `outcome` cannot stand beside `text`"),
        ("- wait: 3\n  answer: a", "2:9 `3` is not a time such as 200ms"),
        ("- empty: yes", "2:10 `empty` is true or false, not the text `yes`"),
        ("- fail: tiemout", "2:9 `tiemout` is neither a status nor timeout, connect or reset -> timeout"),
        ("- end: { failed: often }", "2:18 `often` is no error code"),
        ("- answer: \"{{ result.look }}\"", "2:11 a template cannot begin with `result`"),
        ("- answer: \"{{ turn + 1 }}\"", "2:11 `turn + 1` is no path"),
        ("- result: { look: 1 }", "2:3 `result` follows no call"),
        ("- call: look\n- result: { lok: 1 }", "3:13 no call of `lok` waits for a result here"),
        ("- answer: 1\n- observe: { text: a }", "3:3 no reply follows `observe`"),
        ("- if: { result: { regex: \"(\" } }\n  then: [ { text: a } ]", "2:26 `(` is no regex"),
        ("- answer: 1\n  answer: 2", "3:3 the key `answer` stands here a second time"),
        ("- !!str answer: 1", "2:3 tags are not taken"),
    ] {
        check_script(script, message);
    }
}

/// The script begins in line 2 of what is checked here.
fn check_script(script: &str, wanted: &str) {
    let mut notes = Notes::new("a.yaml", "");
    let text = format!("\n{script}");
    let tree = yaml::tree(&text, &mut notes);
    if let Some(tree) = tree {
        let mut reader = Reader { notes: &mut notes, known: Known::default(), templates: true };
        reader.script(&tree);
    }
    let [fault] = notes.faults.as_slice() else { panic!("{script}: {:?}", notes.faults) };
    let meant = fault.suggestion.as_ref().map(|meant| format!(" -> {meant}")).unwrap_or_default();
    let told = format!("{}:{} {}{meant}", fault.line, fault.column, fault.message);
    assert!(told.starts_with(wanted) || told == wanted, "{told} instead of {wanted}");
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let text = "quarterdeck: 2\nscenarios:\n  - name: a\n    script:\n      - thnik: I should look.\n        answer: 1\n  \
                - nmae: b\n    script: [ { answer: 1, outcome: great } ]\n    faults: [ { on: get_sesion, lost: true } ]\n";
    let operations = ["get_session".to_owned()];
    let faults = check("price.yaml", text, Known { operations: &operations }).faults;
    let places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
    assert_eq!(places, [(1, 14), (5, 9), (7, 5), (7, 5), (8, 37), (9, 21)]);
    let told = faults[1].to_string();
    let wanted = "price.yaml:5:9: there is no cue `thnik`; did you mean `think`?\n    5 |       - thnik: I should \
                  look.\n      |         ^^^^^";
    assert_eq!(told, wanted);
    assert_eq!(faults[5].suggestion.as_deref(), Some("get_session"));
}

#[test]
fn what_is_no_yaml_or_too_much_is_one_fault() {
    let (deep, deeper) = ("[".repeat(200), "[".repeat(1_000_000));
    let mut aliases = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for number in 1..40 {
        let before = format!("*a{}, ", number - 1).repeat(9);
        writeln!(aliases, "a{number}: &a{number} [{before}]").unwrap();
    }
    let large = "a".repeat(yaml::FILE_MAX + 1);
    for (text, wanted) in [
        (deep.as_str(), "nests more than 64 levels"),
        (deeper.as_str(), "recursion limit exceeded"),
        (aliases.as_str(), "grows to more than 200000 values"),
        (large.as_str(), "at most 1048576 are read"),
        ("", "the file is empty"),
        ("a: [", "this is no YAML"),
        ("quarterdeck: 1\n---\nscenarios: []", "a second document"),
    ] {
        let begun = Instant::now();
        let faults = check("a.yaml", text, Known::default()).faults;
        assert!(faults.len() == 1 && faults[0].message.contains(wanted), "{faults:?}");
        eprintln!("{wanted}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_scenario_that_an_earlier_one_hides_is_warned_of() {
    let text = "quarterdeck: 1\nscenarios:\n- name: all\n  script: [ answer: 1 ]\n- name: none\n  match: { agent: a }\n  \
                script: [ answer: 1 ]\n";
    let checked = check("a.yaml", text, Known::default());
    assert_eq!((checked.faults.len(), checked.scenarios.len()), (0, 2));
    assert_eq!(checked.warnings[0].message, "`none` is never played: `all` before it takes all of its sessions");
}

#[test]
fn yaml_is_read_as_json_has_it() {
    for (text, wanted) in [("no", json!("no")), ("1.10", json!(1.1)), ("~", json!(null)), ("\"1\"", json!("1"))] {
        let mut notes = Notes::new("a", text);
        assert_eq!(yaml::tree(text, &mut notes).unwrap().json(), wanted, "{text}");
    }
    let text = "- answer: |\n    two\n    lines\n";
    let Call { arguments, .. } = &script_of(text).cues()[0].calls()[0].clone();
    assert_eq!(arguments.text(), r#"{"answer":"two\nlines","outcome":"success"}"#);
}

fn script_of(text: &str) -> crate::Script {
    let mut notes = Notes::new("a.yaml", text);
    let tree = yaml::tree(text, &mut notes).unwrap();
    let script = Reader { notes: &mut notes, known: Known::default(), templates: false }.script(&tree);
    assert_eq!(notes.faults, [], "{text}");
    script
}

/// A cue in both spellings.
fn spelled() -> impl Strategy<Value = (String, String)> {
    let word = "[a-z]{1,8}( [a-z]{1,8})?";
    let act = prop_oneof![
        word.prop_map(|text| (format!("@answer {text}"), format!("answer: {}", json!(text)), true)),
        (0..9).prop_map(|n| (format!("@answer {{\"n\": {n}}}"), format!("answer: {{n: {n}}}"), true)),
        word.prop_map(|text| (format!("@text {text}"), format!("text: {}", json!(text)), false)),
        (0..9).prop_map(|n| (format!("@call look {{\"at\": {n}}}"), format!("call: {{look: {{at: {n}}}}}"), false)),
        (0..9).prop_map(|n| {
            let line = format!("@call look {{\"at\": {n}}}\n@and see\n@result look {{\"n\": {n}}}");
            (line, format!("calls: [ {{look: {{at: {n}}}}}, see ]\n  result: {{look: {{n: {n}}}}}"), false)
        }),
        Just(("@empty".to_owned(), "empty: true".to_owned(), false)),
        Just(("@ask Which one?".to_owned(), "ask: Which one?".to_owned(), false)),
    ];
    let beside = (proptest::option::of(word), proptest::option::of(1u32..9000), proptest::option::of(0u32..99));
    let failing = prop_oneof![
        (300u16..600).prop_map(|n| (format!("@fail {n} after 2s"), format!("fail: {n}\n  after: 2s"))),
        Just(("@fail timeout".to_owned(), "fail: timeout".to_owned())),
        Just(("@garbage".to_owned(), "garbage: true".to_owned())),
        Just(("@end failed no_answer".to_owned(), "end: {failed: no_answer}".to_owned())),
        Just(("@end timed_out".to_owned(), "end: timed_out".to_owned())),
        (0..9).prop_map(|n| {
            let line = format!("@observe {{\"text\": \"{n}\", \"url\": \"https://a.example\"}}\n@text so");
            (line, format!("observe: {{text: \"{n}\", url: \"https://a.example\"}}\n- text: so"))
        }),
    ];
    let said = (act, beside, proptest::bool::ANY).prop_map(|((line, file, answers), (say, wait, out), blocked)| {
        let (mut lines, mut files) = (Vec::new(), Vec::new());
        if let Some(say) = say {
            lines.push(format!("@say {say}\n@think {say}"));
            files.push(format!("say: {}\n  think: {}", json!(say), json!(say)));
        }
        if let Some(wait) = wait {
            lines.push(format!("@wait {wait}ms"));
            files.push(format!("wait: {wait}ms"));
        }
        if let Some(out) = out {
            lines.push(format!("@usage in=3 out={out}"));
            files.push(format!("usage: {{in: 3, out: {out}}}"));
        }
        if answers && blocked {
            lines.push("@outcome blocked".into());
            files.push("outcome: blocked".into());
        }
        lines.push(line);
        files.push(file);
        (lines.join("\n"), files.join("\n  "))
    });
    prop_oneof![3 => said, 1 => failing]
}

fn without_lines(script: &crate::Script) -> crate::Script {
    let mut script = script.clone();
    for cue in script.cues_mut() {
        cue.line = 0;
    }
    script
}

proptest! {
    #[test]
    fn both_spellings_of_a_cue_are_the_same_cue(spelled in proptest::collection::vec(spelled(), 1..5)) {
        let lines: Vec<&str> = spelled.iter().map(|(line, _)| line.as_str()).collect();
        let files: Vec<String> = spelled.iter().map(|(_, file)| format!("- {file}")).collect();
        let by_line = find(&lines.join("\n")).unwrap().unwrap();
        let by_file = script_of(&files.join("\n"));
        prop_assert_eq!(without_lines(&by_line), without_lines(&by_file));
        prop_assert!(by_line.cues().iter().all(|cue| !matches!(cue.act, Act::Text(ref text) if text.is_empty())));
    }

    #[test]
    fn no_file_breaks_the_reader(text in "[-a-z:{}\\[\\]\"' \n&*!|>#1]{0,200}") {
        let _ = check("a.yaml", &text, Known::default());
        let _ = check("a.yaml", &format!("quarterdeck: 1\nscenarios:\n{text}"), Known::default());
        let _ = check_rule(&text, Known::default());
    }
}
