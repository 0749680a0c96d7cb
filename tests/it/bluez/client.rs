//! The client's side: this same test binary, started again with one test that obeys commands from standard input, one a
//! line, and answers each with one line. What it drives is `bluer` as it is.

use std::{env, error::Error, pin::Pin, time::Duration};

use bluer::{
    AdapterEvent, Address, Device, DiscoveryFilter, Session,
    gatt::{
        CharacteristicReader, CharacteristicWriter, WriteOp,
        remote::{Characteristic, CharacteristicWriteRequest},
    },
};
use futures_util::{Stream, StreamExt as _, future::join};
use sealgate_simulators::bluez::uuids;
use tokio::{task::spawn_blocking, time::timeout};

/// Set in the child only.
pub(super) const ROLE: &str = "SEALGATE_TEST_BLUER_CLIENT";
/// What the child's answers begin with; the test runner prints lines of its own.
pub(super) const MARK: &str = "@@ ";
/// How long an event of the bus may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(700);

type Outcome = Result<String, Box<dyn Error>>;
type Events<T> = Pin<Box<dyn Stream<Item = T>>>;

#[derive(Default)]
struct Client {
    session: Option<Session>,
    adapters: Option<Events<bluer::SessionEvent>>,
    discovery: Option<Events<AdapterEvent>>,
    io: Option<CharacteristicReader>,
    writer: Option<CharacteristicWriter>,
    signals: Option<Events<Vec<u8>>>,
}

#[tokio::test]
async fn obeys_as_a_child_of_the_other_tests() {
    if env::var_os(ROLE).is_none() {
        return;
    }
    let mut client = Client::default();
    while let Some(line) = spawn_blocking(command)
        .await
        .expect("reading does not panic")
    {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = client.obey(&words).await;
        println!("{MARK}{}", answer.unwrap_or_else(|error| describe(&*error)));
    }
}

/// The next command, without its line break; `None` at the end.
fn command() -> Option<String> {
    let mut line = String::new();
    let length = std::io::stdin()
        .read_line(&mut line)
        .expect("standard input");
    (length > 0).then(|| line.trim_end().to_owned())
}

/// The kind of error is what clients decide by, the message what people read.
fn describe(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<bluer::Error>() {
        Some(error) => format!("error {:?} {}", error.kind, error.message),
        None => format!("error {error}"),
    }
}

impl Client {
    async fn obey(&mut self, words: &[&str]) -> Outcome {
        match words {
            ["session"] => {
                let session = Session::new().await?;
                self.adapters = Some(Box::pin(session.events().await?));
                let names = session.adapter_names().await?;
                self.session = Some(session);
                Ok(names.join(" "))
            }
            ["adapters"] => Ok(self.session()?.adapter_names().await?.join(" ")),
            ["adapter-event"] => Ok(format!("{:?}", next(self.adapters.as_mut()).await?)),
            ["power", state] => {
                self.adapter()?.set_powered(*state == "on").await?;
                Ok("ok".to_owned())
            }
            ["scan", rest @ ..] => self.scan(rest).await,
            ["stop-scan"] => {
                self.discovery = None;
                Ok("ok".to_owned())
            }
            ["heard", address] => self.heard(address.parse()?).await,
            ["count", wanted] => self.count(wanted.parse()?).await,
            ["advertises", address, wanted] => self.advertises(address, wanted).await,
            [verb, rest @ ..] if verb.starts_with("notif") || verb.contains("io") => {
                self.listen(verb, rest).await
            }
            [verb, address, rest @ ..] => self.device_verb(verb, address, rest).await,
            _ => Err("what?".into()),
        }
    }

    async fn device_verb(&mut self, verb: &str, address: &str, rest: &[&str]) -> Outcome {
        let device = self.device(address)?;
        match (verb, rest) {
            ("connect", []) => device.connect().await?,
            ("connect-both", [other]) => {
                let other = self.device(other)?;
                let (one, two) = join(device.connect(), other.connect()).await;
                let say = |result: bluer::Result<()>| match result {
                    Ok(()) => "ok".to_owned(),
                    Err(error) => format!("{:?}", error.kind),
                };
                return Ok(format!("{} {}", say(one), say(two)));
            }
            ("disconnect", []) => device.disconnect().await?,
            ("connected", []) => return Ok(device.is_connected().await?.to_string()),
            ("services", []) => return services(&device).await,
            ("uuids", []) => {
                let mut uuids: Vec<String> = device
                    .uuids()
                    .await?
                    .unwrap_or_default()
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                uuids.sort();
                return Ok(uuids.join(" "));
            }
            ("info", []) => {
                let info = find(&device, uuids::INFO).await?.read().await?;
                return Ok(hex(&info));
            }
            ("request", [value]) => {
                let request = CharacteristicWriteRequest {
                    op_type: WriteOp::Request,
                    ..CharacteristicWriteRequest::default()
                };
                let rx = find(&device, uuids::RX).await?;
                rx.write_ext(&unhex(value)?, &request).await?;
            }
            _ => return Err(format!("no verb {verb}").into()),
        }
        Ok("ok".to_owned())
    }

    async fn listen(&mut self, verb: &str, rest: &[&str]) -> Outcome {
        match (verb, rest) {
            ("notify-io", [address]) => {
                let tx = find(&self.device(address)?, uuids::TX).await?;
                let reader = tx.notify_io().await?;
                let mtu = reader.mtu();
                self.io = Some(reader);
                Ok(format!("mtu {mtu}"))
            }
            ("write-io", [address]) => {
                let rx = find(&self.device(address)?, uuids::RX).await?;
                let writer = rx.write_io().await?;
                let mtu = writer.mtu();
                self.writer = Some(writer);
                Ok(format!("mtu {mtu}"))
            }
            ("notify-signals", [address]) => {
                let tx = find(&self.device(address)?, uuids::TX).await?;
                self.signals = Some(Box::pin(tx.notify().await?));
                Ok("ok".to_owned())
            }
            ("send-io", [value]) => {
                let writer = self.writer.as_ref().ok_or("no writer")?;
                writer.send(&unhex(value)?).await?;
                Ok("ok".to_owned())
            }
            ("next-io", []) => {
                let reader = self.io.as_ref().ok_or("no reader")?;
                let value = timeout(PATIENCE, reader.recv()).await??;
                Ok(if value.is_empty() {
                    "end".to_owned()
                } else {
                    hex(&value)
                })
            }
            ("silent-io", []) => {
                let reader = self.io.as_ref().ok_or("no reader")?;
                let heard = timeout(SILENCE, reader.recv()).await;
                Ok(heard.is_err().to_string())
            }
            ("notified", []) => {
                let signals = self.signals.as_mut().ok_or("no signals")?;
                let value = timeout(PATIENCE, signals.next()).await?;
                Ok(value.map_or("end".to_owned(), |value| hex(&value)))
            }
            ("notifications-silent", []) => {
                let signals = self.signals.as_mut().ok_or("no signals")?;
                Ok(timeout(SILENCE, signals.next()).await.is_err().to_string())
            }
            ("close-io", []) => {
                self.io = None;
                Ok("ok".to_owned())
            }
            _ => Err(format!("no verb {verb}").into()),
        }
    }

    async fn scan(&mut self, least_rssi: &[&str]) -> Outcome {
        let filter = DiscoveryFilter {
            rssi: least_rssi.first().map(|text| text.parse()).transpose()?,
            transport: bluer::DiscoveryTransport::Le,
            ..DiscoveryFilter::default()
        };
        let adapter = self.adapter()?;
        // The end of a former discovery takes its time, and nothing tells of it.
        while let Err(error) = adapter.set_discovery_filter(filter.clone()).await {
            if error.kind != bluer::ErrorKind::DiscoveryActive {
                return Err(error.into());
            }
            tokio::task::yield_now().await;
        }
        self.discovery = Some(Box::pin(adapter.discover_devices_with_changes().await?));
        Ok("ok".to_owned())
    }

    /// Waits until the discovery tells of the device.
    async fn heard(&mut self, address: Address) -> Outcome {
        loop {
            if let AdapterEvent::DeviceAdded(found) = next(self.discovery.as_mut()).await?
                && found == address
            {
                return Ok("ok".to_owned());
            }
        }
    }

    /// Waits until the discovery has told of so many devices.
    async fn count(&mut self, wanted: usize) -> Outcome {
        let mut found = std::collections::BTreeSet::new();
        while found.len() < wanted {
            if let AdapterEvent::DeviceAdded(address) = next(self.discovery.as_mut()).await? {
                found.insert(address);
            }
        }
        Ok(found.len().to_string())
    }

    /// Waits until the device's advertisement holds these bytes.
    async fn advertises(&mut self, address: &str, wanted: &str) -> Outcome {
        let device = self.device(address)?;
        loop {
            let data = device.manufacturer_data().await?.unwrap_or_default();
            if data.values().any(|bytes| hex(bytes) == wanted) {
                return Ok("ok".to_owned());
            }
            next(self.discovery.as_mut()).await?;
        }
    }

    fn session(&self) -> Result<&Session, Box<dyn Error>> {
        self.session.as_ref().ok_or_else(|| "no session".into())
    }

    fn adapter(&self) -> Result<bluer::Adapter, Box<dyn Error>> {
        Ok(self.session()?.adapter("hci0")?)
    }

    fn device(&self, address: &str) -> Result<Device, Box<dyn Error>> {
        Ok(self.adapter()?.device(address.parse()?)?)
    }
}

async fn next<T>(events: Option<&mut Events<T>>) -> Result<T, Box<dyn Error>> {
    let events = events.ok_or("nothing is listened to")?;
    let event = timeout(PATIENCE, events.next()).await?;
    event.ok_or_else(|| "the events ended".into())
}

async fn services(device: &Device) -> Outcome {
    let mut found = Vec::new();
    for service in device.services().await? {
        found.push(service.uuid().await?.to_string());
    }
    found.sort();
    Ok(found.join(" "))
}

async fn find(device: &Device, uuid: uuid::Uuid) -> Result<Characteristic, Box<dyn Error>> {
    for service in device.services().await? {
        for characteristic in service.characteristics().await? {
            if characteristic.uuid().await? == uuid {
                return Ok(characteristic);
            }
        }
    }
    Err("no such characteristic".into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    (0..text.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(&text[at..at + 2], 16)?))
        .collect()
}
