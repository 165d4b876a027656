//! MD5 (RFC 1321) of many messages at once.
//!
//! Each step of MD5 waits for the one before, so that a processor hashes one message far below what its registers could do. The files
//! of a tree wait for nobody: eight of them are hashed beside each other, as lanes of vectors.

/// How many messages are hashed beside each other.
const LANES: usize = 8;
/// Bytes of a block.
const BLOCK: usize = 64;
type Block = [u8; BLOCK];
/// How many bytes are collected before they are hashed: so many that the lanes are full, so few that they are still in a cache.
const BATCH: usize = 2 << 20;

/// One word of each lane.
type Words<const N: usize> = [u32; N];
/// The four words of a digest on its way, for each lane.
type State<const N: usize> = [Words<N>; 4];

const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The digests of messages that come one after the other, piece by piece.
#[derive(Default)]
pub struct Md5s {
    /// What is not hashed yet.
    bytes: Vec<u8>,
    /// Where in `bytes` each complete message ends.
    ends: Vec<usize>,
    /// How far the first message in `bytes` is hashed.
    begun: Begun,
    digests: Vec<[u8; 16]>,
}

/// A message of which so many bytes are hashed.
#[derive(Clone, Copy)]
struct Begun {
    state: [u32; 4],
    length: u64,
}

impl Default for Begun {
    fn default() -> Self {
        Self { state: START, length: 0 }
    }
}

impl Md5s {
    /// The next piece of the message.
    pub fn see(&mut self, mut piece: &[u8]) {
        while self.bytes.len() + piece.len() >= BATCH {
            let (now, later) = piece.split_at(BATCH - self.bytes.len());
            self.bytes.extend_from_slice(now);
            self.hash();
            piece = later;
        }
        self.bytes.extend_from_slice(piece);
    }

    /// The message is complete; the next piece begins another.
    pub fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// The digests of the complete messages, in order.
    #[must_use]
    pub fn finish(mut self) -> Vec<[u8; 16]> {
        self.hash();
        self.digests
    }

    /// Hashes what was collected, but for the part of a block at the end of an incomplete message.
    fn hash(&mut self) {
        let mut jobs = Vec::with_capacity(self.ends.len() + 1);
        let mut start = 0;
        for &end in &self.ends {
            jobs.push(Job::new(std::mem::take(&mut self.begun), &self.bytes[start..end], true));
            start = end;
        }
        let whole = (self.bytes.len() - start) / BLOCK * BLOCK;
        jobs.push(Job::new(std::mem::take(&mut self.begun), &self.bytes[start..start + whole], false));
        let mut results = run(&jobs);
        self.begun = results.pop().unwrap_or_default();
        self.digests.extend(results.into_iter().map(|begun| digest(begun.state)));
        self.bytes.drain(..start + whole);
        self.ends.clear();
    }
}

fn digest(state: [u32; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (place, word) in bytes.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// A part of a message.
struct Job<'a> {
    begun: Begun,
    blocks: &'a [Block],
    /// The last bytes of a complete message and their padding: no block, one or two.
    end: [Block; 2],
    ends: usize,
}

impl<'a> Job<'a> {
    fn new(mut begun: Begun, bytes: &'a [u8], is_complete: bool) -> Self {
        begun.length += bytes.len() as u64;
        let (blocks, rest) = bytes.as_chunks();
        let mut job = Self { begun, blocks, end: [[0; BLOCK]; 2], ends: 0 };
        if is_complete {
            // one bit, zeros, and the length in bits
            job.ends = if rest.len() < BLOCK - 8 { 1 } else { 2 };
            job.end[0][..rest.len()].copy_from_slice(rest);
            job.end[0][rest.len()] = 0x80;
            job.end[job.ends - 1][BLOCK - 8..].copy_from_slice(&begun.length.wrapping_mul(8).to_le_bytes());
        }
        job
    }

    fn length(&self) -> usize {
        self.blocks.len() + self.ends
    }

    /// The blocks from `at` on that lie one after the other.
    fn from(&self, at: usize) -> &[Block] {
        self.blocks.get(at..).filter(|blocks| !blocks.is_empty()).unwrap_or_else(|| {
            let end = &self.end[..self.ends];
            end.get(at - self.blocks.len()..).unwrap_or_default()
        })
    }
}

/// A job in a lane, and how many of its blocks are done.
#[derive(Clone, Copy)]
struct Lane {
    job: usize,
    done: usize,
}

/// Where each job ends.
fn run(jobs: &[Job<'_>]) -> Vec<Begun> {
    let mut results: Vec<_> = jobs.iter().map(|job| job.begun).collect();
    let mut waiting: Vec<_> = (0..jobs.len()).filter(|index| jobs[*index].length() > 0).collect();
    // the longest is taken first, so that the lanes end together
    waiting.sort_by_key(|index| jobs[*index].length());
    let mut lanes: Vec<Lane> = Vec::with_capacity(LANES);
    loop {
        lanes.retain(|lane| lane.done < jobs[lane.job].length());
        while lanes.len() < LANES {
            let Some(job) = waiting.pop() else { break };
            lanes.push(Lane { job, done: 0 });
        }
        let Some(first) = lanes.first() else { return results };
        let blocks = |lane: &Lane| jobs[lane.job].from(lane.done);
        let mut inputs = [blocks(first); LANES];
        for (input, lane) in inputs.iter_mut().zip(&lanes) {
            *input = blocks(lane);
        }
        let steps = inputs.iter().map(|input| input.len()).min().unwrap_or_default();
        if lanes.len() < WORTH {
            for (lane, input) in lanes.iter().zip(inputs) {
                let state = &mut results[lane.job].state;
                let mut one = state.map(|word| [word]);
                compress_one(&mut one, &[&input[..steps]]);
                *state = one.map(|[word]| word);
            }
        } else {
            let mut states = [[0; LANES]; 4];
            for (index, lane) in lanes.iter().enumerate() {
                for (words, word) in states.iter_mut().zip(results[lane.job].state) {
                    words[index] = word;
                }
            }
            compress_lanes(&mut states, &inputs.map(|input| &input[..steps]));
            for (index, lane) in lanes.iter().enumerate() {
                results[lane.job].state = states.map(|words| words[index]);
            }
        }
        for lane in &mut lanes {
            lane.done += steps;
        }
    }
}

/// So many lanes have to be in use for all of them to be faster than one after the other.
const WORTH: usize = 3;

/// One message, as far as it goes.
fn compress_one(state: &mut State<1>, inputs: &[&[Block]; 1]) {
    compress(state, inputs);
}

/// The same for all lanes, with the widest registers that the processor has.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn compress_lanes(states: &mut State<LANES>, inputs: &[&[Block]; LANES]) {
    compress(states, inputs);
}

/// The additive constants: the integer part of 2^32 times the sine of 1 to 64.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// RFC 1321, 3.4, for all blocks of the inputs, which are equally many.
#[inline(always)]
#[allow(clippy::inline_always, reason = "it has to be compiled anew for the registers of each caller")]
fn compress<const N: usize>(states: &mut State<N>, inputs: &[&[Block]; N]) {
    /// One operation: what becomes of `a`.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as above")]
    fn step<const N: usize>(
        [a, b, c, d]: State<N>,
        mix: impl Fn(u32, u32, u32) -> u32,
        words: &Words<N>,
        sine: u32,
        turn: u32,
    ) -> Words<N> {
        std::array::from_fn(|lane| {
            let sum = a[lane].wrapping_add(mix(b[lane], c[lane], d[lane]));
            b[lane].wrapping_add(sum.wrapping_add(words[lane]).wrapping_add(sine).rotate_left(turn))
        })
    }
    let blocks = inputs.first().map_or(0, |input| input.len());
    for block in 0..blocks {
        let mut words = [[0; N]; 16];
        for (lane, input) in inputs.iter().enumerate() {
            let (bytes, _) = input[block].as_chunks::<4>();
            for (place, bytes) in words.iter_mut().zip(bytes) {
                place[lane] = u32::from_le_bytes(*bytes);
            }
        }
        let [mut a, mut b, mut c, mut d] = *states;
        macro_rules! round {
            ($mix:expr, $word:expr, $turns:expr, $($index:literal)*) => { $(
                let turned = step([a, b, c, d], $mix, &words[$word($index) % 16], SINES[$index], $turns[$index % 4]);
                (a, d, c, b) = (d, c, b, turned);
            )* };
        }
        round!(|b, c, d| d ^ (b & (c ^ d)), |i: usize| i, [7, 12, 17, 22], 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        round!(|b, c, d| c ^ (d & (b ^ c)), |i: usize| 5 * i + 1, [5, 9, 14, 20], 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
        round!(|b, c, d| b ^ c ^ d, |i: usize| 3 * i + 5, [4, 11, 16, 23], 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47);
        round!(|b, c, d| c ^ (b | !d), |i: usize| 7 * i, [6, 10, 15, 21], 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
        for (state, word) in states.iter_mut().zip([a, b, c, d]) {
            for (state, word) in state.iter_mut().zip(word) {
                *state = state.wrapping_add(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use digest::Digest;

    /// Lengths around those of blocks, of their padding and of a batch.
    const LENGTHS: [usize; 18] = [
        0,
        1,
        55,
        56,
        63,
        64,
        65,
        119,
        120,
        128,
        1000,
        4096,
        70_000,
        BATCH - 1,
        BATCH,
        BATCH + 1,
        3 * BATCH + 57,
        5,
    ];

    fn expected(message: &[u8]) -> [u8; 16] {
        ::md5::Md5::digest(message).into()
    }

    #[test]
    fn digests_are_those_of_one_message_after_the_other() {
        let messages: Vec<Vec<u8>> = LENGTHS
            .iter()
            .map(|length| (0..*length).map(|at| u8::try_from((at * 31 + length) % 251).unwrap()).collect())
            .collect();
        for count in [0, 1, 2, 3, 7, 8, 9, messages.len()] {
            for piece in [1 << 30, 60_000, 977] {
                let mut many = Md5s::default();
                for message in &messages[..count] {
                    message.chunks(piece).for_each(|piece| many.see(piece));
                    many.end();
                }
                let expected: Vec<_> = messages[..count].iter().map(|message| expected(message)).collect();
                assert!(many.finish() == expected, "{count} messages in pieces of {piece}");
            }
        }
    }

    #[test]
    fn many_short_messages() {
        let mut many = Md5s::default();
        let messages: Vec<_> = (0..5000u32).map(|number| "x".repeat(number as usize % 200)).collect();
        for message in &messages {
            many.see(message.as_bytes());
            many.end();
        }
        let expected: Vec<_> = messages.iter().map(|message| expected(message.as_bytes())).collect();
        assert!(many.finish() == expected);
    }
}
