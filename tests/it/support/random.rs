//! What only looks as if it came from anywhere: numbers and text that depend on a seed alone, for tests of this folder and of `src/`.

#![allow(dead_code, unreachable_pub, reason = "a part of several programs, none of which uses all of it")]

/// A small generator: what comes out depends on the seed alone.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// Below `count`; 0 where there is nothing below it.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next()).unwrap() % count.max(1)
    }
}

/// Text of so many words that packs as source of a driver does. An encoder may pack another text by some bytes worse or better than
/// another encoder, so that what compares two of them must not take a text that people edit.
pub fn c_text(random: &mut Random, words: usize) -> String {
    const WORDS: [&str; 13] =
        ["static", "int", "return", "struct", "device", "if (", ")", "{", "}", ";", "\n\t", "0x", "->"];
    let mut text = String::new();
    for _ in 0..words {
        match random.below(4) {
            0 => text.push_str(&format!("toy_{}", random.below(300))),
            1 => text.push_str(&random.below(4096).to_string()),
            _ => text.push_str(WORDS[random.below(WORDS.len())]),
        }
        text.push(' ');
    }
    text
}
