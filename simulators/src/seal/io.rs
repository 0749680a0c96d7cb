//! What goes into a seal and what comes out.

use sealgate_codec::record::Position;

use super::Press;

/// What happens to a seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// The power key is held for three seconds.
    PowerKey,
    /// The reset pin is pushed.
    Reset,
    /// The battery is out, in again later.
    PowerCut,
    /// The power will fail right after this many further writes to flash; the first is number one.
    ArmPowerCut(u32),
    /// The power key is pressed shortly: once wakes or darkens the screen, thrice shows the QR code, five times
    /// changes the radio.
    Keys(u8),
    /// The head is pressed.
    Press(Press),
    /// A finger that is stored in this slot is laid on.
    Finger(u8),
    /// The seal is carried to a place, or indoors.
    Move(Option<Place>),
    /// The real-time clock jumps by this many seconds.
    ClockJump(i64),
    /// The connection stands; the platform has not answered yet.
    LinkUp,
    /// The connection broke or could not be made.
    LinkLost,
    /// The platform refused the connection.
    LinkRefused,
    /// A message of the platform.
    Down(Vec<u8>),
}

/// A place on earth in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Latitude.
    pub lat: f64,
    /// Longitude.
    pub lon: f64,
    /// Radius of uncertainty in metres.
    pub accuracy_m: u16,
}

impl Eq for Place {}

impl From<Place> for Position {
    fn from(place: Place) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the globe")]
        let units = |degrees: f64, limit: f64| (degrees.clamp(-limit, limit) * 1e7).round() as i32;
        Self {
            lat_e7: units(place.lat, 90.0),
            lon_e7: units(place.lon, 180.0),
            accuracy: place.accuracy_m,
        }
    }
}

/// Which of the device's topics a message goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// `u`, acknowledged.
    Up,
    /// `t`, not acknowledged.
    Telemetry,
    /// `w`, the farewell.
    Farewell,
}

/// What a seal wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Connect to the platform.
    Connect,
    /// Drop the connection; in order means after what was queued has left.
    Disconnect {
        /// Send what is queued and say so.
        orderly: bool,
    },
    /// Send a message.
    Send {
        /// Where.
        topic: Topic,
        /// What.
        payload: Vec<u8>,
    },
}
