//! Signatures of many seals, verified together.
//!
//! - A batch holds as a whole or is halved until those that do not hold are found, so one forger costs others a few
//!   more checks and never their records.
//! - Alone, a signature is verified strictly (no point of small order), as the device's own receiver would. Together,
//!   one that only its own signer could have bent may pass or not; it proves the same signer either way.

use ed25519_dalek::{Signature, VerifyingKey, verify_batch};

/// Below this many, one by one is as fast.
const FEW: usize = 4;

/// A signature to be verified.
#[derive(Debug, Clone)]
pub(super) struct Proof {
    /// The device's registered key.
    pub(super) key: VerifyingKey,
    /// The bytes signed.
    pub(super) message: Vec<u8>,
    /// The signature.
    pub(super) signature: [u8; 64],
}

/// Which of them hold, in their order.
pub(super) fn hold<'p>(proofs: impl Iterator<Item = &'p Proof>) -> Vec<bool> {
    let proofs: Vec<&Proof> = proofs.collect();
    let mut held = vec![false; proofs.len()];
    settle(&proofs, &mut held);
    held
}

fn settle(proofs: &[&Proof], held: &mut [bool]) {
    if proofs.len() < FEW {
        for (proof, held) in proofs.iter().zip(held) {
            let signature = Signature::from_bytes(&proof.signature);
            *held = proof.key.verify_strict(&proof.message, &signature).is_ok();
        }
        return;
    }
    if together(proofs) {
        held.fill(true);
        return;
    }
    let (first, second) = proofs.split_at(proofs.len() / 2);
    let (first_held, second_held) = held.split_at_mut(first.len());
    settle(first, first_held);
    settle(second, second_held);
}

fn together(proofs: &[&Proof]) -> bool {
    let messages: Vec<&[u8]> = proofs.iter().map(|proof| &*proof.message).collect();
    let signatures: Vec<Signature> = proofs
        .iter()
        .map(|proof| Signature::from_bytes(&proof.signature))
        .collect();
    let keys: Vec<VerifyingKey> = proofs.iter().map(|proof| proof.key).collect();
    verify_batch(&messages, &signatures, &keys).is_ok()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    fn proofs(count: u8) -> Vec<Proof> {
        (0..count)
            .map(|number| {
                let key = SigningKey::from_bytes(&[number; 32]);
                let message = vec![number; usize::from(number)];
                Proof {
                    key: key.verifying_key(),
                    signature: key.sign(&message).to_bytes(),
                    message,
                }
            })
            .collect()
    }

    #[test]
    fn what_was_signed_holds_however_many_there_are() {
        for count in [0, 1, 3, 4, 5, 17, 64] {
            let proofs = proofs(count);
            assert_eq!(hold(proofs.iter()), vec![true; usize::from(count)]);
        }
    }

    #[test]
    fn one_forgery_is_found_at_every_place_and_harms_no_other() {
        for forged in 0..33 {
            let mut proofs = proofs(33);
            proofs[forged].message.push(1);
            let held = hold(proofs.iter());
            let refused: Vec<_> = (0..33).filter(|at| !held[*at]).collect();
            assert_eq!(refused, [forged]);
        }
    }

    #[test]
    fn signatures_of_one_anothers_messages_do_not_hold() {
        let mut proofs = proofs(8);
        let first = proofs[0].signature;
        proofs[0].signature = proofs[1].signature;
        proofs[1].signature = first;
        let held = hold(proofs.iter());
        assert_eq!(held[..2], [false, false]);
        assert!(held[2..].iter().all(|held| *held));
    }

    #[test]
    fn a_changed_byte_anywhere_in_a_signature_does_not_hold() {
        for at in 0..64 {
            let mut proofs = proofs(5);
            proofs[2].signature[at] ^= 1;
            assert_eq!(hold(proofs.iter()), [true, true, false, true, true]);
        }
    }
}
