//! Shell scripts as far as rules need them: which commands one runs, with which words, and what becomes of a command that fails.
//!
//! Knows POSIX sh and bash's everyday additions, and runs nothing. Bounded: deep nesting, and what is no shell, gives nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// How deep constructs may nest.
const DEPTH: usize = 60;
/// How long a value may get.
const VALUE: usize = 4096;
/// How many values a variable of a loop may have.
const VALUES: usize = 16;
/// How much of a script is looked at.
const TEXT: usize = 256 << 10;

/// What a script runs.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// The commands, as they stand in the text; those in functions that nobody calls are left out.
    pub commands: Vec<Command>,
    /// The names of its own functions.
    pub functions: BTreeSet<String>,
    /// Whether all of it could be read.
    pub is_whole: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Command {
    /// Its words, without assignments and redirections.
    pub words: Vec<Word>,
    pub span: Range<usize>,
    /// Whether the script ends where it fails, or with its status.
    pub decides: bool,
    /// The texts of the conditions that it hangs on.
    pub conditions: Vec<Range<usize>>,
}

/// A word of a command.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub span: Range<usize>,
    /// What it may be; nothing where that is not known.
    pub values: Vec<String>,
    /// Whether the shell may make several words of it.
    pub splits: bool,
}

impl Word {
    pub(super) fn value(&self) -> Option<&str> {
        match self.values.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }
}

pub(super) fn read(text: &str) -> Script {
    let mut lexer = Lexer { text, at: 0, here: Vec::new(), depth: 0 };
    let tokens = (text.len() <= TEXT).then(|| lexer.tokens()).flatten();
    let mut parser = Parser { text, tokens: tokens.unwrap_or_default(), at: 0, depth: 0 };
    let list = (!parser.tokens.is_empty()).then(|| parser.list(&[])).flatten();
    let is_whole = list.is_some() && matches!(parser.peek(), Token::End);
    let Some(list) = list.filter(|_| is_whole) else {
        return Script { is_whole: text.trim().is_empty(), ..Script::default() };
    };
    let mut variables = Variables::default();
    variables.list(text, &list);
    let mut walk = Walk {
        text,
        variables: &variables,
        errexit: begins_with_errexit(text),
        seen: Vec::new(),
        functions: BTreeSet::new(),
        depth: 0,
        cut: false,
        has_trap: false,
    };
    walk.list(&list, &Context { tail: true, ..Context::default() });
    let is_whole = !walk.cut;
    Script { functions: walk.functions.clone(), commands: walk.finish(), is_whole }
}

/// Whether the first line has `-e` among the options of the shell.
fn begins_with_errexit(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let mut words = first.strip_prefix("#!").unwrap_or_default().split_whitespace().skip(1);
    words.any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('e'))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(Range<usize>),
    /// `;`, `&&` and the like; with its place.
    Sign(&'static str, usize),
    /// A redirection: the next word is its file.
    Redirection,
    Newline,
    End,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Here-documents whose text begins after this line: the word, and whether tabs are taken off.
    here: Vec<(String, bool)>,
    depth: usize,
}

const SIGNS: &[&str] = &[";;&", ";;", ";&", "&&", "||", "|&", ";", "&", "|", "(", ")"];
const REDIRECTIONS: &[&str] = &["&>>", "<<<", "<<-", "&>", "<<", ">>", ">&", "<&", ">|", "<>", "<", ">"];

impl Lexer<'_> {
    fn tokens(&mut self) -> Option<Vec<Token>> {
        let mut tokens = Vec::new();
        loop {
            self.blanks();
            let rest = &self.text[self.at..];
            let Some(first) = rest.bytes().next() else { break };
            if first == b'\n' {
                self.at += 1;
                self.skip_here();
                tokens.push(Token::Newline);
            } else if (rest.starts_with("<(") || rest.starts_with(">("))
                || first == b'(' && rest.starts_with("((")
            {
                let from = self.at;
                self.at += usize::from(first != b'(');
                self.parentheses()?;
                tokens.push(Token::Word(from..self.at));
            } else if let Some(sign) = REDIRECTIONS.iter().find(|sign| rest.starts_with(**sign)) {
                self.at += sign.len();
                if sign.starts_with("<<") && *sign != "<<<" {
                    self.blanks();
                    let word = self.word()?;
                    let end = self.text[word].replace(['\'', '"', '\\'], "");
                    self.here.push((end, *sign == "<<-"));
                } else {
                    tokens.push(Token::Redirection);
                }
            } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                tokens.push(Token::Sign(sign, self.at));
                self.at += sign.len();
            } else {
                let word = self.word()?;
                let text = &self.text[word.clone()];
                let number = text.bytes().all(|byte| byte.is_ascii_digit());
                if number && self.text[self.at..].starts_with(['<', '>']) {
                    continue;
                }
                let is_test = text == "[[";
                tokens.push(Token::Word(word));
                if is_test {
                    // its inside has a grammar of its own
                    let end = self.text[self.at..].find("]]")? + self.at;
                    tokens.push(Token::Word(self.at..end));
                    self.at = end;
                }
            }
        }
        Some(tokens)
    }

    /// Blanks, continued lines and comments.
    fn blanks(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let before = self.at.checked_sub(1).map(|at| self.text.as_bytes()[at]);
            if rest.starts_with([' ', '\t', '\r']) {
                self.at += 1;
            } else if rest.starts_with("\\\n") {
                self.at += 2;
            } else if rest.starts_with('#') && before.is_none_or(|byte| b" \t\r\n;&|(".contains(&byte)) {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else {
                return;
            }
        }
    }

    fn skip_here(&mut self) {
        for (end, tabs) in std::mem::take(&mut self.here) {
            while self.at < self.text.len() {
                let rest = &self.text[self.at..];
                let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
                let line = rest[..length].trim_end_matches(['\n', '\r']);
                self.at += length;
                if (if tabs { line.trim_start_matches('\t') } else { line }) == end {
                    break;
                }
            }
        }
    }

    /// A word, with everything that is quoted or substituted in it.
    fn word(&mut self) -> Option<Range<usize>> {
        let from = self.at;
        while let Some(byte) = self.byte(0) {
            match byte {
                // an array
                b'(' if self.text[from..self.at].ends_with('=') => self.parentheses()?,
                b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => break,
                _ => self.part(byte)?,
            }
        }
        (self.at > from).then_some(from..self.at)
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// One character, or one thing in quotes or braces.
    fn part(&mut self, byte: u8) -> Option<()> {
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        match byte {
            b'\\' => self.at = (self.at + 2).min(self.text.len()),
            b'\'' => self.at += self.text[self.at + 1..].find('\'')? + 2,
            b'`' => {
                self.at += 1;
                while self.byte(0)? != b'`' {
                    self.at += if self.byte(0) == Some(b'\\') { 2 } else { 1 };
                }
                self.at += 1;
            }
            b'"' => {
                self.at += 1;
                loop {
                    match self.byte(0)? {
                        b'"' => break,
                        b'\'' => self.at += 1,
                        other => self.part(other)?,
                    }
                }
                self.at += 1;
            }
            b'$' if self.byte(1) == Some(b'(') => {
                self.at += 1;
                self.parentheses()?;
            }
            b'$' if self.byte(1) == Some(b'{') => {
                self.at += 2;
                loop {
                    match self.byte(0)? {
                        b'}' => break,
                        other => self.part(other)?,
                    }
                }
                self.at += 1;
            }
            _ => self.at += 1,
        }
        // characters of several bytes have no byte that means anything
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        self.depth -= 1;
        Some(())
    }

    /// From `(` to its `)`.
    fn parentheses(&mut self) -> Option<()> {
        let (mut open, mut cases) = (0_usize, 0_usize);
        let mut word = self.at;
        loop {
            let byte = self.byte(0)?;
            let ends_word = !byte.is_ascii_alphanumeric() && byte != b'_';
            if ends_word {
                match &self.text[word.min(self.at)..self.at] {
                    "case" => cases += 1,
                    "esac" => cases = cases.saturating_sub(1),
                    _ => {}
                }
            }
            match byte {
                b'(' => {
                    open += 1;
                    self.at += 1;
                }
                b')' if open == 1 && cases > 0 => self.at += 1,
                b')' => {
                    open -= 1;
                    self.at += 1;
                    if open == 0 {
                        return Some(());
                    }
                }
                b'#' if self.text[..self.at].ends_with([' ', '\n', '\t']) => {
                    self.at += self.text[self.at..].find('\n')?;
                }
                // `$((` and `$(`, which this loop counts
                b'$' if self.byte(1) == Some(b'(') => self.at += 1,
                other => self.part(other)?,
            }
            if ends_word {
                word = self.at;
            }
        }
    }
}

type List = Vec<Item>;

/// Pipelines joined by `&&` and `||`.
#[derive(Debug)]
struct Item {
    pipelines: Vec<Pipeline>,
    in_background: bool,
}

#[derive(Debug)]
struct Pipeline {
    negated: bool,
    nodes: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    Simple {
        words: Vec<Range<usize>>,
        span: Range<usize>,
    },
    /// Conditions with their places and what hangs on them; the last may have none.
    If(Vec<(List, Range<usize>, List)>),
    Loop(List, Range<usize>, List),
    For(Range<usize>, Vec<Range<usize>>, List),
    /// The word that is tested, the patterns and what hangs on them.
    Case(Range<usize>, Vec<(Range<usize>, List)>),
    Group(List, bool),
    Function(Range<usize>, Box<Node>),
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn sign(&self) -> &'static str {
        match self.peek() {
            Token::Sign(sign, _) => sign,
            _ => "",
        }
    }

    /// The text of a word that stands here.
    fn word(&self) -> &str {
        match self.peek() {
            Token::Word(span) => &self.text[span.clone()],
            _ => "",
        }
    }

    fn take(&mut self, word: &str) -> Option<()> {
        (self.word() == word || self.sign() == word).then(|| self.at += 1)
    }

    fn newlines(&mut self) {
        while *self.peek() == Token::Newline {
            self.at += 1;
        }
    }

    /// Where the next token begins.
    fn here(&self) -> usize {
        match self.peek() {
            Token::Word(span) => span.start,
            Token::Sign(_, at) => *at,
            _ => self.tokens[..self.at.min(self.tokens.len())]
                .iter()
                .rev()
                .find_map(|token| match token {
                    Token::Word(span) => Some(span.end),
                    Token::Sign(sign, at) => Some(at + sign.len()),
                    _ => None,
                })
                .unwrap_or(0),
        }
    }

    /// Commands up to one of the words, which is left.
    fn list(&mut self, ends: &[&str]) -> Option<List> {
        self.depth += 1;
        let mut list = Vec::new();
        loop {
            while *self.peek() == Token::Newline || self.sign() == ";" {
                self.at += 1;
            }
            let over = matches!(self.sign(), ")" | ";;" | ";&" | ";;&") || ends.contains(&self.word());
            if over || *self.peek() == Token::End || self.depth > DEPTH {
                break;
            }
            list.push(self.item()?);
        }
        self.depth -= 1;
        (self.depth < DEPTH).then_some(list)
    }

    fn item(&mut self) -> Option<Item> {
        let mut pipelines = vec![self.pipeline()?];
        while matches!(self.sign(), "&&" | "||") {
            self.at += 1;
            self.newlines();
            pipelines.push(self.pipeline()?);
        }
        let in_background = self.sign() == "&";
        self.at += usize::from(in_background);
        Some(Item { pipelines, in_background })
    }

    fn pipeline(&mut self) -> Option<Pipeline> {
        let mut negated = false;
        while matches!(self.word(), "!" | "time") {
            negated ^= self.word() == "!";
            self.at += 1;
        }
        let mut nodes = vec![self.node()?];
        while matches!(self.sign(), "|" | "|&") {
            self.at += 1;
            self.newlines();
            nodes.push(self.node()?);
        }
        Some(Pipeline { negated, nodes })
    }

    fn node(&mut self) -> Option<Node> {
        let node = match self.word() {
            "if" => self.conditional()?,
            "while" | "until" => {
                self.at += 1;
                let from = self.here();
                let condition = self.list(&["do"])?;
                let span = from..self.here();
                Node::Loop(condition, span, self.body()?)
            }
            "for" | "select" => self.each()?,
            "case" => self.case()?,
            "{" => {
                self.at += 1;
                let list = self.list(&["}"])?;
                self.take("}")?;
                Node::Group(list, false)
            }
            "function" => {
                self.at += 1;
                let Token::Word(name) = self.peek().clone() else { return None };
                self.at += 1;
                if self.sign() == "(" {
                    self.at += 1;
                    self.take(")")?;
                }
                self.function(name)?
            }
            "" if self.sign() == "(" => {
                self.at += 1;
                let list = self.list(&[])?;
                self.take(")")?;
                Node::Group(list, true)
            }
            _ => return self.simple(),
        };
        while *self.peek() == Token::Redirection {
            self.at += 2;
        }
        Some(node)
    }

    fn function(&mut self, name: Range<usize>) -> Option<Node> {
        self.newlines();
        self.depth += 1;
        let body = (self.depth < DEPTH).then(|| self.node()).flatten()?;
        self.depth -= 1;
        Some(Node::Function(name, Box::new(body)))
    }

    fn body(&mut self) -> Option<List> {
        self.take("do")?;
        let body = self.list(&["done"])?;
        self.take("done")?;
        Some(body)
    }

    fn conditional(&mut self) -> Option<Node> {
        let mut branches = Vec::new();
        while matches!(self.word(), "if" | "elif") {
            self.at += 1;
            let from = self.here();
            let condition = self.list(&["then"])?;
            let span = from..self.here();
            self.take("then")?;
            branches.push((condition, span, self.list(&["elif", "else", "fi"])?));
        }
        if self.word() == "else" {
            self.at += 1;
            let all = branches.iter().map(|(_, span, _)| span.start).min().unwrap_or(0);
            let end = branches.last().map_or(all, |(_, span, _)| span.end);
            branches.push((Vec::new(), all..end, self.list(&["fi"])?));
        }
        self.take("fi")?;
        Some(Node::If(branches))
    }

    fn each(&mut self) -> Option<Node> {
        self.at += 1;
        let Token::Word(name) = self.peek().clone() else { return None };
        self.at += 1;
        self.newlines();
        let mut words = Vec::new();
        if self.word() == "in" {
            self.at += 1;
            while let Token::Word(word) = self.peek() {
                words.push(word.clone());
                self.at += 1;
            }
        }
        while *self.peek() == Token::Newline || self.sign() == ";" {
            self.at += 1;
        }
        Some(Node::For(name, words, self.body()?))
    }

    fn case(&mut self) -> Option<Node> {
        let from = self.here();
        self.at += 2;
        self.newlines();
        self.take("in")?;
        let head = from..self.here();
        let mut arms = Vec::new();
        loop {
            self.newlines();
            if self.word() == "esac" {
                break;
            }
            let start = self.here();
            while self.sign() != ")" {
                if matches!(self.peek(), Token::End | Token::Newline) {
                    return None;
                }
                self.at += 1;
            }
            let pattern = start..self.here();
            self.at += 1;
            let body = self.list(&["esac"])?;
            arms.push((pattern, body));
            if matches!(self.sign(), ";;" | ";&" | ";;&") {
                self.at += 1;
            }
        }
        self.take("esac")?;
        Some(Node::Case(head, arms))
    }

    fn simple(&mut self) -> Option<Node> {
        const RESERVED: &[&str] = &["then", "elif", "else", "fi", "do", "done", "esac", "}"];
        if RESERVED.contains(&self.word()) {
            return None;
        }
        let start = self.here();
        let mut end = start;
        let mut words = Vec::new();
        let first = self.at;
        loop {
            match self.peek().clone() {
                Token::Word(word) => {
                    end = word.end;
                    words.push(word);
                    self.at += 1;
                }
                Token::Redirection => {
                    self.at += 1;
                    if let Token::Word(word) = self.peek() {
                        end = word.end;
                        self.at += 1;
                    }
                }
                Token::Sign("(", _) if words.len() == 1 => {
                    self.at += 1;
                    self.take(")")?;
                    return self.function(words.remove(0));
                }
                _ => break,
            }
        }
        (self.at > first).then_some(Node::Simple { words, span: start..end })
    }
}

/// What the script sets, wherever it does: a name with two values has none.
#[derive(Debug, Default)]
struct Variables {
    /// What every assignment says; nothing where they differ or it is not known. With the era it was set in.
    values: BTreeMap<String, (usize, Option<Vec<String>>)>,
    /// Counts the files that were read in, each of which may have changed everything.
    era: usize,
}

impl Variables {
    fn list(&mut self, text: &str, list: &List) {
        for node in list.iter().flat_map(|item| &item.pipelines).flat_map(|pipeline| &pipeline.nodes) {
            self.node(text, node);
        }
    }

    fn node(&mut self, text: &str, node: &Node) {
        match node {
            Node::Simple { words, .. } => self.simple(text, words),
            Node::If(branches) => {
                for (condition, _, body) in branches {
                    self.list(text, condition);
                    self.list(text, body);
                }
            }
            Node::Loop(condition, _, body) => {
                self.list(text, condition);
                self.list(text, body);
            }
            Node::For(name, words, body) => {
                let values: Option<Vec<String>> =
                    words.iter().map(|word| self.expand(&text[word.clone()]).pop()).collect();
                let is_plain = words.iter().all(|word| {
                    !text[word.clone()].contains(['*', '?', '[', '{', '$'])
                        || text[word.clone()].starts_with('/')
                });
                let values = values.filter(|values| is_plain && (1..=VALUES).contains(&values.len()));
                self.set(&text[name.clone()], values);
                self.list(text, body);
            }
            Node::Case(_, arms) => {
                for (_, body) in arms {
                    self.list(text, body);
                }
            }
            Node::Group(list, _) => self.list(text, list),
            Node::Function(_, body) => self.node(text, body),
        }
    }

    fn simple(&mut self, text: &str, words: &[Range<usize>]) {
        let word = |at: usize| words.get(at).map_or("", |word| &text[word.clone()]);
        let declares = matches!(word(0), "export" | "local" | "readonly" | "declare" | "typeset");
        for span in words {
            match assignment(&text[span.clone()]) {
                Some((name, value)) => {
                    let values = self.expand(value);
                    self.set(name, Some(values).filter(|values| !values.is_empty()));
                }
                None if declares => {}
                None => break,
            }
        }
        match word(0) {
            "read" | "unset" | "getopts" | "mapfile" | "readarray" => {
                for span in words.iter().skip(1) {
                    self.set(&text[span.clone()], None);
                }
            }
            // debconf's library sets nothing that a script uses
            "." | "source" if word(1).contains("/debconf/") => {}
            "." | "source" | "eval" => self.era += 1,
            _ => {}
        }
    }

    fn set(&mut self, name: &str, values: Option<Vec<String>>) {
        let old = self.values.get(name).filter(|(era, _)| *era == self.era);
        let new = values.filter(|new| old.is_none_or(|(_, old)| old.as_ref() == Some(new)));
        self.values.insert(name.to_owned(), (self.era, new));
    }

    /// What a variable may be.
    fn get(&self, name: &str) -> Option<&Vec<String>> {
        let (era, values) = self.values.get(name)?;
        values.as_ref().filter(|_| *era == self.era)
    }

    /// What a word may be; nothing where that is not known.
    fn expand(&self, raw: &str) -> Vec<String> {
        let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
        if let Some(values) = whole_variable(inner).and_then(|name| self.get(name)) {
            return values.clone();
        }
        self.one(raw).into_iter().collect()
    }

    fn one(&self, raw: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = raw;
        let mut quoted = false;
        while let Some(next) = rest.chars().next() {
            let mut length = next.len_utf8();
            match next {
                '\'' if !quoted => {
                    let end = rest[1..].find('\'')?;
                    out.push_str(&rest[1..=end]);
                    length = end + 2;
                }
                '"' => quoted = !quoted,
                '\\' => {
                    let escaped = rest[1..].chars().next()?;
                    if escaped != '\n' {
                        if quoted && !matches!(escaped, '$' | '`' | '"' | '\\') {
                            out.push('\\');
                        }
                        out.push(escaped);
                    }
                    length += escaped.len_utf8();
                }
                '`' => return None,
                '$' => {
                    let (name, taken) = variable(&rest[1..])?;
                    let [value] = self.get(name)?.as_slice() else { return None };
                    out.push_str(value);
                    length += taken;
                }
                // macros of a spec file
                '%' if rest.starts_with("%{") || rest.starts_with("%(") => return None,
                other => out.push(other),
            }
            if out.len() > VALUE {
                return None;
            }
            rest = &rest[length..];
        }
        Some(out)
    }
}

/// The variable that is all of a word.
fn whole_variable(word: &str) -> Option<&str> {
    let (name, taken) = variable(word.strip_prefix('$')?)?;
    (taken + 1 == word.len()).then_some(name)
}

/// The name after a `$`, and how long it is with its braces.
fn variable(text: &str) -> Option<(&str, usize)> {
    let (inside, braces) = match text.strip_prefix('{') {
        Some(inside) => (inside, 2),
        None => (text, 0),
    };
    let end =
        inside.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'_').unwrap_or(inside.len());
    let name = &inside[..end];
    let is_name = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    (is_name && (braces == 0 || inside[end..].starts_with('}'))).then_some((name, end + braces))
}

/// `NAME=value`, in halves.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    is_name.then_some((name, value))
}

/// Where a command stands.
#[derive(Debug, Clone, Default)]
struct Context {
    /// Somebody looks at its status.
    guarded: bool,
    /// Its status is the last one.
    tail: bool,
    conditions: Vec<Range<usize>>,
    function: Option<String>,
}

/// A command with what is not yet settled.
struct Seen {
    command: Command,
    guarded: bool,
    tail: bool,
    errexit: bool,
    function: Option<String>,
}

struct Walk<'a> {
    text: &'a str,
    variables: &'a Variables,
    errexit: bool,
    seen: Vec<Seen>,
    functions: BTreeSet<String>,
    /// Substitutions inside substitutions.
    depth: usize,
    /// Something could not be read.
    cut: bool,
    /// The script says itself what happens at its end.
    has_trap: bool,
}

impl Walk<'_> {
    fn list(&mut self, list: &List, context: &Context) {
        for (at, item) in list.iter().enumerate() {
            let is_last = at + 1 == list.len();
            for (at, pipeline) in item.pipelines.iter().enumerate() {
                let is_tested = at + 1 < item.pipelines.len() || item.in_background || pipeline.negated;
                for (at, node) in pipeline.nodes.iter().enumerate() {
                    let guarded = context.guarded || is_tested || at + 1 < pipeline.nodes.len();
                    let tail = context.tail && is_last;
                    self.node(node, &Context { guarded, tail, ..context.clone() });
                }
            }
        }
    }

    fn node(&mut self, node: &Node, context: &Context) {
        let below = |span: &Range<usize>| {
            let mut conditions = context.conditions.clone();
            conditions.push(span.clone());
            Context { conditions, ..context.clone() }
        };
        let tested = Context { guarded: true, ..context.clone() };
        match node {
            Node::Simple { words, span } => self.simple(words, span, context),
            Node::If(branches) => {
                for (condition, span, body) in branches {
                    self.list(condition, &tested);
                    self.list(body, &below(span));
                }
            }
            Node::Loop(condition, span, body) => {
                self.list(condition, &tested);
                self.list(body, &below(span));
            }
            Node::For(_, _, body) => self.list(body, context),
            Node::Case(head, arms) => {
                let inside = below(head);
                for (pattern, body) in arms {
                    let mut conditions = inside.conditions.clone();
                    conditions.push(pattern.clone());
                    self.list(body, &Context { conditions, ..context.clone() });
                }
            }
            Node::Group(list, is_subshell) => {
                let before = self.errexit;
                self.list(list, context);
                if *is_subshell {
                    self.errexit = before;
                }
            }
            Node::Function(name, body) => {
                let name = self.text[name.clone()].to_owned();
                self.functions.insert(name.clone());
                let before = self.errexit;
                self.node(body, &Context { tail: true, function: Some(name), ..Context::default() });
                self.errexit = before;
            }
        }
    }

    fn simple(&mut self, words: &[Range<usize>], span: &Range<usize>, context: &Context) {
        for word in words {
            self.substitutions(word, context);
        }
        let assigned =
            words.iter().take_while(|word| assignment(&self.text[(*word).clone()]).is_some()).count();
        let words: Vec<Word> = words[assigned..].iter().map(|span| self.word(span)).collect();
        let Some(first) = words.first() else { return };
        match first.value() {
            Some("set") => {
                for option in words.iter().skip(1).filter_map(Word::value) {
                    let short = option.len() > 1 && !option.starts_with("--") && option[1..].contains('e');
                    if (option.starts_with('-') && short) || option == "errexit" {
                        self.errexit = !words.iter().any(|word| word.value() == Some("+o"));
                    } else if option.starts_with('+') && short {
                        self.errexit = false;
                    }
                }
            }
            Some("trap") => {
                let ends = |word: &Word| matches!(word.value(), Some("EXIT" | "0" | "ERR"));
                self.has_trap = self.has_trap || words.iter().skip(2).any(ends);
            }
            _ => {}
        }
        self.seen.push(Seen {
            command: Command {
                words,
                span: span.clone(),
                decides: false,
                conditions: context.conditions.clone(),
            },
            guarded: context.guarded,
            tail: context.tail,
            errexit: self.errexit,
            function: context.function.clone(),
        });
    }

    fn word(&self, span: &Range<usize>) -> Word {
        let raw = &self.text[span.clone()];
        let splits = raw.contains("$@") || raw.contains("$*") || raw.starts_with(['$', '`']);
        Word { span: span.clone(), values: self.variables.expand(raw), splits }
    }

    /// The commands in `$(…)` and backquotes of a word: nobody looks at their status as such.
    fn substitutions(&mut self, word: &Range<usize>, context: &Context) {
        let raw = &self.text[word.clone()];
        if !raw.contains("$(") && !raw.contains('`') || self.depth >= 8 {
            self.cut = self.cut || self.depth >= 8;
            return;
        }
        let mut lexer = Lexer { text: self.text, at: word.start, here: Vec::new(), depth: 0 };
        while lexer.at < word.end {
            let from = lexer.at;
            let byte = self.text.as_bytes()[from];
            let inside = match (byte, lexer.byte(1)) {
                // inside double quotes there may be more
                (b'"', _) => {
                    lexer.at += 1;
                    continue;
                }
                (b'$', Some(b'(')) if lexer.byte(2) != Some(b'(') => {
                    if lexer.part(byte).is_none() {
                        break;
                    }
                    from + 2..lexer.at - 1
                }
                (b'`', _) => {
                    if lexer.part(byte).is_none() {
                        break;
                    }
                    from + 1..lexer.at - 1
                }
                _ => {
                    if lexer.part(byte).is_none() {
                        break;
                    }
                    continue;
                }
            };
            self.inner(inside, context);
        }
    }

    fn inner(&mut self, inside: Range<usize>, context: &Context) {
        // offsets stay those of the whole text
        let text = &self.text[..inside.end];
        let mut lexer = Lexer { text, at: inside.start, here: Vec::new(), depth: 0 };
        let Some(tokens) = lexer.tokens() else {
            self.cut = true;
            return;
        };
        let mut parser = Parser { text, tokens, at: 0, depth: 0 };
        match parser.list(&[]) {
            Some(list) if *parser.peek() == Token::End => {
                self.depth += 1;
                let before = self.errexit;
                self.list(&list, &Context { guarded: true, tail: false, ..context.clone() });
                self.errexit = before;
                self.depth -= 1;
            }
            _ => self.cut = true,
        }
    }

    /// The commands, when it is known who calls the functions.
    fn finish(self) -> Vec<Command> {
        let Self { mut seen, functions, has_trap, .. } = self;
        // of each function: is it called, does its failure count, is it last, is errexit on
        let mut calls: BTreeMap<String, [bool; 4]> = BTreeMap::new();
        for _ in 0..=functions.len().min(16) {
            let before = calls.clone();
            for command in &seen {
                let Some(name) = command.command.words.first().and_then(Word::value) else { continue };
                if !functions.contains(name) {
                    continue;
                }
                let [called, counts, last, errexit] = caller(command, &calls);
                let call = calls.entry(name.to_owned()).or_default();
                call[0] |= called;
                call[1] |= counts;
                call[2] |= counts && last;
                call[3] |= counts && errexit;
            }
            if before == calls {
                break;
            }
        }
        seen.retain(|command| caller(command, &calls)[0]);
        let settle = |seen: Seen| {
            let [_, counts, last, errexit] = caller(&seen, &calls);
            Command { decides: counts && (last || errexit) && !has_trap, ..seen.command }
        };
        seen.into_iter().map(settle).collect()
    }
}

/// Of a command: does it run, does its failure count, is its status the last one, is errexit on.
fn caller(seen: &Seen, calls: &BTreeMap<String, [bool; 4]>) -> [bool; 4] {
    let [called, counts, last, errexit] = match &seen.function {
        Some(name) => calls.get(name).copied().unwrap_or_default(),
        None => [true, true, true, false],
    };
    [called, counts && !seen.guarded, last && seen.tail, seen.errexit || errexit]
}

/// Words of a script or of a package on one line, cut to what a message can hold.
pub(super) fn shown(text: &str) -> String {
    let words = text.replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "'");
    let cut: String = words.chars().take(100).filter(|character| !character.is_control()).collect();
    if cut.len() < words.len() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands that decide, and the others after a `|`.
    fn commands(text: &str) -> String {
        let script = read(text);
        assert!(script.is_whole, "{text}");
        let shown = |decides: bool| {
            let chosen = script.commands.iter().filter(|command| command.decides == decides);
            let words = chosen.map(|command| {
                let words = command.words.iter().map(|word| word.values.join("/"));
                words.collect::<Vec<_>>().join(" ")
            });
            words.collect::<Vec<_>>().join("; ")
        };
        format!("{} | {}", shown(true), shown(false))
    }

    #[test]
    fn a_failure_counts_where_nobody_looks_at_it() {
        assert_eq!(commands("set -e\na\nexit 0\n"), "set -e; a; exit 0 | ");
        assert_eq!(commands("a\nb"), "b | a");
        let tested = "set -e\na || true; b && c; ! d; if e; then f; fi; g | h; i &\nj";
        assert_eq!(commands(tested), "set -e; true; c; f; h; j | a; b; d; e; g; i");
        assert_eq!(
            commands("set -e\n{ a; } || :\n( set +e\nb )\nset +e\nc\nexit 0"),
            "set -e; :; exit 0 | a; set +e; b; set +e; c"
        );
        assert_eq!(commands("#!/bin/sh -e\nx=$(a \"$(b)\")\nwhile c; do d; done\n"), "d | b; a ; c");
        assert_eq!(commands("set -e\ntrap 'exit 0' EXIT\na\n"), " | set -e; trap exit 0 EXIT; a");
    }

    #[test]
    fn functions_count_as_they_are_called() {
        assert_eq!(commands("set -e\nf() { a; }\nf || true\n"), "set -e; true | a; f");
        assert_eq!(commands("set -e\nf() { a; }\ng() { f; }\ng\nexit 0\n"), "set -e; a; f; g; exit 0 | ");
        assert_eq!(commands("f() ( a\nb )\nfunction g { c; }\nf\n"), "b; f | a");
    }

    #[test]
    fn what_is_no_command_is_none() {
        assert_eq!(
            commands("# a\ncat <<E >x; b # c\nd\n E\nE\ne \\\n f 'g\nh' \"i $(: )\"\n"),
            "e f g\nh  | cat; b; :"
        );
        assert_eq!(
            commands("case $1 in\n a|b) c ;;\n (d) e;;\nesac\n[[ $x =~ (a|b) && y ]] && f\n"),
            "f | c; e; [[  ]]"
        );
        assert_eq!(commands("A=(a b)\nB=1 c >/dev/null 2>&1\n"), "c | ");
    }

    #[test]
    fn words_are_known_where_every_assignment_agrees() {
        assert_eq!(commands("N=a; V='1.0'\nd -m $N -v \"${V}\" $N-$V"), "d -m a -v 1.0 a-1.0 | ");
        assert_eq!(commands("N=a; [ x ] && N=b\nd $N $M ${N%x} `e`"), "d     | [ x ]; e");
        assert_eq!(commands("N=a\n. /etc/x\nd $N"), "d  | . /etc/x");
        assert_eq!(commands("N=a\n. /etc/x\nN=b\nd $N"), "d b | . /etc/x");
        assert_eq!(commands("for i in /a /b; do $i; done"), "/a//b | ");
        assert_eq!(commands("read N; N=a; d $N %{name}"), "d   | read N");
    }

    #[test]
    fn what_is_no_shell_gives_nothing() {
        for text in ["if x; then y", "'", "$(", "case x in a", "for", "((", "f() {", "fi", "a )", "\"`"] {
            let script = read(text);
            assert!(script.commands.is_empty() && !script.is_whole, "{text}");
        }
        for text in [
            "(".repeat(100_000),
            "if ".repeat(50_000),
            "$(".repeat(50_000),
            "f(){ ".repeat(9999),
            "\u{1F600}é'".repeat(9),
        ] {
            assert!(!read(&text).is_whole);
        }
        assert!(read("").is_whole);
    }
}
