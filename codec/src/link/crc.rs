//! CRC-32C (Castagnoli): finds noise on a line. It proves nothing against an attacker; signatures and AEAD tags do.

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                value >> 1 ^ 0x82f6_3b78
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

/// The checksum of these bytes.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum: u32, byte| {
        let index = usize::from(sum.to_le_bytes()[0] ^ byte);
        sum >> 8 ^ TABLE[index]
    })
}

/// Takes the checksum off the end of the bytes, if it is theirs.
pub(super) fn strip(bytes: &[u8]) -> Option<&[u8]> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    (crc32c(body) == u32::from_le_bytes(*sum)).then_some(body)
}
