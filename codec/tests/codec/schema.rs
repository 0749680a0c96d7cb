//! The published schema: every valid vector follows it, and the dialect for zcbor says the same.

use std::collections::BTreeMap;

use cddl::{
    ast::CDDL,
    validator::{Validator, cbor::CBORValidator},
};
use sealgate_codec::cose;

use crate::{
    negative,
    vectors::{crate_path, publish, valid},
};

fn schema() -> String {
    std::fs::read_to_string(crate_path("sl1.cddl")).expect("the schema is in the crate")
}

/// Schemas by root, parsed once: parsing takes longer than everything else here.
#[derive(Default)]
struct Schemas(BTreeMap<&'static str, CDDL<'static>>);

impl Schemas {
    fn follows(&mut self, rule: &'static str, bytes: &[u8]) -> Result<(), String> {
        let schema = self.0.entry(rule).or_insert_with(|| {
            let source = format!("root = {rule}\n{}", schema());
            cddl::cddl_from_str(source.leak(), true).expect("the schema parses")
        });
        let value: coset::cbor::Value =
            coset::cbor::de::from_reader(bytes).map_err(|error| error.to_string())?;
        CBORValidator::new(schema, value.into(), None)
            .validate()
            .map_err(|error| error.to_string())
    }
}

#[test]
fn every_valid_vector_follows_the_schema() {
    let mut schemas = Schemas::default();
    for vector in valid().into_values().flatten() {
        schemas
            .follows(vector.rule, &vector.bytes)
            .unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        if let Some(rule) = vector.payload_rule {
            let signed = cose::parse(&vector.bytes).unwrap();
            schemas
                .follows(rule, signed.payload)
                .unwrap_or_else(|error| panic!("payload of {}: {error}", vector.name));
        }
    }
}

/// What a schema can say, this one says: values out of range and shapes that are wrong do not follow it.
#[test]
fn negative_vectors_about_values_do_not_follow_the_schema_either() {
    let beyond_a_schema = [
        // Order and repetition of keys in hand-made maps, and relations between values.
        "args_tag",
        "op_domain",
        "window_backwards",
        "lease_backwards",
        "keys_root_scope",
        "lost_nothing",
        "hello_too_large",
        "link_ticket_backwards",
        "link_ticket_long",
        "link_ticket_user_long",
        "assign_part",
    ];
    let mut schemas = Schemas::default();
    for negative in negative::all() {
        use sealgate_codec::ErrorCode::{Malformed, Range, UnknownType};
        let about_values = matches!(negative.error, Range | UnknownType)
            || (negative.error == Malformed && negative.name.contains("key"));
        if about_values && !beyond_a_schema.contains(&negative.name) {
            assert!(
                schemas.follows(negative.rule, &negative.bytes).is_err(),
                "{}",
                negative.name
            );
        }
    }
}

/// zcbor names map keys `name: 0 => type` where RFC 8610 has `&(name: 0) => type`; the rest is common to both.
#[test]
fn the_dialect_for_zcbor_is_the_same_schema() {
    let mut dialect = String::new();
    for line in schema().lines() {
        let line = match line.split_once("&(") {
            Some((before, rest)) if !line.starts_with(';') => {
                let (name, value) = rest.split_once(") =>").expect("a named key");
                format!("{before}{name} =>{value}")
            }
            _ => line.replace(
                "sl1.zcbor.cddl is this file in zcbor's dialect; a test keeps them equal.",
                "This is sl1.cddl in zcbor's dialect; a test keeps them equal.",
            ),
        };
        dialect.push_str(&line);
        dialect.push('\n');
    }
    publish("sl1.zcbor.cddl", dialect.as_bytes());
}
