//! Who may do what with which topic, and the same rights written for brokers of others.
//!
//! [`allows`] is the rule; the embedded front asks it, and the files for EMQX and mosquitto say the same in their
//! own words. A test starts a mosquitto with its file and compares.

pub mod emqx;
pub mod mosquitto;

use crate::device::is_id;

/// Topics a device publishes: reliable messages, telemetry, farewell.
pub const UP: [&str; 3] = ["u", "t", "w"];
/// Topics a device receives: reliable messages, firmware blocks.
pub const DOWN: [&str; 2] = ["d", "b"];

/// What a client wants to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Publish to it.
    Publish,
    /// Receive from it.
    Subscribe,
}

/// Whether device `id`, as its certificate names it, may do `action` with `topic`. The topic is literal: wildcards,
/// `$share` and foreign ids are refused because they are not one of the five topics of this device.
#[must_use]
pub fn allows(id: &str, action: Action, topic: &str) -> bool {
    let kinds: &[&str] = match action {
        Action::Publish => &UP,
        Action::Subscribe => &DOWN,
    };
    is_id(id)
        && topic
            .strip_prefix("s1/")
            .and_then(|rest| rest.strip_prefix(id))
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|kind| kinds.contains(&kind))
}

/// A file to be put beside others in the broker's configuration folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its name.
    pub name: &'static str,
    /// Its content.
    pub content: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaa";
    const B: &str = "aaaaaaaaaaaaq";

    #[test]
    fn a_device_reaches_its_own_five_topics_each_in_one_direction() {
        for (kind, publish, subscribe) in [
            ("u", true, false),
            ("t", true, false),
            ("w", true, false),
            ("d", false, true),
            ("b", false, true),
            ("x", false, false),
        ] {
            let topic = format!("s1/{A}/{kind}");
            assert_eq!(allows(A, Action::Publish, &topic), publish, "{topic}");
            assert_eq!(allows(A, Action::Subscribe, &topic), subscribe, "{topic}");
        }
    }

    #[test]
    fn nothing_else_is_a_topic_of_a_device() {
        for topic in [
            "",
            "s1",
            "s1/+/d",
            "s1/#",
            "#",
            "s1/aaaaaaaaaaaaa/#",
            "s1/aaaaaaaaaaaaa/+",
            "s1/aaaaaaaaaaaaa/d/",
            "/s1/aaaaaaaaaaaaa/d",
            "$share/g/s1/aaaaaaaaaaaaa/d",
            "$SYS/broker/version",
            "S1/aaaaaaaaaaaaa/d",
            "s1/AAAAAAAAAAAAA/d",
            "s1/aaaaaaaaaaaaq/d",
        ] {
            assert!(!allows(A, Action::Subscribe, topic), "{topic}");
        }
        assert!(!allows(B, Action::Publish, "s1/aaaaaaaaaaaaa/u"));
        assert!(
            !allows("+", Action::Subscribe, "s1/+/d"),
            "a name that is no device id has no topics"
        );
    }
}
