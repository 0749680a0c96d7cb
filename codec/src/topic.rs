//! MQTT topics: `s1/<id>/<lane>`, where the prefix is the major version.

use alloc::{format, string::String};
use core::fmt;

use crate::{DeviceId, Direction, id::TEXT_LEN};

/// Which of a device's topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// `u`, up, QoS 1: everything that must arrive.
    Up,
    /// `t`, up, QoS 0: STATUS.
    Telemetry,
    /// `w`, up, QoS 1: BYE, also as will.
    Farewell,
    /// `d`, down, QoS 1: everything that must arrive.
    Down,
    /// `b`, down, QoS 0: firmware blocks.
    Block,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 5] = [
        Self::Up,
        Self::Telemetry,
        Self::Farewell,
        Self::Down,
        Self::Block,
    ];

    /// Last part of the topic.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Up => 'u',
            Self::Telemetry => 't',
            Self::Farewell => 'w',
            Self::Down => 'd',
            Self::Block => 'b',
        }
    }

    /// QoS of what is published there.
    #[must_use]
    pub const fn qos(self) -> u8 {
        match self {
            Self::Telemetry | Self::Block => 0,
            Self::Up | Self::Farewell | Self::Down => 1,
        }
    }

    /// Who publishes there: [`Direction::Up`] the device, [`Direction::Down`] the gateway.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Up | Self::Telemetry | Self::Farewell => Direction::Up,
            Self::Down | Self::Block => Direction::Down,
        }
    }
}

/// A device's topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic {
    /// Whose.
    pub device: DeviceId,
    /// Which.
    pub lane: Lane,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s1/{}/{}", self.device, self.lane.letter())
    }
}

/// Reads a topic; `None` for anything but exactly a device's topic.
#[must_use]
pub fn parse(topic: &str) -> Option<Topic> {
    let rest = topic.strip_prefix("s1/")?;
    let (id, letter) = rest.split_at_checked(TEXT_LEN)?;
    let letter = letter.strip_prefix('/')?;
    let lane = Lane::ALL
        .into_iter()
        .find(|lane| letter.len() == 1 && letter.starts_with(lane.letter()))?;
    Some(Topic {
        device: id.parse().ok()?,
        lane,
    })
}

fn of(device: DeviceId, lane: Lane) -> String {
    format!("{}", Topic { device, lane })
}

/// `s1/<id>/u`.
#[must_use]
pub fn up(device: DeviceId) -> String {
    of(device, Lane::Up)
}

/// `s1/<id>/t`.
#[must_use]
pub fn telemetry(device: DeviceId) -> String {
    of(device, Lane::Telemetry)
}

/// `s1/<id>/w`.
#[must_use]
pub fn farewell(device: DeviceId) -> String {
    of(device, Lane::Farewell)
}

/// `s1/<id>/d`.
#[must_use]
pub fn down(device: DeviceId) -> String {
    of(device, Lane::Down)
}

/// `s1/<id>/b`.
#[must_use]
pub fn block(device: DeviceId) -> String {
    of(device, Lane::Block)
}
