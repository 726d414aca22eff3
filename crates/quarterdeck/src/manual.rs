//! What describes the command line: the manual page and the completions of shells.

use crate::settings::reading;
use clap_complete::Shell;

/// The completions of a shell, to be put where that shell looks for them.
pub(crate) fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut reading::command(), "quarterdeck", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The manual page, of the commands and of the settings of the server.
pub(crate) fn page() -> anyhow::Result<String> {
    let command = reading::command();
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    let mut built = command;
    built.build();
    if let Some(serve) = built.find_subcommand("serve") {
        let page = clap_mangen::Man::new(serve.clone());
        text.extend_from_slice(b".SH \"SETTINGS OF THE SERVER\"\n");
        page.render_options_section(&mut text)?;
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_and_the_completions_name_commands_and_settings() {
        let page = page().unwrap();
        let completions: Vec<String> = [Shell::Bash, Shell::Zsh, Shell::Fish].map(completions).into();
        for text in completions.iter().chain([&page]) {
            for word in ["doctor", "max", "workers", "idle"] {
                assert!(text.contains(word), "{word}: {text}");
            }
        }
    }
}
