//! Who may do what: one table, read by every use case.
//!
//! Permission asks for a scope of the actor's token; reach says whether a token bound to an organization may use it
//! at all. An object of a foreign organization does not exist for the asker: "not found", never "denied".

use std::fmt;

use sealgate_domain::{OrganizationId, TokenId};

use crate::store::Topic;

use super::{Actor, ActorKind, AppError};

/// One right a token can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See devices, their state and commands.
    FleetRead,
    /// Take devices into stock, deliver, suspend, retire, revoke them.
    FleetWrite,
    /// See organizations, members, grants and the audit.
    OrgRead,
    /// Change organizations, members, names of devices.
    OrgWrite,
    /// Give and end grants.
    GrantWrite,
    /// Bind, unbind, lock, unlock, configure devices.
    DeviceControl,
    /// See stamp records.
    StampRead,
    /// Make and revoke tokens.
    TokenAdmin,
    /// Follow events.
    EventsRead,
}

impl Scope {
    /// All of them, in the order they are written.
    pub const ALL: [Self; 9] = [
        Self::FleetRead,
        Self::FleetWrite,
        Self::OrgRead,
        Self::OrgWrite,
        Self::GrantWrite,
        Self::DeviceControl,
        Self::StampRead,
        Self::TokenAdmin,
        Self::EventsRead,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FleetRead => "fleet:read",
            Self::FleetWrite => "fleet:write",
            Self::OrgRead => "org:read",
            Self::OrgWrite => "org:write",
            Self::GrantWrite => "grant:write",
            Self::DeviceControl => "device:control",
            Self::StampRead => "stamp:read",
            Self::TokenAdmin => "token:admin",
            Self::EventsRead => "events:read",
        }
    }

    /// From the stable name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u16);

impl Scopes {
    /// No right at all.
    pub const NONE: Self = Self(0);

    /// Every right.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether `scope` is in.
    #[must_use]
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether every scope of `other` is in.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The scopes in order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }

    /// From names separated by spaces.
    ///
    /// # Errors
    /// The first name that is no scope.
    pub fn parse(names: &str) -> Result<Self, String> {
        names
            .split_whitespace()
            .map(|name| Scope::from_name(name).ok_or_else(|| name.to_owned()))
            .collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{}", scope.name())?;
        }
        Ok(())
    }
}

/// Whose objects a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The platform's own staff: a token bound to an organization never has it.
    Platform,
    /// An organization's objects: a bound token sees its own only.
    Organization,
}

macro_rules! permissions {
    ($($(#[doc = $doc:literal])* $name:ident => $scope:ident, $reach:ident;)*) => {
        /// Everything a use case can ask for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission { $($(#[doc = $doc])* $name,)* }

        /// The one table: permission, needed scope, reach.
        pub const TABLE: &[(Permission, Scope, Reach)] = &[
            $((Permission::$name, Scope::$scope, Reach::$reach),)*
        ];
    };
}

permissions! {
    /// Open an organization with its owner (PLAT-1).
    CreateOrganization => OrgWrite, Platform;
    /// See organizations.
    ReadOrganizations => OrgRead, Organization;
    /// Rename an organization, switch what it requires (CONF-1).
    UpdateOrganization => OrgWrite, Organization;
    /// See members (ORG-4).
    ReadMembers => OrgRead, Organization;
    /// Add and remove members (ORG-4).
    ManageMembers => OrgWrite, Organization;
    /// Have a code sent to the owner's phone.
    SendCode => DeviceControl, Organization;
    /// Take devices into stock (PLAT-1).
    ImportDevices => FleetWrite, Platform;
    /// See devices and what they report.
    ReadDevices => FleetRead, Organization;
    /// Rename a device, edit its note (MGMT-1).
    EditDevice => OrgWrite, Organization;
    /// Hand a device to an organization (PLAT-1).
    DeliverDevice => FleetWrite, Platform;
    /// Suspend and resume a device (PLAT-1).
    SuspendDevice => FleetWrite, Platform;
    /// Retire a device for good (PLAT-1).
    RetireDevice => FleetWrite, Platform;
    /// Revoke a device's certificate.
    RevokeDevice => FleetWrite, Platform;
    /// Register a device's renewed certificate.
    RenewCertificate => FleetWrite, Platform;
    /// See how far a device's log is stored and what is the matter with it.
    ReadLog => FleetRead, Organization;
    /// Let a log that stands still go on from a chosen place.
    ReopenLog => FleetWrite, Platform;
    /// Bind and unbind a device (BIND-1).
    BindDevice => DeviceControl, Organization;
    /// Change a device's settings (MGMT-1).
    ConfigureDevice => DeviceControl, Organization;
    /// Lock and unlock a device (LOCK-1).
    LockDevice => DeviceControl, Organization;
    /// Ask a device where it is (REC-3).
    LocateDevice => DeviceControl, Organization;
    /// Switch offline mode (OFF-1).
    SetOfflineMode => DeviceControl, Organization;
    /// See commands and their states.
    ReadCommands => FleetRead, Organization;
    /// See grants.
    ReadGrants => OrgRead, Organization;
    /// Give a grant (USE-6).
    GiveGrant => GrantWrite, Organization;
    /// End a grant (USE-9).
    EndGrant => GrantWrite, Organization;
    /// See stamp records (REC-1).
    ReadStamps => StampRead, Organization;
    /// See abnormal use, mark it read (REC-6).
    ReadAbnormal => StampRead, Organization;
    /// See the audit.
    ReadAudit => OrgRead, Organization;
    /// See and make tokens.
    ManageTokens => TokenAdmin, Organization;
    /// Revoke a token, with every scope that token has; its own holder needs none ([`Actor::may_revoke`]).
    RevokeToken => TokenAdmin, Organization;
    /// Follow committed events.
    ReadEvents => EventsRead, Organization;
    /// Read the text messages kept in memory, where configured.
    ReadInbox => TokenAdmin, Platform;
}

impl Permission {
    /// The row of the table.
    #[must_use]
    pub fn needs(self) -> (Scope, Reach) {
        TABLE
            .iter()
            .find(|(permission, ..)| *permission == self)
            .map(|(_, scope, reach)| (*scope, *reach))
            .expect("every permission has its row: one macro makes both")
    }
}

impl Actor {
    /// May this actor ask for `permission` at all? Checked before anything is loaded.
    ///
    /// # Errors
    /// The scope is missing, or the permission is the platform's and the actor an organization's.
    pub fn may(&self, permission: Permission) -> Result<(), AppError> {
        let (scope, reach) = permission.needs();
        let reached = reach == Reach::Organization || self.organization.is_none();
        if self.scopes.has(scope) && reached {
            Ok(())
        } else {
            Err(AppError::Denied { scope, reach })
        }
    }

    /// Is it this token that asks?
    #[must_use]
    pub fn holds(&self, token: TokenId) -> bool {
        self.kind == ActorKind::Token && self.id == token.to_string()
    }

    /// May this actor revoke that token? Whoever holds it may: that is how a lost one is ended. Others need every right it
    /// has, so that a weaker token can't take a stronger one out of use.
    ///
    /// # Errors
    /// A scope is missing.
    pub fn may_revoke(&self, token: TokenId, scopes: Scopes) -> Result<(), AppError> {
        if self.holds(token) {
            return Ok(());
        }
        self.may(Permission::RevokeToken)?;
        let missing = scopes.iter().find(|scope| !self.scopes.has(*scope));
        let reach = Permission::RevokeToken.needs().1;
        missing.map_or(Ok(()), |scope| Err(AppError::Denied { scope, reach }))
    }

    /// Does this actor see objects of `organization`? Platform tokens see all; a bound one its own only.
    #[must_use]
    pub fn sees(&self, organization: Option<OrganizationId>) -> bool {
        self.organization.is_none() || self.organization == organization
    }

    /// [`Actor::sees`] as a refusal that tells nothing.
    ///
    /// # Errors
    /// The object belongs to others.
    pub fn must_see(
        &self,
        organization: Option<OrganizationId>,
        noun: &'static str,
    ) -> Result<(), AppError> {
        if self.sees(organization) {
            Ok(())
        } else {
            Err(AppError::NotFound(noun))
        }
    }

    /// The organization a listing is narrowed to: the asked one, within what the actor sees.
    ///
    /// # Errors
    /// A foreign organization was asked for.
    pub fn narrowed(
        &self,
        asked: Option<OrganizationId>,
    ) -> Result<Option<OrganizationId>, AppError> {
        match (self.organization, asked) {
            (Some(own), Some(asked)) if own != asked => Err(AppError::NotFound("organization")),
            (own, asked) => Ok(own.or(asked)),
        }
    }
}

/// The scope that shows events of a topic.
#[must_use]
pub const fn scope_of_topic(topic: Topic) -> Scope {
    match topic {
        Topic::Stamp | Topic::Alarm => Scope::StampRead,
        Topic::Grant | Topic::Organization => Scope::OrgRead,
        Topic::Presence | Topic::Command | Topic::Device => Scope::FleetRead,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn printed() -> String {
        TABLE
            .iter()
            .map(|(permission, scope, reach)| {
                let permission = format!("{permission:?}");
                let reach = format!("{reach:?}").to_lowercase();
                format!("{permission:<20} {:<15} {reach}\n", scope.name())
            })
            .collect()
    }

    #[test]
    fn the_access_table_is_the_printed_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/app/access.txt");
        if std::env::var_os("SEALGATE_BLESS").is_some() {
            std::fs::write(file, printed()).unwrap();
        }
        let committed = std::fs::read_to_string(file).unwrap();
        assert_eq!(printed(), committed, "SEALGATE_BLESS=1 writes it anew");
    }

    #[test]
    fn scopes_survive_their_text() {
        let scopes = Scopes::parse("org:read  stamp:read").unwrap();
        assert_eq!(scopes.to_string(), "org:read stamp:read");
        assert_eq!(Scopes::parse(&Scopes::all().to_string()), Ok(Scopes::all()));
        assert_eq!(Scopes::parse("org:read nonsense"), Err("nonsense".into()));
    }

    #[test]
    fn a_bound_token_never_has_a_platform_permission() {
        let bound = Actor {
            organization: Some(OrganizationId(Uuid::from_u128(1))),
            ..Actor::system()
        };
        for (permission, _, reach) in TABLE {
            assert_eq!(
                bound.may(*permission).is_ok(),
                *reach == Reach::Organization
            );
        }
    }

    #[test]
    fn without_its_scope_every_permission_is_denied() {
        for (permission, scope, _) in TABLE {
            let scopes = Scope::ALL.into_iter().filter(|s| s != scope).collect();
            let actor = Actor {
                scopes,
                ..Actor::system()
            };
            assert!(actor.may(*permission).is_err(), "{permission:?}");
        }
    }

    #[test]
    fn a_token_is_revoked_by_its_holder_and_by_whoever_has_all_its_scopes() {
        let token = TokenId(Uuid::from_u128(5));
        let actor = |id: u128, scopes: &str| Actor {
            kind: ActorKind::Token,
            id: Uuid::from_u128(id).to_string(),
            scopes: Scopes::parse(scopes).unwrap(),
            ..Actor::system()
        };
        let scopes = Scopes::parse("stamp:read fleet:write").unwrap();
        let may = |actor: Actor| actor.may_revoke(token, scopes).is_ok();
        assert!(may(actor(5, "stamp:read")), "its holder");
        assert!(may(actor(6, "token:admin stamp:read fleet:write")));
        assert!(!may(actor(6, "token:admin stamp:read")), "weaker");
        assert!(!may(actor(6, "stamp:read fleet:write")), "no right to");
        assert!(may(Actor::cli()));
    }

    #[test]
    fn a_listing_is_narrowed_to_the_own_organization() {
        let own = OrganizationId(Uuid::from_u128(1));
        let bound = Actor {
            organization: Some(own),
            ..Actor::system()
        };
        assert_eq!(bound.narrowed(None).unwrap(), Some(own));
        assert!(
            bound
                .narrowed(Some(OrganizationId(Uuid::from_u128(2))))
                .is_err()
        );
        assert_eq!(Actor::system().narrowed(Some(own)).unwrap(), Some(own));
    }
}
