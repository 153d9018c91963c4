//! Lines sorted by key in bounded memory: what does not fit is sorted in pieces on disk and merged at the end, so that
//! half a million tools come out in one order whatever order they came in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek as _, Write};

/// Memory for lines before they go to disk, in bytes.
pub const SORT_BYTES_MAX: usize = 32 << 20;

/// Lines with keys, waiting to be written in order.
#[derive(Debug)]
pub struct SortedLines {
    waiting: Vec<(String, String)>,
    bytes: usize,
    bytes_max: usize,
    pieces: Vec<File>,
}

impl Default for SortedLines {
    fn default() -> Self {
        Self::with_memory(SORT_BYTES_MAX)
    }
}

impl SortedLines {
    /// With another bound than [`SORT_BYTES_MAX`].
    pub fn with_memory(bytes_max: usize) -> Self {
        Self { waiting: Vec::new(), bytes: 0, bytes_max, pieces: Vec::new() }
    }

    /// Adds a line. Neither `key` nor `line` may hold a line break.
    ///
    /// # Errors
    /// A temporary file could not be written.
    pub fn push(&mut self, key: String, line: String) -> io::Result<()> {
        debug_assert!(!key.contains('\n') && !line.contains('\n'), "one line each");
        self.bytes += key.len() + line.len() + 2 * size_of::<String>();
        self.waiting.push((key, line));
        if self.bytes > self.bytes_max {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes every line in the order of the keys, equal keys in the order of the lines.
    ///
    /// # Errors
    /// A temporary file could not be read, or `out` could not be written.
    pub fn finish(mut self, out: &mut dyn Write) -> io::Result<()> {
        self.waiting.sort();
        if self.pieces.is_empty() {
            return self.waiting.iter().try_for_each(|(_, line)| writeln!(out, "{line}"));
        }
        if !self.waiting.is_empty() {
            self.spill()?;
        }
        let mut pieces: Vec<_> = self.pieces.into_iter().map(BufReader::new).collect();
        let mut heads = BinaryHeap::new();
        for (at, piece) in pieces.iter_mut().enumerate() {
            heads.extend(next(piece)?.map(|entry| Reverse((entry, at))));
        }
        while let Some(Reverse(((_, line), at))) = heads.pop() {
            writeln!(out, "{line}")?;
            heads.extend(next(&mut pieces[at])?.map(|entry| Reverse((entry, at))));
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.waiting.sort();
        let mut file = BufWriter::new(tempfile::tempfile()?);
        for (key, line) in self.waiting.drain(..) {
            writeln!(file, "{key}\n{line}")?;
        }
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.pieces.push(file);
        self.bytes = 0;
        Ok(())
    }
}

fn next(piece: &mut impl BufRead) -> io::Result<Option<(String, String)>> {
    let (mut key, mut line) = (String::new(), String::new());
    if piece.read_line(&mut key)? == 0 {
        return Ok(None);
    }
    piece.read_line(&mut line)?;
    Ok(Some((key.trim_end_matches('\n').to_owned(), line.trim_end_matches('\n').to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(bytes_max: usize, order: &[u32]) -> io::Result<String> {
        let mut lines = SortedLines::with_memory(bytes_max);
        for n in order {
            lines.push(format!("{:04}", n / 2), format!("line {n}"))?;
        }
        let mut out = Vec::new();
        lines.finish(&mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn pieces_on_disk_do_not_show() -> io::Result<()> {
        let up: Vec<u32> = (0..200).collect();
        let mixed: Vec<u32> = (0..200).map(|n| n * 77 % 200).collect();
        let in_memory = sorted(usize::MAX, &up)?;
        assert_eq!(in_memory.lines().count(), 200);
        for bytes_max in [0, 500, 2_000] {
            assert_eq!(sorted(bytes_max, &mixed)?, in_memory);
        }
        Ok(())
    }
}
