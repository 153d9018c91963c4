//! What is left of a line that is too long to keep: the members of the outermost object, without what is nested in
//! them. It shows which request the line answers, wherever the id stands: many servers write it last.

/// Longest skeleton, in bytes. Of a line whose outermost members need more the rest is cut off, perhaps with the id.
pub const SKELETON_BYTES_MAX: usize = 16 * 1024;
/// Longest string that is kept, in bytes; a longer one becomes empty. Every id fits.
const STRING_BYTES_MAX: usize = 2 * crate::mcp::envelope::ID_BYTES_MAX;

/// Builds the skeleton of a line from its bytes, piece by piece.
#[derive(Debug, Default)]
pub struct Skeleton {
    out: Vec<u8>,
    depth: usize,
    /// Where the string that is being read begins in `out`; `None` if it is not kept.
    string: Option<usize>,
    in_string: bool,
    escaped: bool,
}

impl Skeleton {
    /// Takes the next bytes of the line.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.in_string {
                self.in_a_string(byte);
                continue;
            }
            match byte {
                b'"' => {
                    self.in_string = true;
                    self.string = (self.depth <= 1).then_some(self.out.len());
                    self.keep(byte, 1);
                }
                b'{' | b'[' => {
                    self.depth += 1;
                    self.keep(byte, 2);
                }
                b'}' | b']' => {
                    self.keep(byte, 2);
                    self.depth = self.depth.saturating_sub(1);
                }
                _ => self.keep(byte, 1),
            }
        }
    }

    fn in_a_string(&mut self, byte: u8) {
        self.keep(byte, 1);
        if let Some(start) = self.string
            && self.out.len() - start > STRING_BYTES_MAX
        {
            self.out.truncate(start + 1);
            self.string = None;
        }
        if std::mem::take(&mut self.escaped) {
            return;
        }
        match byte {
            b'\\' => self.escaped = true,
            b'"' => {
                self.in_string = false;
                if self.depth <= 1 && self.string.take().is_none() && self.out.len() < SKELETON_BYTES_MAX {
                    self.out.push(byte);
                }
            }
            _ => {}
        }
    }

    fn keep(&mut self, byte: u8, depth_max: usize) {
        let dropped = self.in_string && self.string.is_none();
        if self.depth <= depth_max && !dropped && self.out.len() < SKELETON_BYTES_MAX {
            self.out.push(byte);
        }
    }

    /// The skeleton of the bytes so far, as text; the next byte begins a new line.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self).out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        for step in [1, 3, 1000] {
            let mut skeleton = Skeleton::default();
            line.as_bytes().chunks(step).for_each(|piece| skeleton.feed(piece));
            assert_eq!(String::from_utf8_lossy(&skeleton.take()), expected, "{line} by {step}");
        }
    }

    #[test]
    fn the_outermost_members_stay_and_what_is_in_them_goes() {
        check(r#"{"result":{"id":7,"x":["]}"]},"jsonrpc":"2.0","id":5}"#, r#"{"result":{},"jsonrpc":"2.0","id":5}"#);
        check(r#"{"a":[[1],{"b":"\"}"}],"i\"d":"\\" , "c":1.5}"#, r#"{"a":[],"i\"d":"\\" , "c":1.5}"#);
        check("junk", "junk");
        check("", "");
    }

    #[test]
    fn strings_stay_up_to_the_bound() {
        let line = |bytes: usize| format!(r#"{{"x":"{}","id":1}}"#, "é".repeat(bytes / 2 - 1));
        check(&line(STRING_BYTES_MAX), &line(STRING_BYTES_MAX));
        check(&line(STRING_BYTES_MAX + 2), r#"{"x":"","id":1}"#);
        check(&format!(r#"{{"x":"{}\"","id":1}}"#, "x".repeat(STRING_BYTES_MAX)), r#"{"x":"","id":1}"#);
    }

    #[test]
    fn a_skeleton_is_bounded() {
        let mut skeleton = Skeleton::default();
        skeleton.feed(&b"{\"a\":1,".repeat(SKELETON_BYTES_MAX));
        assert!(skeleton.take().len() <= SKELETON_BYTES_MAX);
        let junk = "x".repeat(SKELETON_BYTES_MAX + 1);
        skeleton.feed(junk.as_bytes());
        assert_eq!(skeleton.take().len(), SKELETON_BYTES_MAX);
    }
}
