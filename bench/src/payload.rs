//! Long bodies of which every byte can be checked.

use std::io::{Read, Result, Write};

/// Length of the piece of noise that a payload repeats, each time with its number in front.
const BLOCK: usize = 1024 * 1024;

/// So many bytes, always the same ones for the same length: noise, in numbered blocks, so that a block that is lost,
/// doubled or moved shows in the checksum.
pub struct Payload {
    block: Vec<u8>,
    number: u64,
    /// How much of the block has been read.
    at: usize,
    left: u64,
}

impl Payload {
    /// A payload of `length` bytes.
    pub fn new(length: u64) -> Payload {
        let mut noise = fastrand::Rng::with_seed(length);
        let mut block = vec![0; BLOCK];
        noise.fill(&mut block);
        let mut payload = Payload { block, number: 0, at: 0, left: length };
        payload.stamp();
        payload
    }

    fn stamp(&mut self) {
        self.block[..8].copy_from_slice(&self.number.to_le_bytes());
    }
}

impl Read for Payload {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if self.at == BLOCK {
            self.number += 1;
            self.at = 0;
            self.stamp();
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let read = into.len().min(BLOCK - self.at).min(left);
        into[..read].copy_from_slice(&self.block[self.at..self.at + read]);
        self.at += read;
        self.left -= read as u64;
        Ok(read)
    }
}

/// How many bytes there were, and their checksum. What is written to it is counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    bytes: u64,
    checksum: crc32fast::Hasher,
}

impl Tally {
    /// That of a whole payload.
    ///
    /// # Errors
    /// None that can happen.
    pub fn of(length: u64) -> Result<Tally> {
        let mut tally = Tally::default();
        std::io::copy(&mut Payload::new(length), &mut tally)?;
        Ok(tally)
    }

    /// In words that are the same for the same bytes.
    pub fn to_text(&self) -> String {
        format!("{} bytes, checksum {:08x}", self.bytes, self.checksum.clone().finalize())
    }
}

impl Write for Tally {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.bytes += bytes.len() as u64;
        self.checksum.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: u64 = 3 * BLOCK as u64 + 17;

    #[test]
    fn the_same_bytes_however_they_are_read() {
        let mut whole = Vec::new();
        Payload::new(LENGTH).read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len() as u64, LENGTH);
        let mut payload = Payload::new(LENGTH);
        let mut pieces = Vec::new();
        let mut piece = [0; 1021];
        while let Ok(read @ 1..) = payload.read(&mut piece) {
            pieces.extend_from_slice(&piece[..read]);
        }
        assert!(pieces == whole);
    }

    #[test]
    fn blocks_in_another_order_are_other_bytes() {
        let mut whole = Vec::new();
        Payload::new(LENGTH).read_to_end(&mut whole).unwrap();
        whole.rotate_left(BLOCK);
        let mut tally = Tally::default();
        tally.write_all(&whole).unwrap();
        assert_ne!(tally.to_text(), Tally::of(LENGTH).unwrap().to_text());
    }
}
