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

#[test]
fn a_gateway_to_look_around_listens_on_this_machine_only_unless_it_is_told_otherwise() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let listens = |line: &str| {
        let Command::Serve(args) = parse(line).unwrap().command else {
            panic!("{line}");
        };
        let front = super::serve::sources(&args, None).load().unwrap().front;
        [front.listen, front.business_listen]
    };
    assert_eq!(
        listens("sealgate serve --dev"),
        ["127.0.0.1:8883", "127.0.0.1:8884"]
    );
    assert_eq!(listens("sealgate serve")[0], "0.0.0.0:8883");
    let told = listens("sealgate serve --dev --front 0.0.0.0:1 --business 0.0.0.0:2");
    assert_eq!(told, ["0.0.0.0:1", "0.0.0.0:2"]);
    std::fs::write(file.path(), "[front]\nlisten = \"0.0.0.0:3\"\n").unwrap();
    let line = format!("sealgate serve --dev --config {}", file.path().display());
    assert_eq!(listens(&line)[0], "0.0.0.0:3");
}

#[test]
fn a_renewed_server_certificate_keeps_its_names_unless_others_are_given() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("pki");
    let run = |words: &[&str]| {
        let line = ["sealgate", "ca"].iter().chain(words);
        let line = line.copied().chain(["--dir", folder.to_str().unwrap()]);
        let Command::Ca(command) = Cli::try_parse_from(line).unwrap().command else {
            panic!("{words:?}");
        };
        super::material::ca(command, &super::Out::new(Output::Json)).unwrap();
        names(&folder.join("server.pem"))
    };
    let first = ["seals.example", "192.0.2.7", "2001:db8::7"];
    let named = [
        "init", "--name", first[0], "--name", first[1], "--name", first[2],
    ];
    assert_eq!(run(&named), first);
    let certificate = std::fs::read(folder.join("server.pem")).unwrap();
    assert_eq!(run(&["renew-server"]), first);
    assert_ne!(
        std::fs::read(folder.join("server.pem")).unwrap(),
        certificate
    );
    let other = ["renew-server", "--name", "other.example"];
    assert_eq!(run(&other), ["other.example"]);
    assert_eq!(run(&["renew-server"]), ["other.example"]);
}

/// The names of the first certificate in the file.
fn names(chain: &std::path::Path) -> Vec<String> {
    use x509_parser::{extensions::GeneralName, pem::Pem};
    let text = std::fs::read(chain).unwrap();
    let pem = Pem::iter_from_buffer(&text).next().unwrap().unwrap();
    let leaf = pem.parse_x509().unwrap();
    let held = leaf.subject_alternative_name().unwrap().unwrap().value;
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => std::net::IpAddr::from(bytes).to_string(),
            Err(_) => std::net::IpAddr::from(<[u8; 16]>::try_from(*bytes).unwrap()).to_string(),
        },
        other => panic!("{other}"),
    };
    held.general_names.iter().map(text).collect()
}
