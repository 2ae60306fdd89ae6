use proptest::prelude::*;

use super::*;

const MAX: u64 = 1_000;

/// A frame: its first byte, whether it is masked, and its payload.
fn frame(first: u8, is_masked: bool, payload: &[u8]) -> Vec<u8> {
    let mask = if is_masked { MASKED } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(mask | u8::try_from(short).unwrap()),
        middle @ 126..=65_535 => {
            bytes.push(mask | 0x7e);
            bytes.extend_from_slice(&u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(mask | 0x7f);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    if is_masked {
        bytes.extend_from_slice(&[1, 2, 3, 4]);
    }
    bytes.extend_from_slice(payload);
    bytes
}

fn server(reserved: ReservedBits) -> FrameFollower {
    FrameFollower::new(FramesOf::Server, reserved, MAX)
}

/// What passes of bytes that come in pieces, the fault, and what is missing of the last frame.
fn passed(follower: &mut FrameFollower, pieces: &[&[u8]]) -> (Vec<u8>, Option<FrameFault>, u64) {
    let mut out = Vec::new();
    for piece in pieces {
        let Followed { ahead, through, fault } = follower.follow(piece);
        out.extend_from_slice(ahead.as_slice());
        out.extend_from_slice(&piece[..through]);
        if fault.is_some() {
            return (out, fault, 0);
        }
    }
    (out, None, follower.left())
}

fn verdict(bytes: &[&[u8]]) -> Option<FrameFault> {
    passed(&mut server(ReservedBits::None), &[&bytes.concat()]).1
}

#[test]
fn what_breaks_the_framing_is_told() {
    let text = frame(0x81, false, b"hello");
    let cases: [(&[&[u8]], &str); 13] = [
        (&[&frame(0x81, true, b"x")], "with a mask"),
        (&[&text, &frame(0xc1, false, b"x")], "reserved bit"),
        (&[&frame(0xa1, false, b"x")], "reserved bit"),
        (&[&frame(0x83, false, b"")], "reserved opcode"),
        (&[&frame(0x8b, false, b"")], "reserved opcode"),
        (&[&frame(0x09, false, b"")], "in parts"),
        (&[&frame(0x89, false, &[0; 126])], "more than 125"),
        (&[&frame(0x80, false, b"")], "of no message"),
        (&[&frame(0x01, false, b"a"), &text], "inside of another"),
        (&[&frame(0x88, false, b"\x03\xe8"), &text], "behind a close"),
        (&[&frame(0x88, false, b"\x03")], "half a code"),
        (&[b"\x82\x7e\x00\x7d"], "shortest"),
        (&[b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"], "shortest"),
    ];
    for (bytes, told) in cases {
        let Some(FrameFault::Broken(detail)) = verdict(bytes) else { panic!("{told}") };
        assert!(detail.contains(told), "{detail}: {told}");
    }
    let huge = verdict(&[b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"]);
    assert_eq!(huge, Some(FrameFault::Broken("a length of more than 63 bits")));
    let mut client = FrameFollower::new(FramesOf::Client, ReservedBits::None, MAX);
    let unmasked = client.follow(&text).fault;
    assert_eq!(unmasked, Some(FrameFault::Broken("a frame of the client without a mask")));
}

#[test]
fn messages_in_parts_with_control_frames_between_them_pass() {
    let frames = [
        frame(0x01, false, b"a"),
        frame(0x89, false, b"ping"),
        frame(0x00, false, b"b"),
        frame(0x80, false, b""),
        frame(0x82, false, &[0; 200]),
        frame(0x88, false, b""),
        frame(0x8a, false, b"late"),
    ];
    let bytes = frames.concat();
    let mut follower = server(ReservedBits::None);
    assert_eq!(passed(&mut follower, &[&bytes]), (bytes, None, 0));
    assert!(follower.has_closed());
}

#[test]
fn the_longest_message_passes_and_a_longer_one_does_not() {
    let longest = usize::try_from(MAX).unwrap();
    let of = |length| frame(0x82, false, &vec![0; length]);
    assert_eq!(verdict(&[&of(longest), &of(longest)]), None);
    assert_eq!(verdict(&[&of(longest + 1)]), Some(FrameFault::TooLarge));
    let parts = [frame(0x02, false, &vec![0; longest]), frame(0x80, false, b"")];
    assert_eq!(verdict(&[&parts.concat()]), None);
    let parts = [frame(0x02, false, &vec![0; longest]), frame(0x80, false, b"x")];
    assert_eq!(verdict(&[&parts.concat()]), Some(FrameFault::TooLarge));
}

#[test]
fn reserved_bits_mean_what_was_agreed() {
    let with = |reserved, bytes: &[u8]| passed(&mut server(reserved), &[bytes]).1.is_none();
    let first = frame(0xc1, false, b"x");
    assert!(with(ReservedBits::Compressed, &first) && with(ReservedBits::All, &first));
    let parts = [frame(0x41, false, b"x"), frame(0xc0, false, b"x")].concat();
    assert!(!with(ReservedBits::Compressed, &parts) && with(ReservedBits::All, &parts));
    let second = frame(0xa1, false, b"x");
    assert!(!with(ReservedBits::Compressed, &second) && with(ReservedBits::All, &second));
    assert!(!with(ReservedBits::All, &frame(0xc9, false, b"")));
}

#[test]
fn half_a_header_is_held_back_and_goes_ahead_of_the_rest() {
    let bytes = frame(0x82, false, &[7; 300]);
    let mut follower = server(ReservedBits::None);
    assert_eq!(follower.follow(&bytes[..3]), Followed::default());
    assert_eq!(follower.left(), 0);
    let followed = follower.follow(&bytes[3..10]);
    assert_eq!((followed.ahead.as_slice(), followed.through), (&bytes[..3], 7));
    assert_eq!(follower.left(), 294);
}

#[test]
fn a_close_frame_of_ours_is_one_that_may_be_sent() {
    for of in [FramesOf::Client, FramesOf::Server] {
        let bytes = close_frame(of, 1_001, [9, 8, 7, 6]);
        let mut follower = FrameFollower::new(of, ReservedBits::None, MAX);
        assert_eq!(passed(&mut follower, &[&bytes]), (bytes.to_vec(), None, 0));
        assert!(follower.has_closed());
    }
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let sound = (
        prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8a, 0x88, 0xc1]),
        prop::bool::weighted(0.9),
        prop::collection::vec(any::<u8>(), 0..300),
    );
    let sound = sound.prop_map(|(first, is_masked, payload)| frame(first, is_masked, &payload));
    let noise = prop::collection::vec(any::<u8>(), 0..20);
    let part = prop_oneof![9 => sound, 1 => noise];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn however_the_bytes_are_split_the_same_passes_with_the_same_verdict(
        bytes in stream(),
        cuts in prop::collection::vec(0_usize..2_000, 0..12),
        reserved in prop::sample::select(vec![ReservedBits::None, ReservedBits::Compressed]),
    ) {
        let follower = || FrameFollower::new(FramesOf::Client, reserved, MAX);
        let whole = passed(&mut follower(), &[&bytes]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(passed(&mut follower(), &pieces), whole.clone());
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(passed(&mut follower(), &single), whole.clone());
        // What passes is a beginning of what came.
        prop_assert!(bytes.starts_with(&whole.0));
    }

    #[test]
    fn whatever_comes_the_follower_agrees_with_reading_frame_by_frame(bytes in stream()) {
        let mut follower = FrameFollower::new(FramesOf::Client, ReservedBits::Compressed, MAX);
        let (out, fault, left) = passed(&mut follower, &[&bytes]);
        let (naive, is_sound, missing) = read_frames(&bytes);
        prop_assert_eq!((out.len(), fault.is_none(), left), (naive, is_sound, missing));
    }
}

/// Reads whole frames the plain way: how much passes, whether all was sound, what is missing of
/// the last frame.
fn read_frames(bytes: &[u8]) -> (usize, bool, u64) {
    let (mut at, mut open, mut closed) = (0, None::<u64>, false);
    loop {
        let rest = &bytes[at..];
        let [first, second, ..] = rest else { return (at, true, 0) };
        let (fin, rsv, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        let is_control = opcode > 7;
        let is_known = matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10);
        let rsv_fits = rsv == 0 || (rsv == 0x40 && matches!(opcode, 1 | 2));
        let short = second & 0x7f;
        let order = match opcode {
            0 => open.is_some() && !closed,
            1 | 2 => open.is_none() && !closed,
            8 => short != 1,
            _ => true,
        };
        if second & 0x80 == 0 || !is_known || !rsv_fits || !order {
            return (at, false, 0);
        }
        if is_control && (!fin || short > 125) {
            return (at, false, 0);
        }
        let width = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if rest.len() < 2 + width + 4 {
            return (at, true, 0);
        }
        let long = rest[2..2 + width].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        let length = if width == 0 { u64::from(short) } else { long };
        let least = if width == 8 { 65_536 } else { 126 };
        if (width > 0 && length < least) || length > i64::MAX as u64 {
            return (at, false, 0);
        }
        if !is_control {
            let total = open.unwrap_or(0) + length;
            if total > MAX {
                return (at, false, 0);
            }
            open = (!fin).then_some(total);
        }
        closed |= opcode == 8;
        let end = (at + 2 + width + 4) as u64 + length;
        if end > bytes.len() as u64 {
            return (bytes.len(), true, end - bytes.len() as u64);
        }
        at = usize::try_from(end).unwrap();
    }
}
