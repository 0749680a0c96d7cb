//! Framing: ATT values, serial frames, streams, advertisements.

use proptest::{collection::vec, prelude::*};
use sealgate_codec::link::FrameError;
use sealgate_codec::{
    edge::{MAX_CONTROL, MAX_SEAL_FRAME, StreamDecoder, StreamError, stream_frame},
    link::{
        Advert, AdvertState, Framer, Framing, MAX_PACKET, MAX_SEGMENT, MAX_VALUES, PACKET_OVERHEAD,
        Packet, PacketKind, Penalties, advert_id, crc32c,
        fragment::{MAX_MTU, MIN_MTU, Reassembler, capacity, fragment, value_size},
        uart::{UartDecoder, cobs_decode, cobs_encode, uart_frame},
    },
    message::MAX_MESSAGE,
};

use crate::link_samples::{ADVERT_KEY, advert, info};

fn packet(bytes: Vec<u8>) -> Packet {
    Packet {
        kind: PacketKind::Transport,
        bytes,
    }
}

fn line(decoder: &mut UartDecoder, bytes: &[u8]) -> Vec<Result<Packet, FrameError>> {
    bytes
        .iter()
        .filter_map(|byte| decoder.push(*byte))
        .collect()
}

#[test]
fn the_checksum_is_castagnolis() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(b""), 0);
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
}

#[test]
fn a_value_is_never_longer_than_the_mtu_allows() {
    assert_eq!(value_size(MIN_MTU), 20);
    assert_eq!(value_size(247), 244);
    assert_eq!(value_size(MAX_MTU), 512);
    assert_eq!(value_size(0), 20);
    assert_eq!(value_size(u16::MAX), 512);
    for mtu in MIN_MTU..=MAX_MTU {
        for length in [0, 1, 17, 18, 19, 34, 35, 243, 600, MAX_PACKET] {
            let values = fragment(&packet(vec![7; length]), mtu, &mut 0);
            assert!(values.iter().all(|value| value.len() <= value_size(mtu)));
        }
    }
}

#[test]
fn the_capacity_of_values_is_exact() {
    for mtu in MIN_MTU..=MAX_MTU {
        for values in 1..=MAX_VALUES {
            let longest = capacity(mtu, values);
            let count = |length| fragment(&packet(vec![0; length]), mtu, &mut 0).len();
            assert_eq!(count(longest), values, "MTU {mtu}");
            assert_eq!(count(longest + 1), values + 1, "MTU {mtu}");
        }
        let segment = Framer::new(Framing::Ble { mtu }).segment_size();
        assert!((1..=MAX_SEGMENT).contains(&segment), "MTU {mtu}: {segment}");
        assert!(segment + PACKET_OVERHEAD <= MAX_PACKET);
    }
}

#[test]
fn a_value_that_is_lost_twice_or_out_of_order_never_changes_a_packet() {
    let bytes: Vec<u8> = (0..90).collect();
    let values = fragment(&packet(bytes.clone()), 23, &mut 250);
    assert_eq!(values.len(), 6);
    let feed = |order: &[usize]| -> Vec<Result<Option<Packet>, FrameError>> {
        let mut reassembler = Reassembler::default();
        order
            .iter()
            .map(|index| reassembler.push(&values[*index], 0))
            .collect()
    };
    let whole = Ok(Some(packet(bytes)));
    assert_eq!(feed(&[0, 1, 2, 3, 4, 5])[5], whole);
    // Twice in a row counts once.
    assert_eq!(feed(&[0, 0, 1, 1, 2, 3, 3, 4, 5])[8], whole);
    assert_eq!(feed(&[0, 1, 3, 4, 5])[2], Err(FrameError::Order));
    assert_eq!(feed(&[1, 2])[0], Err(FrameError::Order));
    assert_eq!(feed(&[0, 2, 1])[1], Err(FrameError::Order));
    // A new first drops the old.
    assert_eq!(feed(&[0, 1, 2, 0, 1, 2, 3, 4, 5])[8], whole);
}

#[test]
fn the_rest_of_a_packet_must_come_in_time() {
    let values = fragment(&packet(vec![1; 40]), 23, &mut 0);
    let mut reassembler = Reassembler::default();
    assert_eq!(reassembler.push(&values[0], 100), Ok(None));
    let late = 100 + Reassembler::TIMEOUT + 1;
    assert_eq!(reassembler.push(&values[1], late), Err(FrameError::Late));
}

#[test]
fn values_that_lie_about_lengths_are_refused() {
    let push = |value: &[u8]| Reassembler::default().push(value, 0);
    assert_eq!(push(&[]), Err(FrameError::Short));
    assert_eq!(push(&[0x41]), Err(FrameError::Short));
    assert_eq!(push(&[0x41, 0, 0]), Err(FrameError::Short));
    assert_eq!(push(&[0x41, 0, 0, 2, 1, 2]), Err(FrameError::Length));
    assert_eq!(push(&[0x41, 0, 0xff, 0xff, 1]), Err(FrameError::TooLong));
    assert_eq!(push(&[0x02, 0, 1]), Err(FrameError::Kind));
    assert_eq!(push(&[0; 513]), Err(FrameError::TooLong));
    let mut reassembler = Reassembler::default();
    assert_eq!(reassembler.push(&[0x41, 0, 0, 4, 1, 2], 0), Ok(None));
    assert_eq!(
        reassembler.push(&[0xc1, 1, 3], 0),
        Err(FrameError::Length),
        "the last fragment comes before the length is reached"
    );
}

#[test]
fn cobs_stuffs_as_published() {
    let block: Vec<u8> = (1..=254).collect();
    let cases: [(&[u8], &[u8]); 6] = [
        (&[], &[1]),
        (&[0], &[1, 1]),
        (&[0, 0], &[1, 1, 1]),
        (&[1, 2, 0, 3], &[3, 1, 2, 2, 3]),
        (&[1, 0, 0, 0], &[2, 1, 1, 1, 1]),
        (&block, &[&[255], &block[..]].concat()),
    ];
    for (plain, stuffed) in cases {
        assert_eq!(cobs_encode(plain), stuffed);
        assert_eq!(cobs_decode(stuffed).as_deref(), Ok(plain));
    }
    let with_zero = [&block[..], &[0]].concat();
    assert_eq!(cobs_decode(&cobs_encode(&with_zero)), Ok(with_zero));
    assert_eq!(cobs_decode(&[0]), Err(FrameError::Cobs));
    assert_eq!(cobs_decode(&[3, 1]), Err(FrameError::Cobs));
    assert_eq!(cobs_decode(&[3, 1, 0]), Err(FrameError::Cobs));
}

#[test]
fn a_receiver_that_joins_late_is_in_step_at_the_next_frame() {
    let mut sequence = 0;
    let first = uart_frame(&packet(vec![1, 0, 2]), &mut sequence);
    let second = uart_frame(&packet(vec![3; 300]), &mut sequence);
    let mut decoder = UartDecoder::default();
    let mut bytes = first[2..].to_vec();
    bytes.extend([0, 0, 0]);
    bytes.extend(&second);
    let got = line(&mut decoder, &bytes);
    assert_eq!(got.len(), 2);
    assert!(got[0].is_err());
    assert_eq!(got[1], Ok(packet(vec![3; 300])));
}

#[test]
fn a_line_without_end_costs_no_more_than_one_frame() {
    let mut decoder = UartDecoder::default();
    for _ in 0..100_000 {
        assert_eq!(decoder.push(0x55), None);
    }
    assert_eq!(decoder.push(0), Some(Err(FrameError::TooLong)));
    let frame = uart_frame(&packet(vec![9; MAX_PACKET]), &mut 0);
    assert_eq!(
        line(&mut decoder, &frame),
        [Ok(packet(vec![9; MAX_PACKET]))]
    );
    let frame = uart_frame(&packet(vec![9; MAX_PACKET + 1]), &mut 0);
    assert_eq!(line(&mut decoder, &frame), [Err(FrameError::TooLong)]);
}

#[test]
fn the_line_counts_what_it_lost() {
    let mut sequence = 254;
    let frames: Vec<_> = (0..5)
        .map(|number| uart_frame(&packet(vec![number]), &mut sequence))
        .collect();
    let mut decoder = UartDecoder::default();
    for index in [0, 2, 2, 4] {
        line(&mut decoder, &frames[index]);
    }
    assert_eq!(decoder.lost(), 2);
}

#[test]
fn a_stream_ends_at_a_frame_it_does_not_allow() {
    let mut stream = StreamDecoder::new(MAX_SEAL_FRAME);
    assert_eq!(stream.take(&[0, 0]), Err(StreamError::Empty));
    let mut stream = StreamDecoder::new(MAX_SEAL_FRAME);
    let length = u16::try_from(MAX_SEAL_FRAME + 1).unwrap().to_be_bytes();
    assert!(matches!(
        stream.take(&length),
        Err(StreamError::TooLong { .. })
    ));
    const { assert!(MAX_MESSAGE + 20 <= MAX_SEAL_FRAME) };
    let mut stream = StreamDecoder::new(MAX_CONTROL);
    let longest = stream_frame(&vec![1; MAX_CONTROL]);
    assert_eq!(
        stream.take(&longest),
        Ok((longest.len(), Some(vec![1; MAX_CONTROL])))
    );
    assert_eq!(stream.take(&longest[..5]), Ok((5, None)));
    assert!(!stream.is_between_frames());
}

#[test]
fn an_advertisement_is_known_by_whoever_has_the_key() {
    let day = crate::keys::NOW / 86_400;
    let advert = advert();
    assert!(advert.is_of(&ADVERT_KEY, day));
    assert!(advert.is_of(&ADVERT_KEY, day + 1));
    assert!(advert.is_of(&ADVERT_KEY, day - 1));
    assert!(!advert.is_of(&ADVERT_KEY, day + 2));
    assert!(!advert.is_of(&[0; 32], day));
    let timeless = Advert {
        id: advert_id(&ADVERT_KEY, 0),
        ..advert
    };
    assert!(timeless.is_of(&ADVERT_KEY, day));
    assert!(advert.state.wants_link());
    assert!(!AdvertState(AdvertState::LOCKED).wants_link());
    assert_eq!(Advert::decode(&advert.encode()), Ok(advert));
    // Later versions may say more.
    let longer = [&advert.encode()[..], &[1, 2]].concat();
    assert_eq!(Advert::decode(&longer), Ok(advert));
    let data = advert.advertising_data();
    assert!(data.len() <= 31);
    assert_eq!(usize::from(data[3]), data.len() - 4);
    assert_eq!(Advert::decode(&data[7..]), Ok(advert));
    assert_eq!(
        sealgate_codec::link::BleInfo::decode(&info().encode()),
        Ok(info())
    );
}

#[test]
fn a_stranger_waits_ever_longer_and_at_most_a_minute() {
    let mut penalties = Penalties::new();
    let (stranger, other) = ([1; 6], [2; 6]);
    let mut now = 0;
    let mut waits = vec![];
    for _ in 0..8 {
        let wait = penalties.refuse(stranger, now);
        assert!(penalties.keeps_out(stranger, now + wait - 1));
        assert!(!penalties.keeps_out(stranger, now + wait));
        assert!(!penalties.keeps_out(other, now));
        waits.push(wait / 1000);
        now += wait;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(penalties.refuse(stranger, now + 300_000), 1000);
    penalties.forgive(stranger);
    assert!(!penalties.keeps_out(stranger, now + 300_000));
    for address in 0..100 {
        penalties.refuse([address; 6], now);
    }
    assert!(penalties.keeps_out([99; 6], now));
}

proptest! {
    #[test]
    fn every_packet_survives_values_of_any_mtu(bytes in vec(any::<u8>(), 0..MAX_PACKET), mtu in MIN_MTU..=MAX_MTU, start: u8) {
        let mut sequence = start;
        let mut reassembler = Reassembler::default();
        let packet = packet(bytes);
        let values = fragment(&packet, mtu, &mut sequence);
        prop_assert_eq!(usize::from(sequence.wrapping_sub(start)), values.len() % 256);
        let whole: Vec<_> = values.iter().filter_map(|value| reassembler.push(value, 0).unwrap()).collect();
        prop_assert_eq!(whole, [packet]);
    }

    #[test]
    fn every_packet_survives_a_line_in_pieces(packets in vec(vec(any::<u8>(), 0..600), 1..5)) {
        let mut sequence = 0;
        let mut decoder = UartDecoder::default();
        let mut got = vec![];
        for bytes in &packets {
            let frame = uart_frame(&packet(bytes.clone()), &mut sequence);
            prop_assert!(!frame[..frame.len() - 1].contains(&0));
            got.extend(line(&mut decoder, &frame));
        }
        let sent: Vec<_> = packets.into_iter().map(|bytes| Ok(packet(bytes))).collect();
        prop_assert_eq!(got, sent);
        prop_assert_eq!(decoder.lost(), 0);
    }

    #[test]
    fn a_changed_line_gives_no_changed_packet(bytes in vec(any::<u8>(), 1..200), place: prop::sample::Index, bit in 0..8_u8) {
        let packet = packet(bytes);
        let mut frame = uart_frame(&packet, &mut 0);
        let place = place.index(frame.len());
        frame[place] ^= 1 << bit;
        frame.push(0);
        let got = line(&mut UartDecoder::default(), &frame);
        prop_assert!(got.iter().all(|got| got.as_ref().is_err() || got.as_ref() == Ok(&packet)), "{got:?}");
    }

    #[test]
    fn cobs_gives_back_any_bytes(bytes in vec(prop_oneof![Just(0_u8), Just(1_u8), any::<u8>()], 0..800)) {
        let stuffed = cobs_encode(&bytes);
        prop_assert!(!stuffed.contains(&0));
        prop_assert!(stuffed.len() <= bytes.len() + bytes.len() / 254 + 1);
        prop_assert_eq!(cobs_decode(&stuffed), Ok(bytes));
    }
}
