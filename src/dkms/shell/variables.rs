//! Variables, their elements and how they are assigned (bash manual, "Shell Parameters" and "Arrays").
//!
//! Must not run commands; what a value is made of is in [`super::expand`].

use std::collections::BTreeMap;

use super::pattern::Glob;
use super::state::{Data, MAYBE, Variable, is_unknown, reaches_on, unknown};
use super::{Flow, STRING, Shell};

impl Shell<'_> {
    /// The value of `$name`: element 0 of an array; `None` when unset.
    pub(super) fn scalar(&self, name: &str) -> Option<String> {
        let Some(variable) = self.state.variables.get(name) else { return self.dynamic(name) };
        match &variable.data {
            Data::Unset => None,
            Data::Scalar(value) => Some(value.clone()),
            Data::Indexed(values) => values.get(&0).cloned(),
            Data::Associative(values) => values.get("0").cloned(),
            Data::Unknown => Some(MAYBE.to_string()),
        }
    }

    /// Variables that bash computes.
    fn dynamic(&self, name: &str) -> Option<String> {
        Some(match name {
            // bash counts anew in what it parses anew
            "LINENO" if self.foreign == 0 && self.function_names.is_empty() => self.line.to_string(),
            "FUNCNAME" => self.function_names.last().cloned().unwrap_or_else(|| "source".to_owned()),
            "BASH_SOURCE" => self.sources.last().cloned().unwrap_or_default(),
            "BASH_VERSINFO" => BASH_MAJOR.to_owned(),
            "OPTERR" => "1".to_owned(),
            "PIPESTATUS" => match &self.state.pipe {
                None => self.state.status,
                Some(statuses) => statuses.first().copied().flatten(),
            }
            .map_or_else(unknown, |status| status.to_string()),
            _ if COMPUTED.contains(&name) => unknown(),
            _ if OF_THE_CALLER.contains(&name) || name.starts_with("LC_") => MAYBE.to_string(),
            _ if self.state.open_names || (self.state.open_config && name.starts_with("CONFIG_")) => {
                MAYBE.to_string()
            }
            _ => return None,
        })
    }

    /// The element that a written subscript names.
    pub(super) fn element_by_subscript(
        &mut self,
        name: &str,
        subscript: &str,
    ) -> Result<Option<String>, Flow> {
        match self.state.variables.get(name).map(|variable| &variable.data) {
            Some(Data::Associative(_)) => {
                let key = self.expand_string(subscript)?;
                if is_unknown(&key) {
                    return Ok(Some(MAYBE.to_string()));
                }
                let Some(Data::Associative(values)) = self.state.variables.get(name).map(|v| &v.data) else {
                    return Ok(None);
                };
                Ok(values.get(&key).cloned())
            }
            Some(Data::Unknown) => Ok(Some(MAYBE.to_string())),
            _ => {
                let Some(index) = self.evaluate_arithmetic(subscript)? else {
                    return Ok(Some(MAYBE.to_string()));
                };
                let values = self.indexed(name);
                let Some(index) = resolve(index, &values) else { return Ok(None) };
                let open = values.values().any(|value| value.contains(MAYBE));
                let beyond = open && !self.state.variables.contains_key(name);
                Ok(values.get(&index).cloned().or_else(|| beyond.then(|| MAYBE.to_string())))
            }
        }
    }

    /// A variable as an indexed array.
    pub(crate) fn indexed(&self, name: &str) -> BTreeMap<usize, String> {
        match self.state.variables.get(name).map(|variable| &variable.data) {
            Some(Data::Indexed(values)) => values.clone(),
            Some(Data::Scalar(value)) => BTreeMap::from([(0, value.clone())]),
            Some(Data::Unset | Data::Associative(_) | Data::Unknown) => BTreeMap::new(),
            None if name == "BASH_SOURCE" || name == "FUNCNAME" => self.calls(name == "FUNCNAME"),
            None if name == "BASH_VERSINFO" => {
                let numbers = [BASH_MAJOR, "", "", "", "release", ""].map(str::to_owned).into_iter();
                numbers.map(|text| if text.is_empty() { unknown() } else { text }).enumerate().collect()
            }
            None if name == "PIPESTATUS" => match &self.state.pipe {
                Some(statuses) if statuses.is_empty() => BTreeMap::from([(0, MAYBE.to_string())]),
                Some(statuses) => {
                    let text = |status: &Option<u8>| status.map_or_else(unknown, |status| status.to_string());
                    statuses.iter().map(text).enumerate().collect()
                }
                None => self.dynamic(name).map(|value| BTreeMap::from([(0, value)])).unwrap_or_default(),
            },
            None => self.dynamic(name).map(|value| BTreeMap::from([(0, value)])).unwrap_or_default(),
        }
    }

    /// `FUNCNAME` or `BASH_SOURCE`: who had the script run is not known.
    fn calls(&self, names: bool) -> BTreeMap<usize, String> {
        let functions = self.function_names.len();
        let mut calls: Vec<String> = if names {
            self.function_names.iter().rev().cloned().chain([String::from("source")]).collect()
        } else {
            vec![self.sources.last().cloned().unwrap_or_default(); functions + 1]
        };
        // with a file in a file the two mix
        if self.sources.len() > 2 {
            calls.truncate(1);
        }
        calls.push(MAYBE.to_string());
        calls.into_iter().enumerate().collect()
    }

    /// A pattern as the options of the shell have it.
    pub(super) fn glob_of(&mut self, pattern: &str, ignore_case: bool) -> Glob {
        if !self.state.options.extglob && super::pattern::has_group(pattern) {
            // written in the file it is a syntax error, and otherwise it means itself
            self.lose("an extended pattern where `extglob` is off");
        }
        Glob::new(pattern, ignore_case)
    }

    /// All elements, and whether there may be more or fewer.
    pub(super) fn elements(&self, name: &str) -> (Vec<String>, bool) {
        let values: Vec<String> = match self.state.variables.get(name).map(|variable| &variable.data) {
            Some(Data::Associative(values)) => {
                in_hash_order(values).into_iter().map(|(_, value)| value.clone()).collect()
            }
            Some(Data::Unknown) => vec![MAYBE.to_string()],
            _ => self.indexed(name).into_values().collect(),
        };
        let uncertain = values.iter().any(|value| value.contains(MAYBE));
        (values, uncertain)
    }

    /// All indices or keys, and whether there may be more or fewer.
    pub(super) fn keys(&self, name: &str) -> (Vec<String>, bool) {
        let keys = match self.state.variables.get(name).map(|variable| &variable.data) {
            Some(Data::Associative(values)) => {
                in_hash_order(values).into_iter().map(|(key, _)| key.clone()).collect()
            }
            _ => self.indexed(name).keys().map(ToString::to_string).collect(),
        };
        (keys, self.elements(name).1)
    }

    /// Forgets what a variable is.
    pub(super) fn blur(&mut self, name: &str) {
        if self.state.variables.get(name).is_some_and(|variable| variable.integer) {
            // what is no number ends the file
            self.lose("a number of a text that is not known");
        }
        let place = self.place.clone();
        let variable =
            self.state.variables.entry(name.to_owned()).or_insert_with(|| Variable::new(Data::Unset));
        variable.forget();
        variable.place = place;
    }

    /// Checks that a variable may be changed.
    fn writable(&mut self, name: &str) -> Result<(), Flow> {
        if self.state.variables.get(name).is_some_and(|variable| variable.readonly) {
            return Err(self.arithmetic_fails(&format!("`{name}` is readonly")));
        }
        Ok(())
    }

    fn shaped(&mut self, name: &str, text: String) -> Result<String, Flow> {
        let (integer, upper, odd) = match self.state.variables.get(name) {
            Some(variable) => (variable.integer, variable.upper, variable.odd),
            None => (false, None, false),
        };
        let text = if integer {
            if is_unknown(&text) {
                // one that is no number ends the file
                self.lose("a number of a text that is not known");
            }
            self.arithmetic(&text, 0)?.map_or_else(unknown, |value| value.to_string())
        } else {
            text
        };
        if odd || COMPUTED.contains(&name) {
            return Ok(unknown());
        }
        Ok(match upper {
            Some(upper) => text.chars().map(|c| super::expand::other_case(c, upper)).collect(),
            None => text,
        })
    }

    /// Whether the file chose a locale, in which a character may be a byte.
    pub(super) fn is_locale_chosen(&self) -> bool {
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().any(|name| self.state.variables.contains_key(*name))
    }

    /// Whether a text has other characters in another locale.
    pub(super) fn is_of_a_locale(&self, text: &str) -> bool {
        !text.is_ascii() && self.is_locale_chosen()
    }

    /// Assigns a scalar or an element.
    pub(super) fn assign(
        &mut self,
        name: &str,
        subscript: Option<&str>,
        text: String,
        append: bool,
    ) -> Result<(), Flow> {
        self.check_length(&text)?;
        self.writable(name)?;
        if is_nonsense_name(name) {
            return Ok(());
        }
        if append && self.state.variables.get(name).is_some_and(|variable| variable.integer) {
            let old = match subscript {
                Some(subscript) => self.element_by_subscript(name, subscript)?,
                None => self.scalar(name),
            };
            let old = old.unwrap_or_default();
            if is_unknown(&old) || is_unknown(&text) {
                return self.assign(name, subscript, unknown(), false);
            }
            let (old, more) = (self.arithmetic(&old, 0)?, self.arithmetic(&text, 0)?);
            let sum = old.zip(more).map_or_else(unknown, |(old, more)| old.wrapping_add(more).to_string());
            return self.assign(name, subscript, sum, false);
        }
        let text = self.shaped(name, text)?;
        let place = self.place.clone();
        let associative = matches!(
            self.state.variables.get(name).map(|variable| &variable.data),
            Some(Data::Associative(_))
        );
        if associative {
            let key = match subscript {
                Some(subscript) => self.expand_string(subscript)?,
                None => "0".to_owned(),
            };
            if is_unknown(&key) {
                self.blur(name);
                return Ok(());
            }
            if let Some(Variable { data: Data::Associative(values), .. }) = self.state.variables.get_mut(name)
            {
                let value = values.entry(key).or_default();
                if append { value.push_str(&text) } else { *value = text }
            }
            return Ok(());
        }
        let Some(subscript) = subscript else {
            let variable =
                self.state.variables.entry(name.to_owned()).or_insert_with(|| Variable::new(Data::Unset));
            variable.place = place;
            match &mut variable.data {
                Data::Indexed(values) => {
                    let value = values.entry(0).or_default();
                    if append { value.push_str(&text) } else { *value = text }
                }
                Data::Scalar(value) if append => value.push_str(&text),
                Data::Unknown if append || self.outside.is_array(name) => {}
                data => *data = Data::Scalar(text),
            }
            return self.check_value(name);
        };
        let Some(index) = self.evaluate_arithmetic(subscript)? else {
            self.blur(name);
            return Ok(());
        };
        if matches!(self.state.variables.get(name).map(|variable| &variable.data), Some(Data::Unknown)) {
            return Ok(());
        }
        let mut values = self.indexed(name);
        let Some(index) = resolve(index, &values) else {
            return Err(self.fatal(&format!("`{name}[{subscript}]` is not a valid subscript")));
        };
        let value = values.entry(index).or_default();
        if append {
            value.push_str(&text);
        } else {
            *value = text;
        }
        self.check_size(values.len())?;
        self.check_list(values.values())?;
        let variable =
            self.state.variables.entry(name.to_owned()).or_insert_with(|| Variable::new(Data::Unset));
        variable.data = Data::Indexed(values);
        variable.place = place;
        Ok(())
    }

    fn check_value(&mut self, name: &str) -> Result<(), Flow> {
        let length = match self.state.variables.get(name).map(|variable| &variable.data) {
            Some(Data::Scalar(value)) => value.len(),
            _ => 0,
        };
        if length > STRING {
            return Err(self.limit("a value gets too long"));
        }
        Ok(())
    }

    /// Assigns an array from `name=(…)`; elements are an optional written subscript and a value.
    pub(super) fn assign_array(
        &mut self,
        name: &str,
        elements: Vec<(Option<String>, Vec<String>)>,
        append: bool,
        uncertain: bool,
    ) -> Result<(), Flow> {
        self.writable(name)?;
        let place = self.place.clone();
        let associative = matches!(
            self.state.variables.get(name).map(|variable| &variable.data),
            Some(Data::Associative(_))
        );
        let mut variable =
            self.state.variables.get(name).cloned().unwrap_or_else(|| Variable::new(Data::Unset));
        variable.place = place;
        let lost = append
            && (matches!(variable.data, Data::Unknown) || self.elements(name).1)
            && elements.iter().any(|(subscript, _)| subscript.is_none());
        if uncertain || lost {
            variable.forget();
            variable.stray |= elements.iter().flat_map(|(_, values)| values).any(|value| reaches_on(value));
            self.state.variables.insert(name.to_owned(), variable);
            return Ok(());
        }
        if associative && variable.integer {
            self.lose("a map of numbers");
        }
        if associative {
            let mut map = match (&variable.data, append) {
                (Data::Associative(values), true) => values.clone(),
                _ => BTreeMap::new(),
            };
            // `(key value …)`, where nothing has a subscript
            let mut key = None;
            for (subscript, values) in elements {
                for value in values {
                    let at = match (&subscript, key.take()) {
                        (Some(subscript), _) => self.expand_string(subscript)?,
                        (None, Some(key)) => key,
                        (None, None) => {
                            key = Some(value);
                            continue;
                        }
                    };
                    let value = self.shaped(name, value)?;
                    map.insert(at, value);
                }
            }
            map.extend(key.map(|key| (key, String::new())));
            variable.data =
                if map.keys().any(|key| is_unknown(key)) { Data::Unknown } else { Data::Associative(map) };
            self.state.variables.insert(name.to_owned(), variable);
            return Ok(());
        }
        let mut map = if append { self.indexed(name) } else { BTreeMap::new() };
        let mut next = map.keys().next_back().map_or(0, |last| last + 1);
        for (subscript, values) in elements {
            if let Some(subscript) = subscript {
                let Some(index) = self.evaluate_arithmetic(&subscript)? else {
                    self.blur(name);
                    return Ok(());
                };
                let Some(index) = resolve(index, &map) else {
                    return Err(self.fatal(&format!("`[{subscript}]` is not a valid subscript of `{name}`")));
                };
                next = index;
            }
            for value in values {
                let value = self.shaped(name, value)?;
                map.insert(next, value);
                next = next.saturating_add(1);
            }
        }
        self.check_size(map.len())?;
        self.check_list(map.values())?;
        // the whole list is copied each time
        self.step(u64::try_from(map.len() / 2).unwrap_or(u64::MAX))?;
        variable.data = Data::Indexed(map);
        self.state.variables.insert(name.to_owned(), variable);
        Ok(())
    }

    /// `unset name` or `unset name[i]`.
    pub(super) fn unset(&mut self, name: &str, subscript: Option<&str>) -> Result<(), Flow> {
        if self.state.variables.get(name).is_some_and(|variable| variable.readonly) {
            self.state.status = Some(1);
            return Ok(());
        }
        let Some(subscript) = subscript else {
            if COMPUTED.contains(&name) || is_nonsense_name(name) || name == "BASH_VERSINFO" {
                // it is a plain variable from now on
                self.lose(&format!("`unset {name}`"));
            }
            let hides = |frame: &BTreeMap<String, Option<Variable>>| frame.contains_key(name);
            if let [outer @ .., inner] = &self.state.frames[..]
                && !hides(inner)
                && outer.iter().skip(1).any(hides)
            {
                self.lose("`unset` of what a calling function holds");
            }
            self.state.variables.remove(name);
            return Ok(());
        };
        if subscript == "@" || subscript == "*" {
            self.state.variables.remove(name);
            return Ok(());
        }
        if matches!(self.state.variables.get(name).map(|variable| &variable.data), Some(Data::Associative(_)))
        {
            let key = self.expand_string(subscript)?;
            if let Some(Variable { data: Data::Associative(values), .. }) = self.state.variables.get_mut(name)
            {
                values.remove(&key);
            }
            return Ok(());
        }
        let Some(index) = self.evaluate_arithmetic(subscript)? else {
            self.blur(name);
            return Ok(());
        };
        let mut values = self.indexed(name);
        if let Some(index) = resolve(index, &values) {
            values.remove(&index);
        }
        if let Some(variable) = self.state.variables.get_mut(name) {
            match variable.data {
                Data::Indexed(_) => variable.data = Data::Indexed(values),
                Data::Scalar(_) if values.is_empty() => variable.data = Data::Unset,
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes a variable local to the running function; `inherits`: with the value that it has.
    pub(super) fn make_local(&mut self, name: &str, inherits: bool) {
        let old = self.state.variables.get(name).cloned();
        if let Some(frame) = self.state.frames.last_mut()
            && !frame.contains_key(name)
        {
            frame.insert(name.to_owned(), old);
            if !inherits {
                self.state.variables.remove(name);
            }
        }
    }
}

/// The elements of an associative array as bash 5 lists them: by their places in a table of hashes.
fn in_hash_order(values: &BTreeMap<String, String>) -> Vec<(&String, &String)> {
    const BUCKETS: u32 = 1024;
    let bucket = |key: &str| {
        let hash = key.bytes().fold(2_166_136_261u32, |hash, byte| {
            hash.wrapping_mul(16_777_619) ^ i32::from(byte.cast_signed()).cast_unsigned()
        });
        hash & (BUCKETS - 1)
    };
    let mut list: Vec<_> = values.iter().collect();
    list.sort_by_key(|(key, _)| bucket(key));
    list
}

/// A written index as a position: negative counts from behind the last element.
fn resolve(index: i64, values: &BTreeMap<usize, String>) -> Option<usize> {
    if index >= 0 {
        return usize::try_from(index).ok();
    }
    let end = values.keys().next_back().map_or(0, |last| last + 1);
    usize::try_from(i64::try_from(end).ok()? + index).ok()
}

/// Variables that bash ignores assignments to.
pub(super) fn is_nonsense_name(name: &str) -> bool {
    matches!(
        name,
        "FUNCNAME" | "GROUPS" | "BASH_SOURCE" | "PIPESTATUS" | "BASH_LINENO" | "BASH_ARGC" | "BASH_ARGV"
    )
}

/// Stands for `${BASH_VERSINFO[0]}`: not known, but for that it is 4 or more on every system that is supported.
pub(super) const BASH_MAJOR: &str = "\u{10FFFE}bash\u{10FFFE}";

/// Variables that bash computes or that depend on how it was built and called; assignments do not fix most of them.
const COMPUTED: [&str; 30] = [
    "BASH",
    "BASHOPTS",
    "BASHPID",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_SUBSHELL",
    "BASH_VERSION",
    "COLUMNS",
    "COMP_WORDBREAKS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "GROUPS",
    "HISTCMD",
    "HOSTNAME",
    "LINENO",
    "LINES",
    "MACHTYPE",
    "OPTARG",
    "PPID",
    "PS4",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "_",
];

/// Variables of whoever has the script run.
const OF_THE_CALLER: [&str; 20] = [
    "BASH_ENV",
    "CDPATH",
    "COPROC",
    "DISPLAY",
    "EDITOR",
    "HISTFILE",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "MAIL",
    "OLDPWD",
    "PAGER",
    "PS1",
    "SHELL",
    "SUDO_USER",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_RUNTIME_DIR",
];
