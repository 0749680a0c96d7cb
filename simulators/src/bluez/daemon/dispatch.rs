//! From messages to what they ask for.

use zbus::{
    Message,
    message::Type,
    zvariant::{OwnedValue, Value},
};

use super::{
    BUS, State,
    adapter::{ADAPTER, ADAPTER_PATH},
    device::DEVICE,
    gatt::CHARACTERISTIC,
    objects::{OBJECT_MANAGER, PROPERTIES},
};
use crate::bluez::{address::Address, error::Refusal};

/// What an object path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Adapter,
    Device(Address),
    Characteristic(Address, u16),
    Other,
}

impl Target {
    fn of(path: &str) -> Self {
        let Some(rest) = path.strip_prefix(ADAPTER_PATH) else {
            return Self::Other;
        };
        let mut parts = rest.split('/').skip(1);
        let Some(device) = parts.next() else {
            return Self::Adapter;
        };
        let Some(address) = Address::from_path_part(device) else {
            return Self::Other;
        };
        let (service, characteristic, more) = (parts.next(), parts.next(), parts.next());
        match (service, characteristic, more) {
            (None, ..) => Self::Device(address),
            (Some(_), Some(part), None) => part
                .strip_prefix("char")
                .and_then(|digits| u16::from_str_radix(digits, 16).ok())
                .map_or(Self::Other, |handle| Self::Characteristic(address, handle)),
            _ => Self::Other,
        }
    }
}

impl State {
    pub(super) async fn dispatch(&mut self, message: Message) {
        match message.message_type() {
            Type::MethodCall => {
                if let Err(refusal) = self.call(&message).await {
                    tracing::debug!(%message, refusal.name, "refused");
                    self.refuse(&message, refusal).await;
                }
            }
            Type::Signal => self.bus_signal(&message).await,
            _ => {}
        }
    }

    /// Names that lose their owner are clients that have left.
    async fn bus_signal(&mut self, message: &Message) {
        let header = message.header();
        let from_bus = header.sender().is_some_and(|sender| sender.as_str() == BUS);
        let member = header.member().map(|member| member.as_str());
        if from_bus
            && member == Some("NameOwnerChanged")
            && let Ok((name, _, new)) = message.body().deserialize::<(String, String, String)>()
            && new.is_empty()
        {
            self.client_left(&name).await;
        }
    }

    /// Carries out one call; a refusal is the answer to it.
    async fn call(&mut self, message: &Message) -> Result<(), Refusal> {
        let header = message.header();
        let path = header.path().map(|path| path.as_str()).unwrap_or_default();
        let member = header
            .member()
            .map(|member| member.as_str())
            .unwrap_or_default();
        let interface = header
            .interface()
            .map(|name| name.as_str())
            .unwrap_or_default();
        match interface {
            "org.freedesktop.DBus.Peer" if member == "Ping" => {
                self.reply(message, &()).await;
                return Ok(());
            }
            "org.freedesktop.DBus.Introspectable" if member == "Introspect" => {
                self.reply(message, &(self.introspect(path),)).await;
                return Ok(());
            }
            OBJECT_MANAGER if path == "/" && member == "GetManagedObjects" => {
                self.reply(message, &(self.objects.managed(),)).await;
                return Ok(());
            }
            _ => {}
        }
        if !self.objects.has(path) {
            return Err(Refusal::UNKNOWN_OBJECT);
        }
        match (Target::of(path), interface) {
            (target, PROPERTIES) => self.properties_call(target, path, member, message).await,
            (Target::Adapter, ADAPTER) => self.adapter_call(member, message).await,
            (Target::Device(address), DEVICE) => self.device_call(address, member, message).await,
            (Target::Characteristic(address, handle), CHARACTERISTIC) => {
                self.characteristic_call(address, handle, member, message)
                    .await
            }
            _ => Err(Refusal::UNKNOWN_METHOD),
        }
    }

    async fn properties_call(
        &mut self,
        target: Target,
        path: &str,
        member: &str,
        message: &Message,
    ) -> Result<(), Refusal> {
        let body = message.body();
        match member {
            "Get" => {
                let (interface, name): (&str, &str) =
                    body.deserialize().map_err(|_| Refusal::INVALID_ARGS)?;
                let value = self
                    .objects
                    .get(path, interface)
                    .and_then(|properties| properties.get(name))
                    .ok_or(Refusal::UNKNOWN_PROPERTY)?;
                self.reply(message, &(value,)).await;
            }
            "GetAll" => {
                let interface: &str = body.deserialize().map_err(|_| Refusal::INVALID_ARGS)?;
                let properties = self
                    .objects
                    .get(path, interface)
                    .ok_or(Refusal::UNKNOWN_METHOD)?;
                self.reply(message, &(properties,)).await;
            }
            "Set" => {
                let (interface, name, value): (&str, &str, OwnedValue) =
                    body.deserialize().map_err(|_| Refusal::INVALID_ARGS)?;
                let value: &Value<'_> = &value;
                match (target, interface) {
                    (Target::Adapter, ADAPTER) => self.set_adapter(name, value).await?,
                    (Target::Device(address), DEVICE) => {
                        self.set_device(address, name, value).await?
                    }
                    _ => return Err(Refusal::READ_ONLY),
                }
                self.reply(message, &()).await;
            }
            _ => return Err(Refusal::UNKNOWN_METHOD),
        }
        Ok(())
    }

    /// Enough to look around by: the names of interfaces and of what is below.
    fn introspect(&self, path: &str) -> String {
        let mut text = String::from("<node>\n");
        for interface in self.objects.interfaces(path) {
            text += &format!("  <interface name=\"{interface}\"/>\n");
        }
        if path == "/" {
            text += &format!("  <interface name=\"{OBJECT_MANAGER}\"/>\n");
        }
        for name in self.objects.below(path) {
            text += &format!("  <node name=\"{name}\"/>\n");
        }
        text + "</node>\n"
    }
}

#[test]
fn paths_name_what_they_stand_for() {
    let address = Address::numbered(1);
    let device = format!("/org/bluez/hci0/{}", address.path_part());
    assert_eq!(Target::of("/org/bluez/hci0"), Target::Adapter);
    assert_eq!(Target::of(&device), Target::Device(address));
    let characteristic = format!("{device}/service0010/char0013");
    assert_eq!(
        Target::of(&characteristic),
        Target::Characteristic(address, 0x13)
    );
    for other in [
        "/",
        "/org/bluez",
        "/org/bluez/hci1",
        "/org/bluez/hci0/dev_X",
    ] {
        assert_eq!(Target::of(other), Target::Other, "{other}");
    }
}
