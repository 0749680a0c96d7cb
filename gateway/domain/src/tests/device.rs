//! The life of a seal.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(1));
const CAN_BIND: BindFacts = BindFacts {
    connected: true,
    bound_devices: 0,
    quota: DEVICE_QUOTA,
};
const CAN_UNBIND: UnbindFacts = UnbindFacts {
    connected: true,
    grant_open: false,
    locked: false,
    records_pending: false,
};

fn delivered() -> Device {
    let stocked = Device::manufactured().take_into_stock().expect("stock");
    stocked.deliver(ORGANIZATION).expect("delivery")
}

fn bound() -> Device {
    delivered().bound().expect("binding")
}

#[test]
fn a_seal_is_made_stocked_delivered_bound_and_unbound() {
    let device = bound();
    assert_eq!(device.life, Life::Bound);
    assert_eq!(device.organization, Some(ORGANIZATION));
    assert_eq!(device.generation, 0);
    let device = device.unbound().expect("unbinding");
    assert_eq!((device.life, device.generation), (Life::Unbound, 1));
    assert_eq!(device.organization, Some(ORGANIZATION));
}

#[test]
fn binding_needs_delivery_connection_and_room() {
    assert_eq!(delivered().check_bind(&CAN_BIND), Ok(()));
    let offline = BindFacts {
        connected: false,
        ..CAN_BIND
    };
    assert_eq!(
        delivered().check_bind(&offline),
        Err(RuleError::DeviceOffline)
    );
    let full = BindFacts {
        bound_devices: DEVICE_QUOTA,
        ..CAN_BIND
    };
    assert_eq!(
        delivered().check_bind(&full),
        Err(RuleError::DeviceQuotaReached)
    );
    assert_eq!(
        bound().check_bind(&CAN_BIND),
        Err(RuleError::DeviceAlreadyBound)
    );
    let fresh = Device::manufactured();
    assert_eq!(
        fresh.check_bind(&CAN_BIND),
        Err(RuleError::DeviceNotDelivered)
    );
    assert_eq!(fresh.bound(), Err(RuleError::DeviceNotDelivered));
}

#[test]
fn unbinding_needs_the_grant_ended_no_lock_no_records_and_a_connection() {
    assert_eq!(bound().check_unbind(&CAN_UNBIND), Ok(()));
    let with = |change: fn(&mut UnbindFacts)| {
        let mut facts = CAN_UNBIND;
        change(&mut facts);
        bound().check_unbind(&facts)
    };
    assert_eq!(
        with(|facts| facts.locked = true),
        Err(RuleError::DeviceLocked)
    );
    assert_eq!(
        with(|facts| facts.grant_open = true),
        Err(RuleError::DeviceGrantNotEnded)
    );
    assert_eq!(
        with(|facts| facts.records_pending = true),
        Err(RuleError::DeviceRecordsPending)
    );
    assert_eq!(
        with(|facts| facts.connected = false),
        Err(RuleError::DeviceOffline)
    );
    assert_eq!(
        delivered().check_unbind(&CAN_UNBIND),
        Err(RuleError::DeviceNotBound)
    );
}

#[test]
fn a_suspended_seal_comes_back_to_where_it_was() {
    for device in [Device::manufactured(), delivered(), bound()] {
        let suspended = device.suspend().expect("suspends");
        assert_eq!(suspended.check_bound(), Err(RuleError::DeviceSuspended));
        assert_eq!(suspended.suspend(), Err(RuleError::DeviceSuspended));
        assert_eq!(suspended.resume(), Ok(device));
        assert_eq!(device.resume(), Err(RuleError::DeviceNotSuspended));
    }
}

#[test]
fn a_bound_seal_is_retired_only_by_way_of_suspension_or_unbinding() {
    assert_eq!(bound().retire(), Err(RuleError::DeviceStillBound));
    assert!(delivered().retire().is_ok());
    let retired = bound().suspend().and_then(Device::retire).expect("retires");
    assert_eq!(retired.retire(), Err(RuleError::DeviceRetired));
    assert_eq!(retired.resume(), Err(RuleError::DeviceRetired));
}

#[test]
fn names_are_short_and_not_empty() {
    assert_eq!(name(" 公章一 "), Ok("公章一".to_owned()));
    assert_eq!(name("  "), Err(RuleError::DeviceNameInvalid));
    assert_eq!(name(&"章".repeat(41)), Err(RuleError::DeviceNameInvalid));
    assert_eq!(note(""), Ok(String::new()));
    assert_eq!(note(&"x".repeat(201)), Err(RuleError::DeviceNoteInvalid));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Stock,
    Deliver,
    Bound,
    Unbound,
    Suspend,
    Resume,
    Retire,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    prop_oneof![
        Just(Stock),
        Just(Deliver),
        Just(Bound),
        Just(Unbound),
        Just(Suspend),
        Just(Resume),
        Just(Retire)
    ]
}

fn take(device: Device, step: Step) -> Result<Device, RuleError> {
    match step {
        Step::Stock => device.take_into_stock(),
        Step::Deliver => device.deliver(ORGANIZATION),
        Step::Bound => device.bound(),
        Step::Unbound => device.unbound(),
        Step::Suspend => device.suspend(),
        Step::Resume => device.resume(),
        Step::Retire => device.retire(),
    }
}

proptest! {
    #[test]
    fn no_order_of_steps_breaks_the_life_cycle(steps in proptest::collection::vec(step(), 0..40)) {
        let mut device = Device::manufactured();
        let mut unbindings = 0;
        for step in steps {
            let before = device;
            let Ok(after) = take(device, step) else { continue };
            device = after;
            unbindings += u32::from(before.life == Life::Bound && device.life == Life::Unbound);
            prop_assert_eq!(device.generation, unbindings);
            prop_assert_eq!(device.suspended_from.is_some(), device.life == Life::Suspended);
            prop_assert!(before.life != Life::Retired);
            if matches!(device.life, Life::Bound | Life::Unbound) {
                prop_assert!(device.organization.is_some());
            }
        }
    }
}
