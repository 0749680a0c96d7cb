//! The published vectors, and the corpus of the fuzz targets that is made from them.
//!
//! `SEALGATE_BLESS=1 cargo test -p sealgate-codec` writes them anew; without it every byte must be as published.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf};

use sealgate_codec::{
    Frame,
    abnormal::classify_with,
    cose,
    record::Record,
    statement::{Checkpoint, KeySet, Lease, Receipt},
    ticket::Ticket,
};

use crate::{negative, samples};

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
    BTreeMap::from([
        ("messages", messages),
        ("records", records),
        ("statements", statements),
        ("tickets", tickets),
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
    for text in ["aaaqeayeaudao", "s1/aaaqeayeaudao/u"] {
        publish(&format!("fuzz/corpus/text/{}", text.len()), text.as_bytes());
    }
}

fn seed(file: &str, vector: &Vector) {
    let target = match vector.rule {
        "sl1" => "frame",
        "rec" => "record",
        "sign1" => "sign1",
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
