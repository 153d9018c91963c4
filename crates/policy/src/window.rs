//! The windows that limits count in: UTC calendar time, or spans counted from the epoch.

use crate::clock::Timestamp;
use std::fmt;
use std::num::NonZeroU32;

/// Longest span that a limit may count over: 366 days, in seconds.
pub const SPAN_SECONDS_MAX: u32 = 366 * 86_400;

const DAY_MILLIS: u64 = 86_400_000;

/// A stretch of time that a counter starts anew in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// A minute of the clock.
    Minute,
    /// An hour of the clock.
    Hour,
    /// A UTC day.
    Day,
    /// A week from Monday 00:00 UTC (ISO 8601).
    Week,
    /// A UTC calendar month.
    Month,
    /// Seconds, counted in whole spans from 1970-01-01T00:00:00Z.
    Span(NonZeroU32),
}

/// The words for calendar windows.
pub const WINDOW_WORDS: [&str; 5] = ["minute", "hour", "day", "week", "month"];

impl Window {
    /// Reads `minute`, `hour`, `day`, `week`, `month`, or a span such as `90s`, `15m`, `6h`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            _ => {
                let unit = match text.as_bytes().last()? {
                    b's' => 1,
                    b'm' => 60,
                    b'h' => 3600,
                    _ => return None,
                };
                let digits = &text[..text.len() - 1];
                if digits.is_empty() || digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                Self::seconds(digits.parse::<u32>().ok()?.checked_mul(unit)?)?
            }
        })
    }

    /// A span of seconds from the epoch, within bounds.
    pub fn seconds(seconds: u32) -> Option<Self> {
        NonZeroU32::new(seconds).filter(|s| s.get() <= SPAN_SECONDS_MAX).map(Self::Span)
    }

    /// Start (inclusive) and end (exclusive) of the window that a time lies in.
    pub fn span(self, now: Timestamp) -> (Timestamp, Timestamp) {
        let millis = now.millis();
        let whole = |length: u64, offset: u64| {
            // Weeks do not start at the epoch, a Thursday: shift so that they do.
            let start = (millis.saturating_add(offset) / length * length).saturating_sub(offset);
            (Timestamp::from_millis(start), Timestamp::from_millis(start_of_next(start, length, offset)))
        };
        match self {
            Self::Minute => whole(60_000, 0),
            Self::Hour => whole(3_600_000, 0),
            Self::Day => whole(DAY_MILLIS, 0),
            Self::Week => whole(7 * DAY_MILLIS, 3 * DAY_MILLIS),
            Self::Span(seconds) => whole(u64::from(seconds.get()) * 1000, 0),
            Self::Month => {
                let (year, month, _) = civil(millis / DAY_MILLIS);
                let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                let at =
                    |(year, month)| Timestamp::from_millis(days_from_civil(year, month, 1).saturating_mul(DAY_MILLIS));
                (at((year, month)), at(next))
            }
        }
    }
}

fn start_of_next(start: u64, length: u64, offset: u64) -> u64 {
    // Only the first week of 1970 is cut short by the epoch.
    if start == 0 && offset > 0 { length - offset } else { start.saturating_add(length) }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minute => f.pad("minute"),
            Self::Hour => f.pad("hour"),
            Self::Day => f.pad("day"),
            Self::Week => f.pad("week"),
            Self::Month => f.pad("month"),
            Self::Span(seconds) => {
                let seconds = seconds.get();
                let (count, unit) = match seconds {
                    s if s % 3600 == 0 => (s / 3600, "h"),
                    s if s % 60 == 0 => (s / 60, "m"),
                    s => (s, "s"),
                };
                f.pad(&format!("{count}{unit}"))
            }
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar. The year is taken to start
/// in March, so that the leap day is the last day of a year and months follow one formula.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days.min(u64::MAX / DAY_MILLIS) + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to a date from then on.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (era * 146_097 + of_era).saturating_sub(719_468)
}

/// A time as `2026-11-23T02:15:05Z`, rounded down to the second.
pub fn utc(time: Timestamp) -> String {
    let (year, month, day) = civil(time.millis() / DAY_MILLIS);
    let of_day = time.seconds() % 86_400;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Reads when something ends, as people write it: a moment as [`parse_utc`] reads it, from which on it is over, or a
/// day, the last on which it holds, to its end.
pub fn parse_end(text: &str) -> Option<Timestamp> {
    let day = if text.contains('T') { 0 } else { DAY_MILLIS };
    parse_utc(text).map(|moment| Timestamp::from_millis(moment.millis().saturating_add(day)))
}

/// Reads `2026-11-23T02:15:05Z`, `2026-11-23T02:15Z` or `2026-11-23`, always UTC, from 1970 to 9999.
pub fn parse_utc(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let number = |part: Option<&str>, digits: usize, range: std::ops::RangeInclusive<u64>| {
        let part = part?;
        let plain = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse().ok()).flatten().filter(|n| range.contains(n))
    };
    let mut parts = date.split('-');
    let year = number(parts.next(), 4, 1970..=9999)?;
    let month = number(parts.next(), 2, 1..=12)?;
    let day = number(parts.next(), 2, 1..=31)?;
    if parts.next().is_some() {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if civil(days) != (year, month, day) {
        return None;
    }
    let mut parts = time.strip_suffix('Z')?.split(':');
    let hour = number(parts.next(), 2, 0..=23)?;
    let minute = number(parts.next(), 2, 0..=59)?;
    let second = match parts.next() {
        Some(part) => number(Some(part), 2, 0..=59)?,
        None => 0,
    };
    if parts.next().is_some() {
        return None;
    }
    Some(Timestamp::from_millis(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;
    use proptest::prelude::*;

    fn check(window: &str, now: &str, start: &str, end: &str) {
        let span = Window::parse(window).unwrap().span(parse_utc(now).unwrap());
        assert_eq!((utc(span.0), utc(span.1)), (start.to_owned(), end.to_owned()), "{window} at {now}");
    }

    #[test]
    fn calendar_windows_are_utc_and_exact() {
        for (window, now, start, end) in [
            ("minute", "2026-11-23T02:15:59Z", "2026-11-23T02:15:00Z", "2026-11-23T02:16:00Z"),
            ("hour", "2026-11-23T02:15:59Z", "2026-11-23T02:00:00Z", "2026-11-23T03:00:00Z"),
            ("day", "2026-11-23T23:59:59Z", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"),
            ("week", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("week", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            ("week", "1970-01-02T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-05T00:00:00Z"),
            ("month", "2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("month", "2023-02-28T23:59:59Z", "2023-02-01T00:00:00Z", "2023-03-01T00:00:00Z"),
            ("month", "2100-02-28T00:00:00Z", "2100-02-01T00:00:00Z", "2100-03-01T00:00:00Z"),
            ("month", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("month", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-02-01T00:00:00Z"),
            ("90s", "1970-01-01T00:01:31Z", "1970-01-01T00:01:30Z", "1970-01-01T00:03:00Z"),
            ("15m", "2026-11-23T02:29:59Z", "2026-11-23T02:15:00Z", "2026-11-23T02:30:00Z"),
            ("6h", "2026-11-23T05:59:59Z", "2026-11-23T00:00:00Z", "2026-11-23T06:00:00Z"),
        ] {
            check(window, now, start, end);
        }
    }

    #[test]
    fn only_known_windows_are_read() {
        for bad in
            ["", "fortnight", "Minute", "s", "0s", "-5m", "1.5h", "05m", "10", "10d", "99999999999s", "31622401s"]
        {
            assert_eq!(Window::parse(bad), None, "{bad}");
        }
        assert_eq!(Window::parse("31622400s").map(|w| w.to_string()).as_deref(), Some("8784h"));
        assert_eq!(Window::parse("900s"), Window::parse("15m"));
    }

    #[test]
    fn times_that_do_not_exist_are_refused() {
        for bad in [
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "24-01-01",
            "2024-01-01T24:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T1:00Z",
        ] {
            assert_eq!(parse_utc(bad), None, "{bad}");
        }
        assert_eq!(parse_utc("2024-02-29").map(utc).as_deref(), Some("2024-02-29T00:00:00Z"));
        assert_eq!(parse_end("2024-02-28").map(utc).as_deref(), Some("2024-02-29T00:00:00Z"), "the last day counts");
        assert_eq!(parse_end("2024-02-28T00:00Z"), parse_utc("2024-02-28"));
        assert_eq!(parse_end("2024-02-30"), None);
    }

    proptest! {
        #[test]
        fn every_time_lies_in_its_window(millis in 0u64..253_402_300_800_000, seconds in 1u32..=SPAN_SECONDS_MAX) {
            let now = Timestamp::from_millis(millis);
            for window in [Window::Minute, Window::Hour, Window::Day, Window::Week, Window::Month, Window::seconds(seconds).unwrap()] {
                let (start, end) = window.span(now);
                prop_assert!(start <= now && now < end);
                prop_assert_eq!(window.span(start), (start, end));
                prop_assert_eq!(window.span(end).0, end);
                prop_assert_eq!(Window::parse(&window.to_string()), Some(window));
            }
            prop_assert_eq!(parse_utc(&utc(now)).map(Timestamp::seconds), Some(now.seconds()));
        }

        #[test]
        fn no_time_panics(millis: u64) {
            for window in [Window::Minute, Window::Week, Window::Month] {
                let _ = window.span(Timestamp::from_millis(millis));
            }
            let _ = utc(Timestamp::from_millis(millis));
        }
    }
}
