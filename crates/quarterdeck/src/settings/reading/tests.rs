use super::*;
use crate::options::{Command as Chosen, ServeOptions};
use std::io::Write;

fn read_with(words: &str, variables: &[(&str, &str)]) -> Result<Reading, ReadError> {
    let words: Vec<OsString> = std::iter::once("quarterdeck").chain(words.split_whitespace()).map(Into::into).collect();
    read(&words, variables.iter().map(|(name, value)| (name.into(), value.into())))
}

fn serve_with(words: &str, variables: &[(&str, &str)]) -> (Settings, Reading) {
    let reading = read_with(&format!("serve {words}"), variables).unwrap();
    let Chosen::Serve(ServeOptions { settings, .. }) = &reading.options.command else { panic!("{reading:?}") };
    (settings.clone(), reading)
}

fn refusal(words: &str, variables: &[(&str, &str)]) -> String {
    match read_with(words, variables).unwrap_err() {
        ReadError::Value(error) => format!("{error:#}"),
        ReadError::Words(error) => error.to_string(),
    }
}

fn file_with(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn source<'a>(reading: &'a Reading, key: &str) -> &'a Source {
    &reading.values.iter().find(|value| value.key == key).unwrap().source
}

#[test]
fn flags_come_before_variables_before_the_file_before_defaults() {
    let file = file_with("lease = 4\nmax-workers = 3\nlog-format = \"json\"\n");
    let config = file.path().to_str().unwrap();
    let variables = [("QUARTERDECK_CONFIG", config), ("QUARTERDECK_MAX_WORKERS", "5"), ("QUARTERDECK_LEASE", "6")];
    let (settings, reading) = serve_with("--lease 7", &variables);
    assert_eq!((settings.limits.lease, settings.limits.max_workers, settings.limits.drain_grace), (7, 5, 5));
    assert_eq!(settings.log.log_format, crate::settings::LogFormat::Json);
    assert_eq!(source(&reading, "lease"), &Source::Flag);
    assert_eq!(source(&reading, "max-workers").to_string(), "variable QUARTERDECK_MAX_WORKERS");
    assert_eq!(source(&reading, "log-format").to_string(), format!("{config}, line 3"));
    assert_eq!(source(&reading, "drain-grace"), &Source::Default);
}

#[test]
fn every_setting_can_be_a_variable_and_a_key_of_the_file() {
    for arg in setting_args() {
        let key = key(arg);
        let endpoint = "name = \"x\", base-url = \"http://h\"";
        let possible = [
            "1",
            "true",
            "real",
            "fail",
            "NAME=/bin/true",
            "web",
            "json",
            "chat",
            "pixels",
            "tools",
            "100",
            "1000",
            endpoint,
        ];
        let fits = possible.into_iter().find(|text| check(&key, OsStr::new(text)).is_ok()).expect(&key);
        let (_, by_variable) = serve_with("", &[(&variable(&key), fits)]);
        let file = file_with(&format!("{key} = {fits:?}"));
        let (_, by_file) = serve_with("", &[("QUARTERDECK_CONFIG", file.path().to_str().unwrap())]);
        for (reading, is_wanted) in [
            (by_variable, (|source| matches!(source, &Source::Variable(..))) as fn(&Source) -> bool),
            (by_file, |source| matches!(source, &Source::File(..))),
        ] {
            if arg.is_hide_set() {
                continue;
            }
            let value = reading.values.iter().find(|value| value.key == key).unwrap();
            assert!(is_wanted(&value.source), "{value:?}");
            assert_eq!(value.texts, [OsString::from(fits)]);
        }
    }
}

#[test]
fn a_blank_variable_is_unset() {
    let blank: Vec<(String, &str)> = setting_args().iter().map(|arg| (variable(&key(arg)), " ")).collect();
    let mut blank: Vec<(&str, &str)> = blank.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    blank.extend([("DATABASE_URL", ""), ("QUARTERDECK_CONFIG", "")]);
    let (_, reading) = serve_with("", &blank);
    assert!(reading.values.iter().all(|value| value.source == Source::Default), "{:?}", reading.values);
    assert_eq!(reading.warnings, Vec::<String>::new());
}

#[test]
fn every_number_has_its_bounds_in_its_help_and_holds_them() {
    let mut numbers = 0;
    for arg in setting_args() {
        let key = key(arg);
        let takes = |number: i128| check(&key, OsStr::new(&number.to_string())).is_ok();
        if check(&key, OsStr::new("100")).is_err() || check(&key, OsStr::new("many")).is_ok() {
            continue;
        }
        numbers += 1;
        let help = arg.get_help().unwrap().to_string();
        let words: Vec<&str> = help.split([' ', ',', ';']).collect();
        let bounds = words.windows(3).find(|window| window[1] == "to" && window[0].parse::<i128>().is_ok());
        let bounds = bounds.unwrap_or_else(|| panic!("{key}: {help}"));
        let (least, most): (i128, i128) = (bounds[0].parse().unwrap(), bounds[2].parse().unwrap());
        assert!(takes(least) && takes(most), "{key}: {help}");
        assert!(!takes(least - 1) && !takes(most + 1) && !takes(i128::from(u64::MAX)), "{key}: {help}");
    }
    assert!(numbers >= 12, "{numbers}");
}

#[test]
fn what_is_refused_is_named_with_its_place() {
    let file = file_with("\nmax-workers = 0\n");
    let config = file.path().to_str().unwrap();
    for (variables, wanted) in [
        (
            [("QUARTERDECK_LEASE", "0")],
            "variable QUARTERDECK_LEASE: lease cannot be \"0\": 0 is not in 1..=3600".to_owned(),
        ),
        ([("QUARTERDECK_LOG_FORMAT", "xml")], "log-format cannot be \"xml\": it is one of text, json".to_owned()),
        (
            [("QUARTERDECK_CONFIG", config)],
            format!("{config}, line 2: max-workers cannot be \"0\": 0 is not in 1..=65536"),
        ),
        ([("QUARTERDECK_CONFIG", "/nowhere.toml")], "cannot read the settings file /nowhere.toml".to_owned()),
    ] {
        let refused = refusal("serve", &variables);
        assert!(refused.contains(&wanted), "{refused}");
    }
    for words in ["serve --max-workers 0", "serve --lease 99999999999", "serve --api-key=", "serve --model="] {
        refusal(words, &[]);
    }
}

#[test]
fn a_faulty_file_is_told_by_its_line() {
    for (text, wanted) in [
        ("lease = 1\n[log]\n", "line 2: log is neither a text"),
        ("lease = 1\n\nmax-worker = 1\n", "line 3: there is no setting \"max-worker\"; did you mean \"max-workers\"?"),
        ("colour = 1\n", "line 1: there is no setting \"colour\""),
        ("lease = \n", "line 1: "),
        ("lease = 0x10\ndrain-grace = []\nlisten = \"\"\n", ""),
    ] {
        let file = file_with(text);
        let variables = [("QUARTERDECK_CONFIG", file.path().to_str().unwrap())];
        match wanted {
            "" => assert_eq!(serve_with("", &variables).0.limits.lease, 16),
            wanted => assert!(refusal("serve", &variables).contains(wanted), "{}", refusal("serve", &variables)),
        }
    }
}

#[test]
fn a_mistyped_variable_is_warned_of() {
    let variables = [
        ("QUARTERDECK_MAX_WORKER", "1"),
        ("QUARTERDECK_COLOUR", "red"),
        ("QUARTERDECK_PORT_8430_TCP", "tcp://10.0.0.1:8430"),
        ("QUARTERDECK_TEST_URL", "x"),
        ("MAX_WORKERS", "1"),
    ];
    let warnings = serve_with("", &variables).1.warnings;
    assert_eq!(
        warnings,
        [
            "the variable QUARTERDECK_COLOUR is no setting and does nothing",
            "the variable QUARTERDECK_MAX_WORKER is no setting and does nothing; did you mean QUARTERDECK_MAX_WORKERS?"
        ]
    );
}

#[test]
fn secrets_are_in_no_refusal_and_no_debug_text() {
    let (settings, _) =
        serve_with("", &[("QUARTERDECK_API_KEY", "hk-secret"), ("DATABASE_URL", "postgres://u:pw@h/d")]);
    let text = format!("{settings:?}");
    assert!(!text.contains("hk-secret") && !text.contains("pw@"), "{text}");
}

#[test]
fn our_name_of_the_databases_variable_comes_first() {
    let both = [("DATABASE_URL", "sqlite://theirs.db"), ("QUARTERDECK_DATABASE_URL", "sqlite://ours.db")];
    for (variables, wanted) in [(&both[..], "sqlite://ours.db"), (&both[..1], "sqlite://theirs.db")] {
        let (settings, _) = serve_with("", variables);
        assert_eq!(settings.store.database.database_url.unwrap().reveal(), wanted);
    }
}

#[test]
fn all_commands_read_the_same_settings() {
    let file =
        file_with("database-url = \"sqlite://file.db\"\nlisten = \"127.0.0.1:1\"\nmax-concurrent-sessions = 7\n");
    let config = file.path().to_str().unwrap();
    for words in ["keys list", "orgs list", "orgs set a --max-concurrent-sessions default", "orgs create a"] {
        let reading = read_with(&format!("{words} --config {config}"), &[]).unwrap();
        let (Chosen::Keys(crate::options::KeysOptions { database, .. })
        | Chosen::Orgs(crate::options::OrgsOptions { database, .. })) = &reading.options.command
        else {
            panic!("{reading:?}")
        };
        assert_eq!(database.database_url.as_ref().unwrap().reveal(), "sqlite://file.db");
        assert!(!format!("{reading:?}").contains("Some(7)"), "a limit of all organizations is no limit of one");
    }
    let reading = read_with(&format!("health --config {config}"), &[]).unwrap();
    assert!(matches!(&reading.options.command, Chosen::Health(options) if options.address.listen == "127.0.0.1:1"));
}

#[test]
fn help_names_flags_variables_and_defaults_but_nothing_that_does_not_work_yet() {
    let help = refusal("serve --help", &[]);
    for wanted in ["[env: QUARTERDECK_MAX_WORKERS]", "[default: 1024]", "--database-url", "QUARTERDECK_CONFIG"] {
        assert!(help.contains(wanted), "{wanted}\n{help}");
    }
    for arg in setting_args() {
        assert_eq!(
            help.contains(&format!("--{} ", key(arg))) || help.contains(&format!("--{}[", key(arg))),
            !arg.is_hide_set(),
            "{help}"
        );
    }
}
