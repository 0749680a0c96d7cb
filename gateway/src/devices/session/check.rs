//! Does a batch of records hold together, and does it continue what we know? Pure: the database decides again.
//!
//! - The checkpoint is what the device vouches for; `prev` and the list of records travel unsigned. Records that do not
//!   lead to the signed head, although they begin at ours, were altered on the way: refused, no fork.
//! - Where nobody knows our head, behind a reopened log, the signed head alone says where the chain stands.
//! - A signed head that cannot be reached from ours is a fork, and is handed on as one.

use std::sync::LazyLock;

use ring::signature::{ED25519, UnparsedPublicKey};
use sealgate_codec::{
    DeviceId, ErrorCode,
    chain::Head,
    cose::Verify,
    message::Stamps,
    statement::{Checkpoint, Claim},
};
use sealgate_domain::stamp::{Batch, Cursor, UNKNOWN_HEAD};

/// Verifies with ring: several times faster than the portable verifier.
pub(super) struct Ring;

impl Verify for Ring {
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, public)
            .verify(message, signature)
            .is_ok()
    }
}

/// A head no chain leads to.
static NO_HEAD: LazyLock<[u8; 32]> = LazyLock::new(|| [0xff; 32]);

/// Checks the form of a batch: numbers without holes, and a checkpoint that names this device and those numbers. The
/// claim's signature is verified with those of others, before anything is stored.
pub(super) fn claim(stamps: &Stamps, device: DeviceId) -> Result<Claim, ErrorCode> {
    let mut expected = stamps.first;
    for entry in &stamps.records {
        if entry.record.seq != expected {
            return Err(ErrorCode::Malformed);
        }
        expected = entry.record.end();
    }
    let claim = Checkpoint::claim(&stamps.checkpoint)?;
    let checkpoint = &claim.checkpoint;
    if checkpoint.dev != device {
        return Err(ErrorCode::WrongDevice);
    }
    if checkpoint.epoch != stamps.epoch || checkpoint.next != expected {
        return Err(ErrorCode::Range);
    }
    Ok(claim)
}

/// Places a batch against the cursor.
pub(super) fn place(
    stamps: &Stamps,
    checkpoint: &Checkpoint,
    cursor: &Cursor,
) -> Result<Batch, ErrorCode> {
    if stamps.epoch != cursor.epoch {
        return Err(ErrorCode::Range);
    }
    let batch = Batch {
        epoch: stamps.epoch,
        first: stamps.first,
        end: checkpoint.next,
        // Not chained to anything: should the cursor have moved meanwhile, it is checked again.
        chained_from: 0,
        prev_head: *NO_HEAD,
        new_head: checkpoint.head.0,
    };
    if stamps.first > cursor.next || checkpoint.next == cursor.next {
        return Ok(batch);
    }
    if checkpoint.next < cursor.next {
        return Ok(Batch {
            chained_from: checkpoint.next,
            ..batch
        });
    }
    let tail = || {
        stamps
            .records
            .iter()
            .filter(|entry| entry.record.seq >= cursor.next)
    };
    if tail()
        .next()
        .is_none_or(|entry| entry.record.seq != cursor.next)
    {
        return Err(ErrorCode::Range);
    }
    let chained = Batch {
        chained_from: cursor.next,
        ..batch
    };
    if cursor.head == UNKNOWN_HEAD {
        return Ok(Batch {
            prev_head: cursor.head,
            ..chained
        });
    }
    let reached = tail().fold(Head(cursor.head), |head, entry| head.extend(&entry.bytes));
    let leads = reached == checkpoint.head;
    let begins_here = stamps.first == cursor.next;
    let same_start = stamps.prev == Head(cursor.head).prefix();
    match (leads, begins_here, same_start) {
        (true, true, false) => Err(ErrorCode::Malformed),
        (true, ..) => Ok(Batch {
            prev_head: cursor.head,
            ..chained
        }),
        (false, true, true) => Err(ErrorCode::Signature),
        (false, ..) => Ok(chained),
    }
}
