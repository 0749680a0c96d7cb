//! Whatever happens in whatever order: no press is lost, none is doubled, none is called what it was not.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sealgate_codec::{
    abnormal::classify_with,
    ticket::{Args, GrantFlags},
};

use super::{super::*, world::World};

#[derive(Debug, Clone)]
enum Op {
    Press { stretched: bool, times: u8 },
    PressWhilePowerFails,
    Key(u8),
    Power,
    Cut,
    ArmCut(u32),
    Restart,
    Drop,
    Coverage(bool),
    Doubling(bool),
    Mute(bool),
    Pass(u64),
    Grant { max: u16 },
    End,
    Lock(bool),
    Offline(bool),
    ClockJump(i64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (any::<bool>(), 1..4_u8).prop_map(|(stretched, times)| Op::Press { stretched, times }),
        1 => Just(Op::PressWhilePowerFails),
        1 => prop::sample::select(vec![1_u8, 3, 5]).prop_map(Op::Key),
        2 => Just(Op::Power),
        1 => Just(Op::Cut),
        2 => (1..6_u32).prop_map(Op::ArmCut),
        2 => Just(Op::Restart),
        2 => Just(Op::Drop),
        2 => any::<bool>().prop_map(Op::Coverage),
        1 => any::<bool>().prop_map(Op::Doubling),
        1 => any::<bool>().prop_map(Op::Mute),
        6 => prop_oneof![1..900_u64, 1_000..30_000_u64, 60_000..5_000_000_u64].prop_map(Op::Pass),
        2 => (0..5_u16).prop_map(|max| Op::Grant { max }),
        1 => Just(Op::End),
        2 => any::<bool>().prop_map(Op::Lock),
        2 => any::<bool>().prop_map(Op::Offline),
        1 => (-100_000..100_000_i64).prop_map(Op::ClockJump),
    ]
}

fn run(world: &mut World, op: &Op) {
    match op {
        Op::Press { stretched, times } => {
            for _ in 0..*times {
                world.act(Input::Press(Press {
                    stretched: *stretched,
                    power_fails: false,
                }));
                world.pass(300);
            }
        }
        Op::PressWhilePowerFails => world.act(Input::Press(Press {
            stretched: true,
            power_fails: true,
        })),
        Op::Key(presses) => world.act(Input::Keys(*presses)),
        Op::Power => world.act(Input::PowerKey),
        Op::Cut => world.act(Input::PowerCut),
        Op::ArmCut(writes) => world.act_alone(Input::ArmPowerCut(*writes)),
        Op::Restart => {
            world.act(Input::PowerCut);
            world.act(Input::PowerKey);
        }
        Op::Drop => world.drop_link(),
        Op::Coverage(covered) => {
            world.covered = *covered;
            if !covered {
                world.drop_link();
            }
        }
        Op::Doubling(on) => world.doubling = *on,
        Op::Mute(on) => world.platform.mute = *on,
        Op::Pass(ms) => world.pass(*ms),
        Op::Grant { max } => {
            let now = world.now;
            let order = world.platform.grant(now, *max, GrantFlags::OFFLINE_ALLOWED);
            world.deliver(order);
        }
        Op::End => {
            let grant = world.platform.grant_no();
            world.order(Args::End {
                grant,
                reason: None,
            });
        }
        Op::Lock(true) => world.order(Args::Lock { reason: None }),
        Op::Lock(false) => world.order(Args::Unlock { reason: None }),
        Op::Offline(on) => world.order(Args::Offline { on: *on }),
        Op::ClockJump(seconds) => world.act(Input::ClockJump(*seconds)),
    }
}

/// The armed cut may strike while healing; a healthy seal must come out of it all the same.
fn heal(world: &mut World) {
    if world
        .seal
        .ram
        .as_ref()
        .is_some_and(|ram| ram.mode == Mode::Ble)
    {
        world.act(Input::Keys(5));
    }
    world.heal();
}

fn check(world: &World) -> Result<(), TestCaseError> {
    let truth = world.seal.truth();
    let stored = &world.platform.stored;
    let counted: u32 = world
        .seal
        .flash()
        .log
        .counted()
        .iter()
        .map(|n| u32::from(*n))
        .sum();
    prop_assert_eq!(truth.presses.len(), stored.len() + counted as usize);
    let mut normal: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
    for press in truth.records() {
        let seq = press.seq.unwrap_or_default();
        let entry = stored.get(&seq);
        prop_assert!(entry.is_some(), "lost: {:?}", press);
        let record = entry.expect("just seen").record;
        let ten = press.kind == Some(10);
        let shown = classify_with(record.facts, ten).map(|kind| kind.number());
        prop_assert_eq!(shown, press.kind, "{:?}", press);
        prop_assert_eq!(
            (record.n, record.auth, record.boot),
            (press.n, press.grant, press.boot)
        );
        if press.normal() {
            prop_assert!(
                !press.conditions.locked,
                "stamped while locked: {:?}",
                press
            );
            normal.entry(press.grant).or_default().push(press.n);
        }
    }
    for (grant, counts) in normal {
        let expected: Vec<u16> = (1..=counts.len() as u16).collect();
        prop_assert_eq!(counts, expected, "grant {}", grant);
    }
    Ok(())
}

/// A normal stamp never goes beyond the grant it ran under.
fn check_limits(world: &World, limits: &BTreeMap<u32, u16>) -> Result<(), TestCaseError> {
    for press in world.seal.truth().records().filter(|press| press.normal()) {
        let max = limits.get(&press.grant).copied().unwrap_or(0);
        prop_assert!(max == 0 || press.n <= max, "{:?} of {}", press, max);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_loses_doubles_or_misnames_a_press(
        seed in any::<u64>(),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut world = World::granted(seed, 4);
        let mut limits = BTreeMap::from([(world.platform.grant_no(), 4)]);
        for op in &ops {
            run(&mut world, op);
            if let Op::Grant { max } = op {
                limits.insert(world.platform.grant_no(), *max);
            }
        }
        heal(&mut world);
        check(&world)?;
        check_limits(&world, &limits)?;
    }
}
