//! SETTINGS, ours and the peer's (RFC 9113 §6.5).

use super::super::frame::{ErrorCode, PAYLOAD_MAX, flag, kind, write_head};
use super::super::hpack::table::TABLE_SIZE;
use super::{H2Connection, STREAM_WINDOW_MAX, Violation, WINDOW_DEFAULT, WINDOW_MAX, protocol};

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// What the client has told of itself.
#[derive(Debug)]
pub(super) struct Peer {
    /// The window of its new streams.
    pub(super) window: u32,
    /// It has less room for a table than the default, and is to be told that we use none.
    pub(super) owes_table_size: bool,
}

impl Default for Peer {
    fn default() -> Self {
        Self { window: WINDOW_DEFAULT, owes_table_size: false }
    }
}

impl H2Connection {
    pub(super) fn write_settings(&mut self) {
        let header_list = u32::try_from(self.limits.header_list).unwrap_or(u32::MAX);
        let settings = [
            (MAX_CONCURRENT_STREAMS, self.limits.streams),
            (INITIAL_WINDOW_SIZE, self.stream_window()),
            (MAX_HEADER_LIST_SIZE, header_list),
        ];
        write_head(&mut self.out, settings.len() * 6, kind::SETTINGS, 0, 0);
        for (id, value) in settings {
            self.out.extend_from_slice(&id.to_be_bytes());
            self.out.extend_from_slice(&value.to_be_bytes());
        }
    }

    /// The window of each stream from the client.
    pub(super) fn stream_window(&self) -> u32 {
        self.limits.window.min(STREAM_WINDOW_MAX)
    }

    /// Takes in the client's SETTINGS and acknowledges them.
    pub(super) fn take_settings(&mut self, payload: &[u8]) -> Result<(), Violation> {
        let mut has_grown = false;
        for setting in payload.chunks_exact(6) {
            let Some((id, value)) = setting.split_first_chunk::<2>() else { continue };
            let Some(value) = value.first_chunk::<4>() else { continue };
            has_grown |= self.take_setting(u16::from_be_bytes(*id), u32::from_be_bytes(*value))?;
        }
        // Once for all of them: there may be as many as a frame holds.
        if has_grown {
            self.move_all();
        }
        write_head(&mut self.out, 0, kind::SETTINGS, flag::ACK, 0);
        Ok(())
    }

    /// True if the windows of the streams grew.
    fn take_setting(&mut self, id: u16, value: u32) -> Result<bool, Violation> {
        match id {
            HEADER_TABLE_SIZE => {
                let is_small = usize::try_from(value).is_ok_and(|size| size < TABLE_SIZE);
                self.peer.owes_table_size |= is_small;
            }
            ENABLE_PUSH if value > 1 => return Err(protocol("ENABLE_PUSH beyond one")),
            INITIAL_WINDOW_SIZE => {
                if value > WINDOW_MAX {
                    return Err(OVER_WINDOW);
                }
                let old = std::mem::replace(&mut self.peer.window, value);
                return self.change_windows(old, value);
            }
            MAX_FRAME_SIZE => {
                // No frame of ours is larger than the least that is allowed here.
                let least = u32::try_from(PAYLOAD_MAX).unwrap_or(u32::MAX);
                if value < least || value >= 1 << 24 {
                    return Err(protocol("a MAX_FRAME_SIZE that cannot be"));
                }
            }
            _ => {}
        }
        Ok(false)
    }

    /// A new size moves the windows of the streams there are (§6.9.2), below zero if need be.
    fn change_windows(&mut self, old: u32, new: u32) -> Result<bool, Violation> {
        let change = i64::from(new) - i64::from(old);
        for stream in self.streams.iter_mut() {
            stream.send_window += change;
            if stream.send_window > i64::from(WINDOW_MAX) {
                return Err(OVER_WINDOW);
            }
        }
        Ok(change > 0)
    }
}

const OVER_WINDOW: Violation =
    Violation::Protocol(ErrorCode::FlowControlError, "a window beyond the largest there is");
