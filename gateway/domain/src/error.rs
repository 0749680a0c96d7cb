//! The one table of refusals: rule, stable code, titles in English and Chinese.
//!
//! Codes are a published contract: they may be added, never renamed or reused.

macro_rules! rules {
    ($($(#[$meta:meta])* $name:ident, $rule:literal, $code:literal, $en:literal, $zh:literal;)+) => {
        /// A business rule said no.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum RuleError { $($(#[$meta])* #[doc = concat!($rule, ": ", $en)] $name),+ }

        impl RuleError {
            /// Every refusal, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The business rule, such as `USE-7`.
            #[must_use]
            pub const fn rule(self) -> &'static str {
                match self { $(Self::$name => $rule),+ }
            }

            /// The stable code, in snake case.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// A title in English.
            #[must_use]
            pub const fn title_en(self) -> &'static str {
                match self { $(Self::$name => $en),+ }
            }

            /// A title in Chinese.
            #[must_use]
            pub const fn title_zh(self) -> &'static str {
                match self { $(Self::$name => $zh),+ }
            }
        }
    };
}

rules! {
    DeviceNotInStock, "PLAT-1", "device_not_in_stock", "the device is not in stock", "设备不在库存中";
    DeviceNotDelivered, "BIND-1", "device_not_delivered", "the device has not been delivered", "设备未交付";
    DeviceOffline, "BIND-1", "device_offline", "the device is not connected", "设备未连接";
    DeviceAlreadyBound, "BIND-2", "device_already_bound", "the device is already bound", "设备已绑定";
    DeviceNotBound, "BIND-3", "device_not_bound", "the device is not bound", "设备未绑定";
    DeviceGrantNotEnded, "BIND-3", "device_grant_not_ended", "the device's grant has not been ended", "设备的授权尚未结束用印";
    DeviceLocked, "BIND-3", "device_locked", "the device is locked", "设备已锁定";
    DeviceRecordsPending, "BIND-3", "device_records_pending", "the device holds records not yet uploaded", "设备尚有未上传的使用记录";
    DeviceQuotaReached, "BIND-4", "device_quota_reached", "the organization has reached its number of devices", "单位设备数量已达上限";
    DeviceSuspended, "PLAT-1", "device_suspended", "the device is suspended", "设备已停用";
    DeviceNotSuspended, "PLAT-1", "device_not_suspended", "the device is not suspended", "设备未停用";
    DeviceRetired, "PLAT-1", "device_retired", "the device is retired", "设备已报废";
    DeviceStillBound, "PLAT-1", "device_still_bound", "the device must be unbound first", "请先解绑设备";
    DeviceNameInvalid, "MGMT-1", "device_name_invalid", "a device name has 1 to 40 characters", "设备名称须为1至40个字符";
    DeviceNoteInvalid, "MGMT-1", "device_note_invalid", "a note has at most 200 characters", "备注最多200个字符";
    BacklightOutOfRange, "MGMT-1", "backlight_out_of_range", "the backlight lasts 0 to 180 seconds", "背光时间须为0至180秒";
    AutoOffOutOfRange, "MGMT-1", "auto_off_out_of_range", "automatic power-off is 0 to 30 minutes", "自动关机时间须为0至30分钟";
    OrganizationNameInvalid, "ORG-7", "organization_name_invalid", "an organization's name has 1 to 80 characters", "单位名称须为1至80个字符";
    OrganizationHasDevices, "ORG-7", "organization_has_devices", "the organization still has bound devices", "单位仍有已绑定的设备";
    MemberNameInvalid, "ORG-4", "member_name_invalid", "a member's name has 1 to 40 characters", "成员姓名须为1至40个字符";
    PhoneInvalid, "ORG-4", "phone_invalid", "this is not a phone number", "手机号码无效";
    PhoneTaken, "ORG-4", "phone_taken", "a member of the organization already has this phone number", "该手机号已是本单位成员";
    MemberQuotaReached, "ORG-2", "member_quota_reached", "the organization has reached its number of members", "单位成员数量已达上限";
    TooManyOrganizations, "ORG-2", "too_many_organizations", "this person already belongs to ten organizations", "该人员已加入10个单位";
    MemberRemoved, "ORG-4", "member_removed", "the member has been removed", "成员已被删除";
    OwnerExactlyOne, "ROLE-1", "owner_exactly_one", "an organization has exactly one owner", "单位有且仅有一名主管理员";
    AdminAtMostOne, "ROLE-1", "admin_at_most_one", "an organization has at most one admin", "单位最多一名管理员";
    OwnerNotRemovable, "ROLE-1", "owner_not_removable", "the owner can't be removed", "不能删除主管理员";
    MemberHoldsGrant, "ROLE-4", "member_holds_grant", "the member holds a live grant", "成员持有未结束的授权";
    CodeTooSoon, "ORG-1", "code_too_soon", "a code was sent less than a minute ago", "验证码发送过于频繁，请稍后再试";
    CodeWrong, "ORG-1", "code_wrong", "the code is wrong", "验证码错误";
    CodeExpired, "ORG-1", "code_expired", "the code has expired", "验证码已过期";
    CodeUsed, "ORG-1", "code_used", "the code has been used already", "验证码已使用";
    CodeLockedOut, "ORG-1", "code_locked_out", "too many wrong codes: ask for a new one", "错误次数过多，请重新获取验证码";
    GrantWindowInvalid, "USE-6", "grant_window_invalid", "a grant begins before it ends", "授权开始时间须早于结束时间";
    GrantEndInPast, "USE-6", "grant_end_in_past", "the end of the grant is not in the future", "授权结束时间须晚于当前时间";
    GrantCountOutOfRange, "USE-6", "grant_count_out_of_range", "the count is 0 (unlimited) to 500", "用印次数须为0（不限）至500";
    GrantRegionInvalid, "USE-6", "grant_region_invalid", "the region is not a circle or polygon on the map", "用印区域无效";
    GrantRemarkTooLong, "USE-6", "grant_remark_too_long", "a remark has at most 120 characters", "备注最多120个字符";
    GrantFingerprintUnavailable, "USE-6", "grant_fingerprint_unavailable", "the user has no fingerprint on this device", "该用户在此设备上未录入指纹";
    PreviousGrantOpen, "USE-7", "previous_grant_open", "the device's previous grant has not been ended", "设备的上一授权尚未结束用印";
    GrantAlreadyEnded, "USE-9", "grant_already_ended", "the grant has been ended", "授权已结束用印";
    GrantsNotRequired, "USE-15", "grants_not_required", "the organization uses its devices without grants", "单位未启用授权，无需授权即可使用";
    OfflineModeNeedsGrant, "OFF-1", "offline_mode_needs_grant", "offline mode needs a grant on the device", "设置无网络模式需要设备已授权";
    OfflineModeNotAllowed, "OFF-1", "offline_mode_not_allowed", "the grant does not allow offline mode", "该授权不允许无网络模式";
    OfflineModeDeviceOffline, "OFF-1", "offline_mode_device_offline", "the device must be powered on and connected", "设备须开机并保持连接";
    CommandOver, "CMD-1", "command_over", "the command is over", "指令已结束";
    CommandStateBackwards, "CMD-1", "command_state_backwards", "a command's state only moves forward", "指令状态不可回退";
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.rule(), self.title_en())
    }
}

impl std::error::Error for RuleError {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::RuleError;

    #[test]
    fn every_code_is_unique_and_snake_case() {
        let mut seen = HashSet::new();
        for error in RuleError::ALL {
            assert!(seen.insert(error.code()), "{} twice", error.code());
            assert!(
                error
                    .code()
                    .bytes()
                    .all(|b| b == b'_' || b.is_ascii_lowercase())
            );
        }
    }

    #[test]
    fn every_refusal_names_a_rule_and_speaks_two_languages() {
        for error in RuleError::ALL {
            let (letters, number) = error.rule().split_once('-').expect("AREA-n");
            assert!(letters.bytes().all(|b| b.is_ascii_uppercase()));
            assert!(number.parse::<u8>().is_ok());
            assert!(error.title_en().is_ascii());
            assert!(!error.title_zh().is_ascii());
        }
    }
}
