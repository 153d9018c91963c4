//! Server-sent events (WHATWG HTML, section 9.2.6), parsed from bytes that arrive in any pieces; bounded.

use std::collections::VecDeque;
use std::time::Duration;

/// Longest wait that a server may ask for before we connect again.
pub const RETRY_MAX: Duration = Duration::from_secs(5);

/// One event with data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// `event`; absent is `message`.
    pub event: Option<String>,
    /// `data` lines joined with line feeds.
    pub data: String,
}

/// An event is longer than the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLong;

/// A parser of one stream.
#[derive(Debug)]
pub struct SseParser {
    max_bytes: usize,
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed right after it belongs to it.
    after_return: bool,
    at_start: bool,
    event: Option<String>,
    data: Option<String>,
    /// `id` lines count from the end of their event on.
    pending_id: Option<String>,
    last_id: Option<String>,
    retry: Option<Duration>,
    ready: VecDeque<SseEvent>,
}

impl SseParser {
    /// A parser that takes lines and events of at most `max_bytes` bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            line: Vec::new(),
            after_return: false,
            at_start: true,
            event: None,
            data: None,
            pending_id: None,
            last_id: None,
            retry: None,
            ready: VecDeque::new(),
        }
    }

    /// Takes the next bytes of the stream, cut anywhere.
    ///
    /// # Errors
    /// A line or an event is longer than the bound.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), EventTooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_return) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = memchr::memchr2(b'\r', b'\n', bytes);
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + piece.len() > self.max_bytes {
                return Err(EventTooLong);
            }
            self.line.extend_from_slice(piece);
            let Some(end) = end else { return Ok(()) };
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.take_line(&line)?;
        }
        Ok(())
    }

    /// The next complete event.
    pub fn next_event(&mut self) -> Option<SseEvent> {
        self.ready.pop_front()
    }

    /// The id of the last complete event, with which a broken stream is resumed.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_id.as_deref().filter(|id| !id.is_empty())
    }

    /// How long the server asks us to wait before we connect again, at most [`RETRY_MAX`].
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), EventTooLong> {
        let line = if std::mem::take(&mut self.at_start) {
            line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            self.last_id = self.pending_id.clone().or(self.last_id.take());
            let event = self.event.take();
            if let Some(data) = self.data.take() {
                self.ready.push_back(SseEvent { event, data });
            }
            return Ok(());
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = Some(value.to_owned()),
            "data" => {
                let data = match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data
                    }
                    None => self.data.insert(String::new()),
                };
                if data.len() + value.len() > self.max_bytes {
                    return Err(EventTooLong);
                }
                data.push_str(value);
            }
            "id" if !value.contains('\0') => self.pending_id = Some(value.to_owned()),
            "retry" => self.retry = value.parse().ok().map(|millis| Duration::from_millis(millis).min(RETRY_MAX)),
            // A comment (empty name) or a field that nobody knows.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(text: &[u8], step: usize) -> Result<Vec<(Option<String>, String)>, EventTooLong> {
        let mut parser = SseParser::new(64);
        for piece in text.chunks(step) {
            parser.feed(piece)?;
        }
        Ok(std::iter::from_fn(|| parser.next_event()).map(|event| (event.event, event.data)).collect())
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        let plain = |data: &str| (None, data.to_owned());
        for (text, expected) in [
            ("data: a\n\n", vec![plain("a")]),
            ("data:a\r\rdata: b\r\n\r\n", vec![plain("a"), plain("b")]),
            ("data: a\ndata:  b\ndata\n\n", vec![plain("a\n b\n")]),
            (": comment\nevent: endpoint\ndata: /m\n\n", vec![(Some("endpoint".to_owned()), "/m".to_owned())]),
            ("\u{feff}data: a\n\n", vec![plain("a")]),
            ("event: lost\n\ndata: unfinished\n", vec![]),
            ("id: 7\nretry: 10\ndata:\n\n", vec![plain("")]),
        ] {
            for step in [1, 2, 3, 100] {
                assert_eq!(events(text.as_bytes(), step).as_ref(), Ok(&expected), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn an_id_counts_from_the_end_of_its_event_and_stays() {
        let mut parser = SseParser::new(64);
        assert_eq!(parser.feed(b"id: 1\ndata\n\ndata\n\nid: 2\n"), Ok(()));
        assert_eq!(parser.last_event_id(), Some("1"));
        assert_eq!(parser.feed(b"retry: 99999999\n\n"), Ok(()));
        assert_eq!((parser.last_event_id(), parser.retry()), (Some("2"), Some(RETRY_MAX)));
    }

    #[test]
    fn lines_and_events_stop_at_the_bound() {
        let line = |length: usize| format!("data:{}\n\n", "x".repeat(length - 5));
        assert!(events(line(64).as_bytes(), 7).is_ok());
        assert_eq!(events(line(65).as_bytes(), 7), Err(EventTooLong));
        assert_eq!(events("data: 30 bytes of text and no end\n".repeat(3).as_bytes(), 7), Err(EventTooLong));
    }

    proptest! {
        #[test]
        fn how_bytes_arrive_changes_nothing(text in "(data|id|:|[a\r\n ]){0,30}", step in 1_usize..9) {
            prop_assert_eq!(events(text.as_bytes(), 1000), events(text.as_bytes(), step));
        }
    }
}
