//! Leases, receipts, key sets: what a seal believes.

use sealgate_codec::{
    ErrorCode,
    cose::{self, Purpose},
    message::Event,
    record::Entry,
    statement::{KeySet, Lease, LeaseView, Receipt, ReceiptView, verify_event},
    ticket::Scope,
};

use crate::{
    keys::{DEVICE, LEASE, LOG, NOW, OTHER_DEVICE, RECEIPT, ROOT, key, key_set, public, root},
    samples::{NONCE, lease, receipt, record},
};

pub(crate) fn lease_view() -> LeaseView {
    LeaseView {
        dev: DEVICE,
        generation: 2,
        boot: 41,
        nonce: Some(NONCE),
        high_water: NOW - 100,
    }
}

fn receipt_view() -> ReceiptView {
    ReceiptView {
        dev: DEVICE,
        epoch: 1,
        now: Some(NOW),
    }
}

#[test]
fn a_lease_is_for_one_device_generation_boot_and_nonce() {
    let signed = lease().sign(&key(LEASE), LEASE);
    let accept = |view: LeaseView| Lease::accept(&signed, &key_set(), &view);
    let view = lease_view();
    assert_eq!(accept(view), Ok(lease()));
    assert_eq!(
        accept(LeaseView {
            dev: OTHER_DEVICE,
            ..view
        }),
        Err(ErrorCode::WrongDevice)
    );
    assert_eq!(
        accept(LeaseView {
            generation: 3,
            ..view
        }),
        Err(ErrorCode::Generation)
    );
    assert_eq!(
        accept(LeaseView { boot: 42, ..view }),
        Err(ErrorCode::LeaseExpired)
    );
    assert_eq!(
        accept(LeaseView {
            nonce: None,
            ..view
        }),
        Err(ErrorCode::LeaseExpired)
    );
    assert_eq!(
        accept(LeaseView {
            nonce: Some([0; 8]),
            ..view
        }),
        Err(ErrorCode::LeaseExpired)
    );
    assert_eq!(
        accept(LeaseView {
            high_water: NOW + 1,
            ..view
        }),
        Err(ErrorCode::LeaseExpired)
    );
}

#[test]
fn a_lease_needs_a_lease_key() {
    let view = lease_view();
    let by_receipt_key = lease().sign(&key(RECEIPT), RECEIPT);
    let by_stranger = lease().sign(&key(99), 99);
    let forged = lease().sign(&key(99), LEASE);
    let as_receipt = cose::sign_with(&key(LEASE), LEASE, Purpose::Receipt, &lease().payload());
    assert_eq!(
        Lease::accept(&by_receipt_key, &key_set(), &view),
        Err(ErrorCode::KeyScope)
    );
    assert_eq!(
        Lease::accept(&by_stranger, &key_set(), &view),
        Err(ErrorCode::KeyScope)
    );
    assert_eq!(
        Lease::accept(&forged, &key_set(), &view),
        Err(ErrorCode::Signature)
    );
    assert_eq!(
        Lease::accept(&as_receipt, &key_set(), &view),
        Err(ErrorCode::Signature)
    );
    assert_eq!(
        Lease::accept(&[0x84], &key_set(), &view),
        Err(ErrorCode::Malformed)
    );
}

#[test]
fn an_expired_key_signs_no_lease() {
    let mut keys = key_set();
    for entry in &mut keys.entries {
        entry.not_after = NOW - 1;
    }
    let signed = lease().sign(&key(LEASE), LEASE);
    assert_eq!(
        Lease::accept(&signed, &keys, &lease_view()),
        Err(ErrorCode::KeyScope)
    );
}

#[test]
fn a_receipt_is_for_one_device_and_epoch() {
    let signed = receipt().sign(&key(RECEIPT), RECEIPT);
    let accept = |view: ReceiptView| Receipt::accept(&signed, &key_set(), &view);
    let view = receipt_view();
    assert_eq!(accept(view), Ok(receipt()));
    assert_eq!(
        accept(ReceiptView {
            dev: OTHER_DEVICE,
            ..view
        }),
        Err(ErrorCode::WrongDevice)
    );
    assert_eq!(
        accept(ReceiptView { epoch: 2, ..view }),
        Err(ErrorCode::LogFork)
    );
    let by_lease_key = receipt().sign(&key(LEASE), LEASE);
    assert_eq!(
        Receipt::accept(&by_lease_key, &key_set(), &view),
        Err(ErrorCode::KeyScope)
    );
}

#[test]
fn a_key_set_is_believed_from_the_root_only() {
    let signed = key_set().sign(&key(ROOT), ROOT);
    assert_eq!(KeySet::verify(&signed, &root()), Ok(key_set()));
    let forged = key_set().sign(&key(2), ROOT);
    assert_eq!(KeySet::verify(&forged, &root()), Err(ErrorCode::Signature));
    let other = key_set().sign(&key(ROOT), 9);
    assert_eq!(KeySet::verify(&other, &root()), Err(ErrorCode::KeyScope));
}

#[test]
fn a_key_of_another_algorithm_matches_nothing() {
    let mut keys = key_set();
    keys.entries[0].alg = -9;
    let kid = keys.entries[0].kid;
    assert_eq!(
        keys.key_for(kid, Scope::GRANT, None),
        Err(ErrorCode::KeyScope)
    );
    let held = KeySet::decode(&keys.payload()).unwrap();
    assert_eq!(held, keys);
}

#[test]
fn an_event_is_believed_when_its_own_record_is_signed() {
    let signature =
        |record| cose::sign_with(&key(LOG), 0, Purpose::Event, &Entry::new(record).bytes);
    let event = |signature| Event {
        entry: Entry::new(record(1)),
        signature,
        epoch: 1,
    };
    let dalek = cose::Dalek;
    assert_eq!(
        verify_event(&event(Some(signature(record(1)))), &public(LOG), &dalek),
        Ok(())
    );
    assert_eq!(
        verify_event(&event(Some(signature(record(2)))), &public(LOG), &dalek),
        Err(ErrorCode::Signature)
    );
    assert_eq!(
        verify_event(&event(None), &public(LOG), &dalek),
        Err(ErrorCode::Signature)
    );
}
