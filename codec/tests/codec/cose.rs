//! Signed bodies: a signature counts for one purpose, one key, one payload.

use sealgate_codec::cose::{self, Dalek, Purpose};

use crate::keys::{key, public};

#[test]
fn a_signature_for_one_purpose_proves_nothing_for_another() {
    let bytes = cose::sign_with(&key(9), 9, Purpose::Lease, b"payload");
    let signed = cose::parse(&bytes).unwrap();
    for purpose in Purpose::ALL {
        let verified = signed.verify(purpose, &public(9), &Dalek);
        assert_eq!(verified, purpose == Purpose::Lease, "{purpose:?}");
    }
    assert!(!signed.verify(Purpose::Lease, &public(8), &Dalek));
}

#[test]
fn every_changed_bit_of_a_signed_body_is_noticed() {
    let bytes = cose::sign_with(&key(9), 9, Purpose::Lease, b"payload");
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let believed = cose::parse(&changed)
            .is_ok_and(|signed| signed.verify(Purpose::Lease, &public(9), &Dalek));
        assert!(!believed, "bit {bit}");
    }
}

#[test]
fn any_verifier_will_do() {
    let bytes = cose::sign_with(&key(9), 9, Purpose::Lease, b"payload");
    let signed = cose::parse(&bytes).unwrap();
    let nobody = |_: &[u8; 32], _: &[u8], _: &[u8; 64]| false;
    let checks_length = |_: &[u8; 32], message: &[u8], _: &[u8; 64]| message.len() > 7;
    assert!(!signed.verify(Purpose::Lease, &public(9), &nobody));
    assert!(signed.verify(Purpose::Lease, &public(9), &checks_length));
}
