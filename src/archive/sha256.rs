//! SHA-256 (FIPS 180-4) of a stream and of the parts of it, at once.
//!
//! Each round waits for the one before, so that a processor with instructions for SHA-256 has time to spare. A block of the stream and a
//! block of the part in turn are so near to each other that it computes both beside each other.

use digest::generic_array::GenericArray;

use super::Tap;

/// Bytes of a block.
const BLOCK: usize = 64;
type Block = [u8; BLOCK];

/// FIPS 180-4, 5.3.3.
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The digests of a stream and of its parts.
#[derive(Default)]
pub struct Sha256s {
    stream: Message,
    part: Option<Message>,
}

impl Sha256s {
    /// A part begins with the next byte.
    pub fn begin(&mut self) {
        self.part = Some(Message::default());
    }

    /// The part ended with the last byte: its digest. That of nothing where none was begun.
    pub fn end(&mut self) -> [u8; 32] {
        self.part.take().unwrap_or_default().finish()
    }

    /// The digest of the stream.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.stream.finish()
    }
}

impl Tap for Sha256s {
    fn see(&mut self, bytes: &[u8]) {
        let mut one = self.stream.take(bytes);
        if let Some(part) = &mut self.part {
            let two = part.take(bytes);
            let (both, rest) = one.split_at(one.len().min(two.len()));
            for (one, two) in both.iter().zip(two) {
                self.stream.compress(one);
                part.compress(two);
            }
            for block in &two[both.len()..] {
                part.compress(block);
            }
            one = rest;
        }
        for block in one {
            self.stream.compress(block);
        }
    }
}

/// A message of which so much is hashed.
struct Message {
    state: [u32; 8],
    /// Bytes so far.
    length: u64,
    /// The bytes of the last block, while it is not whole.
    last: Block,
}

impl Default for Message {
    fn default() -> Self {
        Self { state: START, length: 0, last: [0; BLOCK] }
    }
}

impl Message {
    /// Takes the next bytes: completes the last block, keeps those of the next one that is not whole, and returns the blocks between, which
    /// are for [`Self::compress`].
    fn take<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [Block] {
        let begun = self.begun();
        self.length += bytes.len() as u64;
        if begun > 0 {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - begun));
            self.last[begun..begun + now.len()].copy_from_slice(now);
            if begun + now.len() < BLOCK {
                return &[];
            }
            let last = self.last;
            self.compress(&last);
            bytes = later;
        }
        let (blocks, rest) = bytes.as_chunks();
        self.last[..rest.len()].copy_from_slice(rest);
        blocks
    }

    /// How many bytes of the last block there are.
    fn begun(&self) -> usize {
        usize::try_from(self.length % BLOCK as u64).unwrap_or_default()
    }

    fn compress(&mut self, block: &Block) {
        sha2::compress256(&mut self.state, std::slice::from_ref(GenericArray::from_slice(block)));
    }

    /// One bit, zeros, and the length in bits.
    fn finish(mut self) -> [u8; 32] {
        let begun = self.begun();
        let bits = self.length.wrapping_mul(8).to_be_bytes();
        let mut end = [[0; BLOCK]; 2];
        end[0][..begun].copy_from_slice(&self.last[..begun]);
        end[0][begun] = 0x80;
        let blocks = if begun < BLOCK - bits.len() { 1 } else { 2 };
        end[blocks - 1][BLOCK - bits.len()..].copy_from_slice(&bits);
        for block in &end[..blocks] {
            self.compress(block);
        }
        let mut digest = [0; 32];
        for (place, word) in digest.chunks_exact_mut(4).zip(self.state) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use digest::Digest;
    use sha2::Sha256;

    #[test]
    fn digests_are_those_of_the_stream_and_of_each_part_alone() {
        let lengths = [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000, 70_000, 3];
        for piece in [1 << 20, 977, 64, 1] {
            let (mut both, mut stream) = (Sha256s::default(), Sha256::new());
            for length in lengths {
                let between = vec![7; length % 113];
                between.chunks(piece).for_each(|piece| both.see(piece));
                Digest::update(&mut stream, &between);
                let part: Vec<u8> =
                    (0..length).map(|at| u8::try_from((at * 31 + length) % 251).unwrap()).collect();
                both.begin();
                part.chunks(piece).for_each(|piece| both.see(piece));
                Digest::update(&mut stream, &part);
                let expected: [u8; 32] = Sha256::digest(&part).into();
                assert_eq!(both.end(), expected, "{length} bytes in pieces of {piece}");
            }
            let expected: [u8; 32] = stream.finalize().into();
            assert_eq!(both.finish(), expected, "the stream, in pieces of {piece}");
        }
    }
}
