//! The compressor alone on bytes in memory: what the time of a package is compared with.
//!
//!     cargo bench --bench codec -- CODEC LEVEL THREADS FILE
//!
//! Prints one line: wall seconds, CPU seconds of all threads (user and system), MiB of memory beside the file, bytes of output. The
//! settings are those of `xz -T THREADS` and `zstd -T THREADS`; with 0 threads the encoder that has none is taken.

#![allow(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a program that measures and prints"
)]

use std::io::{self, Write};
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [codec, level, threads, file] = args.as_slice() else {
        // cargo test runs it without arguments
        return Ok(());
    };
    let number = |text: &str| text.parse::<u32>().map_err(io::Error::other);
    let (level, threads) = (number(level)?, number(threads)?);
    let bytes = std::fs::read(file)?;
    let before = peak()?;
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let size = match codec.as_str() {
        "zstd" => zstd(&bytes, level, threads)?,
        "xz" => xz(&bytes, level, threads)?,
        "gzip" => gzip(&bytes, level)?,
        _ => return Err(io::Error::other("codecs are xz, zstd and gzip")),
    };
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let own = (peak()? - before) as f64 / 1024.0;
    writeln!(io::stdout(), "{wall:.6} {cpu:.6} {own:.1} {size}")
}

/// Counts what it is given.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn zstd(bytes: &[u8], level: u32, threads: u32) -> io::Result<u64> {
    let level = i32::try_from(level).map_err(io::Error::other)?;
    let mut encoder = zstd::stream::write::Encoder::new(Count(0), level)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    encoder.include_checksum(true)?;
    if threads > 0 {
        encoder.multithread(threads)?;
    }
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.0)
}

fn xz(bytes: &[u8], level: u32, threads: u32) -> io::Result<u64> {
    use liblzma::stream::{Check, MtStreamBuilder, Stream};
    let stream = if threads > 0 {
        MtStreamBuilder::new().threads(threads).preset(level).check(Check::Crc64).encoder()?
    } else {
        Stream::new_easy_encoder(level, Check::Crc64)?
    };
    let mut encoder = liblzma::write::XzEncoder::new_stream(Count(0), stream);
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.0)
}

fn gzip(bytes: &[u8], level: u32) -> io::Result<u64> {
    let mut encoder = flate2::write::GzEncoder::new(Count(0), flate2::Compression::new(level));
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.0)
}

/// Of all threads, also of those that ended (`clock_gettime(2)`).
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The largest resident set so far, in KiB (`proc(5)`, `VmHWM`).
fn peak() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.and_then(|number| number.parse().ok()).ok_or_else(|| io::Error::other("no VmHWM"))
}
