//! Files of scenarios: `quarterdeck scenario check`, and what a server in test mode loads.

use crate::{
    Failure,
    options::{ScenarioCommand, ScenarioOptions},
    output, recordings, say,
};
use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use quarterdeck_scenario::{Checked, Diagnostic, Diagnostics, Known, Played, Recording, Scenario, Timing, check};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// How files in a folder end that are files of scenarios.
const ENDINGS: [&str; 3] = [".scenario.yaml", ".scenario.yml", ".recording.json"];
/// Bytes of a picture.
const PICTURE_MAX: usize = 3 << 20;

/// Runs a `scenario` command.
pub(crate) fn run(options: &ScenarioOptions) -> Result<(), Failure> {
    match &options.command {
        ScenarioCommand::Check { files } => {
            let Read { scenarios, faults, warnings } = read(files).map_err(Failure::Settings)?;
            for warning in warnings {
                output::complain(&format!("warning: {warning}"));
            }
            if !faults.is_empty() {
                return Err(Failure::Fault(anyhow::Error::new(Diagnostics(faults))));
            }
            let count = scenarios.len();
            say(&format!("{count} scenario{} in order\n", if count == 1 { "" } else { "s" }))
        }
        ScenarioCommand::Schema => say(quarterdeck_scenario::SCHEMA),
        ScenarioCommand::Export(options) => recordings::export(options),
        ScenarioCommand::Verify { file } => recordings::verify(file),
    }
}

/// The scenarios of files and folders.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) fn load(paths: &[PathBuf]) -> anyhow::Result<Vec<Scenario>> {
    let Read { scenarios, faults, warnings } = read(paths)?;
    if !faults.is_empty() {
        return Err(Diagnostics(faults).into());
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(scenarios)
}

#[derive(Default)]
struct Read {
    scenarios: Vec<Scenario>,
    faults: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

fn read(paths: &[PathBuf]) -> anyhow::Result<Read> {
    let operations = quarterdeck_server::operation_ids();
    let mut all = Read::default();
    for file in files(paths)? {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if Recording::is_one(&text) {
            match recording(&file, &text) {
                Ok(scenario) => all.scenarios.push(scenario),
                Err(fault) => all.faults.push(fault),
            }
            continue;
        }
        let Checked { mut scenarios, faults, warnings } =
            check(&file.display().to_string(), &text, Known { operations: &operations });
        all.faults.extend(faults);
        all.warnings.extend(warnings);
        for scenario in &mut scenarios {
            all.faults.extend(with_pictures(scenario, &file));
            if let Some(known) = all.scenarios.iter().find(|known| known.name == scenario.name) {
                let message = format!("there is a scenario `{}` at {} already", scenario.name, known.place());
                all.faults.push(fault(scenario, scenario.line, message));
            }
        }
        all.scenarios.extend(scenarios);
    }
    Ok(all)
}

/// A recording as a scenario, called as its file is.
fn recording(file: &Path, text: &str) -> Result<Scenario, Diagnostic> {
    let path = file.display().to_string();
    let recording = Recording::read(text).map_err(|fault| Diagnostic::of_file(&path, fault.to_string()))?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.strip_suffix(".recording.json").unwrap_or(&name).to_owned();
    Ok(Scenario::of_recording(name, path, Played { recording, timing: Timing::None, strict: false }))
}

/// Files by name, those of a folder too.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let is_ours = |file: &PathBuf| ENDINGS.iter().any(|ending| file.to_string_lossy().ends_with(ending));
        let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_ours).collect();
        inside.sort();
        anyhow::ensure!(!inside.is_empty(), "the folder {} holds no file named *{}", path.display(), ENDINGS[0]);
        found.extend(inside);
    }
    Ok(found)
}

/// Puts the pictures that a scenario names into it.
fn with_pictures(scenario: &mut Scenario, file: &Path) -> Vec<Diagnostic> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut wrong = Vec::new();
    for cue in scenario.script.cues_mut() {
        let line = cue.line;
        for image in cue.observations.iter_mut().filter_map(|seen| seen.image.as_mut()) {
            if image.starts_with("data:image/") {
                continue;
            }
            match picture(&folder.join(&*image)) {
                Ok(uri) => *image = uri,
                Err(why) => wrong.push((line, format!("the picture {image:?} cannot be used: {why}"))),
            }
        }
    }
    wrong.into_iter().map(|(line, message)| fault(scenario, line, message)).collect()
}

fn picture(file: &Path) -> anyhow::Result<String> {
    let kind = match file.extension().and_then(|extension| extension.to_str()) {
        Some("png") => "png",
        Some("jpg" | "jpeg") => "jpeg",
        Some("gif") => "gif",
        Some("webp") => "webp",
        _ => anyhow::bail!("it is no .png, .jpg, .gif or .webp"),
    };
    let bytes = fs::read(file)?;
    anyhow::ensure!(bytes.len() <= PICTURE_MAX, "it has more than 3 MiB");
    Ok(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)))
}

fn fault(scenario: &Scenario, line: usize, message: String) -> Diagnostic {
    let file = scenario.file.clone();
    Diagnostic { file, line, column: 1, message, suggestion: None, snippet: String::new() }
}
