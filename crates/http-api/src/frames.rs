//! Follows a client's HTTP/2 frames (RFC 9113, section 4.1) as its bytes come. The HTTP server
//! says nothing of a request before all of its head is there.

use tokio::time::Instant;

const PREFACE: usize = 24;
const HEADER: usize = 9;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// What a client's frames say.
pub(crate) struct Frames {
    header: [u8; HEADER],
    /// How much of it is there.
    header_read: usize,
    /// What is still to come of the frame's payload, or of the preface.
    payload_left: usize,
    /// The head that is coming: since when, and how large its frames are so far.
    head: Option<(Instant, usize)>,
    last_stream: u32,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            header: [0; HEADER],
            header_read: HEADER,
            payload_left: PREFACE,
            head: None,
            last_stream: 0,
        }
    }
}

impl Frames {
    /// Returns whether a stream was reset.
    pub(crate) fn read(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        let mut is_reset = false;
        while let Some((byte, rest)) = bytes.split_first() {
            if self.header_read == HEADER {
                let taken = self.payload_left.min(bytes.len());
                self.payload_left -= taken;
                bytes = bytes.get(taken..).unwrap_or_default();
            } else {
                self.header.rotate_left(1);
                self.header[HEADER - 1] = *byte;
                self.header_read += 1;
                bytes = rest;
                if self.header_read == HEADER {
                    self.begin_frame(now);
                }
            }
            if self.header_read == HEADER && self.payload_left == 0 {
                is_reset |= self.end_frame();
            }
        }
        is_reset
    }

    fn begin_frame(&mut self, now: Instant) {
        let [high, middle, low, kind, ..] = self.header;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.payload_left = length;
        if matches!(kind, HEADERS | CONTINUATION) {
            let (_, size) = self.head.get_or_insert((now, 0));
            *size += HEADER + length;
        }
    }

    /// Returns whether it reset a stream.
    const fn end_frame(&mut self) -> bool {
        let [_, _, _, kind, flags, id @ ..] = self.header;
        self.header_read = 0;
        if matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0 {
            self.head = None;
            let stream = u32::from_be_bytes(id) & (u32::MAX >> 1);
            if stream > self.last_stream {
                self.last_stream = stream;
            }
        }
        kind == RST_STREAM
    }

    /// Since when a head is coming.
    pub(crate) fn head_since(&self) -> Option<Instant> {
        self.head.map(|(since, _)| since)
    }

    /// Nothing was read for a while: that is not the client's fault.
    pub(crate) fn restart_clock(&mut self, now: Instant) {
        if let Some((since, _)) = &mut self.head {
            *since = now;
        }
    }

    /// The frames of a head that is coming, in bytes.
    pub(crate) fn head_size(&self) -> usize {
        self.head.map_or(0, |(_, size)| size)
    }

    /// The highest stream whose head was read.
    pub(crate) const fn last_stream(&self) -> u32 {
        self.last_stream
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PRI: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn a_head_is_coming_from_its_first_frame_to_the_end_of_its_last() {
        let before = [PRI, &frame(4, 0, 0, &[]), &frame(0, 0, 1, b"data")].concat();
        let head = [frame(1, 1, 3, b"some"), frame(9, 4, 3, b"more")].concat();
        let all = [&before[..], &head, &frame(3, 0, 1, &[0; 4])].concat();
        let header_seen = before.len() + HEADER;
        let head_end = before.len() + head.len();
        let (first, second) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        for split in 0..=all.len() {
            let mut frames = Frames::default();
            let is_reset = frames.read(&all[..split], first);
            assert_eq!(is_reset, split == all.len(), "{split}");
            let is_coming = (header_seen..head_end).contains(&split);
            assert_eq!(frames.head_since(), is_coming.then_some(first), "{split}");
            assert_eq!(frames.head_size() > 0, is_coming, "{split}");
            assert_eq!(frames.last_stream(), if split < head_end { 0 } else { 3 });
            let is_reset = frames.read(&all[split..], second);
            assert_eq!(is_reset, split < all.len(), "{split}");
            assert_eq!((frames.head_size(), frames.last_stream()), (0, 3));
        }
        let mut frames = Frames::default();
        for byte in &all[..head_end - 1] {
            frames.read(&[*byte], first);
        }
        assert_eq!(frames.head_size(), head.len());
        frames.restart_clock(second);
        assert_eq!(frames.head_since(), Some(second));
    }
}
