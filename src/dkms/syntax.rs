//! From text to syntax trees: brush-parser, guarded against deep nesting, with bash's rule that what precedes an error still runs.
//!
//! Must not evaluate anything.

use brush_parser::{Parser, ParserOptions, ast};

/// A parsed text: the commands that bash would get to run.
#[derive(Debug)]
pub(super) struct Script {
    /// Parsed parts, each with the character offset and the number of lines it starts behind.
    pub parts: Vec<Part>,
    /// Why the rest does not run.
    pub error: Option<SyntaxError>,
}

/// One part of a script.
#[derive(Debug)]
pub(super) struct Part {
    /// The commands.
    pub program: ast::Program,
    /// Characters before it.
    pub offset: usize,
    /// Lines before it.
    pub lines: usize,
}

/// Where and why parsing stops.
#[derive(Debug, Clone)]
pub(super) struct SyntaxError {
    /// Byte offset.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

/// Openers that may be open at once: the parser recurses for each.
const NESTING: usize = 40;
/// Bytes that may be parsed again while looking for the last good line.
const AGAIN: usize = 4 << 20;

fn options() -> ParserOptions {
    ParserOptions { tilde_expansion_at_word_start: false, ..ParserOptions::default() }
}

fn parse_program(text: &str) -> Result<ast::Program, String> {
    Parser::new(text.as_bytes(), &options()).parse_program().map_err(|error| error.to_string())
}

/// Parses a text.
pub(super) fn parse(text: &str) -> Script {
    if let Err(at) = check_nesting(text) {
        let error = SyntaxError { at, message: "nested too deeply to be read safely".to_owned() };
        return Script { parts: Vec::new(), error: Some(error) };
    }
    match parse_program(text) {
        Ok(program) => Script { parts: vec![Part { program, offset: 0, lines: 0 }], error: None },
        Err(message) => parse_lines(text, &message),
    }
}

/// Bash reads and runs one complete command at a time, so what precedes a syntax error counts.
fn parse_lines(text: &str, message: &str) -> Script {
    let mut parts = Vec::new();
    let (mut start, mut end, mut budget) = (0, 0, AGAIN);
    while end < text.len() {
        end = text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
        let chunk = &text[start..end];
        if continues(chunk) && end < text.len() {
            continue;
        }
        let Some(rest) = budget.checked_sub(chunk.len()) else { break };
        budget = rest;
        if let Ok(program) = parse_program(chunk) {
            let before = &text[..start];
            parts.push(Part { program, offset: before.chars().count(), lines: before.matches('\n').count() });
            start = end;
        }
    }
    if start >= text.len() {
        return Script { parts, error: None };
    }
    Script { parts, error: Some(SyntaxError { at: start, message: message.to_owned() }) }
}

/// Whether the last line ends in a backslash that continues it.
fn continues(chunk: &str) -> bool {
    let line = chunk.strip_suffix('\n').unwrap_or(chunk);
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// A cheap bound on nesting: counts openers and keywords wherever they stand, so quotes can only make it stricter.
fn check_nesting(text: &str) -> Result<(), usize> {
    let bytes = text.as_bytes();
    let (mut round, mut curly, mut square, mut keyword) = (0usize, 0usize, 0usize, 0usize);
    let mut run = 0;
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'(' => round += 1,
            b')' => round = round.saturating_sub(1),
            b'{' => curly += 1,
            b'}' => curly = curly.saturating_sub(1),
            b'[' => square += 1,
            b']' => square = square.saturating_sub(1),
            b'\n' => square = 0,
            b'a'..=b'z' => {
                let end =
                    bytes[i..].iter().position(|b| !b.is_ascii_alphanumeric()).map_or(bytes.len(), |n| i + n);
                match &bytes[i..end] {
                    b"if" | b"while" | b"until" | b"for" | b"case" | b"select" => keyword += 1,
                    b"fi" | b"done" | b"esac" => keyword = keyword.saturating_sub(1),
                    _ => {}
                }
                i = end;
                run = 0;
                continue;
            }
            b'0'..=b'9' => {
                run += 1;
                // The parser unwraps the number of a file descriptor and of a directory stack entry.
                let next = bytes.get(i + 1).copied();
                if run > 8 && matches!(next, Some(b'<' | b'>')) {
                    return Err(i);
                }
                i += 1;
                continue;
            }
            _ => {}
        }
        run = 0;
        if round > NESTING || curly > NESTING || square > NESTING || keyword > NESTING * 20 {
            return Err(i);
        }
        i += 1;
    }
    Ok(())
}
