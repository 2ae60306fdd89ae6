//! What a client can have done for little, counted to the last.

use super::super::events::EVENTS_KEPT_MAX;
use super::*;
use crate::h2::hpack::integer;

/// A connection with so many open streams, all tagged.
fn crowd(streams: u32) -> Scene {
    let mut scene = Scene::new();
    scene.frame(kind::SETTINGS, flag::ACK, 0, &[]).unwrap();
    for n in 0..streams {
        scene.frame(kind::HEADERS, END, 2 * n + 1, &block("GET", &[])).unwrap();
    }
    assert_eq!(scene.opened.len(), usize::try_from(streams).unwrap());
    scene
}

fn events(connection: &mut H2Connection) -> Vec<H2Event> {
    std::iter::from_fn(|| connection.next_event()).collect()
}

#[test]
fn windows_that_grow_over_and_over_are_told_once_for_each_stream() {
    let mut scene = crowd(100);
    let growing: Vec<u8> =
        (0..1_365_u32).flat_map(|n| [&[0, 4, 0][..], &n.to_be_bytes()[1..]].concat()).collect();
    let settings = frame(kind::SETTINGS, 0, 0, &growing);
    let mut bytes = settings.repeat(8);
    for id in 0..100 {
        bytes.extend(frame(kind::WINDOW_UPDATE, 0, 2 * id + 1, &[0, 0, 0, 1]).repeat(50));
    }
    scene.connection.receive(&bytes, &|| Duration::from_secs(1)).unwrap();
    let told = events(&mut scene.connection);
    assert!(told.iter().all(|event| matches!(event, H2Event::Moved { .. })));
    assert_eq!(told.len(), 100);
    assert!(scene.connection.events.queue.capacity() <= EVENTS_KEPT_MAX);
    // What was told waits no more, and is told again.
    scene.connection.receive(&settings, &|| Duration::from_secs(1)).unwrap();
    assert_eq!(events(&mut scene.connection).len(), 100);
}

#[test]
fn room_for_many_events_is_given_back() {
    let mut scene = Scene::new();
    for n in 0..=u32::try_from(EVENTS_KEPT_MAX).unwrap() {
        scene.connection.events.moved(2 * n + 1);
    }
    assert!(scene.connection.events.queue.capacity() > EVENTS_KEPT_MAX);
    assert!(scene.connection.next_event().is_none());
    assert_eq!(scene.connection.events.queue.capacity(), 0);
}

#[test]
fn a_stream_that_ended_is_not_told_of_as_moved() {
    let mut scene = crowd(1);
    let update = frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
    let bytes = [update, frame(kind::RST_STREAM, 0, 1, &[0; 4])].concat();
    scene.connection.receive(&bytes, &|| Duration::from_secs(1)).unwrap();
    assert!(matches!(events(&mut scene.connection)[..], [H2Event::Ended { tag: 1, .. }]));
}

#[test]
fn that_the_window_of_the_connection_grew_is_told_to_who_may_wait_for_it() {
    let mut scene = crowd(1);
    let grow = |scene: &mut Scene, by: u32, times| {
        let frames = frame(kind::WINDOW_UPDATE, 0, 0, &by.to_be_bytes()).repeat(times);
        scene.connection.receive(&frames, &|| Duration::from_secs(1)).unwrap();
        events(&mut scene.connection).len()
    };
    // From 65,535 to what is ample, and beyond.
    assert_eq!([grow(&mut scene, 1, 1), grow(&mut scene, 1, 1_000)], [1, 0]);
    scene.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 1, 0x86, 0xa0]).unwrap();
    scene.answer(1, BodyLength::Chunked, false);
    let spent = scene.connection.send_data(1, &vec![0; 100_000], false);
    assert_eq!((spent, scene.connection.send_window), (66_536, 0));
    assert_eq!(grow(&mut scene, 1, 1_000), 1, "it was exhausted");
    assert_eq!(grow(&mut scene, 64_535, 1), 0, "nobody waits for a little more");
    assert_eq!(grow(&mut scene, 1, 1), 1, "it is ample");
}

/// HEADERS of a request that goes on, `n` streams from `first`; how many were taken.
fn open_more(scene: &mut Scene, first: u32, n: u32, flags: u8) -> (u32, Result<(), Violation>) {
    for count in 0..n {
        let id = first + 2 * count;
        if let Err(violation) = scene.frame(kind::HEADERS, flags, id, &block("GET", &[])) {
            return (count, Err(violation));
        }
    }
    (n, Ok(()))
}

#[test]
fn as_many_streams_are_open_as_the_settings_say() {
    for acknowledged in [false, true] {
        let mut scene = Scene::new();
        if acknowledged {
            scene.frame(kind::SETTINGS, flag::ACK, 0, &[]).unwrap();
        }
        for (id, refused) in [(197, 0), (199, 0), (201, 1)] {
            if id == 197 {
                open_more(&mut scene, 1, 98, END).1.unwrap();
            }
            scene.frame(kind::HEADERS, END, id, &block("GET", &[])).unwrap();
            assert_eq!(scene.resets().len(), refused, "{id}");
            assert_eq!(scene.connection.take_refused(), u32::try_from(refused).unwrap());
        }
        assert_eq!(scene.connection.open(), 100);
        scene.answer(1, BodyLength::None, true);
        scene.frame(kind::HEADERS, END, 203, &block("GET", &[])).unwrap();
        assert_eq!((scene.resets(), scene.connection.open()), (vec![], 100));
    }
}

#[test]
fn streams_that_are_refused_count_but_for_those_that_a_client_could_not_know_of() {
    let flood = Err(Violation::Flood(Flood::ProvokedResets));
    // A hundred resets may be provoked. Before the acknowledgement a hundred more are free.
    for (acknowledged, most) in [(true, 100), (false, 200)] {
        let mut scene = crowd(100);
        scene.connection.is_acknowledged = acknowledged;
        for (n, first) in [(most - 1, 201), (1, 199 + 2 * most)] {
            assert_eq!(open_more(&mut scene, first, n, END), (n, Ok(())), "{acknowledged}");
        }
        assert_eq!(scene.connection.take_refused(), most);
        assert_eq!(open_more(&mut scene, 201 + 2 * most, 1, END), (0, flood), "{acknowledged}");
        assert_eq!((scene.connection.take_refused(), events(&mut scene.connection).len()), (1, 0));
    }
}

#[test]
fn streams_behind_the_end_count_but_for_as_many_as_may_have_been_under_way() {
    // What was refused before the acknowledgement takes nothing from it.
    for early in [0, 100] {
        let mut scene = crowd(100);
        scene.connection.is_acknowledged = false;
        open_more(&mut scene, 201, early, END).1.unwrap();
        scene.connection.is_acknowledged = true;
        scene.connection.end();
        assert_eq!(scene.connection.take_refused(), early);
        let first = scene.connection.last + 2;
        assert_eq!(open_more(&mut scene, first, 200, END), (200, Ok(())));
        assert_eq!(scene.connection.take_refused(), 0, "another limit's");
        let flood = Err(Violation::Flood(Flood::ProvokedResets));
        assert_eq!(open_more(&mut scene, first + 400, 1, END), (0, flood));
    }
}

#[test]
fn late_frames_of_a_stream_are_passed_over_up_to_its_end() {
    let closed = Some(ErrorCode::StreamClosed);
    for (name, kind, flags) in
        [("trailers", kind::HEADERS, END), ("HEADERS", kind::HEADERS, 4), ("DATA", kind::DATA, 1)]
    {
        let mut scene = upload(&[]);
        scene.connection.reset(1, ErrorCode::Cancel);
        scene.sent();
        scene.frame(kind::DATA, 0, 1, b"late").unwrap();
        scene.frame(kind, flags, 1, b"").unwrap();
        assert_eq!(scene.resets(), [], "{name}");
        assert_eq!(code(scene.frame(kind::HEADERS, END, 1, b"")), closed, "{name}");
    }
    let mut scene = upload(&[]);
    scene.connection.reset(1, ErrorCode::Cancel);
    scene.frame(kind::DATA, 1, 1, b"late").unwrap();
    scene.sent();
    scene.frame(kind::DATA, 1, 1, b"later").unwrap();
    assert_eq!(scene.resets(), [(1, 5)]);
    // A request that was complete has nothing under way.
    for end in [
        |s: &mut Scene| s.connection.reset(1, ErrorCode::Cancel),
        |s: &mut Scene| {
            s.connection.end();
            s.frame(kind::HEADERS, END, 3, &block("GET", &[])).unwrap();
        },
    ] {
        let mut scene = crowd(1);
        end(&mut scene);
        let last = scene.connection.last;
        assert_eq!(code(scene.frame(kind::HEADERS, END, last, b"")), closed);
    }
}

#[test]
fn headers_on_streams_that_were_reset_count() {
    let mut scene = crowd(1);
    scene.connection.end();
    // The hundred that are free.
    open_more(&mut scene, 3, 100, flag::END_HEADERS).1.unwrap();
    for n in 0..100 {
        assert_eq!(scene.frame(kind::HEADERS, END, 3 + 2 * n, b""), Ok(()), "{n}");
    }
    let flood = Err(Violation::Flood(Flood::ProvokedResets));
    assert_eq!(open_more(&mut scene, 203, 1, flag::END_HEADERS), (0, flood));
}

#[test]
fn a_bounded_number_of_resets_is_remembered() {
    let kept = u32::try_from(RESETS_KEPT).unwrap();
    for (resets, is_kept) in [(kept - 1, true), (kept, true), (kept + 1, false)] {
        let mut scene = Scene::new();
        for n in 0..resets {
            let id = 2 * n + 1;
            scene.frame(kind::HEADERS, 4, id, &block("POST", &[])).unwrap();
            scene.connection.reset(id, ErrorCode::Cancel);
        }
        scene.sent();
        assert!(scene.connection.resets.len() <= RESETS_KEPT);
        scene.frame(kind::DATA, 0, 1, b"late").unwrap();
        assert_eq!(scene.resets().is_empty(), is_kept, "{resets}");
    }
}

#[test]
fn trailers_wait_for_room_in_the_output() {
    let mut trailers = Fields::new();
    trailers.append("x-sum", "5");
    for (fields, last) in [(trailers, (kind::HEADERS, END)), (Fields::new(), (kind::DATA, 1))] {
        for (waiting, has_room) in [(OUT_MAX - 1, true), (OUT_MAX, false), (OUT_MAX + 1, false)] {
            let mut scene = crowd(1);
            scene.answer(1, BodyLength::Chunked, false);
            scene.sent();
            scene.connection.out = vec![0; waiting];
            assert_eq!(scene.connection.send_trailers(1, &fields), has_room, "{waiting}");
            assert_eq!(scene.connection.open(), usize::from(!has_room));
            scene.connection.advance(waiting);
            assert!(scene.connection.send_trailers(1, &fields));
            let sent = scene.sent();
            assert_eq!(sent.iter().map(|f| (f.0, f.1)).collect::<Vec<_>>(), [last]);
        }
    }
}

#[test]
fn an_idle_connection_keeps_no_large_buffer() {
    let mut scene = crowd(100);
    for n in 0..100 {
        scene.answer(2 * n + 1, BodyLength::None, n > 0);
    }
    scene.connection.out.reserve(OUT_MAX / 2);
    let kept = |scene: &mut Scene| {
        scene.connection.shrink();
        scene.connection.out.capacity()
    };
    let waiting = scene.connection.pending().len();
    scene.connection.advance(waiting);
    assert!(kept(&mut scene) > KEPT_MAX, "a stream is open");
    assert!(scene.connection.send_trailers(1, &Fields::new()));
    assert!(kept(&mut scene) > KEPT_MAX, "its end is to be sent");
    let waiting = scene.connection.pending().len();
    scene.connection.advance(waiting);
    assert_eq!(kept(&mut scene), 0);
    // What an ordinary answer takes is kept.
    scene.frame(kind::HEADERS, END, 201, &block("GET", &[])).unwrap();
    scene.answer(201, BodyLength::None, true);
    scene.sent();
    assert!((1..=KEPT_MAX).contains(&kept(&mut scene)));
}

#[test]
fn the_last_stream_that_a_goaway_names_never_grows() {
    for refused in [0, 1, 2] {
        let mut scene = crowd(1);
        scene.connection.end();
        assert_eq!(scene.sent()[0].3[..4], [0, 0, 0, 1]);
        open_more(&mut scene, 3, refused, END).1.unwrap();
        scene.frame(kind::PING, 0, 0, b"short").unwrap_err();
        let last = scene.sent().pop().unwrap();
        assert_eq!((last.0, &last.3[..4]), (kind::GOAWAY, &[0, 0, 0, 1][..]), "{refused}");
    }
}

#[test]
fn a_window_may_be_the_largest_there_is_and_no_larger() {
    let add = |n: u32| n.to_be_bytes();
    // 65,535 are there at the beginning.
    let most = WINDOW_MAX - WINDOW_DEFAULT;
    for (by, is_allowed) in [(most - 1, true), (most, true), (most + 1, false)] {
        let mut scene = crowd(1);
        let grown = scene.frame(kind::WINDOW_UPDATE, 0, 0, &add(by));
        let expected = (!is_allowed).then_some(ErrorCode::FlowControlError);
        assert_eq!(code(grown), expected, "the connection's, {by}");
        let mut scene = crowd(1);
        scene.frame(kind::WINDOW_UPDATE, 0, 1, &add(by)).unwrap();
        let reset = if is_allowed { vec![] } else { vec![(1, 3)] };
        assert_eq!(scene.resets(), reset, "a stream's, {by}");
    }
    // A stream that has one more than the initial window goes over it first.
    for (initial, is_allowed) in
        [(WINDOW_MAX - 2, true), (WINDOW_MAX - 1, true), (WINDOW_MAX, false)]
    {
        let mut scene = crowd(1);
        scene.frame(kind::WINDOW_UPDATE, 0, 1, &add(1)).unwrap();
        let payload = [&[0, 4][..], &add(initial)].concat();
        let changed = scene.frame(kind::SETTINGS, 0, 0, &payload);
        let expected = (!is_allowed).then_some(ErrorCode::FlowControlError);
        assert_eq!(code(changed), expected, "by SETTINGS, {initial}");
    }
    let mut scene = crowd(1);
    let payload = [&[0, 4][..], &add(WINDOW_MAX)].concat();
    scene.frame(kind::SETTINGS, 0, 0, &payload).unwrap();
}

#[test]
fn a_header_block_is_open_from_its_first_part_to_its_last_and_told_from_the_next() {
    let mut scene = Scene::new();
    let get = block("GET", &[]);
    let (head, more) = get.split_at(5);
    let bytes = |id| {
        let head = frame(kind::HEADERS, flag::END_STREAM, id, head);
        [head, frame(kind::CONTINUATION, flag::END_HEADERS, id, more)].concat()
    };
    for (number, id) in [(0, 1), (1, 3)] {
        let bytes = bytes(id);
        let (last, first) = bytes.split_last().unwrap();
        for (n, byte) in first.iter().enumerate() {
            scene.feed(&[*byte]).unwrap();
            // The type says what it is.
            assert_eq!(scene.connection.open_block(), (n >= 3).then_some(number), "{n}");
        }
        scene.feed(&[*last]).unwrap();
        assert_eq!(scene.connection.open_block(), None);
    }
    scene.feed(&frame(kind::PING, 0, 0, &[0; 8])[..12]).unwrap();
    assert_eq!(scene.connection.open_block(), None, "another frame");
}

#[test]
fn a_bomb_of_indexed_fields_is_refused_and_read_to_its_end() {
    // Four lists of 32 KiB, less the pseudo fields, the large ones, and what is beside the padding.
    let most = 4 * 32_768 - (44 + 4 * 32) - 32 * 4_033 - 33;
    for (length, is_read) in [(most - 1, true), (most, true), (most + 1, false)] {
        let mut scene = Scene::new();
        let read = scene.frame(kind::HEADERS, END, 1, &bomb(31, &"p".repeat(length)));
        if !is_read {
            assert_eq!(read, Err(Violation::Flood(Flood::HeaderBlock)));
            continue;
        }
        assert_eq!(read, Ok(()), "{length}");
        assert_eq!(scene.opened[0].1.as_ref().err(), Some(&Reason::HeadTooLarge));
        scene.frame(kind::HEADERS, END, 3, &[&block("GET", &[])[..], &[0xbe]].concat()).unwrap();
        assert!(scene.opened[1].1.is_ok());
    }
}

#[test]
fn a_bomb_of_many_lists_ends_the_connection_wherever_it_comes() {
    let bomb = bomb(12_000, "");
    let mut scene = Scene::new();
    let flood = Err(Violation::Flood(Flood::HeaderBlock));
    assert_eq!(scene.frame(kind::HEADERS, END, 1, &bomb), flood);
    assert!(scene.opened.is_empty());
    assert_eq!(upload(&[]).frame(kind::HEADERS, END, 1, &bomb), flood, "trailers");
    let mut scene = crowd(100);
    assert_eq!(scene.frame(kind::HEADERS, END, 201, &bomb), flood, "refused");
}

/// A request with a field of 4,033 as a list counts, so many references to it, and a padding.
fn bomb(references: usize, padding: &str) -> Vec<u8> {
    let large = "x".repeat(4_000);
    let mut head = block("GET", &[("p", padding)]);
    head.extend_from_slice(&[0x40, 1, b'a']);
    integer::write(&mut head, 0, 7, large.len());
    head.extend_from_slice(large.as_bytes());
    head.extend(std::iter::repeat_n(0xbe, references));
    head
}
