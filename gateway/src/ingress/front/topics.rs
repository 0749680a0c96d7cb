//! The five topics of a device, and which way each goes. Compared byte by byte: what is not exactly one of them
//! is not the device's, whatever its encoding.

use sealgate_domain::DeviceId;

use crate::devices::link::{DownlinkLane, UplinkLane};

/// `s1/` + 13 characters + `/` + one letter.
const LENGTH: usize = 18;

/// Highest topic alias a device may define: one for each topic up.
pub(super) const ALIASES: u16 = 3;

/// A device's topics.
#[derive(Debug, Clone, Copy)]
pub(super) struct Topics {
    prefix: [u8; LENGTH - 1],
}

impl Topics {
    pub(super) fn of(device: DeviceId) -> Self {
        let text = format!("s1/{device}/");
        Self {
            prefix: text.as_bytes().try_into().expect("ids have 13 characters"),
        }
    }

    /// The lane of a topic up, if it is this device's.
    pub(super) fn up(&self, topic: &[u8]) -> Option<UplinkLane> {
        match self.letter(topic)? {
            b'u' => Some(UplinkLane::Reliable),
            b't' => Some(UplinkLane::Telemetry),
            b'w' => Some(UplinkLane::Farewell),
            _ => None,
        }
    }

    /// The lane of a topic down, if it is this device's.
    pub(super) fn down(&self, filter: &[u8]) -> Option<DownlinkLane> {
        match self.letter(filter)? {
            b'd' => Some(DownlinkLane::Reliable),
            b'b' => Some(DownlinkLane::Block),
            _ => None,
        }
    }

    /// The name of a topic down.
    pub(super) fn name(&self, lane: DownlinkLane) -> TopicName {
        let mut name = [0; LENGTH];
        name[..LENGTH - 1].copy_from_slice(&self.prefix);
        name[LENGTH - 1] = match lane {
            DownlinkLane::Reliable => b'd',
            DownlinkLane::Block => b'b',
        };
        TopicName(name)
    }

    fn letter(&self, topic: &[u8]) -> Option<u8> {
        match topic.strip_prefix(&self.prefix)? {
            [letter] => Some(*letter),
            _ => None,
        }
    }
}

/// A topic, spelled out without the heap.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicName([u8; LENGTH]);

impl TopicName {
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_exactly_five_topics() {
        let own = DeviceId([1, 2, 3, 4, 5, 6, 7, 8]);
        let topics = Topics::of(own);
        assert_eq!(
            topics.up(format!("s1/{own}/u").as_bytes()),
            Some(UplinkLane::Reliable)
        );
        assert_eq!(
            topics.up(format!("s1/{own}/w").as_bytes()),
            Some(UplinkLane::Farewell)
        );
        assert_eq!(
            topics.down(format!("s1/{own}/b").as_bytes()),
            Some(DownlinkLane::Block)
        );
        assert_eq!(
            topics.name(DownlinkLane::Reliable).as_str(),
            format!("s1/{own}/d")
        );
        let other = DeviceId([9; 8]);
        for foreign in [
            format!("s1/{own}/d"),
            format!("s1/{own}/u/"),
            format!("s1/{own}/+"),
            format!("s1/{own}/"),
            format!("s1/{other}/u"),
            format!("S1/{own}/u"),
            "s1/+/u".to_owned(),
            "#".to_owned(),
            String::new(),
        ] {
            assert_eq!(topics.up(foreign.as_bytes()), None, "{foreign}");
        }
    }
}
