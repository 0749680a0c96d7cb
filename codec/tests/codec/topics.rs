//! Names of devices and topics.

use proptest::prelude::*;
use sealgate_codec::{DeviceId, topic};

use crate::keys::DEVICE;

#[test]
fn an_id_is_thirteen_characters_of_base32() {
    assert_eq!(DEVICE.to_string(), "aaaqeayeaudao");
    assert_eq!("aaaqeayeaudao".parse(), Ok(DEVICE));
    assert_eq!(DEVICE.to_i64(), 0x0001_0203_0405_0607);
    assert_eq!(DeviceId::from_i64(-1).to_string(), "7777777777776");
}

#[test]
fn an_id_has_one_name_only() {
    // The spare bit, capitals, padding, foreign characters, other lengths.
    for text in [
        "aaaqeayeaudap",
        "AAAQEAYEAUDAO",
        "aaaqeayeaudao===",
        "aaaqeayeaud1o",
        "aaaqeayeauda",
        "",
        "aaaqeayeaudäo",
    ] {
        assert!(text.parse::<DeviceId>().is_err(), "{text}");
    }
}

#[test]
fn topics_of_a_device_are_exactly_five() {
    assert_eq!(topic::up(DEVICE), "s1/aaaqeayeaudao/u");
    assert_eq!(topic::telemetry(DEVICE), "s1/aaaqeayeaudao/t");
    assert_eq!(topic::farewell(DEVICE), "s1/aaaqeayeaudao/w");
    assert_eq!(topic::down(DEVICE), "s1/aaaqeayeaudao/d");
    assert_eq!(topic::block(DEVICE), "s1/aaaqeayeaudao/b");
    for lane in topic::Lane::ALL {
        let topic = topic::Topic {
            device: DEVICE,
            lane,
        };
        assert_eq!(topic::parse(&topic.to_string()), Some(topic));
    }
    for text in [
        "s1/aaaqeayeaudao",
        "s1/aaaqeayeaudao/x",
        "s1/aaaqeayeaudao/uu",
        "s1/+/u",
        "s1/aaaqeayeaudao/u/",
        "/s1/aaaqeayeaudao/u",
        "s2/aaaqeayeaudao/u",
        "s1/aaaqeayeaudäo/u",
        "s1/",
    ] {
        assert_eq!(topic::parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn every_id_survives_text_and_number(bytes: [u8; 8]) {
        let id = DeviceId::new(bytes);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(DeviceId::from_i64(id.to_i64()), id);
        let spec = data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase();
        prop_assert_eq!(id.to_string(), spec);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,40}") {
        let _ = topic::parse(&text);
        let _ = text.parse::<DeviceId>();
    }
}
