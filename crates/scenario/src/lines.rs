//! The spelling for messages and instructions: a line a directive, `@` in front.

use crate::{
    cue::{ANSWER, Act, Arguments, Call, CallResult, Cue, End, Failure, Observe, Script, Step, Usage},
    distance::meant,
    units::{duration, failed, failure, outcome, times},
};
use quarterdeck_api::Outcome;
use serde_json::Value;
use std::time::Duration;
use thiserror::Error;

/// A line that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the script of the scripted model has a fault in line {line}: {fault}")]
pub struct ScriptFault {
    /// The line of the text, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: String,
}

/// Every directive.
pub(crate) const WORDS: [&str; 17] = [
    "answer", "text", "call", "and", "fail", "garbage", "empty", "say", "think", "wait", "usage", "outcome", "times",
    "observe", "result", "ask", "end",
];

/// The script in `text`; none when no line of it is a directive, or looks like one that was misspelt.
pub fn find(text: &str) -> Option<Result<Script, ScriptFault>> {
    let lines = directives(text);
    let is_one = |line: &Directive<'_>| WORDS.contains(&line.word) || near_miss(line.word).is_some();
    lines.iter().any(is_one).then(|| Parser::default().parse(&lines))
}

/// The directive that a word most likely was to be. Names of people begin lines too, but seldom in small letters.
fn near_miss(word: &str) -> Option<&'static str> {
    let is_word = word.bytes().all(|byte| byte.is_ascii_lowercase());
    let long = WORDS.into_iter().filter(|known| known.len() > 3);
    if is_word { meant(word, long) } else { None }
}

struct Directive<'a> {
    line: usize,
    word: &'a str,
    rest: String,
}

/// Lines that begin with `@`, each with the indented lines below it. Everything else is for people.
fn directives(text: &str) -> Vec<Directive<'_>> {
    let mut found: Vec<Directive<'_>> = Vec::new();
    let mut continues = false;
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(directive) = text.strip_prefix('@') {
            let (word, rest) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
            found.push(Directive { line, word, rest: rest.trim().to_owned() });
            continues = true;
        } else if continues && text.starts_with([' ', '\t']) && !text.trim().is_empty() {
            append(found.last_mut(), text.trim());
        } else {
            continues = false;
        }
    }
    found
}

fn append(directive: Option<&mut Directive<'_>>, text: &str) {
    if let Some(directive) = directive {
        if !directive.rest.is_empty() {
            directive.rest.push('\n');
        }
        directive.rest.push_str(text);
    }
}

#[derive(Default)]
struct Parser {
    cues: Vec<Cue>,
    /// What waits for its reply.
    before: Option<Before>,
}

/// What `@outcome` says; none for `none`.
struct Told(Option<Outcome>);

/// What the directives before a reply say about it.
#[derive(Default)]
struct Before {
    observations: Vec<Observe>,
    say: Option<String>,
    think: Option<String>,
    outcome: Option<Told>,
    usage: Option<Usage>,
    wait: Duration,
    times: Option<usize>,
}

impl Parser {
    fn parse(mut self, lines: &[Directive<'_>]) -> Result<Script, ScriptFault> {
        for directive in lines {
            let at = |fault| ScriptFault { line: directive.line, fault };
            self.take(directive).map_err(at)?;
        }
        match lines.last() {
            Some(last) if self.before.is_some() => {
                Err(ScriptFault { line: last.line, fault: format!("no reply follows `@{}`", last.word) })
            }
            _ => Ok(Script { steps: self.cues.into_iter().map(|cue| Step::Cue(Box::new(cue))).collect() }),
        }
    }

    fn take(&mut self, directive: &Directive<'_>) -> Result<(), String> {
        let (rest, line) = (directive.rest.as_str(), directive.line);
        match directive.word {
            "say" => self.before().say = Some(rest.to_owned()),
            "think" => self.before().think = Some(rest.to_owned()),
            "outcome" => self.before().outcome = Some(Told(outcome(rest)?)),
            "wait" => self.before().wait = duration(rest)?,
            "times" => self.before().times = Some(times(rest)?),
            "usage" => self.before().usage = Some(usage(rest)?),
            "observe" => {
                let seen = observe(rest)?;
                self.before().observations.push(seen);
            }
            "answer" if rest.is_empty() => return Err("`@answer` needs a text or an object".into()),
            "answer" => {
                let Told(outcome) = self.before().outcome.take().unwrap_or(Told(Some(Outcome::Success)));
                self.push(line, Act::Calls(vec![Call::answer(&answer(rest), outcome)]))?;
            }
            "text" => self.push(line, Act::Text(rest.to_owned()))?,
            "empty" => self.push(line, Act::Calls(Vec::new()))?,
            "call" => self.push(line, Act::Calls(vec![call(rest)?]))?,
            "and" => self.add_call(call(rest)?)?,
            "result" => self.add_result(rest)?,
            "fail" => self.push(line, Act::Fail(fail(rest)?))?,
            "garbage" => self.push(line, Act::Fail(Failure::Garbage))?,
            "ask" => self.push(line, Act::Ask((!rest.is_empty()).then(|| rest.to_owned())))?,
            "end" => self.push(line, Act::End(end(rest)?))?,
            unknown => return Err(unknown_word(unknown)),
        }
        Ok(())
    }

    fn before(&mut self) -> &mut Before {
        self.before.get_or_insert_default()
    }

    fn push(&mut self, line: usize, act: Act) -> Result<(), String> {
        let Before { observations, say, think, outcome, usage, wait, times } = self.before.take().unwrap_or_default();
        if outcome.is_some() {
            return Err("only an `@answer` has an outcome".into());
        }
        let times = times.unwrap_or(1);
        self.cues.push(Cue { observations, wait, times, say, think, usage, ..Cue::of(line, act) });
        Ok(())
    }

    fn last_calls(&mut self) -> Option<&mut Vec<Call>> {
        let is_open = self.before.is_none();
        let calls = self.cues.last_mut().and_then(Cue::calls_mut);
        calls.filter(|calls| !calls.is_empty() && is_open)
    }

    fn add_call(&mut self, call: Call) -> Result<(), String> {
        let calls = self.last_calls().ok_or_else(|| "`@and` follows no call".to_owned())?;
        calls.push(call);
        Ok(())
    }

    fn add_result(&mut self, rest: &str) -> Result<(), String> {
        let (tool, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, "null"));
        let value = serde_json::from_str(text.trim()).unwrap_or_else(|_| Value::String(text.trim().to_owned()));
        let calls = self.last_calls().ok_or_else(|| "`@result` follows no call".to_owned())?;
        let open = calls.iter_mut().find(|call| call.tool == tool && call.result.is_none() && tool != ANSWER);
        let open = open.ok_or_else(|| format!("`@result {tool}` follows no call of `{tool}` without a result"))?;
        open.result = Some(CallResult::Value(value));
        Ok(())
    }
}

fn unknown_word(word: &str) -> String {
    match meant(word, WORDS) {
        Some(known) => format!("there is no directive `@{word}`; did you mean `@{known}`?"),
        None => format!("there is no directive `@{word}`"),
    }
}

/// A text is the answer as it stands; an object is the answer as JSON.
fn answer(rest: &str) -> Value {
    let object = serde_json::from_str::<Value>(rest).ok().filter(Value::is_object);
    object.unwrap_or_else(|| rest.into())
}

/// The arguments are passed on as they stand, so that faulty ones can be tried.
fn call(rest: &str) -> Result<Call, String> {
    let (tool, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, "{}"));
    if tool.is_empty() {
        return Err("a call needs the name of a tool".into());
    }
    Ok(Call::of(tool, Arguments::of_text(arguments.trim())))
}

fn observe(rest: &str) -> Result<Observe, String> {
    let fault = |error: serde_json::Error| format!("`@observe` needs an object such as {{\"text\": \"…\"}}: {error}");
    let value: Value = serde_json::from_str(rest).map_err(fault)?;
    let known = ["type", "url", "title", "text", "image", "metadata"];
    let names = value.as_object().map(|object| object.keys()).into_iter().flatten();
    if let Some(unknown) = names.into_iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("an observation has no `{unknown}`; it has {}", known.join(", ")));
    }
    let mut seen: Observe = serde_json::from_value(value).map_err(fault)?;
    if seen.image.as_ref().is_some_and(|image| !image.starts_with("data:image/")) {
        return Err("the `image` of an `@observe` is a data URI; only a scenario file can name a file".into());
    }
    if seen.source.is_empty() {
        seen.source = "web".into();
    }
    Ok(seen)
}

fn fail(rest: &str) -> Result<Failure, String> {
    let (what, after) = rest.split_once(" after ").unwrap_or((rest, ""));
    let after = if after.is_empty() { None } else { Some(duration(after)?) };
    failure(what.trim(), after)
}

fn end(rest: &str) -> Result<End, String> {
    match rest.split_once(char::is_whitespace) {
        None if rest == "timed_out" => Ok(End::TimedOut),
        Some(("failed", code)) => failed(code.trim()),
        _ => Err(format!("`{rest}` is no end; write `@end timed_out` or `@end failed environment_error`")),
    }
}

fn usage(text: &str) -> Result<Usage, String> {
    let mut usage = Usage::default();
    for pair in text.split_whitespace() {
        let (name, number) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not of the form in=100"))?;
        let number: u32 = number.parse().map_err(|_| format!("`{number}` is not a number of tokens"))?;
        let field = match name {
            "in" => &mut usage.input,
            "cached" => &mut usage.cached,
            "out" => &mut usage.output,
            "reasoning" => &mut usage.reasoning,
            _ => return Err(format!("there is no usage `{name}`; there are in, cached, out and reasoning")),
        };
        *field = number;
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prose_is_no_script() {
        for text in ["", "Find the price.", "@alice, hello", "@Text", "@sam", "mail a@answer.example", " @answer in"] {
            assert_eq!(find(text), None, "{text}");
        }
    }

    #[test]
    fn a_misspelt_directive_is_a_fault_and_no_prose() {
        check_fault("@anwser 42", 1, "there is no directive `@anwser`; did you mean `@answer`?");
        check_fault("Do it.\n@thnik hm", 2, "there is no directive `@thnik`; did you mean `@think`?");
    }

    #[test]
    fn replies_follow_one_another() {
        check(
            "Do it.\n@say Looking.\n@call look {\"at\": 1}\n@and look\n@answer 42\n",
            &["say Looking. look({\"at\":1}) look({})", "answer({\"answer\":\"42\",\"outcome\":\"success\"})"],
        );
        check("@think hm\n@text so\n@empty", &["think hm text so", ""]);
        check("@outcome blocked\n@answer {\"a\": 1}", &["answer({\"answer\":{\"a\":1},\"outcome\":\"blocked\"})"]);
        check("@outcome none\n@answer a", &["answer({\"answer\":\"a\"})"]);
    }

    #[test]
    fn indented_lines_belong_to_the_line_above() {
        check("@text a\n  b\n\tc\n\n d\nprose", &["text a\nb\nc"]);
        check("@call f\n  {\"a\":\n   1}", &["f({\"a\":1})"]);
    }

    #[test]
    fn what_no_model_says_is_part_of_a_script() {
        check(
            "@observe {\"text\": \"24 items\"}\n@call look\n@result look {\"n\": 24}\n@ask Which?\n@end timed_out",
            &["sees 24 items look({}) = Value(Object {\"n\": Number(24)})", "Ask(Some(\"Which?\"))", "End(TimedOut)"],
        );
        check("@end failed environment_error", &["End(Failed(EnvironmentError))"]);
    }

    #[test]
    fn times_and_tokens_are_read() {
        let Some(Ok(script)) = find("@wait 200ms\n@usage in=10 cached=2 out=3 reasoning=1\n@times 3\n@text a") else {
            panic!()
        };
        let cue = script.cues()[0];
        assert_eq!((cue.wait, cue.times), (Duration::from_millis(200), 3));
        assert_eq!(cue.usage, Some(Usage { input: 10, cached: 2, output: 3, reasoning: 1 }));
    }

    #[test]
    fn faults_name_their_line() {
        check_fault("@answer a\n@zzz b", 2, "there is no directive `@zzz`");
        check_fault("@answer", 1, "`@answer` needs a text");
        check_fault("@outcome great\n@answer a", 1, "`great` is no outcome");
        check_fault("@outcome partial\n@text a", 2, "only an `@answer` has an outcome");
        check_fault("@wait long\n@text a", 1, "`long` is not a time");
        check_fault("@wait 25h\n@text a", 1, "`25h` is not a time");
        check_fault("@call", 1, "a call needs the name of a tool");
        check_fault("@text a\n@and f", 2, "`@and` follows no call");
        check_fault("@call f\n@say a\n@and g", 3, "`@and` follows no call");
        check_fault("@call f\n@result g 1", 2, "`@result g` follows no call of `g`");
        check_fault("@fail often", 1, "`often` is neither a status");
        check_fault("@fail 200", 1, "`200` is neither a status");
        check_fault("@end badly", 1, "`badly` is no end");
        check_fault("@end failed often", 1, "`often` is no error code");
        check_fault("@observe here\n@text a", 1, "`@observe` needs an object");
        check_fault("@observe {\"txt\": \"a\"}\n@text a", 1, "an observation has no `txt`");
        check_fault("@usage in=x\n@text a", 1, "`x` is not a number");
        check_fault("@times 0\n@text a", 1, "`0` is not a number from 1");
        check_fault("@answer a\n@say b", 2, "no reply follows `@say`");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(words in proptest::collection::vec(0..WORDS.len(), 0..6), rest in "\\PC{0,12}") {
            let lines: Vec<_> = words.iter().map(|word| format!("@{} {rest}", WORDS[*word])).collect();
            let _ = find(&lines.join("\n"));
            let _ = find(&rest);
        }
    }

    fn check(text: &str, expected: &[&str]) {
        let script = find(text).expect("a script").expect("no fault");
        assert_eq!(script.cues().into_iter().map(line).collect::<Vec<_>>(), expected);
    }

    fn check_fault(text: &str, line: usize, start: &str) {
        let Some(Err(fault)) = find(text) else { panic!("{text:?} has no fault") };
        assert!(fault.line == line && fault.fault.starts_with(start), "{fault}");
    }

    fn line(cue: &Cue) -> String {
        let seen = cue.observations.iter().filter_map(|seen| seen.text.as_ref()).map(|text| format!("sees {text}"));
        let words = [("think", &cue.think), ("say", &cue.say)];
        let words = words.into_iter().filter_map(|(kind, words)| Some(format!("{kind} {}", words.as_ref()?)));
        let act = match &cue.act {
            Act::Text(text) => vec![format!("text {text}")],
            Act::Calls(calls) => calls.iter().map(shown).collect(),
            act @ (Act::Fail(_) | Act::Ask(_) | Act::End(_)) => vec![format!("{act:?}")],
        };
        seen.chain(words).chain(act).collect::<Vec<_>>().join(" ")
    }

    fn shown(call: &Call) -> String {
        let result = call.result.as_ref().map(|result| format!(" = {result:?}")).unwrap_or_default();
        format!("{}({}){result}", call.tool, call.arguments.text())
    }
}
