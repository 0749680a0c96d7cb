//! One rule, one test.

use sealgate_codec::{
    ErrorCode, Message,
    message::CmdStatus,
    ticket::{Args, ConfigArgs, GrantArgs, GrantFlags, UseMode},
};

use super::{
    super::*,
    world::{DAWN, World, seconds},
};

fn unstretched() -> Input {
    Input::Press(Press::default())
}

#[test]
fn a_granted_press_is_recorded_acknowledged_and_shown() {
    let mut world = World::granted(1, 3);
    assert_eq!(world.seal.screen_text(), "0/3");
    let press = world.press();
    assert_eq!((press.kind, press.n, press.seq), (None, 1, Some(1)));
    assert_eq!(world.seal.screen_text(), "1/3");
    assert_eq!(world.seal.unsent(), 0);
    assert_eq!(world.platform.stored.len(), 1);
    assert!(world.seal.truth().presses[0].acked_at_ms.is_some());
}

#[test]
fn a_seal_without_a_lease_of_this_boot_never_stamps_as_normal() {
    let mut world = World::granted(2, 0);
    world.act(Input::PowerCut);
    world.covered = false;
    world.act(Input::PowerKey);
    let press = world.press();
    assert_eq!(press.kind, Some(3));
    assert_eq!(world.seal.screen_text(), "restricted");
    world.covered = true;
    world.pass(120_000);
    assert_eq!(world.press().kind, None);
}

#[test]
fn offline_mode_stamps_without_a_lease_and_everything_arrives_later() {
    let mut world = World::granted(3, 0);
    world.order(Args::Offline { on: true });
    world.covered = false;
    world.drop_link();
    for _ in 0..7 {
        world.act(Input::PowerCut);
        world.pass(8 * 3_600_000);
        world.act(Input::PowerKey);
        for _ in 0..10 {
            world.pass(60_000);
            assert_eq!(world.press().kind, None);
        }
    }
    assert_eq!(world.seal.unsent(), 70);
    world.heal();
    assert_eq!(world.platform.stored.len(), 70);
}

#[test]
fn a_lease_that_ran_out_restricts_the_seal() {
    let mut world = World::granted(4, 0);
    world.covered = false;
    world.drop_link();
    assert_eq!(world.press().kind, None);
    world.pass(3_601_000);
    world.act(unstretched());
    assert_eq!(
        world.seal.last_press().map(|press| press.kind),
        Some(Some(3))
    );
}

#[test]
fn a_lease_is_renewed_while_the_session_lasts() {
    let mut world = World::granted(5, 0);
    for _ in 0..6 {
        world.pass(3_000_000);
        assert!(world.seal.is_leased());
    }
    assert_eq!(world.press().kind, None);
}

#[test]
fn a_lock_makes_every_press_kind_four_until_it_is_released() {
    let mut world = World::granted(6, 0);
    world.order(Args::Lock { reason: None });
    assert_eq!(world.seal.screen_text(), "locked");
    assert_eq!(world.press().kind, Some(4));
    assert_eq!(world.platform.alarms, 1);
    world.order(Args::Unlock { reason: None });
    assert_eq!(world.press().kind, None);
}

#[test]
fn a_press_before_a_lock_that_was_issued_while_off_is_kind_ten() {
    let mut world = World::granted(7, 0);
    world.act(Input::PowerCut);
    let now = world.now;
    world
        .platform
        .order(now, Args::Lock { reason: None }, (None, None));
    world.pass(10_000);
    world.covered = false;
    world.act(Input::PowerKey);
    world.press();
    world.covered = true;
    world.pass(120_000);
    assert!(world.seal.flash().locked);
    assert_eq!(world.seal.truth().presses[0].kind, Some(10));
}

#[test]
fn the_ten_conditions_give_their_kinds() {
    let mut world = World::bound(8);
    world.pass(2_000);
    assert_eq!(world.press().kind, Some(3), "no grant");
    assert_eq!(world.press().kind, Some(7), "quick, before the first grant");
    let now = world.now;
    let grant = world.platform.grant(now, 1, 0);
    world.deliver(grant);
    world.pass(2_000);
    assert_eq!(world.press().kind, None);
    world.pass(2_000);
    assert_eq!(world.press().kind, Some(1), "over count");
    assert_eq!(world.press().kind, Some(6), "over count, quick");
    world.pass(2_000);
    world.act(Input::Keys(3));
    assert_eq!(
        world.press().kind,
        Some(1),
        "over count wins over the screen"
    );
    world.pass(12_000);
    let no = world.platform.grant_no();
    world.order(Args::End {
        grant: no,
        reason: None,
    });
    world.act(Input::Keys(3));
    assert_eq!(world.press().kind, Some(8), "QR code");
    world.pass(12_000);
    world.act(Input::Keys(1));
    assert_eq!(world.press().kind, Some(9), "screen off");
    world.act(Input::PowerKey);
    assert_eq!(world.press().kind, Some(5), "shutting down");
    world.pass(3_000);
    assert!(!world.seal.is_on());
}

#[test]
fn a_grant_whose_time_is_over_is_outside_time() {
    let mut world = World::granted(9, 0);
    world.pass(8 * 86_400_000);
    world.act(unstretched());
    assert_eq!(
        world.seal.last_press().map(|press| press.kind),
        Some(Some(2))
    );
}

#[test]
fn a_finger_is_needed_until_the_screen_goes_dark() {
    let mut world = World::bound(10);
    world.order(Args::FpEnrol {
        slot: 2,
        user: 1,
        presses: Some(6),
    });
    world.pass(3_000);
    assert_eq!(world.seal.screen_text(), "saved");
    let last = world.platform.answers.last().copied();
    assert_eq!(last.map(|ack| ack.status), Some(CmdStatus::Applied));
    let now = world.now;
    let grant = world.platform.grant(now, 0, GrantFlags::FINGERPRINT);
    world.deliver(grant);
    world.pass(2_000);
    assert_eq!(world.press().conditions.right, Right::NoFinger);
    world.act(Input::Finger(2));
    assert_eq!(world.press().kind, None);
    world.pass(40_000);
    assert_eq!(world.press().conditions.right, Right::NoFinger);
}

#[test]
fn settings_reach_the_device_and_are_reported() {
    let mut world = World::bound(11);
    world.order(Args::Config(ConfigArgs {
        version: 4,
        backlight: Some(0),
        auto_off: Some(1),
        keepalive: None,
        heartbeat: Some(60),
    }));
    assert_eq!(world.seal.flash().settings.version, 4);
    world.pass(50_000);
    assert!(world.seal.is_on());
    world.pass(20_000);
    assert!(!world.seal.is_on(), "left alone for a minute");
}

#[test]
fn unbinding_is_refused_while_locked_and_clears_the_seal_otherwise() {
    let mut world = World::granted(12, 1);
    world.order(Args::Lock { reason: None });
    world.order(Args::Unbind);
    let refused = world.platform.answers.last().and_then(|ack| ack.err);
    assert_eq!(refused, Some(ErrorCode::Locked));
    world.order(Args::Unlock { reason: None });
    world.press();
    world.order(Args::Unbind);
    assert!(!world.seal.flash().bound);
    assert_eq!(world.seal.flash().generation, 1);
    assert!(world.seal.flash().grant.is_none());
}

#[test]
fn a_ticket_sent_twice_gets_the_same_answer_and_acts_once() {
    let mut world = World::granted(13, 5);
    world.press();
    let now = world.now;
    let grant = world.platform.grant(now, 5, 0);
    world.deliver(grant.clone());
    world.press();
    world.deliver(grant);
    assert_eq!(world.seal.flash().grant.as_ref().map(|g| g.used), Some(1));
    let answers: Vec<_> = world.platform.answers.iter().rev().take(2).collect();
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_grant_sent_again_under_another_counter_keeps_what_was_used() {
    let mut world = World::granted(14, 5);
    world.press();
    world.press();
    let held = world.seal.flash().grant.clone().unwrap();
    let args = GrantArgs {
        no: held.no,
        max: held.max,
        mode: UseMode::Physical,
        flags: GrantFlags(0),
        area: None,
        fingerprints: None,
        activation: None,
        user: held.user,
        offline: None,
    };
    world.order(Args::Grant(args));
    assert_eq!(world.seal.flash().grant.as_ref().map(|g| g.used), Some(2));
    assert_eq!(world.press().n, 3);
}

#[test]
fn a_full_log_counts_presses_and_keeps_room_for_abnormal_ones() {
    let mut world = World::granted(14, 0);
    world.order(Args::Offline { on: true });
    world.covered = false;
    world.drop_link();
    for _ in 0..803 {
        world.pass(1_100);
        world.press();
    }
    assert_eq!(world.seal.unsent(), 800);
    assert_eq!(world.seal.screen_text(), "storage full");
    assert_eq!(world.seal.flash().log.counted()[0], 3);
    assert_eq!(world.seal.truth().counted(), 3);
    world.act(Input::PowerKey);
    for _ in 0..20 {
        world.press();
    }
    assert_eq!(world.seal.unsent(), 816, "the reserve");
    assert_eq!(world.seal.flash().log.counted()[5], 4);
    world.heal();
    assert_eq!(world.platform.stored.len(), 816);
}

#[test]
fn a_power_cut_right_after_the_write_keeps_the_press() {
    let mut world = World::granted(15, 2);
    world.act_alone(Input::ArmPowerCut(1));
    world.act(Input::Press(Press::proper()));
    assert!(!world.seal.is_on());
    assert_eq!(world.seal.unsent(), 1);
    world.heal();
    assert_eq!(world.platform.stored.len(), 1);
    assert_eq!(world.seal.flash().grant.as_ref().map(|g| g.used), Some(1));
}

#[test]
fn a_power_cut_before_the_write_leaves_no_press() {
    let mut world = World::granted(16, 2);
    world.act(Input::Press(Press {
        stretched: true,
        power_fails: true,
    }));
    assert_eq!(world.seal.truth().unfelt, 1);
    assert!(world.seal.truth().presses.is_empty());
}

#[test]
fn a_lost_acknowledgement_is_repaired_by_sending_again() {
    let mut world = World::granted(17, 0);
    world.platform.mute = true;
    world.press();
    assert_eq!(world.seal.unsent(), 1);
    world.platform.mute = false;
    world.pass(21_000);
    assert_eq!(world.seal.unsent(), 0);
    assert_eq!(world.platform.stored.len(), 1);
}

#[test]
fn a_rolled_back_flash_is_noticed_and_sends_nothing() {
    let mut world = World::granted(18, 0);
    let old = world.seal.flash().clone();
    world.press();
    world.press();
    let now = world.now;
    world.seal.roll_back(old, now);
    world.act(Input::PowerKey);
    world.press();
    world.pass(60_000);
    assert_eq!(world.platform.stored.len(), 2);
    assert_eq!(world.seal.unsent(), 1);
}

#[test]
fn flash_survives_being_kept_in_a_file() {
    let mut world = World::granted(19, 9);
    world.covered = false;
    world.drop_link();
    world.press();
    let text = serde_json::to_string(world.seal.flash()).unwrap();
    let back: Flash = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
    assert_eq!(back.log.len(), 1);
}

#[test]
fn an_idle_seal_says_goodbye_when_it_is_turned_off() {
    let mut world = World::bound(20);
    world.act(Input::PowerKey);
    world.pass(3_000);
    let bye = world
        .platform
        .other
        .iter()
        .any(|message| matches!(message, Message::Bye(_)));
    assert!(bye);
}

#[test]
fn calls_back_off_while_there_is_no_coverage() {
    let mut world = World::bound(21);
    world.covered = false;
    world.drop_link();
    let before = world.connects;
    world.pass(3_600_000);
    let calls = world.connects - before;
    assert!((60..=400).contains(&calls), "{calls} calls in an hour");
}

#[test]
fn five_key_presses_change_the_radio_and_end_the_session() {
    let mut world = World::granted(22, 0);
    world.act(Input::Keys(5));
    assert!(!world.seal.is_online());
    world.pass(600_000);
    assert!(!world.seal.is_online());
    world.act(Input::Keys(5));
    world.pass(1_000);
    assert!(world.seal.is_online());
}

#[test]
fn a_region_binds_the_grant_to_its_place() {
    let mut world = World::bound(23);
    let now = world.now;
    let args = Args::Grant(GrantArgs {
        no: 9,
        max: 0,
        mode: UseMode::Physical,
        flags: GrantFlags(GrantFlags::REGION),
        area: Some(sealgate_codec::ticket::Area::Circle {
            center: sealgate_codec::ticket::Vertex {
                lat_e7: 312_000_000,
                lon_e7: 1_214_000_000,
            },
            radius: 200,
        }),
        fingerprints: None,
        activation: None,
        user: 1,
        offline: None,
    });
    let window = (Some(seconds(now) - 1), Some(seconds(DAWN) + 86_400));
    let order = world.platform.order(now, args, window);
    world.deliver(order);
    world.pass(2_000);
    assert_eq!(world.press().conditions.right, Right::OutOfRegion);
    world.act(Input::Move(Some(Place {
        lat: 31.2001,
        lon: 121.4,
        accuracy_m: 10,
    })));
    world.pass(2_000);
    assert_eq!(world.press().kind, None);
}
