//! Markdown tables between markers of `docs/state-machine.md`.

use std::{env, fs, sync::Mutex};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/state-machine.md");

/// Two tests write to the page.
static WRITING: Mutex<()> = Mutex::new(());

/// Compares `text` with what stands between the markers named `name`; with `QUARTERDECK_BLESS=1` writes it there.
pub(super) fn check(name: &str, text: &str) {
    let _writing = WRITING.lock();
    let page = fs::read_to_string(PAGE).expect("docs/state-machine.md is readable");
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let (before, rest) = page.split_once(&begin).expect("the page has the begin marker");
    let (written, after) = rest.split_once(&end).expect("the page has the end marker");
    let wanted = format!("\n{}\n\n", text.trim());
    if written == wanted {
        return;
    }
    assert!(
        bless(),
        "the machine does not do what docs/state-machine.md says under \"{name}\"; \
         look at the difference, and if it is right: QUARTERDECK_BLESS=1 cargo test -p quarterdeck-core\n{}",
        difference(written, &wanted)
    );
    fs::write(PAGE, [before, &begin, &wanted, &end, after].concat()).expect("docs/state-machine.md is writable");
}

/// A table under `heads`; states that fare alike share a row.
pub(super) fn table(heads: &[&str], outcomes: Vec<(&str, Vec<String>)>) -> String {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for (state, outcome) in outcomes {
        match rows.iter_mut().find(|(_, known)| *known == outcome) {
            Some((states, _)) => *states = format!("{states}; {state}"),
            None => rows.push((state.to_owned(), outcome)),
        }
    }
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let head = line(heads) + &line(&vec!["---"; heads.len()]);
    let rows = rows.into_iter().map(|(states, outcome)| format!("| {states} | {} |\n", outcome.join(" | ")));
    head + &rows.collect::<String>()
}

#[expect(clippy::disallowed_methods, reason = "asked of the developer who runs the test, not of a server")]
fn bless() -> bool {
    env::var_os("QUARTERDECK_BLESS").is_some()
}

fn difference(written: &str, wanted: &str) -> String {
    let gone =
        written.lines().filter(|line| !wanted.lines().any(|other| other == *line)).map(|line| format!("- {line}"));
    let new =
        wanted.lines().filter(|line| !written.lines().any(|other| other == *line)).map(|line| format!("+ {line}"));
    gone.chain(new).collect::<Vec<_>>().join("\n")
}
