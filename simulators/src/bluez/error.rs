//! What the daemon answers when it refuses: the names clients match on, and the words they see.

/// A refusal on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub name: &'static str,
    pub text: &'static str,
}

const fn bluez(name: &'static str, text: &'static str) -> Refusal {
    Refusal { name, text }
}

impl Refusal {
    pub(super) const NOT_READY: Self = bluez("org.bluez.Error.NotReady", "Resource Not Ready");
    pub(super) const IN_PROGRESS: Self = bluez(
        "org.bluez.Error.InProgress",
        "Operation already in progress",
    );
    pub(super) const NOT_CONNECTED: Self = bluez("org.bluez.Error.NotConnected", "Not Connected");
    pub(super) const NOT_SUPPORTED: Self =
        bluez("org.bluez.Error.NotSupported", "Operation is not supported");
    pub(super) const DOES_NOT_EXIST: Self = bluez("org.bluez.Error.DoesNotExist", "Does Not Exist");
    pub(super) const NOTIFY_ACQUIRED: Self =
        bluez("org.bluez.Error.NotPermitted", "Notify acquired");
    pub(super) const WRITE_ACQUIRED: Self = bluez("org.bluez.Error.NotPermitted", "Write acquired");
    pub(super) const NOT_PERMITTED: Self =
        bluez("org.bluez.Error.NotPermitted", "Operation is not permitted");
    pub(super) const REJECTED: Self = bluez(
        "org.bluez.Error.AuthenticationRejected",
        "Authentication Rejected",
    );
    pub(super) const INVALID_ARGUMENTS: Self = bluez(
        "org.bluez.Error.InvalidArguments",
        "Invalid arguments in method call",
    );
    pub(super) const INVALID_LENGTH: Self =
        bluez("org.bluez.Error.InvalidValueLength", "Invalid Length");
    pub(super) const INVALID_OFFSET: Self =
        bluez("org.bluez.Error.InvalidOffset", "Invalid offset");
    pub(super) const NO_DISCOVERY: Self = bluez("org.bluez.Error.Failed", "No discovery started");
    pub(super) const NO_NOTIFY_SESSION: Self =
        bluez("org.bluez.Error.Failed", "No notify session started");
    pub(super) const WRITE_FAILED: Self =
        bluez("org.bluez.Error.Failed", "Failed to initiate write");
    pub(super) const ATT_TIMEOUT: Self = bluez(
        "org.bluez.Error.Failed",
        "Operation failed with ATT error: 0x0e",
    );
    pub(super) const LINK_ENDED: Self = bluez("org.bluez.Error.Failed", "Not connected");
    pub(super) const LIMIT: Self = bluez(
        "org.bluez.Error.Failed",
        "le-connection-concurrent-connection-limit",
    );
    /// What a peer that does not answer looks like: the attempt is given up on our side.
    pub(super) const UNANSWERED: Self =
        bluez("org.bluez.Error.Failed", "le-connection-abort-by-local");
    pub(super) const REFUSED: Self = bluez("org.bluez.Error.Failed", "le-connection-refused");
    pub(super) const CANCELED: Self = bluez("org.bluez.Error.Failed", "le-connection-canceled");
    pub(super) const UNKNOWN_OBJECT: Self =
        bluez("org.freedesktop.DBus.Error.UnknownObject", "No such object");
    pub(super) const UNKNOWN_METHOD: Self =
        bluez("org.freedesktop.DBus.Error.UnknownMethod", "No such method");
    pub(super) const UNKNOWN_PROPERTY: Self = bluez(
        "org.freedesktop.DBus.Error.UnknownProperty",
        "No such property",
    );
    pub(super) const READ_ONLY: Self = bluez(
        "org.freedesktop.DBus.Error.PropertyReadOnly",
        "The property cannot be written",
    );
    pub(super) const INVALID_ARGS: Self =
        bluez("org.freedesktop.DBus.Error.InvalidArgs", "Wrong arguments");
}
