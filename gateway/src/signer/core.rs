//! What a signer decides: decode, choose the key, check its own rules, book, sign.
//!
//! The rules do not trust the gateway: a ticket must be whole and canonical, its key follows from its op, and times
//! must be near the signer's own clock, so that a compromised gateway can not stock up on signatures for later.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use sealgate_broker_config::Error;
use sealgate_codec::{
    statement::{Lease, Receipt},
    ticket::{Scope, Ticket},
};

use super::{
    Answers, Keyring, Purpose, Refused, SignRequest, Signed, SignerError,
    audit::{Audit, Class, Outcome},
};
use crate::clock::SharedClock;

/// A payload's time may differ this much from the signer's clock.
const CLOCK_TOLERANCE_S: u32 = 600;
/// Longest lease.
const MAX_LEASE_S: u32 = 86_400;

/// A signer's keys, clock and book.
#[derive(Debug)]
pub(super) struct Core {
    keys_dir: PathBuf,
    keyring: RwLock<Arc<Keyring>>,
    clock: SharedClock,
    audit: Option<Audit>,
}

/// A payload that may be signed.
enum Decoded {
    Ticket(Ticket),
    Lease(Lease),
    Receipt(Receipt),
}

impl Core {
    pub(super) fn open(
        keys_dir: &Path,
        audit: Option<&Path>,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        let audit = audit
            .map(|path| {
                Audit::open(path).map_err(|source| Error::Io {
                    path: path.to_owned(),
                    source,
                })
            })
            .transpose()?;
        Ok(Self {
            keyring: RwLock::new(Arc::new(Keyring::open(keys_dir)?)),
            keys_dir: keys_dir.to_owned(),
            clock,
            audit,
        })
    }

    /// Reads the keys again after a rotation; on failure the old ones stay.
    pub(super) fn reload(&self) -> Result<(), Error> {
        let fresh = Arc::new(Keyring::open(&self.keys_dir)?);
        tracing::info!(version = fresh.version(), "signing keys read");
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub(super) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Signs what may be signed. Fails as a whole only when the book cannot be written.
    pub(super) fn sign(&self, requests: &[SignRequest]) -> Result<Answers, SignerError> {
        let now = self.clock.now();
        let ring = self.keyring();
        let mut classes = Vec::with_capacity(requests.len());
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let (op, answer) = sign_one(&ring, request, now.seconds());
            let outcome = match &answer {
                Ok((kid, _)) => Outcome::Signed { kid: *kid },
                Err(refused) => Outcome::Refused(*refused),
            };
            classes.push(Class {
                purpose: request.purpose,
                op,
                outcome,
            });
            answers.push(answer.map(|(_, cose)| Signed { cose }));
        }
        if let Some(audit) = &self.audit {
            audit
                .book(classes.into_iter(), now)
                .map_err(|error| SignerError::Audit(error.to_string()))?;
        }
        Ok(answers)
    }

    /// Writes what the book has summed up.
    pub(super) fn flush(&self) {
        if let Some(audit) = &self.audit
            && let Err(error) = audit.flush(self.clock.now())
        {
            tracing::error!(%error, "the signer's audit file can not be written");
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.flush();
    }
}

/// A ticket's op, and the key and signature or why there is none.
type Decision = (Option<u8>, Result<(u8, Vec<u8>), Refused>);

fn sign_one(ring: &Keyring, request: &SignRequest, now: u32) -> Decision {
    let decoded = match decode(request) {
        Ok(decoded) => decoded,
        Err(refused) => return (None, Err(refused)),
    };
    let op = match &decoded {
        Decoded::Ticket(ticket) => Some(ticket.op.number()),
        _ => None,
    };
    let signed = check(&decoded, now).and_then(|scope| {
        let (kid, key) = ring
            .key_for(scope, now.into(), request.key_set)
            .ok_or(Refused::NoKey)?;
        let cose = match &decoded {
            Decoded::Ticket(ticket) => ticket.sign(key, kid),
            Decoded::Lease(lease) => lease.sign(key, kid),
            Decoded::Receipt(receipt) => receipt.sign(key, kid),
        };
        Ok((kid, cose))
    });
    (op, signed)
}

fn decode(request: &SignRequest) -> Result<Decoded, Refused> {
    let payload = &request.payload;
    let decoded = match request.purpose {
        Purpose::Ticket => Ticket::decode(payload).map(Decoded::Ticket),
        Purpose::Lease => Lease::decode(payload).map(Decoded::Lease),
        Purpose::Receipt => Receipt::decode(payload).map(Decoded::Receipt),
    };
    decoded.map_err(|_| Refused::Malformed)
}

/// The scope a payload needs, unless a rule forbids it.
fn check(decoded: &Decoded, now: u32) -> Result<Scope, Refused> {
    let (made, scope) = match decoded {
        Decoded::Ticket(ticket) => (ticket.iat, ticket.op.scope()),
        Decoded::Lease(lease) if lease.lasts() > MAX_LEASE_S => return Err(Refused::Policy),
        Decoded::Lease(lease) => (lease.iat, Scope::LEASE),
        Decoded::Receipt(receipt) => (receipt.time, Scope::RECEIPT),
    };
    if made.abs_diff(now) > CLOCK_TOLERANCE_S {
        return Err(Refused::Policy);
    }
    Ok(scope)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::TestClock;
    use sealgate_broker_config::{DAY, keys::KeyDir};
    use sealgate_codec::{
        DeviceId,
        chain::Head,
        statement::{KeySet, LeaseView, ReceiptView, RootKey},
        ticket::Args,
    };
    use sealgate_domain::Millis;

    pub(in crate::signer) const NOW: u32 = 1_790_000_000;

    pub(in crate::signer) fn core(dir: &Path) -> Core {
        KeyDir::new(&dir.join("keys"))
            .init(NOW.into(), 100 * DAY, &super::super::keys::sign_key_set)
            .unwrap();
        let clock = Arc::new(TestClock::at(Millis::from_seconds(NOW)));
        Core::open(&dir.join("keys"), Some(&dir.join("audit.log")), clock).unwrap()
    }

    pub(in crate::signer) fn device() -> DeviceId {
        DeviceId::new([7; 8])
    }

    pub(in crate::signer) fn lease(iat: u32, lasts: u32) -> Lease {
        Lease {
            dev: device(),
            generation: 1,
            boot: 3,
            nonce: [9; 8],
            iat,
            exp: iat + lasts,
        }
    }

    pub(in crate::signer) fn request(purpose: Purpose, payload: Vec<u8>) -> SignRequest {
        SignRequest {
            purpose,
            key_set: 1,
            payload,
        }
    }

    pub(in crate::signer) fn key_set(dir: &Path) -> KeySet {
        let files = KeyDir::new(&dir.join("keys"));
        let root = RootKey {
            kid: sealgate_broker_config::keys::ROOT_KID,
            public: files.root_public().unwrap(),
        };
        KeySet::verify(&std::fs::read(files.key_set()).unwrap(), &root).unwrap()
    }

    pub(in crate::signer) fn lock(iat: u32) -> Ticket {
        Ticket::new(device(), 1, 5, iat, Args::Lock { reason: None })
    }

    #[test]
    fn a_seal_accepts_what_the_signer_signed() {
        let dir = tempfile::tempdir().unwrap();
        let core = core(dir.path());
        let receipt = Receipt {
            dev: device(),
            epoch: 1,
            upto: 10,
            head: Head([3; 32]),
            time: NOW,
        };
        let answers = core
            .sign(&[
                request(Purpose::Lease, lease(NOW, 900).payload()),
                request(Purpose::Receipt, receipt.payload()),
                request(Purpose::Ticket, lock(NOW).payload()),
            ])
            .unwrap();
        let keys = key_set(dir.path());
        let cose = |at: usize| answers[at].as_ref().unwrap().cose.clone();
        let view = LeaseView {
            dev: device(),
            generation: 1,
            boot: 3,
            nonce: Some([9; 8]),
            high_water: 0,
        };
        assert_eq!(
            Lease::accept(&cose(0), &keys, &view).unwrap(),
            lease(NOW, 900)
        );
        let view = ReceiptView {
            dev: device(),
            epoch: 1,
            now: Some(NOW),
        };
        assert_eq!(Receipt::accept(&cose(1), &keys, &view).unwrap(), receipt);
        let parsed = sealgate_codec::cose::parse(&answers[2].as_ref().unwrap().cose).unwrap();
        assert_eq!(
            (parsed.kid, parsed.payload),
            (2, lock(NOW).payload().as_slice())
        );
        let book = std::fs::read_to_string(dir.path().join("audit.log")).unwrap();
        assert_eq!(book.lines().count(), 3, "{book}");
    }

    #[test]
    fn what_is_malformed_or_not_canonical_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let core = core(dir.path());
        let good = lock(NOW).payload();
        let mut trailing = good.clone();
        trailing.push(0);
        let cases = [
            request(Purpose::Ticket, trailing),
            request(Purpose::Ticket, good[..good.len() - 1].to_vec()),
            request(Purpose::Ticket, Vec::new()),
            request(Purpose::Lease, good.clone()),
            request(Purpose::Receipt, lease(NOW, 900).payload()),
        ];
        for answer in core.sign(&cases).unwrap() {
            assert_eq!(answer, Err(Refused::Malformed));
        }
        assert!(core.sign(&[request(Purpose::Ticket, good)]).unwrap()[0].is_ok());
    }

    #[test]
    fn nothing_is_signed_for_later_and_no_lease_is_endless() {
        let dir = tempfile::tempdir().unwrap();
        let core = core(dir.path());
        let cases = [
            request(Purpose::Lease, lease(NOW, 86_401).payload()),
            request(Purpose::Lease, lease(NOW + 601, 900).payload()),
            request(Purpose::Lease, lease(NOW - 601, 900).payload()),
            request(Purpose::Ticket, lock(NOW + 86_400).payload()),
        ];
        for answer in core.sign(&cases).unwrap() {
            assert_eq!(answer, Err(Refused::Policy));
        }
    }

    #[test]
    fn every_single_byte_change_of_a_payload_is_refused_or_still_a_whole_payload() {
        let dir = tempfile::tempdir().unwrap();
        let core = core(dir.path());
        let good = lock(NOW).payload();
        for at in 0..good.len() {
            for byte in [0x00, 0x01, 0x18, 0x40, 0x7f, 0xa0, 0xbf, 0xff] {
                let mut payload = good.clone();
                payload[at] = byte;
                if let Ok(signed) = &core
                    .sign(&[request(Purpose::Ticket, payload.clone())])
                    .unwrap()[0]
                {
                    let signed = sealgate_codec::cose::parse(&signed.cose).unwrap();
                    assert_eq!(signed.payload, payload.as_slice());
                    Ticket::decode(signed.payload).unwrap();
                }
            }
        }
    }
}
