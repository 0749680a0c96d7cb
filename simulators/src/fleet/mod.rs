//! Many seals at once: each a task of its own, all with one seed.
//!
//! Everything random is drawn from the seed and the seal's place in the fleet, so a run with the same seed makes the
//! same decisions; only the network's timing differs.

mod keep;
mod material;
mod provision;
mod report;
mod scenario;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rustls_pki_types::ServerName;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use keep::{Keeper, Kept};
pub use material::{DeviceFolder, Material, MaterialError};
pub use provision::{Platform, ProvisionError};
pub use report::{Latency, Report};
pub use scenario::{Scenario, play};

use crate::{
    clock::WorldClock,
    net::{Driver, Endpoint, SealHandle, Setup, TlsError, Trust, Version},
    seal::{Anchors, Flash, Identity, Input, KeySetRefused, Params, Place, Seal, Truth},
    tasks,
};

/// Questions waiting for one seal.
const CONTROL_DEPTH: usize = 8;

/// How a fleet is run.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// Address of the platform.
    pub server: SocketAddr,
    /// Name the platform's certificate must carry.
    pub server_name: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Modems: all of one version, or half and half.
    pub version: Option<Version>,
    /// Where each seal keeps its flash; memory only when absent.
    pub state: Option<PathBuf>,
    /// Construction of the seals.
    pub params: Params,
}

/// Why a fleet could not be started.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// Certificates or keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server's name is no DNS name and no address.
    #[error("{0:?} is no name of a server")]
    Name(String),
    /// The key set of the folder.
    #[error(transparent)]
    KeySet(#[from] KeySetRefused),
    /// Material of a device.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// A kept state cannot be read.
    #[error("cannot use the kept state of {name}: {source}")]
    State {
        /// Device.
        name: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Running seals.
#[derive(Debug)]
pub struct Fleet {
    seals: Vec<SealHandle>,
    running: Vec<JoinHandle<Seal>>,
    clock: WorldClock,
    stop: CancellationToken,
}

impl Fleet {
    /// Starts every device of the folder, turned off.
    ///
    /// # Errors
    /// Material that cannot be used.
    pub fn start(folder: &DeviceFolder, options: &FleetOptions) -> Result<Self, FleetError> {
        let trust = Trust::new(&folder.ca_pem)?;
        let name = ServerName::try_from(options.server_name.clone())
            .map_err(|_| FleetError::Name(options.server_name.clone()))?;
        let endpoint = Endpoint {
            address: options.server,
            name,
        };
        let anchors = Arc::new(Anchors {
            root: folder.root,
            key_set: folder.key_set.clone(),
        });
        let clock = WorldClock::new();
        let mut fleet = Self {
            seals: Vec::with_capacity(folder.devices.len()),
            running: Vec::with_capacity(folder.devices.len()),
            clock,
            stop: CancellationToken::new(),
        };
        for (place, material) in folder.devices.iter().enumerate() {
            let setup = Setup {
                seal: build(material, &anchors, options, place as u64)?,
                tls: trust.client(material)?,
                endpoint: endpoint.clone(),
                version: version_of(options, place),
                clock,
                stop: fleet.stop.clone(),
            };
            let keeper = options
                .state
                .as_ref()
                .map(|dir| Keeper::new(dir, &material.name));
            let (control, orders) = mpsc::channel(CONTROL_DEPTH);
            fleet
                .seals
                .push(SealHandle::new(material.name.clone(), control));
            let driver = Driver::new(setup, keeper, orders);
            fleet.running.push(tasks::spawn("seal", driver.run()));
        }
        Ok(fleet)
    }

    /// Hands on all seals, in order of their ids.
    #[must_use]
    pub fn seals(&self) -> &[SealHandle] {
        &self.seals
    }

    /// The hand on one seal.
    #[must_use]
    pub fn seal(&self, name: &str) -> Option<&SealHandle> {
        self.seals.iter().find(|seal| seal.name() == name)
    }

    /// World time of this fleet.
    #[must_use]
    pub fn clock(&self) -> WorldClock {
        self.clock
    }

    /// The world's memory of every seal so far.
    pub async fn truths(&self) -> Vec<Truth> {
        let mut truths = Vec::with_capacity(self.seals.len());
        for seal in &self.seals {
            if let Ok(truth) = seal.truth().await {
                truths.push(truth);
            }
        }
        truths
    }

    /// Ends every session in order and returns the world's memory. Handles that were cloned are dead afterwards.
    pub async fn stop(self) -> Vec<Truth> {
        self.stop.cancel();
        let mut truths = Vec::with_capacity(self.running.len());
        for running in self.running {
            if let Ok(seal) = running.await {
                truths.push(seal.into_truth());
            }
        }
        truths
    }
}

/// Somewhere in one city.
fn office(rng: &mut StdRng) -> Place {
    Place {
        lat: 31.2304 + rng.random_range(-0.05..0.05),
        lon: 121.4737 + rng.random_range(-0.05..0.05),
        accuracy_m: rng.random_range(5..60),
    }
}

fn version_of(options: &FleetOptions, place: usize) -> Version {
    options.version.unwrap_or(if place.is_multiple_of(2) {
        Version::V4
    } else {
        Version::V5
    })
}

fn build(
    material: &Material,
    anchors: &Arc<Anchors>,
    options: &FleetOptions,
    place: u64,
) -> Result<Seal, FleetError> {
    let mut rng = StdRng::seed_from_u64(options.seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let seed = rng.random::<u64>();
    let identity = Identity {
        device: material.id,
        name: material.name.clone(),
        log_seed: material.log_seed,
        anchors: Arc::clone(anchors),
    };
    let kept = match &options.state {
        Some(dir) => {
            Keeper::new(dir, &material.name)
                .load()
                .map_err(|source| FleetError::State {
                    name: material.name.clone(),
                    source,
                })?
        }
        None => None,
    };
    let (flash, truth) = match kept {
        Some(kept) => (kept.flash, kept.truth),
        None => (
            Flash::factory(&identity, &options.params),
            Truth::of(material.name.clone()),
        ),
    };
    let mut seal = Seal::new(identity, options.params, flash, truth, seed)?;
    seal.handle(Input::Move(Some(office(&mut rng))), 0);
    Ok(seal)
}
