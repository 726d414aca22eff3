//! The script language: a line a directive, `@` in front.

use crate::{
    answer::ANSWER,
    model::{ChatReply, ModelError, RawCall, TokenUsage},
};
use serde_json::{Value, json};
use std::time::Duration;
use thiserror::Error;

/// No wait of a script is longer.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// No reply of a script comes more often.
const TIMES_MAX: usize = 100_000;

/// A script, understood.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Script {
    cues: Vec<Cue>,
}

/// One reply, or one failure to give one.
#[derive(Debug, PartialEq)]
pub(super) struct Cue {
    /// How long it takes.
    pub(super) wait: Duration,
    /// What comes of it.
    pub(super) reply: Result<ChatReply, ModelError>,
    /// How often it comes in a row.
    times: usize,
}

/// A line that is not understood.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the script of the scripted model has a fault in line {line}: {fault}")]
pub(super) struct ScriptFault {
    line: usize,
    fault: String,
}

impl Script {
    /// The cue after `played` others.
    pub(super) fn cue(&self, played: usize) -> Option<&Cue> {
        let mut left = played;
        self.cues.iter().find(|cue| {
            let here = left < cue.times;
            left = left.saturating_sub(cue.times);
            here
        })
    }
}

/// The script in `text`; none when no line of it is a directive.
pub(super) fn find(text: &str) -> Option<Result<Script, ScriptFault>> {
    let lines = directives(text);
    lines.iter().any(|line| WORDS.contains(&line.word)).then(|| Parser::default().parse(&lines))
}

const WORDS: [&str; 13] =
    ["answer", "text", "call", "and", "fail", "garbage", "empty", "say", "think", "wait", "usage", "outcome", "times"];

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

/// What the directives before a reply say about it.
#[derive(Default)]
struct Before {
    say: Option<String>,
    think: Option<String>,
    outcome: Option<String>,
    usage: Option<TokenUsage>,
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
            _ => Ok(Script { cues: self.cues }),
        }
    }

    fn take(&mut self, directive: &Directive<'_>) -> Result<(), String> {
        let rest = directive.rest.as_str();
        match directive.word {
            "say" => self.before().say = Some(rest.to_owned()),
            "think" => self.before().think = Some(rest.to_owned()),
            "outcome" => self.before().outcome = Some(rest.to_owned()),
            "wait" => self.before().wait = duration(rest)?,
            "times" => self.before().times = Some(times(rest)?),
            "usage" => self.before().usage = Some(usage(rest)?),
            "answer" => {
                let call = answer_call(rest, self.before().outcome.take());
                self.reply(None, vec![call]);
            }
            "text" => self.reply(Some(rest.to_owned()), Vec::new()),
            "empty" => self.reply(None, Vec::new()),
            "call" => self.reply(None, vec![raw_call(rest)?]),
            "and" => self.add_call(raw_call(rest)?)?,
            "fail" => self.fail(failure(rest)?),
            "garbage" => self.fail(ModelError::retryable("the scripted model sent a reply that is not JSON")),
            unknown => return Err(format!("there is no directive `@{unknown}`")),
        }
        Ok(())
    }

    fn before(&mut self) -> &mut Before {
        self.before.get_or_insert_default()
    }

    fn reply(&mut self, content: Option<String>, calls: Vec<RawCall>) {
        let Before { say, think, usage, wait, times, .. } = self.before.take().unwrap_or_default();
        let reply = ChatReply { content: content.or(say), reasoning: think, calls, usage, ..ChatReply::default() };
        self.cues.push(Cue { wait, reply: Ok(reply), times: times.unwrap_or(1) });
    }

    fn fail(&mut self, error: ModelError) {
        let Before { wait, times, .. } = self.before.take().unwrap_or_default();
        self.cues.push(Cue { wait, reply: Err(error), times: times.unwrap_or(1) });
    }

    fn add_call(&mut self, call: RawCall) -> Result<(), String> {
        let last = self.cues.last_mut().and_then(|cue| cue.reply.as_mut().ok());
        let calls = last.map(|reply| &mut reply.calls).filter(|calls| !calls.is_empty() && self.before.is_none());
        calls.map(|calls| calls.push(call)).ok_or_else(|| "`@and` follows no call".to_owned())
    }
}

fn times(text: &str) -> Result<usize, String> {
    let times = text.parse().ok().filter(|times| (1..=TIMES_MAX).contains(times));
    times.ok_or_else(|| format!("`{text}` is not a number from 1 to {TIMES_MAX}"))
}

/// A text is the answer as it stands; an object is the answer as JSON.
fn answer_call(rest: &str, outcome: Option<String>) -> RawCall {
    let object = serde_json::from_str::<Value>(rest).ok().filter(Value::is_object);
    let answer = object.unwrap_or_else(|| rest.into());
    let outcome = outcome.unwrap_or_else(|| "success".into());
    let arguments = json!({"answer": answer, "outcome": outcome}).to_string();
    RawCall { name: ANSWER.into(), arguments, ..RawCall::default() }
}

/// The arguments are passed on as they stand, so that faulty ones can be tried.
fn raw_call(rest: &str) -> Result<RawCall, String> {
    let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, "{}"));
    if name.is_empty() {
        return Err("a call needs the name of a tool".into());
    }
    Ok(RawCall { name: name.to_owned(), arguments: arguments.trim().to_owned(), ..RawCall::default() })
}

fn failure(rest: &str) -> Result<ModelError, String> {
    let (what, after) = rest.split_once(" after ").unwrap_or((rest, ""));
    let after = if after.is_empty() { None } else { Some(duration(after)?) };
    let message = match what.trim() {
        "timeout" => "the scripted model took too long to reply",
        "connect" => "cannot connect to the scripted model",
        "reset" => "the connection to the scripted model broke",
        status => return failed_status(status, after),
    };
    Ok(ModelError::Retryable { message: message.into(), retry_after: after })
}

fn failed_status(status: &str, after: Option<Duration>) -> Result<ModelError, String> {
    let number = status.parse().ok().filter(|number| (300..600).contains(number));
    let number = number.ok_or_else(|| format!("`{status}` is neither a status nor timeout, connect or reset"))?;
    Ok(ModelError::of_status("script", number, after, None))
}

fn duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("`{text}` is not a time such as 200ms, 1.5s or 2m, of at most an hour");
    let end = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(fault)?;
    let number: f64 = text[..end].trim().parse().map_err(|_| fault())?;
    let seconds = match &text[end..] {
        "ms" => number / 1_000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(fault()),
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= WAIT_MAX).ok_or_else(fault)
}

fn usage(text: &str) -> Result<TokenUsage, String> {
    let mut usage = TokenUsage::default();
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
        *field = i64::from(number);
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prose_is_no_script() {
        for text in ["", "Find the price.", "@alice, hello", "mail a@answer.example", " @answer indented"] {
            assert_eq!(find(text), None, "{text}");
        }
    }

    #[test]
    fn replies_follow_one_another() {
        check(
            "Do it.\n@say Looking.\n@call look {\"at\": 1}\n@and look\n@answer 42\n",
            &["Looking. | look({\"at\": 1}) look({})", "answer({\"answer\":\"42\",\"outcome\":\"success\"})"],
        );
        check("@think hm\n@text so\n@empty", &["hm / so", ""]);
        check("@outcome blocked\n@answer {\"a\": 1}", &["answer({\"answer\":{\"a\":1},\"outcome\":\"blocked\"})"]);
    }

    #[test]
    fn indented_lines_belong_to_the_line_above() {
        check("@text a\n  b\n\tc\n\n d\nprose", &["a\nb\nc"]);
        check("@call f\n  {\"a\":\n   1}", &["f({\"a\":\n1})"]);
    }

    #[test]
    fn a_reply_can_come_several_times() {
        check(
            "@times 3\n@call f\n@answer a",
            &["f({})", "f({})", "f({})", "answer({\"answer\":\"a\",\"outcome\":\"success\"})"],
        );
    }

    #[test]
    fn failures_are_of_their_kind() {
        check("@fail 429 after 2s", &["retry after 2s: the model at script answered 429 (too many requests)"]);
        check("@fail 401", &["fatal: the model at script answered 401 (the key is missing or wrong)"]);
        check("@fail timeout", &["retry: the scripted model took too long to reply"]);
        check("@garbage", &["retry: the scripted model sent a reply that is not JSON"]);
    }

    #[test]
    fn times_and_tokens_are_read() {
        let Some(Ok(script)) = find("@wait 200ms\n@usage in=10 cached=2 out=3 reasoning=1\n@text a") else { panic!() };
        let cue = script.cue(0).unwrap();
        assert_eq!(cue.wait, Duration::from_millis(200));
        let usage = TokenUsage { input: 10, cached: 2, output: 3, reasoning: 1 };
        assert_eq!(cue.reply.as_ref().unwrap().usage, Some(usage));
    }

    #[test]
    fn faults_name_their_line() {
        check_fault("@answer a\n@anwser b", 2, "there is no directive `@anwser`");
        check_fault("@wait long\n@text a", 1, "`long` is not a time");
        check_fault("@wait 2h\n@text a", 1, "`2h` is not a time");
        check_fault("@wait 61m\n@text a", 1, "`61m` is not a time");
        check_fault("@call", 1, "a call needs the name of a tool");
        check_fault("@text a\n@and f", 2, "`@and` follows no call");
        check_fault("@call f\n@say a\n@and g", 3, "`@and` follows no call");
        check_fault("@fail often", 1, "`often` is neither a status");
        check_fault("@fail 200", 1, "`200` is neither a status");
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
        let cues = (0..).map_while(|played| script.cue(played)).map(line).collect::<Vec<_>>();
        assert_eq!(cues, expected);
    }

    fn check_fault(text: &str, line: usize, start: &str) {
        let Some(Err(fault)) = find(text) else { panic!("{text:?} has no fault") };
        assert!(fault.line == line && fault.fault.starts_with(start), "{fault}");
    }

    fn line(cue: &Cue) -> String {
        match &cue.reply {
            Ok(ChatReply { content, reasoning, calls, .. }) => {
                let calls: Vec<_> = calls.iter().map(|call| format!("{}({})", call.name, call.arguments)).collect();
                let calls = calls.join(" ");
                let words = [reasoning, content].into_iter().flatten().cloned().collect::<Vec<_>>().join(" / ");
                if words.is_empty() || calls.is_empty() { words + &calls } else { format!("{words} | {calls}") }
            }
            Err(ModelError::Fatal { message }) => format!("fatal: {message}"),
            Err(
                ModelError::Retryable { message, retry_after: None } | ModelError::Away { message, retry_after: None },
            ) => {
                format!("retry: {message}")
            }
            Err(
                ModelError::Retryable { message, retry_after: Some(after) }
                | ModelError::Away { message, retry_after: Some(after) },
            ) => {
                format!("retry after {after:?}: {message}")
            }
        }
    }
}
