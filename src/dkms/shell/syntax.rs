//! From text to syntax trees: brush-parser, guarded against deep nesting, with bash's rule that what precedes an error still runs.
//!
//! Must not evaluate anything.

use brush_parser::{
    ParseError, ParserOptions, Token, TokenizerError, ast, parse_tokens, uncached_tokenize_str,
};

/// A parsed text: the commands that bash would get to run.
#[derive(Debug)]
pub(crate) struct Script {
    /// Parsed parts, each with the character offset and the number of lines it starts behind.
    pub parts: Vec<Part>,
    /// Why the rest does not run.
    pub error: Option<SyntaxError>,
}

/// One part of a script.
#[derive(Debug)]
pub(crate) struct Part {
    pub program: ast::Program,
    /// Characters before it.
    pub offset: usize,
    /// Lines before it.
    pub lines: usize,
}

/// Where and why parsing stops.
#[derive(Debug, Clone)]
pub(crate) struct SyntaxError {
    /// Byte offset.
    pub at: usize,
    /// Byte offset of what is wrong, from `at` on.
    pub caret: usize,
    /// What is wrong.
    pub message: String,
    /// What bash does about it.
    pub ends: Ends,
}

/// What bash does about something that does not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ends {
    /// What precedes it counts.
    Rest,
    /// It may end the whole shell, so that nothing counts: something is wrong in a command substitution (bash 5.2).
    Shell,
    /// Only this reader stops here, and bash may not.
    Reader,
}

/// Openers that may be open at once: tokenizer and parser recurse for each.
const NESTING: usize = 40;
/// Parentheses that may be open around `<<`: `$(( (1 << 2) ))` has three.
const SHIFTED: usize = 8;
/// Openers that a text may have at all: what closes them may stand in quotes and be no closer. The stack holds twice as many.
const OPENERS: usize = 15_000;
/// Tokens that may be looked at while parsing one text, among them those that are looked at again.
const VISITS: usize = 600_000;

fn options() -> ParserOptions {
    ParserOptions { tilde_expansion_at_word_start: false, ..ParserOptions::default() }
}

/// Parses texts with what is left of [`VISITS`].
struct Budget {
    visits: usize,
}

/// What is wrong with a text, and before which of its characters, where that is known.
struct Complaint {
    message: String,
    character: Option<usize>,
}

impl From<TokenizerError> for Complaint {
    fn from(error: TokenizerError) -> Self {
        use TokenizerError as E;
        let place = match &error {
            E::UnterminatedSingleQuote(place)
            | E::UnterminatedAnsiCQuote(place)
            | E::UnterminatedDoubleQuote(place)
            | E::UnterminatedBackquote(place)
            | E::UnterminatedExtendedGlob(place) => Some(place),
            _ => None,
        };
        // the place is shown by a caret
        let ends = |text: &str| place.and_then(|place| Some(text.strip_suffix(&place.to_string())?.len()));
        let message = error.to_string();
        let end = ends(&message).unwrap_or(message.len());
        let plain = message[..end].trim_end_matches(" at ").trim_end_matches(" near ").to_owned();
        Self { message: plain, character: place.map(|place| place.index) }
    }
}

impl From<ParseError> for Complaint {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::ParsingNear(place) => {
                Self { message: "syntax error".to_owned(), character: Some(place.index) }
            }
            ParseError::Tokenizing { inner, .. } => inner.into(),
            error @ ParseError::ParsingAtEndOfInput => Self { message: error.to_string(), character: None },
        }
    }
}

/// Why a text does not parse.
enum Failure {
    /// bash would not parse it either.
    Syntax(Complaint),
    /// It is refused, unread.
    Refused,
}

impl Budget {
    fn parse(&mut self, text: &str) -> Result<ast::Program, Failure> {
        let mut tokens = uncached_tokenize_str(text, &options().tokenizer_options())
            .map_err(|error| Failure::Syntax(error.into()))?;
        part_tokens(&mut tokens);
        let visits =
            tokens.len().saturating_mul(1_usize.checked_shl(doublings(&tokens)).unwrap_or(usize::MAX));
        self.visits = self.visits.checked_sub(visits).ok_or(Failure::Refused)?;
        let failure = match parse_tokens(&tokens, &options()) {
            Ok(program) => return Ok(program),
            Err(error) => Failure::Syntax(error.into()),
        };
        let Some(tokens) = rewritten(&tokens) else { return Err(failure) };
        self.visits = self.visits.checked_sub(visits).ok_or(Failure::Refused)?;
        parse_tokens(&tokens, &options()).map_err(|_| failure)
    }
}

/// What the parser would take for something else: two subshells, since it looks at no blanks, for arithmetic, unless a line ends between
/// them; and `for x in;` for a loop over the parameters, unless there is a word, which expands to none.
fn part_tokens(tokens: &mut Vec<Token>) {
    let is_open = |token: &Token| matches!(token, Token::Operator(operator, _) if operator == "(");
    let mut i = 1;
    while i < tokens.len() {
        let (before, here) = (&tokens[i - 1], &tokens[i]);
        let place = here.location().clone();
        let apart = before.location().end.index < place.start.index;
        let ends = matches!(here, Token::Operator(operator, _) if operator == ";" || operator == "\n");
        if is_open(before) && is_open(here) && apart {
            tokens.insert(i, Token::Operator("\n".to_owned(), place));
            i += 1;
        } else if ends && before.to_str() == "in" && i >= 3 && tokens[i - 3].to_str() == "for" {
            tokens.insert(i, Token::Word("${IFS+}".to_owned(), place));
            i += 1;
        }
        i += 1;
    }
}

/// Begins the variable's name of a loop that is written as `select`, which the parser does not know.
pub(super) const SELECT: &str = "select ";

/// What the parser does not know, as something that it does know: `for ((;;))`, `select`, `f() [[ … ]]`.
fn rewritten(tokens: &[Token]) -> Option<Vec<Token>> {
    let (mut out, mut changed) = (Vec::with_capacity(tokens.len() + 8), false);
    // parentheses of `for ((` that are open, and whether a function's `[[` is
    let (mut round, mut bare) = (0, false);
    for (i, token) in tokens.iter().enumerate() {
        let before = |back: usize| i.checked_sub(back).map_or("", |at| tokens[at].to_str());
        let next = tokens.get(i + 1).map_or("", Token::to_str);
        match token {
            Token::Operator(operator, place) => match operator.as_str() {
                "(" if round > 0 || before(1) == "for" && next == "(" => round += 1,
                ")" if round > 0 => round -= 1,
                ";;" if round > 0 => {
                    out.extend([";", ";"].map(|text| Token::Operator(text.to_owned(), place.clone())));
                    changed = true;
                    continue;
                }
                _ => {}
            },
            Token::Word(word, place) => match word.as_str() {
                "select" if super::builtins::is_identifier(next) => {
                    out.push(Token::Word("for".to_owned(), place.clone()));
                    continue;
                }
                _ if before(1) == "select" && super::builtins::is_identifier(word) => {
                    out.push(Token::Word(format!("{SELECT}{word}"), place.clone()));
                    changed = true;
                    continue;
                }
                "[[" if before(1) == ")" && before(2) == "(" => {
                    out.push(Token::Word("{".to_owned(), place.clone()));
                    (bare, changed) = (true, true);
                }
                "]]" if bare => {
                    out.push(token.clone());
                    out.push(Token::Operator(";".to_owned(), place.clone()));
                    out.push(Token::Word("}".to_owned(), place.clone()));
                    bare = false;
                    continue;
                }
                _ => {}
            },
        }
        out.push(token.clone());
    }
    changed.then_some(out)
}

/// Characters that stand for those of a substitution while the parser reads what is around it: a plane of private use.
const MASK: u32 = 0xF_0000;

/// A text of which the parser does not see the insides of substitutions, which it does not always find the end of; nothing
/// where there is none. `difficult`: of those only where it is known for that.
fn masked(text: &str, difficult: bool) -> Option<String> {
    let is_masked = |c: char| u32::from(c) & 0x1F_0000 == MASK;
    let is_difficult = |text: &str| ["<<", "case", "\\$'", "\\$\""].iter().any(|sign| text.contains(sign));
    if !text.contains("$(") && !text.contains("${") && !text.contains("\\$")
        || text.contains(is_masked)
        || difficult && !is_difficult(text)
    {
        return None;
    }
    let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
    for inner in super::scan::misleading(text) {
        let inside = &text[inner.clone()];
        if difficult && inside != "$" && !is_difficult(inside) {
            continue;
        }
        out.push_str(&text[copied..inner.start]);
        let mask = |c: char| match u32::from(c) {
            code @ 0..=0x7F if c != '\n' => char::from_u32(MASK + code).unwrap_or(c),
            _ => c,
        };
        out.extend(inside.chars().map(mask));
        copied = inner.end;
    }
    out.push_str(&text[copied..]);
    (out.len() > text.len()).then_some(out)
}

/// The character that one stands for.
pub(super) fn unmasked_letter(c: char) -> char {
    match u32::from(c) {
        code @ MASK..=0xF_007F => char::from_u32(code - MASK).unwrap_or(c),
        _ => c,
    }
}

/// The text that was masked.
pub(super) fn unmasked(text: &str) -> std::borrow::Cow<'_, str> {
    // all of them begin with this byte
    if !text.as_bytes().contains(&0xF3) {
        return text.into();
    }
    text.chars().map(unmasked_letter).collect::<String>().into()
}

/// How many constructs are open at most of which the parser looks at the inside twice, first as one thing and then as another.
fn doublings(tokens: &[Token]) -> u32 {
    let (mut open, mut most) = (Vec::new(), 0);
    let mut commands_begin = true;
    for token in tokens {
        match token {
            Token::Operator(operator, _) => {
                match operator.as_str() {
                    "(" => open.push('('),
                    // a pattern's end, in a `case`
                    ")" if open.last() == Some(&'(') => drop(open.pop()),
                    _ => {}
                }
                commands_begin = true;
            }
            Token::Word(word, _) => {
                match word.as_str() {
                    "case" if commands_begin => open.push('c'),
                    "esac" if commands_begin => {
                        open.truncate(open.iter().rposition(|kind| *kind == 'c').unwrap_or(open.len()));
                    }
                    _ => {}
                }
                commands_begin = matches!(
                    word.as_str(),
                    "if" | "then" | "elif" | "else" | "while" | "until" | "do" | "{" | "!" | "time" | "in"
                );
            }
        }
        most = most.max(open.len());
    }
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// Why a text is not read that bash may well read.
const REFUSED: &str = "it is nested too deeply to be read safely";

pub(crate) fn parse(text: &str) -> Script {
    let refused = |at, parts| Script {
        parts,
        error: Some(SyntaxError { at, caret: at, message: REFUSED.to_owned(), ends: Ends::Reader }),
    };
    if let Err(at) = check_nesting(text) {
        return refused(at, Vec::new());
    }
    let mut budget = Budget { visits: VISITS };
    let whole = |program| Script { parts: vec![Part { program, offset: 0, lines: 0 }], error: None };
    let mut hidden = masked(text, true);
    let first = hidden.as_deref().unwrap_or(text);
    let Complaint { message, character } = match budget.parse(first) {
        Ok(program) => return whole(program),
        Err(Failure::Syntax(complaint)) => complaint,
        Err(Failure::Refused) => return refused(0, Vec::new()),
    };
    let start = character.and_then(|index| Some(first.char_indices().nth(index)?.0));
    let caret = start.map_or(0, |start| unmasked(&first[..start]).len());
    hidden = masked(text, false).or(hidden);
    let Some(hidden) = hidden else {
        let mut script = parse_lines(text, message, &mut budget);
        if let Some(error) = &mut script.error {
            error.caret = error.at.max(caret);
        }
        return script;
    };
    if let Ok(program) = budget.parse(&hidden) {
        return whole(program);
    }
    let mut script = parse_lines(&hidden, message, &mut budget);
    // what stands for a character is longer than the character
    if let Some(error) = &mut script.error {
        error.at = unmasked(&hidden[..error.at]).len();
        error.caret = error.at.max(caret);
    }
    script
}

/// Bash reads and runs one complete command at a time, so what precedes a syntax error counts.
fn parse_lines(text: &str, message: String, budget: &mut Budget) -> Script {
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    while end < text.len() {
        end = text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
        let chunk = &text[start..end];
        if continues(chunk) && end < text.len() {
            continue;
        }
        match budget.parse(chunk) {
            Ok(program) => {
                let before = &text[..start];
                let (offset, lines) = (before.chars().count(), before.matches('\n').count());
                parts.push(Part { program, offset, lines });
                start = end;
            }
            Err(Failure::Syntax(_)) => {}
            Err(Failure::Refused) => {
                let error =
                    SyntaxError { at: start, caret: start, message: REFUSED.to_owned(), ends: Ends::Reader };
                return Script { parts, error: Some(error) };
            }
        }
    }
    if start >= text.len() {
        return Script { parts, error: None };
    }
    let in_substitution = ["$(", "<(", ">("].iter().any(|sign| text[start..].contains(sign));
    let ends = if in_substitution { Ends::Shell } else { Ends::Rest };
    Script { parts, error: Some(SyntaxError { at: start, caret: start, message, ends }) }
}

/// The first command substitution that does not parse: bash reads it with the command that it stands in, run or not, and ends there.
pub(crate) fn misspelt_substitution(text: &str) -> Option<SyntaxError> {
    if !text.contains("$(") {
        return None;
    }
    super::scan::misleading(text).into_iter().find_map(|inner| {
        let inside = &text[inner.clone()];
        let is_command =
            text[..inner.start].ends_with('(') && super::scan::end_of_arithmetic(text, inner.start).is_none();
        if !is_command {
            return None;
        }
        let error = parse(inside).error.or_else(|| misspelt_substitution(inside))?;
        let place = |at: usize| inner.start + at;
        let ends = error.ends.max(Ends::Shell);
        Some(SyntaxError { at: place(error.at), caret: place(error.caret), ends, ..error })
    })
}

/// Whether the last line ends in a backslash that continues it.
fn continues(chunk: &str) -> bool {
    let line = chunk.strip_suffix('\n').unwrap_or(chunk);
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// A cheap bound on nesting, before anything recurses: counts openers, closers and keywords wherever they stand.
fn check_nesting(text: &str) -> Result<(), usize> {
    let bytes = text.as_bytes();
    let (mut round, mut curly, mut square, mut keyword) = (0usize, 0usize, 0usize, 0usize);
    let (mut run, mut openers) = (0, 0);
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'(' => round += 1,
            // the tokenizer takes shifts in some nested arithmetic for here-documents, and then does not end
            b'<' if bytes.get(i + 1) == Some(&b'<') && round > SHIFTED => return Err(i),
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
                    b"if" | b"while" | b"until" | b"for" | b"case" | b"select" => {
                        keyword += 1;
                        openers += 1;
                    }
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
        openers += usize::from(b"({[".contains(&bytes[i]));
        if openers > OPENERS
            || round > NESTING
            || curly > NESTING
            || square > NESTING
            || keyword > NESTING * 20
        {
            return Err(i);
        }
        i += 1;
    }
    Ok(())
}
