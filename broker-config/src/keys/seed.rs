//! Ed25519 keys as their seeds: made, written, read.

use std::path::Path;

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::{Error, files};

/// Reads a file with a 32-byte Ed25519 seed in hex.
///
/// # Errors
/// The file is missing, exposed or malformed.
pub fn read_seed(path: &Path) -> Result<SigningKey, Error> {
    let text = files::read_secret(path)?;
    let trimmed = text.trim_ascii();
    let mut seed = Zeroizing::new([0; 32]);
    let good = trimmed.len() == 64 && HEXLOWER.decode_mut(trimmed, seed.as_mut()).is_ok();
    if good {
        Ok(SigningKey::from_bytes(&seed))
    } else {
        Err(Error::Malformed {
            path: path.to_owned(),
            expected: "a 32-byte key in hex",
        })
    }
}

/// A fresh Ed25519 key.
pub(crate) fn new_signing_key() -> Result<SigningKey, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    fill_random(seed.as_mut())?;
    Ok(SigningKey::from_bytes(&seed))
}

/// The seed as a key file holds it.
pub(crate) fn seed_text(key: &SigningKey) -> Zeroizing<String> {
    let seed = Zeroizing::new(key.to_bytes());
    let mut text = Zeroizing::new(HEXLOWER.encode(seed.as_ref()));
    text.push('\n');
    text
}

/// Fills `bytes` from the system's generator.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(bytes).map_err(|_| Error::Random)
}
