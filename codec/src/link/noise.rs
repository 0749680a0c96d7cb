//! `Noise_IK_25519_ChaChaPoly_SHA256` by snow, without its random source: the ephemeral key is the caller's to give.

use alloc::{boxed::Box, vec, vec::Vec};

use sha2::{Digest, Sha256};
use snow::{
    Builder, HandshakeState, StatelessTransportState,
    params::{CipherChoice, DHChoice, HashChoice},
    resolvers::{CryptoResolver, DefaultResolver},
    types::{Cipher, Dh, Hash, Random},
};

const PATTERN: &str = "Noise_IK_25519_ChaChaPoly_SHA256";
const TAG: usize = 16;
/// LINK-OPEN's handshake message: ephemeral key, encrypted static key, tag.
const HS1: usize = 32 + 32 + TAG + TAG;
/// LINK-CHAL's: ephemeral key, tag.
const HS2: usize = 32 + TAG;

/// A handshake that does not hold: keys that are not what they should be, or bytes that were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl From<snow::Error> for Broken {
    fn from(_: snow::Error) -> Self {
        Self
    }
}

/// Gives the ephemeral key once and nothing afterwards.
struct Once(Option<[u8; 32]>);

impl Random for Once {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        let bytes = self.0.take().ok_or(snow::Error::Rng)?;
        if dest.len() != bytes.len() {
            return Err(snow::Error::Rng);
        }
        dest.copy_from_slice(&bytes);
        Ok(())
    }
}

struct Resolver([u8; 32]);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.0))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// The X25519 public key of a secret one.
#[must_use]
pub fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    let mut dh = DefaultResolver
        .resolve_dh(&DHChoice::Curve25519)
        .expect("snow is built with curve25519");
    dh.set(secret);
    dh.pubkey().try_into().expect("32 bytes")
}

/// The keys of an open link.
pub(super) struct Keys(StatelessTransportState);

impl Keys {
    pub(super) fn seal(&self, nonce: u32, plain: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; plain.len() + TAG];
        let length = self
            .0
            .write_message(nonce.into(), plain, &mut bytes)
            .expect("packets are far below Noise's longest");
        bytes.truncate(length);
        bytes
    }

    pub(super) fn open(&self, nonce: u32, bytes: &[u8]) -> Result<Vec<u8>, Broken> {
        let length = bytes.len().checked_sub(TAG).ok_or(Broken)?;
        let mut plain = vec![0; length];
        let length = self.0.read_message(nonce.into(), bytes, &mut plain)?;
        plain.truncate(length);
        Ok(plain)
    }
}

/// The box's half, between LINK-OPEN and LINK-CHAL.
pub(super) struct Initiator(Box<HandshakeState>);

impl Initiator {
    pub(super) fn begin(
        secret: &[u8; 32],
        peer: &[u8; 32],
        ticket: &[u8],
        ephemeral: [u8; 32],
    ) -> Result<(Self, Vec<u8>), Broken> {
        let prologue = Sha256::digest(ticket);
        let mut state = builder(ephemeral)?
            .prologue(&prologue)?
            .local_private_key(secret)?
            .remote_public_key(peer)?
            .build_initiator()?;
        let mut hs1 = vec![0; HS1];
        let length = state.write_message(&[], &mut hs1)?;
        hs1.truncate(length);
        Ok((Self(Box::new(state)), hs1))
    }

    /// Reads the second message. One that does not fit changes nothing: it may be an old one.
    pub(super) fn read(&mut self, hs2: &[u8]) -> Result<(), Broken> {
        self.0.read_message(hs2, &mut [0; TAG])?;
        Ok(())
    }

    /// The keys, once the second message was read.
    pub(super) fn finish(self) -> Result<Keys, Broken> {
        Ok(Keys(self.0.into_stateless_transport_mode()?))
    }
}

/// The seal's half, done in one step. Returns the static key the other end proved to know, too.
pub(super) fn respond(
    secret: &[u8; 32],
    hs1: &[u8],
    ticket: &[u8],
    ephemeral: [u8; 32],
) -> Result<(Keys, [u8; 32], Vec<u8>), Broken> {
    let prologue = Sha256::digest(ticket);
    let mut state = builder(ephemeral)?
        .prologue(&prologue)?
        .local_private_key(secret)?
        .build_responder()?;
    state.read_message(hs1, &mut [0; super::MAX_HANDSHAKE])?;
    let peer = state.get_remote_static().ok_or(Broken)?;
    let peer = peer.try_into().map_err(|_| Broken)?;
    let mut hs2 = vec![0; HS2];
    let length = state.write_message(&[], &mut hs2)?;
    hs2.truncate(length);
    Ok((Keys(state.into_stateless_transport_mode()?), peer, hs2))
}

fn builder<'b>(ephemeral: [u8; 32]) -> Result<Builder<'b>, Broken> {
    let params = PATTERN.parse()?;
    Ok(Builder::with_resolver(
        params,
        Box::new(Resolver(ephemeral)),
    ))
}
