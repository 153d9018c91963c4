//! Exact decimals from the text of a JSON number: 1 = 1.0 = 1e0, and 2^53 + 1 is not 2^53.

use std::cmp::Ordering;

/// Most digits of a number as written, before and after the point together; more count as a wrong type.
pub const DIGITS_MAX: usize = 200;
/// Largest exponent as written, in either direction; beyond it a number counts as a wrong type.
pub const EXPONENT_MAX: i32 = 400;

/// A number: sign, significant digits without zeros at either end, and the power of ten of the first digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    /// Values 0 to 9; empty is zero.
    digits: DigitBuffer,
    /// The value is 0.d₁d₂d₃… × 10^magnitude; 0 for zero.
    magnitude: i32,
}

/// Digits on the stack up to the length that ordinary amounts have; the heap beyond it.
#[derive(Clone, Debug)]
enum DigitBuffer {
    Short(u8, [u8; 22]),
    Long(Vec<u8>),
}

impl PartialEq for DigitBuffer {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for DigitBuffer {}

impl DigitBuffer {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }

    fn push(&mut self, digit: u8) {
        match self {
            Self::Short(len, bytes) if usize::from(*len) < bytes.len() => {
                bytes[usize::from(*len)] = digit;
                *len += 1;
            }
            Self::Short(_, bytes) => {
                let mut long = bytes.to_vec();
                long.push(digit);
                *self = Self::Long(long);
            }
            Self::Long(bytes) => bytes.push(digit),
        }
    }

    fn trim_end(&mut self) {
        match self {
            Self::Short(len, bytes) => {
                while *len > 0 && bytes[usize::from(*len) - 1] == 0 {
                    *len -= 1;
                }
            }
            Self::Long(bytes) => {
                while bytes.last() == Some(&0) {
                    bytes.pop();
                }
            }
        }
    }
}

impl Decimal {
    /// Reads the text of a JSON number; `None` where it is out of bounds (or no JSON number at all).
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i64>().ok().or_else(|| zeros_only(&rest[at + 1..]))?),
            None => (rest, 0),
        };
        let exponent = i32::try_from(exponent).ok().filter(|e| (-EXPONENT_MAX..=EXPONENT_MAX).contains(e))?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || whole.len() + fraction.len() > DIGITS_MAX {
            return None;
        }
        let mut digits = DigitBuffer::Short(0, [0; 22]);
        let mut magnitude = i32::try_from(whole.len()).ok()? + exponent;
        let mut leading = true;
        for byte in whole.bytes().chain(fraction.bytes()) {
            if !byte.is_ascii_digit() {
                return None;
            }
            if leading && byte == b'0' {
                magnitude -= 1;
                continue;
            }
            leading = false;
            digits.push(byte - b'0');
        }
        digits.trim_end();
        if digits.as_slice().is_empty() {
            return Some(Self { negative: false, digits, magnitude: 0 });
        }
        Some(Self { negative, digits, magnitude })
    }

    /// Whether there is nothing after the decimal point.
    pub fn is_integer(&self) -> bool {
        i32::try_from(self.digits.as_slice().len()).is_ok_and(|len| len <= self.magnitude.max(0))
    }

    /// The value times 10^scale as an integer, or why it is none.
    pub fn scaled(&self, scale: u32) -> Result<u64, NotScaled> {
        let digits = self.digits.as_slice();
        if digits.is_empty() {
            return Ok(0);
        }
        if self.negative {
            return Err(NotScaled::Negative);
        }
        let places = i64::from(self.magnitude) + i64::from(scale);
        let len = digits.len() as i64;
        if len > places {
            return Err(NotScaled::Fraction);
        }
        let mut value: u64 = 0;
        for index in 0..places {
            let digit = usize::try_from(index).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
            value = value
                .checked_mul(10)
                .and_then(|v| v.checked_add(u64::from(digit)))
                .filter(|v| i64::try_from(*v).is_ok())
                .ok_or(NotScaled::Overflow)?;
        }
        Ok(value)
    }
}

/// An exponent too long for an integer type, but zero all the same (`1e00000000000000000000`).
fn zeros_only(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|b| b == b'0')).then_some(0)
}

/// Why a number cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotScaled {
    Negative,
    Fraction,
    Overflow,
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.magnitude_cmp(other),
            (true, true) => other.magnitude_cmp(self),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Significant digits up to which no two numbers have one nearest double (C's `DBL_DIG`), where doubles have their full
/// precision.
const DOUBLE_DIGITS: usize = 15;
/// Powers of ten, in either direction, within which doubles have their full precision.
const DOUBLE_MAGNITUDE_MAX: i32 = 300;

impl Decimal {
    /// How two numbers compare; `None` where a reader that takes the nearest doubles finds otherwise.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        let exact = self.cmp(other);
        let is_plain = |number: &Self| {
            number.digits.as_slice().len() <= DOUBLE_DIGITS && number.magnitude.abs() <= DOUBLE_MAGNITUDE_MAX
        };
        if (is_plain(self) && is_plain(other)) || self.nearest().partial_cmp(&other.nearest()) == Some(exact) {
            return Some(exact);
        }
        None
    }

    /// Whether there is nothing after the decimal point; `None` where a reader that takes the nearest double finds
    /// otherwise.
    pub fn is_integer_to_all(&self) -> Option<bool> {
        let exact = self.is_integer();
        let nearest = self.nearest();
        (exact == (nearest.is_finite() && nearest.fract() == 0.0)).then_some(exact)
    }

    /// Whether the nearest double, written with the fewest digits that name it, is this very number: then a reader with
    /// doubles counts the same amount.
    pub fn is_read_alike(&self) -> bool {
        let nearest = self.nearest();
        nearest.is_finite() && Self::parse(&format!("{nearest:e}")).is_some_and(|read| read == *self)
    }

    /// The nearest double; infinite where there is none.
    fn nearest(&self) -> f64 {
        let mut text = String::with_capacity(self.digits.as_slice().len() + 8);
        text.push_str(if self.negative { "-0." } else { "0." });
        text.extend(self.digits.as_slice().iter().map(|digit| char::from(b'0' + digit)));
        text.push_str(&format!("0e{}", self.magnitude));
        // The text is a number by the way it was made.
        text.parse().unwrap_or(f64::INFINITY)
    }

    fn magnitude_cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.digits.as_slice(), other.digits.as_slice());
        match (a.is_empty(), b.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            // Without zeros at the end, a longer run with the same start is larger, as slices compare.
            (false, false) => self.magnitude.cmp(&other.magnitude).then_with(|| a.cmp(b)),
        }
    }
}

/// A count of units of 10^-scale as a decimal for people: 150 at scale 2 is `1.50`.
pub(crate) fn unscaled(count: u64, scale: u32) -> String {
    if scale == 0 {
        return count.to_string();
    }
    let width = scale as usize;
    let digits = format!("{count:0>wide$}", wide = width + 1);
    let (whole, fraction) = digits.split_at(digits.len() - width);
    format!("{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;
    use proptest::prelude::*;

    fn check(a: &str, order: Ordering, b: &str) {
        let (left, right) = (Decimal::parse(a).unwrap(), Decimal::parse(b).unwrap());
        assert_eq!(left.cmp(&right), order, "{a} against {b}");
        assert_eq!(right.cmp(&left), order.reverse(), "{b} against {a}");
        assert_eq!(left == right, order == Ordering::Equal, "{a} = {b}");
    }

    #[test]
    fn the_value_counts_and_not_the_spelling() {
        use Ordering::{Equal, Greater, Less};
        for (a, order, b) in [
            ("1", Equal, "1.0"),
            ("1", Equal, "1e0"),
            ("1.0", Equal, "10e-1"),
            ("0.1", Equal, "0.10"),
            ("-0", Equal, "0"),
            ("-0.0e5", Equal, "0"),
            ("1e00000000000000000000000", Equal, "1"),
            ("9007199254740993", Greater, "9007199254740992"),
            ("9007199254740993", Equal, "9007199254740993.000"),
            ("0.30000000000000004", Greater, "0.3"),
            ("1e400", Greater, "10000"),
            ("1e-400", Greater, "0"),
            ("-1e400", Less, "-1e399"),
            ("-1", Less, "0.5"),
            ("2", Less, "10"),
            ("19", Less, "2e1"),
        ] {
            check(a, order, b);
        }
    }

    #[test]
    fn bounds_hold_at_and_one_past() {
        assert!(Decimal::parse(&"9".repeat(DIGITS_MAX)).is_some());
        assert!(Decimal::parse(&"9".repeat(DIGITS_MAX + 1)).is_none());
        assert!(Decimal::parse("1e400").is_some());
        assert!(Decimal::parse("1e401").is_none());
        assert!(Decimal::parse("1e-400").is_some());
        assert!(Decimal::parse("1e-401").is_none());
        assert!(Decimal::parse("1e99999999999999999999").is_none());
    }

    #[test]
    fn counted_amounts_are_integers_or_refused() {
        let scaled = |text: &str, scale| Decimal::parse(text).unwrap().scaled(scale);
        assert_eq!(scaled("0.99", 0), Err(NotScaled::Fraction));
        assert_eq!(scaled("0.99", 2), Ok(99));
        assert_eq!(scaled("0.999", 2), Err(NotScaled::Fraction));
        assert_eq!(scaled("7e2", 0), Ok(700));
        assert_eq!(scaled("1.50", 1), Ok(15));
        assert_eq!(scaled("-5", 0), Err(NotScaled::Negative));
        assert_eq!(scaled("-0", 0), Ok(0));
        assert_eq!(scaled("1e30", 0), Err(NotScaled::Overflow));
        assert_eq!(scaled("9223372036854775807", 0), Ok(i64::MAX as u64));
        assert_eq!(scaled("9223372036854775808", 0), Err(NotScaled::Overflow));
    }

    #[test]
    fn counts_are_shown_in_the_unit_of_the_argument() {
        assert_eq!([unscaled(7, 0), unscaled(7, 2), unscaled(1250, 2)], ["7", "0.07", "12.50"]);
    }

    #[test]
    fn integers_are_told_by_value() {
        for (text, expected) in
            [("1.0", true), ("1e2", true), ("120e-1", true), ("1.5", false), ("0", true), ("1e-1", false)]
        {
            assert_eq!(Decimal::parse(text).unwrap().is_integer(), expected, "{text}");
        }
    }

    #[test]
    fn what_doubles_find_otherwise_is_told() {
        use Ordering::{Equal, Greater, Less};
        for (a, b, expected) in [
            ("12345.00000000000000001", "12345", None),
            ("99.99999999999999999999", "100", None),
            ("99.99", "100", Some(Less)),
            ("9007199254740993", "9007199254740992", None),
            ("9007199254740993", "9007199254740994", Some(Less)),
            ("9007199254740993", "9007199254740993.0", Some(Equal)),
            ("0.1", "0.1000000000000000055511151231257827", None),
            ("0.30000000000000004", "0.3", Some(Greater)),
            ("1e400", "1e399", None),
            ("1e400", "1e300", Some(Greater)),
            ("1e-400", "0", None),
            ("-1e-400", "0", None),
            ("-0", "0", Some(Equal)),
            ("5e-324", "4.9e-324", None),
        ] {
            let (left, right) = (Decimal::parse(a).unwrap(), Decimal::parse(b).unwrap());
            assert_eq!(left.compare(&right), expected, "{a} {b}");
            assert_eq!(right.compare(&left), expected.map(Ordering::reverse), "{b} {a}");
        }
        for (text, expected) in [
            ("1.0", Some(true)),
            ("1.5", Some(false)),
            ("1.00000000000000000001", None),
            ("9007199254740993", Some(true)),
            ("1e400", None),
            ("1e-400", None),
            ("0", Some(true)),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().is_integer_to_all(), expected, "{text}");
        }
        for (text, expected) in [
            ("0", true),
            ("0.10", true),
            ("1e3", true),
            ("9007199254740992", true),
            ("9007199254740993", false),
            ("9223372036854775807", false),
            ("9223372036854775808", false),
            ("0.30000000000000004", true),
            ("0.300000000000000040", true),
            ("0.3000000000000000400001", false),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().is_read_alike(), expected, "{text}");
        }
    }

    /// Texts of numbers, many of them close to one another.
    fn near() -> impl Strategy<Value = String> {
        prop_oneof![
            "-?(0|12345|99|9007199254740992|9007199254740993|1)(\\.(0{14,22}1|9{14,22}|5)?)?"
                .prop_map(|text| text.trim_end_matches('.').to_owned()),
            "-?[1-9](\\.[0-9]{1,20})?e-?(3[0-4][0-9]|[0-9]{1,2})",
        ]
    }

    proptest! {
        #[test]
        fn what_is_compared_doubles_compare_alike(a in near(), b in near()) {
            let (x, y) = (Decimal::parse(&a).unwrap(), Decimal::parse(&b).unwrap());
            let (f, g): (f64, f64) = (a.parse().unwrap(), b.parse().unwrap());
            let found = x.compare(&y);
            prop_assert_eq!(found, (f.partial_cmp(&g) == Some(x.cmp(&y))).then_some(x.cmp(&y)));
        }

        #[test]
        fn integers_compare_as_integers(a: i64, b: i64) {
            let (x, y) = (Decimal::parse(&a.to_string()).unwrap(), Decimal::parse(&b.to_string()).unwrap());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }

        #[test]
        fn moving_the_point_changes_nothing(digits in "[1-9][0-9]{0,30}", shift in 0usize..30) {
            let zeros = "0".repeat(shift);
            let a = Decimal::parse(&format!("{digits}{zeros}e-{shift}")).unwrap();
            prop_assert_eq!(a, Decimal::parse(&digits).unwrap());
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,12}") {
            let _ = Decimal::parse(&text);
        }
    }
}
