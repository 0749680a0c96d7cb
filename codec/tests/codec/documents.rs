//! `docs/protocol.md`: its tables are made from the code. `SEALGATE_BLESS=1` writes them anew.

use std::fmt::Write;

use sealgate_codec::{
    Direction, ErrorCode, MessageType,
    abnormal::TRUTH_TABLE,
    cose::Purpose,
    edge::{ControlType, DrainReason, PassResult, Presence, WantReason},
    link::{CloseCode, LinkStatus, LinkType, PacketKind, PlainKind},
    message::{Answers, ByeReason, CmdStatus, Life, OtaResult, OtaState, ResetCause},
    record::{ClockQuality, Facts, GrantState, LinkKind, Phase, Screen},
    statement::LinkRole,
    ticket::{CounterDomain, OPS, Scope, TimeRule, UseMode},
};

use crate::vectors::{crate_path, publish};

const BEGIN: &str = "<!-- tables: made from codec, do not edit -->";
const END: &str = "<!-- end of tables -->";

fn head(out: &mut String, title: &str, columns: &[&str]) {
    let rule = vec!["---"; columns.len()].join(" | ");
    write!(
        out,
        "\n### {title}\n\n| {} |\n| {rule} |\n",
        columns.join(" | ")
    )
    .unwrap();
}

fn messages(out: &mut String) {
    head(
        out,
        "Messages",
        &[
            "type",
            "name",
            "sent by",
            "answers (`re`)",
            "longest, bytes",
        ],
    );
    for kind in MessageType::ALL {
        let sender = match kind.direction() {
            Direction::Up => "seal",
            Direction::Down => "gateway",
            Direction::Both => "either",
        };
        let answers = match kind.answers() {
            Answers::Always => "always",
            Answers::Sometimes => "sometimes",
            Answers::Never => "never",
        };
        writeln!(
            out,
            "| {} | {kind} | {sender} | {answers} | {} |",
            kind.number(),
            kind.cap()
        )
        .unwrap();
    }
}

fn ops(out: &mut String) {
    head(
        out,
        "Commands: op -> domain -> arguments -> scope",
        &[
            "op",
            "name",
            "domain",
            "scope",
            "nbf, exp",
            "seal",
            "arguments behind the tag",
        ],
    );
    for row in &OPS {
        let scope = Scope::ALL
            .iter()
            .find(|(_, scope)| *scope == row.scope)
            .unwrap();
        let time = match row.time {
            TimeRule::Validity => "validity",
            TimeRule::Window => "the grant's window",
        };
        let bound = match row.bound {
            Some(true) => "bound",
            Some(false) => "not bound",
            None => "either",
        };
        let domain = row.domain;
        writeln!(
            out,
            "| {} | {} | {} {domain} | {} {} | {time} | {bound} | {} |",
            row.op.number(),
            row.op,
            domain.number(),
            scope.1.bits(),
            scope.0,
            row.args
        )
        .unwrap();
    }
    head(out, "Scopes", &["bit", "name"]);
    for (name, scope) in Scope::ALL {
        writeln!(out, "| {} | {name} |", scope.bits()).unwrap();
    }
    head(out, "Purposes of signatures", &["purpose", "external data"]);
    for purpose in Purpose::ALL {
        writeln!(
            out,
            "| {purpose:?} | `{}` |",
            String::from_utf8_lossy(purpose.aad())
        )
        .unwrap();
    }
}

fn facts(out: &mut String) {
    head(out, "Facts of a press", &["bits", "fact"]);
    for (name, shift, width) in Facts::FIELDS {
        let bits = if width == 1 {
            shift.to_string()
        } else {
            format!("{shift}-{}", shift + width - 1)
        };
        writeln!(out, "| {bits} | {name} |").unwrap();
    }
    head(
        out,
        "Abnormal kinds: the first row that matches",
        &["kind", "name", "condition"],
    );
    for row in &TRUTH_TABLE {
        writeln!(
            out,
            "| {} | {} | {} |",
            row.kind.number(),
            row.kind,
            row.condition
        )
        .unwrap();
    }
}

fn choice<T: std::fmt::Display + Copy>(
    out: &mut String,
    title: &str,
    all: &[T],
    number: impl Fn(T) -> u16,
) {
    head(out, title, &["number", "meaning"]);
    for value in all {
        writeln!(out, "| {} | {value} |", number(*value)).unwrap();
    }
}

fn choices(out: &mut String) {
    choice(out, "Grant state (facts)", GrantState::ALL, |v| {
        v.number().into()
    });
    choice(out, "Phase (facts)", Phase::ALL, |v| v.number().into());
    choice(out, "Screen (facts)", Screen::ALL, |v| v.number().into());
    choice(out, "Link (facts, HELLO)", LinkKind::ALL, |v| {
        v.number().into()
    });
    choice(
        out,
        "Clock quality (records, HELLO)",
        ClockQuality::ALL,
        |v| v.number().into(),
    );
    choice(out, "Counter domain", CounterDomain::ALL, |v| {
        v.number().into()
    });
    choice(out, "Command status (CMD-ACK)", CmdStatus::ALL, |v| {
        v.number().into()
    });
    choice(out, "Use mode (grant)", UseMode::ALL, |v| v.number().into());
    choice(out, "Life (HELLO-ACK)", Life::ALL, |v| v.number().into());
    choice(out, "Cause of a start (HELLO)", ResetCause::ALL, |v| {
        v.number().into()
    });
    choice(out, "Reason of BYE", ByeReason::ALL, |v| v.number().into());
    choice(out, "Update state (OTA-STAT)", OtaState::ALL, |v| {
        v.number().into()
    });
    choice(out, "Update result (OTA-STAT)", OtaResult::ALL, |v| {
        v.number().into()
    });
    head(out, "Error codes", &["code", "meaning"]);
    for code in ErrorCode::ALL {
        writeln!(out, "| 0x{:04x} | {code} |", code.number()).unwrap();
    }
}

fn links(out: &mut String) {
    head(
        out,
        "Link messages",
        &["type", "name", "answers (`re`)", "longest, bytes"],
    );
    for kind in LinkType::ALL {
        let answers = if kind.answers() { "always" } else { "never" };
        let number = kind.number();
        writeln!(out, "| {number} | {kind} | {answers} | {} |", kind.cap()).unwrap();
    }
    choice(out, "Kind of packet (framing)", PacketKind::ALL, |v| {
        v.number().into()
    });
    choice(out, "Kind of encrypted packet", PlainKind::ALL, |v| {
        v.number().into()
    });
    choice(out, "Link status (LINK-OK)", LinkStatus::ALL, |v| {
        v.number().into()
    });
    choice(out, "Why a link is closed", CloseCode::ALL, |v| {
        v.number().into()
    });
    choice(out, "Role (link ticket)", LinkRole::ALL, |v| {
        v.number().into()
    });
}

fn edge(out: &mut String) {
    let columns = [
        "type",
        "name",
        "sent by",
        "answers (`re`)",
        "longest, bytes",
    ];
    head(out, "Control messages", &columns);
    for kind in ControlType::ALL {
        let sender = match kind.direction() {
            Direction::Up => "box",
            Direction::Down => "gateway",
            Direction::Both => "either",
        };
        let answers = match kind.answers() {
            Answers::Always => "always",
            Answers::Sometimes => "sometimes",
            Answers::Never => "never",
        };
        let (number, cap) = (kind.number(), kind.cap());
        writeln!(out, "| {number} | {kind} | {sender} | {answers} | {cap} |").unwrap();
    }
    choice(out, "Presence (SEEN)", Presence::ALL, |v| v.number().into());
    choice(out, "Why a link is wanted (WANT)", WantReason::ALL, |v| {
        v.number().into()
    });
    choice(out, "Why an end stops (DRAIN)", DrainReason::ALL, |v| {
        v.number().into()
    });
    choice(
        out,
        "What became of a message (PASS)",
        PassResult::ALL,
        |v| v.number().into(),
    );
}

#[test]
fn the_protocol_page_has_the_tables_of_the_code() {
    let mut tables = String::new();
    messages(&mut tables);
    ops(&mut tables);
    facts(&mut tables);
    choices(&mut tables);
    links(&mut tables);
    edge(&mut tables);
    let path = "../docs/protocol.md";
    let page = std::fs::read_to_string(crate_path(path)).expect("docs/protocol.md");
    let (before, rest) = page.split_once(BEGIN).expect("the mark where tables begin");
    let (_, after) = rest.split_once(END).expect("the mark where tables end");
    publish(
        path,
        format!("{before}{BEGIN}\n{tables}\n{END}{after}").as_bytes(),
    );
}
