//! What stands on the bus: objects, interfaces, properties. Showing something again signals what has changed, and only
//! that; so the rest of the daemon says what is, and never what to signal.

use std::collections::BTreeMap;

use zbus::{
    Connection,
    zvariant::{DynamicType, ObjectPath, Value},
};

pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub(super) const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

pub(super) type Properties = BTreeMap<&'static str, Value<'static>>;
type Interfaces = BTreeMap<&'static str, Properties>;

#[derive(Debug)]
pub(super) struct Objects {
    bus: Connection,
    shown: BTreeMap<String, Interfaces>,
}

impl Objects {
    pub(super) fn new(bus: Connection) -> Self {
        Self {
            bus,
            shown: BTreeMap::new(),
        }
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.shown.contains_key(path)
    }

    pub(super) fn get(&self, path: &str, interface: &str) -> Option<&Properties> {
        self.shown.get(path)?.get(interface)
    }

    /// The answer of `GetManagedObjects`.
    pub(super) fn managed(&self) -> BTreeMap<ObjectPath<'_>, &Interfaces> {
        self.shown
            .iter()
            .filter_map(|(path, interfaces)| {
                Some((ObjectPath::try_from(path.as_str()).ok()?, interfaces))
            })
            .collect()
    }

    /// The names one level below a path, for those who look around.
    pub(super) fn below(&self, path: &str) -> Vec<&str> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let mut names: Vec<&str> = self
            .shown
            .keys()
            .filter_map(|shown| shown.strip_prefix(&prefix)?.split('/').next())
            .collect();
        names.dedup();
        names
    }

    pub(super) fn interfaces(&self, path: &str) -> Vec<&'static str> {
        self.shown
            .get(path)
            .map(|interfaces| interfaces.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Shows an object's interface as it is. Properties in `again` are signalled even when they are the same.
    pub(super) async fn show(
        &mut self,
        path: &str,
        interface: &'static str,
        properties: Properties,
        again: &[&'static str],
    ) {
        let known = self
            .shown
            .get_mut(path)
            .and_then(|interfaces| interfaces.get_mut(interface));
        let Some(known) = known else {
            let object = self.shown.entry(path.to_owned()).or_default();
            object.insert(interface, properties);
            self.signal_added(path, interface).await;
            return;
        };
        let former = std::mem::replace(known, properties);
        let changed: BTreeMap<&str, &Value<'_>> = known
            .iter()
            .filter(|(name, value)| former.get(*name) != Some(*value) || again.contains(*name))
            .map(|(name, value)| (*name, value))
            .collect();
        let gone: Vec<&str> = former
            .keys()
            .filter(|name| !known.contains_key(*name))
            .copied()
            .collect();
        if !changed.is_empty() || !gone.is_empty() {
            let body = (interface, changed, gone);
            signal(&self.bus, path, PROPERTIES, "PropertiesChanged", &body).await;
        }
    }

    async fn signal_added(&self, path: &str, interface: &'static str) {
        let Some((object, properties)) = ObjectPath::try_from(path)
            .ok()
            .zip(self.get(path, interface))
        else {
            return;
        };
        let body = (object, BTreeMap::from([(interface, properties)]));
        signal(&self.bus, "/", OBJECT_MANAGER, "InterfacesAdded", &body).await;
    }

    /// Takes an object and all below it off the bus, the deepest first.
    pub(super) async fn withdraw(&mut self, path: &str) {
        let prefix = format!("{path}/");
        let paths: Vec<String> = self
            .shown
            .keys()
            .filter(|shown| *shown == path || shown.starts_with(&prefix))
            .rev()
            .cloned()
            .collect();
        for path in paths {
            let interfaces = self.shown.remove(&path).unwrap_or_default();
            let names: Vec<&str> = interfaces.keys().copied().collect();
            if let Ok(object) = ObjectPath::try_from(path.as_str()) {
                let body = (object, names);
                signal(&self.bus, "/", OBJECT_MANAGER, "InterfacesRemoved", &body).await;
            }
        }
    }
}

/// Sends a signal; a bus that is gone is noticed by whoever reads from it.
pub(super) async fn signal<B>(bus: &Connection, path: &str, interface: &str, name: &str, body: &B)
where
    B: serde::Serialize + DynamicType,
{
    if let Err(error) = bus
        .emit_signal(None::<&str>, path, interface, name, body)
        .await
    {
        tracing::debug!(%error, path, name, "a signal did not get on the bus");
    }
}
