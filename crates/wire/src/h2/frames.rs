//! Walking over HTTP/2 frames (RFC 9113 §4.1) without keeping their payloads.

/// Frame types (RFC 9113 §6, RFC 9218 §7.1).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0x0;
    pub(crate) const HEADERS: u8 = 0x1;
    pub(crate) const PRIORITY: u8 = 0x2;
    pub(crate) const RST_STREAM: u8 = 0x3;
    pub(crate) const SETTINGS: u8 = 0x4;
    pub(crate) const PING: u8 = 0x6;
    pub(crate) const CONTINUATION: u8 = 0x9;
    pub(crate) const PRIORITY_UPDATE: u8 = 0x10;
}

/// ACK of SETTINGS and PING, `END_STREAM` of DATA.
const FLAG_ACK_OR_END: u8 = 0x1;
const FLAG_END_HEADERS: u8 = 0x4;
const FLAG_PADDED: u8 = 0x8;

const HEAD: usize = 9;
/// How much of a payload is looked at: an error code, or the length of padding.
const PEEK: usize = 4;
/// `PRI * HTTP/2.0`, an empty line, `SM`, an empty line (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// What is known of a frame once its head and the first bytes of its payload have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    flags: u8,
    pub(crate) length: u32,
    peek: [u8; PEEK],
}

impl Frame {
    pub(crate) fn is_ack(&self) -> bool {
        self.flags & FLAG_ACK_OR_END != 0
    }

    pub(crate) fn ends_headers(&self) -> bool {
        self.flags & FLAG_END_HEADERS != 0
    }

    /// A DATA frame that brings neither data nor the end of the stream: padding does not count.
    pub(crate) fn is_empty_data(&self) -> bool {
        let overhead = match self.peek {
            [padding, ..] if self.flags & FLAG_PADDED != 0 => u32::from(padding) + 1,
            _ => 0,
        };
        self.kind == kind::DATA && self.flags & FLAG_ACK_OR_END == 0 && self.length <= overhead
    }

    /// The error code of an RST_STREAM frame.
    pub(crate) fn error_code(&self) -> u32 {
        u32::from_be_bytes(self.peek)
    }
}

/// Finds the frames in a stream of bytes that comes in arbitrary pieces.
#[derive(Clone, Debug)]
pub(crate) struct FrameWalk {
    skip: usize,
    seen: [u8; HEAD + PEEK],
    seen_len: usize,
}

impl FrameWalk {
    /// The client's direction, which begins with the preface.
    pub(crate) fn from_client() -> Self {
        Self { skip: PREFACE, seen: [0; HEAD + PEEK], seen_len: 0 }
    }

    /// The server's direction.
    pub(crate) fn from_server() -> Self {
        Self { skip: 0, seen: [0; HEAD + PEEK], seen_len: 0 }
    }

    /// The next frame in `bytes`, which moves on past what was looked at; none when the bytes are
    /// used up.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            *bytes = bytes.get(skipped..).unwrap_or_default();
            let wanted = self.wanted();
            if self.seen_len == wanted {
                return Some(self.finish());
            }
            let (&byte, rest) = bytes.split_first()?;
            if let Some(place) = self.seen.get_mut(self.seen_len) {
                *place = byte;
            }
            self.seen_len += 1;
            *bytes = rest;
        }
    }

    fn length(&self) -> u32 {
        let [a, b, c, ..] = self.seen;
        u32::from_be_bytes([0, a, b, c])
    }

    /// How many bytes of the frame have to be seen.
    fn wanted(&self) -> usize {
        if self.seen_len < HEAD {
            return HEAD;
        }
        HEAD + usize::try_from(self.length()).map_or(PEEK, |n| n.min(PEEK))
    }

    fn finish(&mut self) -> Frame {
        let length = self.length();
        let [_, _, _, kind, flags, _, _, _, _, peek @ ..] = self.seen;
        self.skip = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(PEEK);
        self.seen = [0; HEAD + PEEK];
        self.seen_len = 0;
        Frame { kind, flags, length, peek }
    }
}

#[cfg(test)]
pub(crate) fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags, 0, 0, 0, 1]);
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(mut walk: FrameWalk, pieces: &[&[u8]]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for mut piece in pieces.iter().copied() {
            while let Some(frame) = walk.next(&mut piece) {
                frames.push(frame);
            }
            assert!(piece.is_empty());
        }
        frames
    }

    #[test]
    fn frames_are_found_after_the_preface_and_each_other() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(kind::SETTINGS, 0, &[]));
        bytes.extend(frame(kind::RST_STREAM, 0, &[0, 0, 0, 8]));
        bytes.extend(frame(kind::DATA, 1, &[7; 300]));
        bytes.extend(frame(kind::PING, 1, &[0; 8]));
        let frames = walk(FrameWalk::from_client(), &[&bytes]);
        let kinds: Vec<_> = frames.iter().map(|f| (f.kind, f.length)).collect();
        assert_eq!(kinds, [(4, 0), (3, 4), (0, 300), (6, 8)]);
        assert_eq!(frames[1].error_code(), 8);
        assert!(frames[3].is_ack());
    }

    #[test]
    fn padding_is_not_data() {
        let is_empty = |flags, payload: &[u8]| {
            walk(FrameWalk::from_server(), &[&frame(kind::DATA, flags, payload)])[0].is_empty_data()
        };
        assert!(is_empty(0, &[]));
        assert!(is_empty(8, &[0]));
        assert!(is_empty(8, &[5, 0, 0, 0, 0, 0]));
        assert!(!is_empty(8, &[4, b'x', 0, 0, 0, 0]));
        assert!(!is_empty(0, b"x"));
        assert!(!is_empty(1, &[]));
    }

    proptest! {
        #[test]
        fn splits_change_nothing(
            list in prop::collection::vec(
                (any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..6),
            at in 0..200_usize,
        ) {
            let bytes: Vec<u8> = list.iter().flat_map(|(k, f, p)| frame(*k, *f, p)).collect();
            let whole = walk(FrameWalk::from_server(), &[&bytes]);
            prop_assert_eq!(whole.len(), list.len());
            let (a, b) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(&walk(FrameWalk::from_server(), &[a, b]), &whole);
            let singles: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(walk(FrameWalk::from_server(), &singles), whole);
        }
    }
}
