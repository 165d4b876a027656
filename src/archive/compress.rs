//! Compressing writers, and what they take of the machine.

use std::io::{self, Write};

use zstd::zstd_safe::{CParameter, ParamSwitch};

use crate::base::error::{Error, Result};
use crate::output::{Means, MemoryLimit};
use crate::package::{Codec, Compression};

/// Below this many bytes Zstandard is given its whole input on one thread, with a window fitted to it.
const SMALL: u64 = 4 << 20;

/// A compressing writer. Its bytes depend on the input, the codec, the level and the length, never on the number of threads.
pub enum Compressor<W: Write> {
    /// Stored.
    None(W),
    Gzip(flate2::write::GzEncoder<W>),
    Xz(liblzma::write::XzEncoder<W>),
    /// Zstandard.
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    /// A compressor for `length` bytes of input that writes to `out`. Fails when one thread of it takes more memory than there may be.
    pub fn new(out: W, compression: Compression, length: u64, means: &Means) -> Result<Self> {
        let Compression { codec, level } = compression;
        let shape = Shape::of(compression, length);
        let threads = shape.threads(compression, means)?;
        let failed = |error| Error::io("cannot compress", codec.suffix(), error);
        Ok(match codec {
            Codec::None => Self::None(out),
            // no name, no time (gzip -n); operating system 255 = unknown, as flate2 writes it
            Codec::Gzip => Self::Gzip(flate2::GzBuilder::new().write(out, flate2::Compression::new(level))),
            Codec::Xz => {
                let stream = xz_stream(level, &shape, threads).map_err(failed)?;
                Self::Xz(liblzma::write::XzEncoder::new_stream(out, stream))
            }
            Codec::Zstd => Self::Zstd(zstd_encoder(out, level, length, &shape, threads).map_err(failed)?),
        })
    }

    /// Writes what is left and returns the writer below.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Xz(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Xz(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Does nothing: flushing in the middle would make the output larger.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How an input is cut up among threads, which decides about the output, and how much memory that takes, in bytes.
struct Shape {
    /// The length of a block that a thread compresses on its own; nothing where the whole input is one.
    block: Option<u64>,
    /// What is taken whatever the number of threads.
    base: u64,
    /// What each thread takes.
    thread: u64,
    /// How far back matches reach.
    dictionary: u64,
}

impl Shape {
    fn of(compression: Compression, length: u64) -> Self {
        let one = |dictionary: u64, memory: u64| Self { block: None, base: 0, thread: memory, dictionary };
        match compression.codec {
            Codec::None => one(0, 0),
            Codec::Gzip => one(32 << 10, 1 << 20),
            Codec::Xz => {
                // as `xz -T` cuts (xz(1), `--block-size`)
                let largest = xz_dictionary(compression.level);
                let block = largest * 3;
                if length <= block {
                    let dictionary = length.next_power_of_two().clamp(64 << 10, largest);
                    return one(dictionary, xz_memory(dictionary));
                }
                // each thread has a block of input and one of output
                let thread = xz_memory(largest) + 2 * block;
                Self { block: Some(block), base: 0, thread, dictionary: largest }
            }
            Codec::Zstd => {
                let (window, chain, hash) = zstd_logs(compression.level);
                let tables = (4 << chain) + (4 << hash);
                let window = length.next_power_of_two().clamp(1 << 10, 1 << window);
                if length <= SMALL {
                    return one(window, tables + 2 * window);
                }
                // `ZSTDMT_computeTargetJobLog`; one job in hand, its output, and those of the threads
                let block = (4 * window).max(1 << 20);
                Self { block: Some(block), base: 3 * block, thread: block + tables, dictionary: window }
            }
        }
    }

    /// How many threads may be used; an error when even one takes more memory than there may be.
    fn threads(&self, compression: Compression, means: &Means) -> Result<u32> {
        let wanted = if self.block.is_some() { u64::from(means.threads.get()) } else { 1 };
        let (MemoryLimit::Gentle(limit) | MemoryLimit::Strict(limit)) = means.memory;
        let least = self.base + self.thread;
        if least > limit && matches!(means.memory, MemoryLimit::Strict(_)) {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            let Compression { codec, level } = compression;
            return Err(Error::usage(format!(
                "{} at level {level} takes {} MiB of memory, and {} are allowed",
                codec.name(),
                mib(least),
                mib(limit)
            ))
            .hint("raise `--memory`, or choose a lower level with `--compression`"));
        }
        let fitting = limit.saturating_sub(self.base) / self.thread.max(1);
        Ok(u32::try_from(wanted.min(fitting)).unwrap_or(u32::MAX).max(1))
    }
}

/// The most memory that compressing anything so takes on one thread, in bytes.
#[must_use]
pub fn least_memory(compression: Compression) -> u64 {
    let Shape { base, thread, .. } = Shape::of(compression, u64::MAX / 2);
    base + thread
}

/// One block on one thread where that is enough; else the multi-threaded encoder, whose output depends on the block size and not on the
/// thread count.
fn xz_stream(level: u32, shape: &Shape, threads: u32) -> io::Result<liblzma::stream::Stream> {
    use liblzma::stream::{Check, Filters, LzmaOptions, MtStreamBuilder, Stream};
    let mut options = LzmaOptions::new_preset(level)?;
    options.dict_size(u32::try_from(shape.dictionary).unwrap_or(u32::MAX));
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let Some(block) = shape.block else {
        return Ok(Stream::new_stream_encoder(&filters, Check::Crc64)?);
    };
    let mut builder = MtStreamBuilder::new();
    Ok(builder.threads(threads).block_size(block).filters(filters).check(Check::Crc64).encoder()?)
}

/// The dictionary of a preset, in bytes (`xz(1)`, table of presets).
fn xz_dictionary(level: u32) -> u64 {
    match level {
        0 => 256 << 10,
        1 => 1 << 20,
        2 => 2 << 20,
        3 | 4 => 4 << 20,
        5 | 6 => 8 << 20,
        7 => 16 << 20,
        8 => 32 << 20,
        _ => 64 << 20,
    }
}

/// What an encoder takes for a dictionary, rounded up (`xz(1)`, column `CompMem`).
fn xz_memory(dictionary: u64) -> u64 {
    dictionary * 23 / 2 + (4 << 20)
}

/// From this level on Zstandard looks where a block is better split in two (zstd 1.5.7, strategy btopt), unless the window is below 128 KiB.
const SPLITTING: u32 = 16;

/// The content size is pledged, so that window and tables fit the input; worker threads only for large inputs, and then always,
/// because the output with one worker differs from the output without any. The blocks of small inputs are split as
/// those of large ones are: a script and a list of digests, as in control members, become smaller by 4 %.
fn zstd_encoder<W: Write>(
    out: W,
    level: u32,
    length: u64,
    shape: &Shape,
    threads: u32,
) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    let mut encoder = zstd::stream::write::Encoder::new(out, i32::try_from(level).unwrap_or(19))?;
    encoder.set_pledged_src_size(Some(length))?;
    encoder.include_checksum(true)?;
    if shape.block.is_some() {
        encoder.multithread(threads)?;
    } else if level >= SPLITTING {
        encoder.set_parameter(CParameter::UseBlockSplitter(ParamSwitch::Enable))?;
    }
    Ok(encoder)
}

/// Window, chain table and hash table of a level for large inputs, as powers of two (zstd 1.5.7, `lib/compress/clevels.h`).
fn zstd_logs(level: u32) -> (u32, u32, u32) {
    match level {
        0 | 3 => (21, 16, 17),
        1 => (19, 13, 14),
        2 => (20, 15, 16),
        4 => (21, 18, 18),
        5 | 6 => (21, 18, 19),
        7 | 8 => (21, 19, 20),
        9 => (22, 20, 21),
        10 | 11 => (22, 21, 22),
        12 | 14 => (22, 22, 23),
        13 | 16 => (22, 22, 22),
        15 => (22, 23, 23),
        17 | 18 => (23, 23, 22),
        _ => (23, 24, 22),
    }
}

/// What `gzip -9n` makes: the best level, no name, no time.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let best = Compression { codec: Codec::Gzip, level: 9 };
    let mut encoder = match Compressor::new(Vec::new(), best, bytes.len() as u64, &Means::default()) {
        Ok(encoder) => encoder,
        Err(error) => unreachable!("a gzip encoder in memory: {error}"),
    };
    match encoder.write_all(bytes).and_then(|()| encoder.finish()) {
        Ok(packed) => packed,
        Err(error) => unreachable!("writing to memory: {error}"),
    }
}

#[cfg(test)]
#[path = "../../tests/it/support/random.rs"]
mod random;

#[cfg(test)]
mod tests {
    use super::random::{Random, c_text};
    use super::*;
    use digest::Digest;

    #[test]
    fn text_and_digests_are_as_small_as_with_a_larger_window() {
        let line = |number: u32| {
            format!("{:x}  usr/src/driver-1/{number}.c\n", md5::Md5::digest(number.to_le_bytes()))
        };
        let input = c_text(&mut Random(1), 1800) + &(0..700).map(line).collect::<String>();
        assert!(input.len() < 64 << 10, "the window fitted to it is below 128 KiB");
        let compression = Compression { codec: Codec::Zstd, level: 19 };
        let means = Means::default();
        let mut ours = Compressor::new(Vec::new(), compression, input.len() as u64, &means).unwrap();
        ours.write_all(input.as_bytes()).unwrap();
        let ours = ours.finish().unwrap().len();
        let mut larger = zstd::stream::write::Encoder::new(Vec::new(), 19).unwrap();
        larger.write_all(input.as_bytes()).unwrap();
        let larger = larger.finish().unwrap().len();
        assert!(ours * 200 < larger * 201, "{ours} and {larger} bytes");
    }
}
