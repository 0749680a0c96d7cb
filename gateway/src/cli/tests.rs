//! The grammar, and the help text people read.

use clap::{CommandFactory, Parser};

use super::{
    args::{Cli, Command, DeviceCommand, Output},
    unread, wants_json,
};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_lists_every_command_and_the_exit_codes() {
    let help = Cli::command().render_help().to_string();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/help.txt");
    crate::config::snapshot(path, &help);
}

#[test]
fn every_command_and_argument_explains_itself() {
    fn look(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "{path} has no description");
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{path}: {} has no help",
                argument.get_id()
            );
        }
        for child in command.get_subcommands() {
            look(child, &path);
        }
    }
    look(&Cli::command(), "");
}

#[test]
fn global_flags_may_stand_before_and_behind_the_command() {
    for line in [
        "sealgate --output json device list --connected",
        "sealgate device list --connected --output json",
    ] {
        let cli = parse(line).unwrap();
        assert_eq!(cli.global.output, Output::Json);
        assert!(matches!(
            cli.command,
            Command::Device(DeviceCommand::List {
                connected: true,
                ..
            })
        ));
    }
}

#[test]
fn a_command_line_that_can_not_be_read_is_told_as_json_where_json_is_asked_for() {
    let words = |line: &str| wants_json(line.split_whitespace().map(str::to_owned));
    assert!(words("sealgate --output json device lst"));
    assert!(words("sealgate device lst --output=json"));
    assert!(!words("sealgate device lst --output table"));
    let error = parse("sealgate device lst").unwrap_err();
    let told = unread(&error).to_json();
    assert_eq!(told["exit"], 2);
    let said = told["detail"].as_str().unwrap();
    assert!(said.contains("lst") && !said.contains("Usage"), "{said}");
}

#[test]
fn contradictions_are_refused() {
    for line in [
        "sealgate key rotate --dir k",
        "sealgate key rotate --dir k --all --scope lock",
        "sealgate token create x",
        "sealgate token create x --admin --scope org:read",
        "sealgate records --all --limit 3",
        "sealgate lock",
        "sealgate device set x",
        "sealgate device offline x perhaps --code 123456",
        "sealgate records --class 11",
        "sealgate device settings x --backlight 181",
        "sealgate device settings x --auto-off 31",
        "sealgate device settings x --backlight 3 --set {}",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}
