//! Another implementation of COSE reads what ours writes, and signs what ours verifies.

use coset::{CborSerializable, CoseSign1, CoseSign1Builder, HeaderBuilder, iana};
use ed25519_dalek::Signer;
use sealgate_codec::{
    cose::{self, Purpose},
    statement::Lease,
};

use crate::{
    keys::{LEASE, key, key_set},
    samples::{self, lease, tickets},
};

#[test]
fn coset_reads_every_signed_vector_and_sees_the_same_bytes_to_sign() {
    for sample in tickets() {
        let bytes = samples::signed(&sample.value);
        let theirs = CoseSign1::from_slice(&bytes).expect(sample.name);
        let ours = cose::parse(&bytes).expect(sample.name);
        assert_eq!(theirs.payload.as_deref(), Some(ours.payload));
        assert_eq!(theirs.protected.header.key_id, [ours.kid]);
        assert!(theirs.unprotected.is_empty());
        assert_eq!(
            theirs.tbs_data(b"SL1/cmd"),
            cose::to_be_signed(ours.kid, b"SL1/cmd", ours.payload)
        );
        assert_eq!(theirs.to_vec().unwrap(), bytes, "{}", sample.name);
    }
}

#[test]
fn a_lease_signed_by_coset_is_accepted() {
    let protected = HeaderBuilder::new()
        .algorithm(iana::Algorithm::Ed25519)
        .key_id(vec![LEASE])
        .build();
    let bytes = CoseSign1Builder::new()
        .protected(protected)
        .payload(lease().payload())
        .create_signature(Purpose::Lease.aad(), |message| {
            key(LEASE).sign(message).to_vec()
        })
        .build()
        .to_vec()
        .unwrap();
    let view = crate::statements::lease_view();
    assert_eq!(Lease::accept(&bytes, &key_set(), &view), Ok(lease()));
}
