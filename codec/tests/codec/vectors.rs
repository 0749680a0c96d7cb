//! The published vectors, and the corpus of the fuzz targets that is made from them.
//!
//! `SEALGATE_BLESS=1 cargo test -p sealgate-codec` writes them anew; without it every byte must be as published.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf};

use sealgate_codec::{
    Frame,
    abnormal::classify_with,
    cose,
    edge::{ControlFrame, SealFrame},
    link::LinkFrame,
    record::Record,
    statement::{Checkpoint, KeySet, Lease, LinkTicket, Receipt},
    ticket::Ticket,
};

use crate::{edge_samples, link_samples, negative, samples};

/// One published vector.
pub(crate) struct Vector {
    pub(crate) name: String,
    /// The rule of `sl1.cddl` its bytes follow.
    pub(crate) rule: &'static str,
    pub(crate) meaning: String,
    /// The rule of the payload inside a signed body.
    pub(crate) payload_rule: Option<&'static str>,
    /// Further members, as JSON.
    pub(crate) more: Vec<(&'static str, String)>,
    pub(crate) bytes: Vec<u8>,
}

fn vector(name: &str, rule: &'static str, meaning: &str, bytes: Vec<u8>) -> Vector {
    Vector {
        name: name.into(),
        rule,
        meaning: meaning.into(),
        payload_rule: None,
        more: vec![],
        bytes,
    }
}

/// Valid vectors by file.
pub(crate) fn valid() -> BTreeMap<&'static str, Vec<Vector>> {
    let messages = samples::messages()
        .into_iter()
        .map(|sample| vector(sample.name, "sl1", sample.meaning, sample.value.encode()))
        .collect();
    let tickets = samples::tickets()
        .into_iter()
        .map(|sample| Vector {
            payload_rule: Some("ticket"),
            ..vector(
                sample.name,
                "sign1",
                sample.meaning,
                samples::signed(&sample.value),
            )
        })
        .collect();
    let statements = samples::statements()
        .into_iter()
        .map(|sample| Vector {
            payload_rule: Some(sample.value.0),
            ..vector(sample.name, "sign1", sample.meaning, sample.value.1)
        })
        .collect();
    let truth = samples::truth_table().into_iter().map(|sample| {
        let (record, locked_while_off) = sample.value;
        let kind = classify_with(record.facts, locked_while_off);
        let kind = kind.map_or("null".into(), |kind| kind.number().to_string());
        Vector {
            more: vec![
                ("facts", record.facts.bits().to_string()),
                ("locked_while_off", locked_while_off.to_string()),
                ("abnormal", kind),
            ],
            ..vector(sample.name, "rec", sample.meaning, record.encode().to_vec())
        }
    });
    let others = samples::other_records().into_iter().map(|sample| {
        vector(
            sample.name,
            "rec",
            sample.meaning,
            sample.value.encode().to_vec(),
        )
    });
    let records = truth.chain(others).collect();
    let mut all = edge_vectors();
    all.extend([
        ("messages", messages),
        ("records", records),
        ("statements", statements),
        ("tickets", tickets),
    ]);
    all
}

/// Links and the streams of edge boxes.
fn edge_vectors() -> BTreeMap<&'static str, Vec<Vector>> {
    let links = link_samples::messages()
        .into_iter()
        .map(|s| vector(s.name, "linkmsg", s.meaning, s.value.encode()))
        .collect();
    let controls = edge_samples::controls()
        .into_iter()
        .map(|s| vector(s.name, "control", s.meaning, s.value.encode()))
        .collect();
    let seal_frames = edge_samples::seal_frames()
        .into_iter()
        .map(|s| vector(s.name, "sealframe", s.meaning, s.value.encode()))
        .collect();
    BTreeMap::from([
        ("controls", controls),
        ("links", links),
        ("seal_frames", seal_frames),
    ])
}

fn refused() -> Vec<Vector> {
    negative::all()
        .into_iter()
        .map(|negative| Vector {
            more: vec![(
                "error",
                format!("\"0x{:04x} {}\"", negative.error.number(), negative.error),
            )],
            ..vector(
                negative.name,
                negative.rule,
                negative.meaning,
                negative.bytes,
            )
        })
        .collect()
}

/// Messages of a later minor version: decoded, their unknown keys passed over.
fn later() -> Vec<Vector> {
    let bye = vec![
        0x83, 0x03, 0x05, 0xa3, 0x00, 0x01, 0x01, 0x07, 0x18, 0x63, 0xa1, 0x00, 0x82, 0x01, 0x02,
    ];
    let between = vec![
        0x84, 0x11, 0x05, 0xa5, 0x00, 0x01, 0x01, 0x02, 0x02, 0x03, 0x05, 0x41, 0x00, 0x61, 0x61,
        0xf6, 0x09,
    ];
    vec![
        vector("bye_later", "sl1", "BYE with an unknown key 99", bye),
        vector(
            "log_ack_later",
            "sl1",
            "LOG-ACK with an unknown key 5 and a key that is text",
            between,
        ),
    ]
}

/// ATT values, frames on a line, advertisements: what they carry and their bytes.
fn framing() -> Vec<Vector> {
    link_samples::framing()
        .into_iter()
        .enumerate()
        .map(|(number, (rule, name, meaning, carried, bytes))| Vector {
            more: vec![("carries", quoted(&carried))],
            ..vector(&format!("{number:02}_{name}"), rule, meaning, bytes)
        })
        .collect()
}

/// One handshake, frame by frame as on the line.
fn handshake() -> Vec<Vector> {
    let meanings = [
        "LINK-OPEN, in the clear",
        "LINK-CHAL, in the clear",
        "a ping, encrypted: the box is proven",
        "LINK-OK, encrypted, acknowledges the ping",
        "the acknowledgement, encrypted: the link is open at both ends",
    ];
    let transcript = link_samples::transcript();
    assert_eq!(transcript.len(), meanings.len());
    transcript
        .into_iter()
        .zip(meanings)
        .enumerate()
        .map(|(number, ((sender, bytes), meaning))| Vector {
            more: vec![("from", format!("\"{sender}\""))],
            ..vector(&format!("frame_{number}"), "uart", meaning, bytes)
        })
        .collect()
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", data_encoding::HEXLOWER.encode(bytes))
}

fn render(vectors: &[Vector]) -> String {
    let text = |value: &str| serde_json::to_string(value).unwrap();
    let mut json = String::from("[\n");
    for (index, vector) in vectors.iter().enumerate() {
        let comma = if index + 1 < vectors.len() { "," } else { "" };
        write!(
            json,
            "  {{\n    \"name\": {},\n    \"rule\": {},\n    \"meaning\": {},\n",
            text(&vector.name),
            text(vector.rule),
            text(&vector.meaning)
        )
        .unwrap();
        if let Some(rule) = vector.payload_rule {
            writeln!(json, "    \"payload_rule\": \"{rule}\",").unwrap();
        }
        for (name, value) in &vector.more {
            writeln!(json, "    \"{name}\": {value},").unwrap();
        }
        let hex = data_encoding::HEXLOWER.encode(&vector.bytes);
        write!(json, "    \"hex\": \"{hex}\"\n  }}{comma}\n").unwrap();
    }
    json.push_str("]\n");
    json
}

pub(crate) fn crate_path(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Writes a published file when asked to, else compares it.
pub(crate) fn publish(path: &str, content: &[u8]) {
    let file = crate_path(path);
    if std::env::var_os("SEALGATE_BLESS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        return;
    }
    let published = fs::read(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(
        published == content,
        "{path} is not what the code makes; SEALGATE_BLESS=1 writes it anew"
    );
}

#[test]
fn the_published_vectors_are_what_the_code_makes() {
    for (file, vectors) in valid() {
        publish(&format!("vectors/{file}.json"), render(&vectors).as_bytes());
    }
    publish("vectors/negative.json", render(&refused()).as_bytes());
    publish("vectors/later.json", render(&later()).as_bytes());
    publish("vectors/framing.json", render(&framing()).as_bytes());
    publish("vectors/handshake.json", render(&handshake()).as_bytes());
}

#[test]
fn the_seed_corpus_of_the_fuzz_targets_is_made_from_the_vectors() {
    let mut files: BTreeMap<&str, Vec<Vector>> = valid();
    files.insert("refused", refused());
    files.insert("later", later());
    for (file, vectors) in files {
        for vector in vectors {
            seed(file, &vector);
        }
    }
    for vector in framing().into_iter().chain(handshake()) {
        let target = match vector.rule {
            "advert" | "info" => "link",
            _ => "framing",
        };
        publish(
            &format!("fuzz/corpus/{target}/{}_{}", vector.rule, vector.name),
            &vector.bytes,
        );
    }
    for sender in ["box", "seal"] {
        // What the other machine hears, in pieces as the target cuts them.
        let heard: Vec<u8> = link_samples::transcript()
            .into_iter()
            .filter(|(from, _)| *from == sender)
            .flat_map(|(_, bytes)| bytes)
            .collect();
        publish(&format!("fuzz/corpus/machine/from_{sender}"), &heard);
    }
    for text in ["aaaqeayeaudao", "s1/aaaqeayeaudao/u"] {
        publish(&format!("fuzz/corpus/text/{}", text.len()), text.as_bytes());
    }
}

fn seed(file: &str, vector: &Vector) {
    let target = match vector.rule {
        "sl1" => "frame",
        "rec" => "record",
        "sign1" => "sign1",
        "linkmsg" => "link",
        "control" => "control",
        "sealframe" => "seal_frame",
        _ => "payload",
    };
    // Fuzzers want small seeds.
    if vector.bytes.len() > 700 {
        return;
    }
    let name = format!("{file}_{}", vector.name);
    publish(&format!("fuzz/corpus/{target}/{name}"), &vector.bytes);
    if let Some(signed) = cose::parse(&vector.bytes)
        .ok()
        .filter(|_| target == "sign1")
    {
        publish(&format!("fuzz/corpus/believed/{name}"), &vector.bytes);
        publish(&format!("fuzz/corpus/payload/{name}"), signed.payload);
    }
}

#[test]
fn every_valid_vector_decodes_to_its_sample_and_encodes_to_its_bytes() {
    for sample in samples::messages() {
        let bytes = sample.value.encode();
        assert_eq!(Frame::decode(&bytes), Ok(sample.value), "{}", sample.name);
    }
    for sample in samples::tickets() {
        let payload = sample.value.payload();
        assert_eq!(
            Ticket::decode(&payload),
            Ok(sample.value),
            "{}",
            sample.name
        );
    }
    let records = samples::truth_table()
        .into_iter()
        .map(|sample| sample.value.0);
    for record in records.chain(
        samples::other_records()
            .into_iter()
            .map(|sample| sample.value),
    ) {
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
    for sample in link_samples::messages() {
        let bytes = sample.value.encode();
        assert_eq!(LinkFrame::decode(&bytes), Ok(sample.value));
    }
    for sample in edge_samples::controls() {
        let bytes = sample.value.encode();
        assert_eq!(ControlFrame::decode(&bytes), Ok(sample.value));
    }
    for sample in edge_samples::seal_frames() {
        let bytes = sample.value.encode();
        assert_eq!(SealFrame::decode(&bytes), Ok(sample.value));
    }
    assert_eq!(
        LinkTicket::decode(&link_samples::ticket().payload()),
        Ok(link_samples::ticket())
    );
    assert_eq!(
        Lease::decode(&samples::lease().payload()),
        Ok(samples::lease())
    );
    assert_eq!(
        Receipt::decode(&samples::receipt().payload()),
        Ok(samples::receipt())
    );
    assert_eq!(
        Checkpoint::decode(&samples::checkpoint().payload()),
        Ok(samples::checkpoint())
    );
    assert_eq!(
        KeySet::decode(&crate::keys::key_set().payload()),
        Ok(crate::keys::key_set())
    );
}

#[test]
fn messages_of_a_later_version_are_decoded_without_their_unknown_keys() {
    let unknown: Vec<u32> = later()
        .iter()
        .map(|vector| Frame::decode_counting(&vector.bytes).expect(&vector.name).1)
        .collect();
    assert_eq!(unknown, [1, 2]);
}

#[test]
fn the_longest_record_has_the_published_length() {
    let longest = samples::other_records().remove(1).value.encode();
    assert_eq!(longest.len(), sealgate_codec::record::MAX_RECORD);
}

#[test]
fn a_sender_keeps_batches_within_one_segment() {
    let samples = samples::messages();
    let full = samples
        .iter()
        .find(|sample| sample.name == "stamps_full")
        .unwrap();
    let bytes = full.value.encode();
    assert!(
        bytes.len() <= sealgate_codec::chain::MAX_BATCH_BYTES,
        "{}",
        bytes.len()
    );
    assert!(bytes.len() > 1100, "{}", bytes.len());
}
