//! From an order's row to the ticket a device obeys. Pure.

use sealgate_codec::{
    DeviceId,
    ticket::{Area, Args, ConfigArgs, GrantArgs, GrantFlags, Ticket, UseMode, Vertex},
};
use sealgate_domain::Millis;

use crate::app::{
    command::Unsigned,
    order::{GrantOrder, Order, OrderRegion},
};

/// The payload to sign; none when the order cannot be put into a ticket.
pub(super) fn payload(command: &Unsigned, now: Millis) -> Option<Vec<u8>> {
    let order = command.order.as_ref()?;
    let device = DeviceId::new(command.device.0);
    let ticket = Ticket::new(
        device,
        command.generation,
        command.counter,
        now.seconds(),
        args(order)?,
    );
    let until = command.expires_at.map(Millis::seconds);
    let from = match order {
        // A window that is open already is left open on this side: the seal's clock runs up to a second behind ours.
        Order::Grant(grant) => {
            Some(Millis(grant.not_before).seconds()).filter(|from| *from > now.seconds())
        }
        _ => None,
    };
    Some(ticket.with_window(from, until).payload())
}

fn args(order: &Order) -> Option<Args> {
    Some(match order {
        Order::Lock {} => Args::Lock { reason: None },
        Order::Unlock {} => Args::Unlock { reason: None },
        Order::Grant(grant) => Args::Grant(grant_args(grant)),
        Order::End { no, .. } => Args::End {
            grant: *no,
            reason: None,
        },
        Order::Config {
            version,
            backlight_s,
            auto_off_min,
        } => Args::Config(ConfigArgs {
            version: *version,
            backlight: Some(u8::try_from(*backlight_s).ok()?),
            auto_off: Some(u8::try_from(*auto_off_min).ok()?),
            keepalive: None,
            heartbeat: None,
        }),
        Order::Bind { .. } => Args::Bind,
        Order::Unbind {} => Args::Unbind,
        Order::Offline { on, .. } => Args::Offline { on: *on },
        Order::Locate {} => Args::Locate,
        Order::Reboot {} => Args::Reboot,
        Order::KeySet { key_set, .. } => Args::KeySet {
            key_set: data_encoding::BASE64.decode(key_set.as_bytes()).ok()?,
        },
    })
}

fn grant_args(grant: &GrantOrder) -> GrantArgs {
    GrantArgs {
        no: grant.no,
        max: grant.max,
        mode: UseMode::Physical,
        flags: GrantFlags(grant.flags),
        area: grant.region.as_ref().map(area),
        fingerprints: None,
        activation: None,
        user: grant.user,
        offline: None,
    }
}

fn area(region: &OrderRegion) -> Area {
    let vertex = |lat_e7: i32, lon_e7: i32| Vertex { lat_e7, lon_e7 };
    match region {
        OrderRegion::Circle {
            lat_e7,
            lon_e7,
            radius_m,
        } => Area::Circle {
            center: vertex(*lat_e7, *lon_e7),
            radius: *radius_m,
        },
        OrderRegion::Polygon { corners } => {
            Area::Polygon(corners.iter().map(|&(lat, lon)| vertex(lat, lon)).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use sealgate_codec::ticket::Op;
    use sealgate_domain::{CommandId, DeviceId as Id};
    use uuid::Uuid;

    use super::*;

    fn unsigned(order: Order, expires_at: Option<Millis>) -> Unsigned {
        Unsigned {
            id: CommandId(Uuid::nil()),
            device: Id([1; 8]),
            counter: 7,
            generation: 2,
            key_set: 1,
            expires_at,
            order: Some(order),
        }
    }

    fn decoded(order: Order, expires_at: Option<Millis>) -> Ticket {
        let payload = payload(&unsigned(order, expires_at), Millis(5_000_999)).unwrap();
        Ticket::decode(&payload).unwrap()
    }

    #[test]
    fn a_lock_is_for_one_device_one_generation_one_counter_and_never_expires() {
        let ticket = decoded(Order::Lock {}, None);
        assert_eq!(ticket.dev, DeviceId::new([1; 8]));
        assert_eq!((ticket.op, ticket.ctr, ticket.generation), (Op::Lock, 7, 2));
        assert_eq!((ticket.iat, ticket.nbf, ticket.exp), (5_000, None, None));
    }

    #[test]
    fn a_window_that_is_open_when_signed_carries_its_end_only() {
        let ticket = decoded(Order::Grant(grant(5_000_000)), Some(Millis(7_000_000)));
        assert_eq!((ticket.nbf, ticket.exp), (None, Some(7_000)));
    }

    fn grant(not_before: i64) -> GrantOrder {
        GrantOrder {
            grant: Uuid::nil(),
            no: 9,
            user: 3,
            max: 0,
            flags: 16,
            not_before,
            not_after: 7_000_000,
            region: Some(OrderRegion::Circle {
                lat_e7: 1,
                lon_e7: 2,
                radius_m: 50,
            }),
        }
    }

    #[test]
    fn a_grant_carries_its_window_and_an_unlimited_one_says_zero() {
        let ticket = decoded(Order::Grant(grant(6_000_000)), Some(Millis(7_000_000)));
        assert_eq!((ticket.nbf, ticket.exp), (Some(6_000), Some(7_000)));
        let Args::Grant(args) = ticket.args else {
            panic!("a grant");
        };
        assert_eq!((args.no, args.user, args.max), (9, 3, 0));
        assert!(args.area.is_some());
    }

    #[test]
    fn what_no_ticket_can_say_is_not_signed() {
        let order = Order::Config {
            version: 1,
            backlight_s: 1_000,
            auto_off_min: 0,
        };
        assert_eq!(payload(&unsigned(order, None), Millis(0)), None);
    }
}
