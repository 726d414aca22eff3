//! One reading of the settings for all commands: flags, then variables, then the file, then defaults.
//!
//! The command line is parsed twice. The first time says which file is meant and which settings are flags. What
//! variables and the file say becomes the default of the second time, so that every value goes through the same parser.

use super::{SETTINGS_FILE, Settings, wrong_form};
use crate::options::Options;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, error::ContextKind};
use std::{
    collections::BTreeMap,
    error::Error as _,
    ffi::{OsStr, OsString},
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
};
use toml::de::{DeTable, DeValue};

const PREFIX: &str = "QUARTERDECK_";
/// The variable that names the settings file.
const FILE_VARIABLE: &str = "QUARTERDECK_CONFIG";
/// What other programs call the database's URL.
const DATABASE_VARIABLE: &str = "DATABASE_URL";
/// Variables of our prefix that others set: the tests, the compose file, and Kubernetes for a service of our name.
const FOREIGN: &[&str] = &["TEST_", "BIN", "BLESS", "SEEDS", "PUBLISH", "PORT", "SERVICE_"];

/// What a command is told, and by what.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) options: Options,
    pub(crate) values: Vec<Value>,
    /// What should be looked at, but stops nothing.
    pub(crate) warnings: Vec<String>,
}

/// A setting as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// Its flag without dashes, which is its key in the file.
    pub(crate) key: String,
    /// One text for each value; none when there is neither a value nor a default.
    pub(crate) texts: Vec<OsString>,
    pub(crate) source: Source,
    pub(crate) is_secret: bool,
}

/// Where a value was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Variable(&'static str, String),
    File(PathBuf, usize),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(prefix, name) => write!(f, "variable {prefix}{name}"),
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Why nothing was read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// Help was asked for, or the words make no command.
    Words(clap::Error),
    /// A variable or the file says something that cannot be.
    Value(anyhow::Error),
}

/// Reads the settings of the command that `words` name, with `variables` as the environment.
pub(crate) fn read(
    words: &[OsString],
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Reading, ReadError> {
    let command = command();
    let given = command.clone().try_get_matches_from(words).map_err(ReadError::Words)?;
    let mut warnings = Vec::new();
    let mut said = BTreeMap::new();
    if let Some(named) = named_file(&given) {
        let variables = Variables::new(variables);
        warnings.extend(variables.unknown());
        said = layers(&variables, named.as_deref()).map_err(ReadError::Value)?;
    }
    let matches = with_defaults(command, &said).try_get_matches_from(words).map_err(ReadError::Words)?;
    let values = setting_args().iter().filter_map(|arg| value(arg, &matches, &said)).collect();
    let options = Options::from_arg_matches(&matches).map_err(ReadError::Words)?;
    Ok(Reading { options, values, warnings })
}

/// The whole command line, with the names of the variables in its help.
pub(crate) fn command() -> Command {
    name_variables(Options::command())
}

fn name_variables(command: Command) -> Command {
    let command = command.mut_args(|arg| match variable_of(&arg) {
        Some(variable) => {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            arg.help(format!("{help} [env: {variable}]"))
        }
        None => arg,
    });
    command.mut_subcommands(name_variables)
}

fn variable_of(arg: &Arg) -> Option<String> {
    if arg.get_id() == "config" {
        return Some(FILE_VARIABLE.to_owned());
    }
    setting_args().iter().find(|setting| setting.get_id() == arg.get_id()).map(|setting| variable(&key(setting)))
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('-', "_").to_ascii_uppercase())
}

fn settings_command() -> Command {
    Settings::augment_args(Command::new("quarterdeck")).disable_help_flag(true).color(clap::ColorChoice::Never)
}

/// Every setting, whether or not it is shown yet.
fn setting_args() -> &'static [Arg] {
    static ARGS: LazyLock<Vec<Arg>> = LazyLock::new(|| settings_command().get_arguments().cloned().collect());
    &ARGS
}

fn key(arg: &Arg) -> String {
    arg.get_long().unwrap_or_default().to_owned()
}

/// The file that the flag names, if any; none at all when the command takes no settings.
#[expect(clippy::option_option, reason = "no settings, no file named, and a file are three things")]
fn named_file(matches: &ArgMatches) -> Option<Option<PathBuf>> {
    let command = leaf(matches);
    let named = command.try_get_one::<PathBuf>("config").ok()?;
    Some(named.cloned())
}

/// The words of the innermost command.
fn leaf(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, deeper)| leaf(deeper))
}

/// What variables and the file say, by key.
type Said = BTreeMap<String, (Vec<OsString>, Source)>;

fn layers(variables: &Variables, named: Option<&Path>) -> anyhow::Result<Said> {
    let named = named.map(Path::to_owned).or_else(|| variables.get(FILE_VARIABLE).map(PathBuf::from));
    let mut said = file(named.as_deref())?;
    said.retain(|_, (texts, _)| texts.iter().any(|text| !is_blank(text)));
    for arg in setting_args() {
        let key = key(arg);
        let name = key.replace('-', "_").to_ascii_uppercase();
        let other = (key == "database-url").then_some(("", DATABASE_VARIABLE));
        for (prefix, name) in [Some((PREFIX, name.as_str())), other].into_iter().flatten() {
            if let Some(text) = variables.get(&format!("{prefix}{name}")) {
                said.insert(key.clone(), (vec![text.to_owned()], Source::Variable(prefix, name.to_owned())));
                break;
            }
        }
    }
    for (key, (texts, source)) in &said {
        for text in texts {
            check(key, text).map_err(|fault| anyhow::anyhow!("{source}: {key} {fault}"))?;
        }
    }
    Ok(said)
}

/// Environment variables that say something.
struct Variables(BTreeMap<OsString, OsString>);

impl Variables {
    fn new(all: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(all.into_iter().filter(|(_, value)| !is_blank(value)).collect())
    }

    fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// A sentence for each variable that looks like ours and is none.
    fn unknown(&self) -> Vec<String> {
        let names = self.0.keys().filter_map(|name| name.to_str()?.strip_prefix(PREFIX));
        let names = names.filter(|name| !FOREIGN.iter().any(|foreign| name.starts_with(foreign)));
        let keys: Vec<String> = setting_args().iter().map(key).collect();
        let as_key = |name: &str| name.to_ascii_lowercase().replace('_', "-");
        names
            .filter(|name| *name != "CONFIG" && !keys.iter().any(|key| variable(key) == format!("{PREFIX}{name}")))
            .map(|name| {
                let hint = similar(&as_key(name)).map(|key| format!("; did you mean {}?", variable(&key)));
                format!("the variable {PREFIX}{name} is no setting and does nothing{}", hint.unwrap_or_default())
            })
            .collect()
    }
}

fn is_blank(text: &OsStr) -> bool {
    text.to_str().is_some_and(|text| text.trim().is_empty())
}

fn file(named: Option<&Path>) -> anyhow::Result<Said> {
    let path = named.unwrap_or(Path::new(SETTINGS_FILE));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(Said::new()),
        Err(error) => anyhow::bail!("cannot read the settings file {}: {error}", path.display()),
    };
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> anyhow::Result<Said> {
    let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
    let place = |at: usize| format!("{}, line {}", path.display(), line(at));
    let table = DeTable::parse(text).map_err(|error| {
        anyhow::anyhow!("{}: {}", place(error.span().map_or(0, |span| span.start)), error.message())
    })?;
    let known: Vec<String> = setting_args().iter().map(key).collect();
    let mut said = Said::new();
    for (name, value) in table.into_inner() {
        let (at, name) = (name.span().start, name.into_inner());
        if !known.iter().any(|key| key.as_str() == name) {
            let hint = similar(&name).map(|key| format!("; did you mean {key:?}?")).unwrap_or_default();
            anyhow::bail!("{}: there is no setting {name:?}{hint}", place(at));
        }
        let tables = if TABLES.contains(&name.as_ref()) { tables(text, &name) } else { None };
        let texts = tables.or_else(|| texts(value.get_ref())).ok_or_else(|| {
            anyhow::anyhow!("{}: {name} is neither a text, a number, true or false, nor a list of these", place(at))
        })?;
        said.insert(name.into_owned(), (texts, Source::File(path.to_owned(), line(at))));
    }
    Ok(said)
}

/// The settings that may be tables in the file.
const TABLES: [&str; 2] = ["model-endpoint", "model-names"];

/// As on a command line: an inline table for each table of a list, `NAME=VALUE,VALUE` for each member of a single one. None
/// when it is neither.
fn tables(text: &str, name: &str) -> Option<Vec<OsString>> {
    let file: toml::Table = text.parse().ok()?;
    let one = |value: &toml::Value| value.as_str().map(str::to_owned);
    match (file.get(name)?.as_array(), file.get(name)?.as_table()) {
        (Some(tables), _) => tables.iter().map(|table| table.is_table().then(|| table.to_string().into())).collect(),
        (None, Some(members)) => {
            let value = |value: &toml::Value| match value.as_array() {
                Some(values) => Some(values.iter().map(one).collect::<Option<Vec<_>>>()?.join(",")),
                None => one(value),
            };
            members.iter().map(|(name, said)| Some(format!("{name}={}", value(said)?).into())).collect()
        }
        (None, None) => None,
    }
}

/// As on a command line.
fn texts(value: &DeValue<'_>) -> Option<Vec<OsString>> {
    let one = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => {
            i128::from_str_radix(number.as_str(), number.radix()).map_or_else(|_| number.to_string(), |n| n.to_string())
        }
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Array(values) => {
            let all: Option<Vec<_>> = values.iter().map(|value| texts(value.get_ref())).collect();
            return all.map(|all| all.into_iter().flatten().collect());
        }
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    };
    Some(vec![one.into()])
}

/// Refuses what the setting cannot be, in the words that a flag would be refused by.
fn check(key: &str, text: &OsStr) -> Result<(), String> {
    let mut word = OsString::from(format!("--{key}="));
    word.push(text);
    let Err(error) = settings_command().try_get_matches_from([OsString::from("quarterdeck"), word]) else {
        return Ok(());
    };
    let arg = setting_args().iter().find(|arg| arg.get_long() == Some(key));
    let shown = if arg.is_some_and(is_secret) { "***".into() } else { text.to_string_lossy() };
    let possible = || error.get(ContextKind::ValidValue).map(|valid| format!("it is one of {valid}"));
    let why = error.source().map(wrong_form::words).or_else(possible);
    Err(format!("cannot be {shown:?}: {}", why.unwrap_or_else(|| "it is not UTF-8".to_owned())))
}

/// The setting that a wrong name comes near.
fn similar(key: &str) -> Option<String> {
    let error = settings_command().try_get_matches_from(["quarterdeck", &format!("--{key}=x")]).err()?;
    let found = error.get(ContextKind::SuggestedArg)?.to_string();
    let found = found.trim_start_matches('-').split(['=', ' ', '[']).next()?.to_owned();
    (found != key).then_some(found)
}

fn with_defaults(command: Command, said: &Said) -> Command {
    let command = command.mut_args(|arg| {
        let is_setting = setting_args().iter().any(|setting| setting.get_id() == arg.get_id());
        match said.get(&key(&arg)).filter(|_| is_setting) {
            Some((texts, _)) => arg.default_values(texts.clone()),
            None => arg,
        }
    });
    command.mut_subcommands(|command| with_defaults(command, said))
}

/// What the command was told; none when it does not take that setting, or does not show it yet.
fn value(arg: &Arg, matches: &ArgMatches, said: &Said) -> Option<Value> {
    let matches = leaf(matches);
    let (id, key) = (arg.get_id().as_str(), key(arg));
    if arg.is_hide_set() {
        return None;
    }
    let texts = matches.try_get_raw(id).ok()?.into_iter().flatten().map(OsStr::to_owned).collect();
    let source = match matches.value_source(id) {
        Some(clap::parser::ValueSource::CommandLine) => Source::Flag,
        Some(_) | None => said.get(&key).map_or(Source::Default, |(_, source)| source.clone()),
    };
    Some(Value { key, texts, source, is_secret: is_secret(arg) })
}

fn is_secret(arg: &Arg) -> bool {
    let kind = arg.get_value_parser().type_id();
    kind == std::any::TypeId::of::<super::Secret>() || kind == std::any::TypeId::of::<super::EndpointEntry>()
}

#[cfg(test)]
mod tests;
