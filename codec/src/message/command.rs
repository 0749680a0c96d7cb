//! CMD-ACK. (CMD's body is a signed ticket, see [`crate::ticket`].)

use crate::{
    DecodeError, ErrorCode,
    cbor::{Reader, Writer},
    ticket::CounterDomain,
};

wire_enum! { @closed
    /// What became of a command.
    CmdStatus: u8 {
        /// Done.
        Applied = 0 => "applied",
        /// Taken; the result follows in another CMD-ACK or in FP-PROG, OTA-STAT or STATUS.
        Accepted = 1 => "accepted",
        /// Refused; the error says why.
        Rejected = 2 => "rejected",
    }
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CmdAck {
    /// Counter domain of the ticket.
    pub domain: CounterDomain,
    /// Counter of the ticket.
    pub ctr: u32,
    /// What became of it.
    pub status: CmdStatus,
    /// Why it was rejected.
    pub err: Option<ErrorCode>,
}

impl CmdAck {
    pub(super) fn write(&self, w: &mut Writer) {
        w.map(3, &[self.err.is_some()]);
        w.key(0).uint(self.domain.number());
        w.key(1).uint(self.ctr);
        w.key(2).uint(self.status.number());
        w.optional(3, self.err.map(ErrorCode::number));
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = r.map()?;
        let body = Self {
            domain: map.required(0, |r| {
                CounterDomain::from_number(r.u8()?).ok_or(DecodeError::Range("counter domain"))
            })?,
            ctr: map.required(1, Reader::u32)?,
            status: map.required(2, |r| {
                CmdStatus::from_number(r.u8()?).ok_or(DecodeError::Range("command status"))
            })?,
            err: map.optional(3, Reader::u16)?.map(ErrorCode::from_number),
        };
        map.finish()?;
        Ok(body)
    }
}
