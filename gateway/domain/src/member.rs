//! Members of an organization: exactly one owner, at most one admin (ROLE-1), phone numbers unique among the present.

use std::fmt;

use crate::{RuleError, organization, settings};

text_enum! {
    /// What a member is.
    pub enum Role {
        /// 主管理员: every permission.
        Owner = "owner",
        /// 管理员.
        Admin = "admin",
        /// 管章人.
        Custodian = "custodian",
        /// 成员.
        Member = "member",
    }
}

/// A phone number: `+` and country code, or a number of mainland China.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

impl Phone {
    /// Parses a number; spaces and dashes between digits are dropped, `+86` of a mainland number too.
    ///
    /// # Errors
    /// It is no phone number.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        let mut plain = String::with_capacity(text.len());
        for (at, c) in text.chars().enumerate() {
            match c {
                '+' if at == 0 => plain.push(c),
                '0'..='9' => plain.push(c),
                ' ' | '-' => {}
                _ => return Err(RuleError::PhoneInvalid),
            }
        }
        let plain = plain.strip_prefix("+86").unwrap_or(&plain);
        if is_mainland(plain) || is_international(plain) {
            Ok(Self(plain.to_owned()))
        } else {
            Err(RuleError::PhoneInvalid)
        }
    }

    /// The number as stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number with its middle hidden, for logs and pages.
    #[must_use]
    pub fn masked(&self) -> String {
        let digits = self.0.as_str();
        let (head, tail) = (digits.len().min(3), digits.len().saturating_sub(4));
        format!("{}****{}", &digits[..head], &digits[tail.max(head)..])
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_mainland(digits: &str) -> bool {
    digits.len() == 11 && digits.starts_with('1') && matches!(digits.as_bytes()[1], b'3'..=b'9')
}

fn is_international(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && !digits.starts_with('0'))
}

/// A member's name, trimmed.
///
/// # Errors
/// Empty or longer than 40 characters.
pub fn name(text: &str) -> Result<String, RuleError> {
    settings::text(text, 1, 40).ok_or(RuleError::MemberNameInvalid)
}

/// The organization as adding or re-roling a member sees it (present members only).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roster {
    /// Members.
    pub members: u32,
    /// Owners among them.
    pub owners: u32,
    /// Admins among them.
    pub admins: u32,
}

/// May a member of that role be added (ORG-2, ORG-4, ROLE-1)?
///
/// # Errors
/// The rule that forbids it.
pub fn check_add(roster: Roster, role: Role, phone_taken: bool) -> Result<(), RuleError> {
    if roster.members >= organization::MEMBER_QUOTA {
        return Err(RuleError::MemberQuotaReached);
    }
    if phone_taken {
        return Err(RuleError::PhoneTaken);
    }
    match role {
        Role::Owner if roster.owners > 0 => Err(RuleError::OwnerExactlyOne),
        Role::Admin if roster.admins > 0 => Err(RuleError::AdminAtMostOne),
        _ => Ok(()),
    }
}

/// May a member's role change from `from` to `to`? The owner is replaced, never re-roled.
///
/// # Errors
/// The rule that forbids it.
pub fn check_role(roster: Roster, from: Role, to: Role, live_grant: bool) -> Result<(), RuleError> {
    if from == to {
        return Ok(());
    }
    if from == Role::Owner || to == Role::Owner {
        return Err(RuleError::OwnerExactlyOne);
    }
    if to == Role::Admin && roster.admins > 0 {
        return Err(RuleError::AdminAtMostOne);
    }
    if live_grant {
        return Err(RuleError::MemberHoldsGrant);
    }
    Ok(())
}

/// May the member be removed (ROLE-1, ROLE-4)?
///
/// # Errors
/// The rule that forbids it.
pub fn check_remove(role: Role, live_grant: bool) -> Result<(), RuleError> {
    if role == Role::Owner {
        return Err(RuleError::OwnerNotRemovable);
    }
    if live_grant {
        return Err(RuleError::MemberHoldsGrant);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phone_numbers_are_normalized() {
        for text in ["13800138000", "+86 138-0013-8000", " 138 0013 8000 "] {
            assert_eq!(Phone::parse(text).expect(text).as_str(), "13800138000");
        }
        assert_eq!(
            Phone::parse("+852 5123 4567").expect("hk").as_str(),
            "+85251234567"
        );
    }

    #[test]
    fn what_is_no_phone_number_is_refused() {
        for text in [
            "",
            "1",
            "12800138000",
            "1380013800",
            "138001380000",
            "+0123456789",
            "13800x38000",
            "1+3800138000",
        ] {
            assert_eq!(Phone::parse(text), Err(RuleError::PhoneInvalid), "{text}");
        }
    }

    #[test]
    fn a_masked_number_shows_its_ends_only() {
        assert_eq!(
            Phone::parse("13800138000").expect("valid").masked(),
            "138****8000"
        );
    }

    #[test]
    fn an_organization_has_one_owner_and_one_admin() {
        let roster = Roster {
            members: 2,
            owners: 1,
            admins: 1,
        };
        assert_eq!(
            check_add(roster, Role::Owner, false),
            Err(RuleError::OwnerExactlyOne)
        );
        assert_eq!(
            check_add(roster, Role::Admin, false),
            Err(RuleError::AdminAtMostOne)
        );
        assert_eq!(
            check_add(roster, Role::Member, true),
            Err(RuleError::PhoneTaken)
        );
        assert_eq!(check_add(roster, Role::Custodian, false), Ok(()));
        assert_eq!(
            check_role(roster, Role::Owner, Role::Member, false),
            Err(RuleError::OwnerExactlyOne)
        );
        assert_eq!(check_role(roster, Role::Admin, Role::Member, false), Ok(()));
        assert_eq!(
            check_remove(Role::Owner, false),
            Err(RuleError::OwnerNotRemovable)
        );
        assert_eq!(
            check_remove(Role::Member, true),
            Err(RuleError::MemberHoldsGrant)
        );
    }

    #[test]
    fn the_hundred_and_first_member_is_refused() {
        let roster = |members| Roster {
            members,
            owners: 1,
            admins: 0,
        };
        assert_eq!(check_add(roster(99), Role::Member, false), Ok(()));
        assert_eq!(
            check_add(roster(100), Role::Member, false),
            Err(RuleError::MemberQuotaReached)
        );
    }
}
